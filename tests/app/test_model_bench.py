"""`benchmark verdict-order` and `adapt-speed`, and `train atypical`, on tiny made-up tissue."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.benchmarks.verdict_order import ORDERS, Pool, best_f1, measure
from app.commands.benchmark import benchmark_app
from app.training import atypical
from core.cancel import CancelToken
from core.errors import InputError
from models.atypical import load_atypical
from models.crop_net import CropNet
from models.device import pick_device
from models.registry import backbone

FIELDS = ["file", "x", "y", "label", "confidence", "slide", "mpp", "width", "height"]
PATCHES = ["file", "dataset", "label", "subtype", "slide", "tissue", "scanner", "mpp", "size_px"]


def _pool(seed, n=300):
    rng = np.random.default_rng(seed)
    mitosis = rng.random(n) < 0.2
    embedding = rng.normal(size=(n, 8)).astype(np.float32)
    embedding[:, 0] += 3 * mitosis
    return Pool(embedding, mitosis, rng.integers(0, 6, n).astype(str))


def test_every_order_is_measured_on_held_out_slides():
    rows = measure(_pool(0), _pool(1), seeds=2, token=CancelToken(), verdicts=(10, 40))
    assert [(r.order, r.verdicts) for r in rows] == [(o, n) for o in ORDERS for n in (10, 40)]
    random = [r for r in rows if r.order == "random"]
    assert all(r.f1_over_random == 0 and r.seeds_above_random == 0 for r in random)
    likely = next(r for r in rows if r.order == "most likely first" and r.verdicts == 10)
    assert likely.mitoses_read > random[0].mitoses_read
    assert all(0.8 < r.auroc <= 1 for r in rows if r.verdicts == 40)


def test_best_f1_is_the_best_of_all_thresholds():
    truth = np.array([True, False, True, False])
    assert best_f1(truth, np.array([0.9, 0.8, 0.7, 0.1], np.float32)) == pytest.approx(0.8)


def _cell(rgb, x, y, colour):
    rgb[y - 8 : y + 8, x - 10 : x + 10] = colour


def _write(path, columns, rows):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


@pytest.fixture
def patches(tmp_path):
    """Four sets of crops with both subtypes, and imposters."""
    rng = np.random.default_rng(0)
    rows = []
    for dataset in ("amibr", "tupac_prlab", "atnorm_br", "atnorm_md"):
        for k in range(20):
            rgb = rng.integers(170, 250, (96, 96, 3)).astype(np.uint8)
            subtype = "atypical" if k % 2 else "normal"
            label = "imposter" if dataset == "tupac_prlab" and k % 2 else "mitosis"
            _cell(rgb, 48, 48, (40, 20, 90) if k % 2 else (90, 20, 40))
            name = f"{dataset}-{k}.png"
            Image.fromarray(rgb).save(tmp_path / name)
            slide = "br" if dataset == "atnorm_br" else f"s{k % 10}"
            rows.append([name, dataset, label, subtype, slide, "made", "", "0.25", "96"])
    _write(tmp_path / "patches.csv", PATCHES, rows)
    return tmp_path


def test_frames_with_too_few_candidates_are_refused(patches):
    rng = np.random.default_rng(1)
    rows = []
    for k in range(2):
        rgb = rng.integers(190, 240, (200, 1100, 3)).astype(np.uint8)
        name = f"frame{k}.png"
        for i in range(6):
            x, y = 90 + 170 * i, 60 + 15 * i
            _cell(rgb, x, y, (50, 20, 90))
            label = "mitosis" if i % 2 else "imposter"
            rows.append([name, x, y, label, "", f"H0{k + 1}", "0.25", "1100", "200"])
        Image.fromarray(rgb).save(patches / name)
    _write(patches / "fields.csv", FIELDS, rows)
    arguments = ["verdict-order", "--data", patches, "--seeds", 1, "--device", "cpu", "--json"]
    arguments += ["--cache", patches / "cache"]
    found = CliRunner().invoke(benchmark_app, [str(a) for a in arguments])
    assert isinstance(found.exception, InputError)
    assert "too few" in str(found.exception)


def test_the_speed_of_adapting_is_measured(monkeypatch):
    from app.benchmarks import adapt_speed

    monkeypatch.setattr(adapt_speed, "PROBE_CELLS", 60)
    monkeypatch.setattr(adapt_speed, "EMBEDDED_CROPS", 8)
    monkeypatch.setattr(adapt_speed, "BATCH", 2)
    arguments = ["adapt-speed", "--models", "mitoscope-lite0", "--device", "cpu", "--rounds", "1"]
    found = CliRunner().invoke(benchmark_app, [*arguments, "--json"], catch_exceptions=False)
    (row,) = json.loads(found.stdout)
    assert row["embed_ratio"] > 0
    assert row["step_ratio"] > 0
    assert row["full_mib"] > 0


def test_a_head_for_atypical_mitoses_is_trained_gone_on_with_and_loaded(
    patches, tmp_path, monkeypatch
):
    monkeypatch.setattr(atypical, "N_FOLDS", 2)
    out = tmp_path / "out"
    out.mkdir()
    base = CropNet(backbone("efficientnet-lite0"), random=True)
    save_file(base.state_dict(), out / "base-1-0.safetensors")  # no weights from the network
    plan = atypical.Plan(base_steps=1, steps=1, batch=2, quarter_turns=1)
    folders = [atypical.train(patches, out, plan, token=CancelToken()) for _ in range(2)]
    assert folders[0] == folders[1]
    folder = out / "mitoscope-atypical-1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [row["name"] for row in manifest["figures"]] == [
        "amibr, out of fold",
        "atnorm_br",
        "atnorm_md",
    ]
    assert [row["unit"] for row in manifest["figures"]] == ["slide", "patch", "slide"]
    head = load_atypical(folder, device=pick_device("cpu"))
    crops = np.random.default_rng(0).integers(0, 255, (3, head.crop_px, head.crop_px, 3))
    probability = head.atypical(crops.astype(np.uint8))
    assert probability.shape == (3,)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert head.origin.name == "mitoscope-atypical-1"


def test_folds_hold_whole_slides_and_both_subtypes(patches):
    cells = atypical.labelled_cells(patches, "amibr")
    folds = atypical.fold_slides(cells, 5)
    assert sorted(s for fold in folds for s in fold) == sorted(set(cells.slide.tolist()))
    assert cells.mitosis.sum() == 10

"""`train classifier` on four tiny made-up slides: whole, gone on with, and with another seed."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from app.commands.benchmark import benchmark_app
from app.training import classifier, out_of_fold
from app.training.classifier import NAME, Plan, load_trained, train
from app.training.out_of_fold import FrameCandidates
from core.cancel import CancelToken
from core.errors import InputError, ModelError
from models.crop_net import CropNet
from models.device import pick_device
from models.registry import backbone
from models.training.classifier_training import Cells

FIELDS = ["file", "x", "y", "label", "confidence", "slide", "mpp", "width", "height"]
SLIDES = ("H01", "H02", "H03", "H04", "H05")
PER_SLIDE = 12


@pytest.fixture
def data(tmp_path):
    """Five frames of twelve dark cells, every other one a mitosis; H05 is the test slide."""
    rng = np.random.default_rng(0)
    rows = []
    for slide in SLIDES:
        rgb = rng.integers(190, 240, (120, 1100, 3)).astype(np.uint8)
        for i in range(PER_SLIDE):
            x, y = 40 + 90 * i, 60
            rgb[y - 8 : y + 8, x - 8 : x + 8] = (50, 20, 90) if i % 2 else (120, 80, 140)
            label = "mitosis" if i % 2 else "imposter"
            rows.append([f"{slide}.png", x, y, label, "", slide, "0.25", "1100", "120"])
        Image.fromarray(rgb).save(tmp_path / f"{slide}.png")
    with (tmp_path / "fields.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([FIELDS, *rows])
    return tmp_path


@pytest.fixture
def detector(tmp_path):
    """What `train detector` leaves: candidates of four folds, and the threshold."""
    folder = tmp_path / "detector"
    folder.mkdir()
    xy_um = np.stack([10 + 22.5 * np.arange(PER_SLIDE), np.full(PER_SLIDE, 15.0)], axis=1)
    mitosis = np.arange(PER_SLIDE) % 2 == 1
    for k, slide in enumerate(SLIDES[:4]):
        found = FrameCandidates(
            f"{slide}.png",
            slide,
            0.008,
            True,
            xy_um,
            np.linspace(0.9, 0.2, PER_SLIDE),
            mitosis,
            np.zeros(PER_SLIDE, bool),
            xy_um[mitosis],
        )
        out_of_fold.save(folder / f"fold-{k}.npz", [found])
    (folder / "mitoscope-detector-1.json").write_text('{"threshold": 0.1}')
    return folder


@pytest.fixture
def base(monkeypatch):
    """Puts a random network where the backbone tuned on patches is expected, and patches beside."""
    rng = np.random.default_rng(2)
    cells = Cells(
        rng.integers(0, 255, (8, 128, 128, 3), dtype=np.uint8),
        np.arange(8) < 4,
        np.where(np.arange(8) < 4, "human breast cancer mitosis", "beside hard"),
        np.array([f"p{k}" for k in range(8)]),
        np.full(8, 0.05, np.float32),
    )
    monkeypatch.setattr(classifier, "_patch_cells", lambda *_: cells)

    def put(out, plan):
        out.mkdir(exist_ok=True)
        network = CropNet(backbone("efficientnet-lite0"), random=True)
        save_file(network.state_dict(), out / f"{plan.base_name}.safetensors")

    return put


def test_a_classifier_is_trained_gone_on_with_and_repeated_with_another_seed(
    data, detector, base, tmp_path
):
    out, again = tmp_path / "out", tmp_path / "again"
    plan = Plan(base_steps=1, field_steps=1, quarter_turns=1)
    base(out, plan)
    folder = train(data, detector, out, plan, token=CancelToken())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["training"]["slides"] == ["H01", "H02", "H03", "H04"]
    assert [g["slides"] for g in manifest["out_of_fold"]["groups"]] == [[s] for s in SLIDES[:4]]
    assert manifest["out_of_fold"]["mitoses"] == 24
    assert manifest["review_threshold"] <= manifest["count_threshold"]

    folds = {path: path.stat().st_mtime_ns for path in out.glob("fold-*")}
    assert len(folds) == 8
    train(data, detector, out, plan, token=CancelToken())
    assert {path: path.stat().st_mtime_ns for path in out.glob("fold-*")} == folds
    assert json.loads((folder / "manifest.json").read_text()) == manifest

    other = Plan(base_steps=1, field_steps=1, quarter_turns=1, seed=1)
    base(again, other)
    repeated = train(data, detector, again, other, operated_as=out, token=CancelToken())
    assert not list(again.glob("fold-*"))
    new = json.loads((repeated / "manifest.json").read_text())
    assert new["plan"]["seed"] == 1
    assert new["operated_as_seed"] == 0
    for key in ("calibration", "levelling", "review_threshold", "count_threshold"):
        assert new[key] == manifest[key]
    assert new["sha256"] != manifest["sha256"]

    device = pick_device("cpu")
    crops = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    logits = [load_trained(folder, device).logits(crops) for folder in (out, again)]
    assert not np.allclose(*logits)

    arguments = ["quality", "--data", data, "--trained", again, "--only-as-scanned", "--json"]
    found = CliRunner().invoke(benchmark_app, [str(a) for a in arguments], catch_exceptions=False)
    (row,) = json.loads(found.stdout)
    assert row["mitoses"] == PER_SLIDE // 2


def test_what_is_lacking_is_named(data, tmp_path):
    plan = Plan(base_steps=1, field_steps=1)
    with pytest.raises(InputError, match="out of fold"):
        train(data, tmp_path / "none", tmp_path / "out", plan, token=CancelToken())
    old = tmp_path / "old" / NAME
    old.mkdir(parents=True)
    (old / "manifest.json").write_text('{"name": "old"}')
    with pytest.raises(ModelError, match="calibration"):
        classifier.operating_point_of(old.parent)

"""Adapting end to end on a tiny backbone: compared by slide, saved whole, gone on after a stop."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tinynet import blob_examples, use_tiny_backbone

from app.__main__ import main
from app.adapting import baseline, comparison, engine
from app.adapting.baseline import Baseline
from app.adapting.limits import make_folds
from app.adapting.request import AdaptRequest, FolderSource
from core.cancel import Cancelled, CancelToken
from core.errors import InputError, ModelError
from models import adapters
from models.atypical import load_atypical
from models.classifier import load_classifier
from models.device import pick_device
from models.training.adapt import Trainer
from models.training.adapt_data import Examples


def write_crops(folder: Path, examples: Examples) -> Path:
    """Examples as a folder of crops."""
    for k, tile in enumerate(examples.tiles):
        name = "mitosis" if examples.positive[k] else "imposter"
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(folder / name / f"{examples.slide[k]}_{k}.png")
    return folder


def darkness(crops):
    """A judge without a network: how dark the middle is."""
    return ((95 - crops[:, 8:24, 8:24].mean(axis=(1, 2, 3))) / 20).astype(np.float32)


BASE = Baseline(
    "shipped-one",
    32,
    0.5,
    0.8,
    frozenset({"S0"}),
    darkness,
    lambda z, _: 1 / (1 + np.exp(-z)),
)


def make_tiny(patch, cache):
    """A tiny backbone, short epochs, few draws."""
    use_tiny_backbone(patch)
    patch.setattr(engine, "load_baseline", lambda *_: (BASE, ""))
    patch.setattr("app.adapting.cache.cache_folder", lambda: cache)
    patch.setattr("models.training.adapt.LEAST_EPOCH_CROPS", 32)
    patch.setattr("models.training.adapt.EPOCH_CROPS", 32)
    patch.setattr(comparison, "RESAMPLES", 40)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    make_tiny(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return write_crops(tmp_path_factory.mktemp("labelled"), blob_examples())


def request_for(crops, out, **changed):
    request = AdaptRequest(
        "efficientnet-lite0",
        "probe",
        FolderSource(crops),
        out,
        crop_um=8.0,
        device="cpu",
        epochs=2,
        batch=16,
    )
    return replace(request, **changed)


def adapt(request, token=None, progress=lambda _: None):
    return engine.adapt(request, token=token or CancelToken(), progress=progress)


@pytest.mark.parametrize("mode", ["probe", "lora", "full"])
def test_an_adapter_is_compared_saved_and_usable(tiny, crops, tmp_path, mode):
    told = []
    out = tmp_path / "adapters" / "ours"
    report = adapt(request_for(crops, out, mode=mode), progress=told.append)
    assert (report.cells, report.positives, report.folds) == (72, 36, 5)
    assert (report.held_out, report.bootstrap, report.current) == ("slide", "slide", "shipped-one")
    assert {row.metric for row in report.rows} == {
        "f1",
        "balanced_accuracy",
        "auroc",
        "brier",
        "calibration_error",
    }
    for row in report.rows:
        assert row.difference == pytest.approx(row.new - row.shipped, abs=1e-5)
        assert row.low <= row.high
    assert json.loads(json.dumps(report.as_dict()))["mode"] == mode
    assert any("has learnt from 1 of these slides" in text for text in report.warnings)
    assert {path.name for path in out.iterdir()} == {
        adapters.CARD,
        adapters.MANIFEST,
        adapters.WEIGHTS,
    }
    assert [path.name for path in out.parent.iterdir()] == ["ours"]
    parts = [report.part for report in told]
    assert list(dict.fromkeys(parts)) == ["reading", "embedding", "comparing", "training", "saving"]
    assert all(0 <= one.done <= one.total for one in told)
    (info,) = adapters.list_adapters(out.parent)
    assert (info.fault, info.mode, info.f1_new) == ("", mode, report.row("f1").new)
    classifier = load_classifier(out, device=pick_device("cpu"))
    examples = blob_examples(seed=5)
    p = classifier.classify(examples.crops(), examples.detector_score)
    assert p.shape == (72,)
    assert classifier.count_threshold == report.count_threshold
    assert classifier.review_threshold <= classifier.count_threshold


def test_the_manifest_says_what_it_is_and_names_no_slide_or_path(tiny, crops, tmp_path):
    out = tmp_path / "ours"
    adapt(request_for(crops, out))
    manifest = json.loads((out / adapters.MANIFEST).read_text("utf-8"))
    assert manifest["backbone"] == "efficientnet-lite0"
    assert len(manifest["backbone_sha256"]) == len(manifest["sha256"]) == 64
    assert (manifest["crop_um"], manifest["crop_px"], manifest["mpp"]) == (8.0, 32, 0.25)
    assert manifest["data"]["cells"] == 72
    assert len(manifest["data"]["slides"]) == 6
    assert manifest["normalisation"]["input_px"] == 32
    assert manifest["seed"] == 0
    assert manifest["calibration"]["detector_weight"] == 0.8
    card = (out / adapters.CARD).read_text("utf-8")
    assert "Research Use Only" in card
    assert "| F1 |" in card
    for text in (json.dumps(manifest), card):
        assert str(tmp_path) not in text
        assert "S3" not in text
        assert crops.name not in text


@pytest.mark.parametrize("mode", ["probe", "lora"])
def test_a_stopped_adapting_goes_on_to_the_same_adapter(tiny, crops, tmp_path, monkeypatch, mode):
    whole = adapt(request_for(crops, tmp_path / "whole", mode=mode))
    token = CancelToken()
    stop = {"probe": 3, "lora": 7}[mode]

    def cancel(report):
        if report.part == "comparing" and report.done >= stop:
            token.cancel()

    request = request_for(crops, tmp_path / "parted", mode=mode)
    with pytest.raises(Cancelled):
        adapt(request, token, cancel)
    assert not request.out.exists()
    steps = []
    step = Trainer.step
    monkeypatch.setattr(
        Trainer, "step", lambda self, *a: (steps.append(1), step(self, *a))[1], raising=True
    )
    again = adapt(request)
    assert again.rows == whole.rows
    assert mode == "probe" or 0 < len(steps) < 20
    weights = [(tmp_path / name / adapters.WEIGHTS).read_bytes() for name in ("whole", "parted")]
    assert weights[0] == weights[1]


def test_atypical_without_a_model_to_compare_with(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "load_baseline", baseline.load_baseline)
    monkeypatch.setattr(baseline, "ships", lambda _: False)
    folder = write_crops(tmp_path / "crops", blob_examples())
    (folder / "mitosis").rename(folder / "atypical")
    (folder / "imposter").rename(folder / "normal")
    report = adapt(request_for(folder, tmp_path / "ours", task="atypical"))
    assert report.current == ""
    assert report.row("auroc").shipped is None
    assert report.row("auroc").difference is None
    assert any("no model for atypical" in text for text in report.warnings)
    with pytest.raises(ModelError, match="atypical from normal"):
        load_classifier(tmp_path / "ours", device=pick_device("cpu"))
    head = load_atypical(tmp_path / "ours", device=pick_device("cpu"))
    assert head.atypical(blob_examples().crops()).shape == (72,)
    # The next one can be compared with it.
    request = request_for(folder, tmp_path / "next", task="atypical", current=tmp_path / "ours")
    assert adapt(request).current == "ours"


def test_a_training_that_never_helps_is_said(tiny, crops, tmp_path, monkeypatch):
    losses = iter(range(100))
    monkeypatch.setattr(Trainer, "held_out_loss", lambda *_: next(losses))
    report = adapt(request_for(crops, tmp_path / "ours", mode="lora", folds=2))
    assert any("better than the probe" in text for text in report.warnings)
    manifest = json.loads((tmp_path / "ours" / adapters.MANIFEST).read_text("utf-8"))
    assert manifest["training"]["epochs"] == 0
    assert manifest["training"]["best_epochs"] == [0, 0]


def test_parts_of_another_question_are_not_gone_on_from(tiny, crops, tmp_path):
    token = CancelToken()
    request = request_for(crops, tmp_path / "ours")
    with pytest.raises(Cancelled):
        adapt(request, token, lambda r: token.cancel() if r.part == "comparing" else None)
    other = adapt(replace(request, seed=1))
    assert other.rows == adapt(request_for(crops, tmp_path / "theirs", seed=1)).rows


@pytest.mark.parametrize("kept", [b"", b"half a fold", b"PK\x03\x04 and no more"])
def test_a_damaged_part_is_done_again(tiny, crops, tmp_path, kept):
    token = CancelToken()
    request = request_for(crops, tmp_path / "ours")
    with pytest.raises(Cancelled):
        adapt(request, token, lambda r: token.cancel() if r.part == "comparing" else None)
    (tmp_path / ".ours.adapting" / "fold-0.npz").write_bytes(kept)
    assert adapt(request).rows == adapt(request_for(crops, tmp_path / "theirs")).rows


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
import pytest
from pathlib import Path
import test_adapting as t
t.make_tiny(pytest.MonkeyPatch(), Path({cache!r}))
request = t.request_for(Path({crops!r}), Path({out!r}), mode="lora")
def kill(report):
    if report.part == "comparing" and report.done >= 7:
        os.kill(os.getpid(), signal.SIGKILL)
t.adapt(request, progress=kill)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_adapting_goes_on_to_the_same_adapter(tiny, crops, tmp_path):
    out, here = tmp_path / "killed", Path(__file__).parent
    paths = [str(here), str(here.parent / "support"), str(here.parent.parent)]
    script = KILLED.format(
        paths=paths, cache=str(tmp_path / "cache"), crops=str(crops), out=str(out)
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    assert not out.exists()
    parts = {path.name for path in (tmp_path / ".killed.adapting").iterdir()}
    assert {"question.json", "fold-0.npz"} <= parts
    report = adapt(request_for(crops, out, mode="lora"))
    whole = adapt(request_for(crops, tmp_path / "whole", mode="lora"))
    assert report.rows == whole.rows
    assert (out / adapters.WEIGHTS).read_bytes() == (
        tmp_path / "whole" / adapters.WEIGHTS
    ).read_bytes()


def test_one_class_too_few_and_nothing_are_said(tiny, tmp_path):
    examples = blob_examples(slides=3, each=8)
    for name, keep, said in (
        ("one", examples.positive, "All 12 labels say mitosis"),
        ("few", examples.positive | (np.arange(24) < 6), "3 labels say imposter"),
    ):
        folder = write_crops(tmp_path / name, examples.select(keep))
        with pytest.raises(InputError, match=said):
            adapt(request_for(folder, tmp_path / "out"))
    (tmp_path / "empty" / "mitosis").mkdir(parents=True)
    with pytest.raises(InputError, match="no labels"):
        adapt(request_for(tmp_path / "empty", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_few_labels_of_one_slide_are_flagged(tiny, tmp_path):
    folder = write_crops(tmp_path / "crops", blob_examples(slides=1, each=24))
    report = adapt(request_for(folder, tmp_path / "ours"))
    assert (report.held_out, report.bootstrap) == ("cell", "cell")
    said = " ".join(report.warnings)
    assert "12 labels of mitosis only" in said
    assert "one slide" in said
    assert "not honest across slides" in said
    manifest = json.loads((tmp_path / "ours" / adapters.MANIFEST).read_text("utf-8"))
    assert "not honest across slides" in " ".join(manifest["comparison"]["warnings"])


def test_slides_of_one_class_each_are_held_out_by_cell():
    examples = blob_examples(slides=2)
    examples = replace(examples, positive=examples.slide == "S0")
    folds = make_folds(examples, 5, 0)
    assert (folds.by, folds.count) == ("cell", 5)
    assert make_folds(blob_examples(slides=3), 5, 0).count == 3


def test_nothing_of_a_fold_is_chosen_on_it():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=90).astype(np.float32)
    positive = logits + rng.normal(size=90) > 0
    folds, scores = np.arange(90) % 3, np.full(90, np.nan, np.float32)
    for task in ("mitosis", "atypical"):
        judged = comparison.cross_fitted(logits, scores, positive, folds, 0.8, task)
        other = np.where(folds == 1, ~positive, positive)
        changed = comparison.cross_fitted(logits, scores, other, folds, 0.8, task)
        held = folds == 1
        np.testing.assert_array_equal(judged.probability[held], changed.probability[held])
        np.testing.assert_array_equal(judged.called[held], changed.called[held])
        assert (judged.probability[~held] != changed.probability[~held]).any()


def test_the_best_threshold_is_the_best():
    rng = np.random.default_rng(1)
    p = np.round(rng.random(60), 2)
    positive = rng.random(60) < p
    found = comparison.best_f1_threshold(positive, p)

    def f1(t):
        called = p >= t
        return 2 * (called & positive).sum() / (called.sum() + positive.sum())

    assert f1(found) == max(f1(t) for t in np.unique(p))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"crop_um": 900.0}, "900 µm"),
    ],
)
def test_numbers_that_cannot_be_are_refused_at_once(crops, tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        adapt(request_for(crops, tmp_path / "out", **changed))


def test_a_folder_that_holds_something_is_left_alone(tiny, crops, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="already"):
        adapt(request_for(crops, tmp_path))


def _command(crops, out, *more):
    return main(
        [
            "adapt",
            *("--from", str(crops), "--out", str(out), "--backbone", "efficientnet-lite0"),
            *("--crop-um", "8", "--device", "cpu", "--mode", "probe"),
            *more,
        ]
    )


def test_the_command_prints_the_comparison(tiny, crops, tmp_path, capsys):
    assert _command(crops, tmp_path / "ours") == 0
    out = capsys.readouterr().out
    assert "new − shipped-one" in out
    assert "F1" in out
    assert "on held-out slides by F1" in out
    assert "Research Use Only" in out


def test_the_command_gives_json_of_chosen_slides(tiny, crops, tmp_path, capsys):
    chosen = [part for k in range(4) for part in ("--slides", f"S{k}")]
    assert _command(crops, tmp_path / "ours", "--json", *chosen) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [slide["name"] for slide in shown["slides"]] == ["S0", "S1", "S2", "S3"]
    assert shown["bootstrap"] == "cell"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--mode", "prompt"], "Unknown mode"),
        (["--task", "grade"], "Unknown task"),
        (["--targets", "some"], "Unknown targets"),
        (["--readers", "Ada"], "no readers"),
        (["--slides", "S77"], "no slide S77"),
        (["--mpp", "0"], "µm per pixel"),
        (["--device", "abacus"], "no device"),
    ],
)
def test_bad_options_are_said_in_plain_words(tiny, crops, tmp_path, capsys, more, said):
    assert _command(crops, tmp_path / "ours", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "ours").exists()

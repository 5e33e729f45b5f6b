"""Probe, LoRA and full adapters: saved, listed, loaded to the same answers, or refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tinynet import ENTRY, TinyBackbone, use_tiny_backbone

from core.errors import ModelError
from models import adapters
from models.classifier import load_classifier
from models.crop_net import CropNet
from models.device import pick_device
from models.embeddings import EmbeddingCache

MANIFEST = {
    "name": "ours",
    "task": "mitosis",
    "mpp": 0.25,
    "crop_px": 32,
    "quarter_turns": 2,
    "calibration": {"logit_weight": 1.5, "detector_weight": 0.8, "constant": 0.1},
    "review_threshold": 0.1,
    "count_threshold": 0.4,
    "made_at": "2026-01-02T03:04:05+00:00",
    "data": {"cells": 120, "slides": [{}, {}]},
    "comparison": {"rows": [{"metric": "f1", "shipped": 0.6, "new": 0.7}], "warnings": ["few"]},
}
CROPS = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    use_tiny_backbone(monkeypatch)


def _trained(mode, seed=3):
    torch.manual_seed(seed)
    model = adapters.prepare(CropNet(ENTRY), mode, ENTRY.lora_all)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def _save(folder, mode, **changed):
    model = _trained(mode)
    entry = adapters.with_hash(ENTRY, CropNet(ENTRY))
    adapters.save(model, folder, entry, MANIFEST | changed, mode=mode)
    return model


def _edit(folder, **changed):
    path = folder / adapters.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changed), encoding="utf-8")


@pytest.mark.parametrize("mode", ["probe", "lora", "full"])
def test_a_saved_adapter_judges_as_it_did(tmp_path, mode):
    model = _save(tmp_path / "a", mode)
    found = adapters.load_merged(CropNet(ENTRY), tmp_path / "a", ENTRY)
    x = torch.from_numpy(CROPS).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        torch.testing.assert_close(found(x), model(x), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(CropNet(ENTRY).eval()(x), model(x), atol=1e-3)
    assert not any("lora" in name for name, _ in found.named_parameters())
    size = (tmp_path / "a" / adapters.WEIGHTS).stat().st_size
    assert (size < 400) is (mode == "probe")


@pytest.mark.parametrize("mode", ["probe", "lora", "full"])
def test_it_serves_the_pipeline(tmp_path, mode):
    _save(tmp_path / "a", mode)
    classifier = load_classifier(tmp_path / "a", device=pick_device("cpu"))
    p = classifier.classify(CROPS, np.full(5, 0.5, np.float32))
    assert p.dtype == np.float32
    assert ((p > 0) & (p < 1)).all()
    assert (classifier.crop_px, classifier.mpp) == (32, 0.25)
    assert (classifier.review_threshold, classifier.count_threshold) == (0.1, 0.4)
    levelled = classifier.level(p.astype(np.float64), np.full(5, 0.5))
    assert levelled.shift == 0
    assert classifier.origin.name == "ours"


def test_a_probe_judges_by_cached_embeddings_alike(tmp_path, monkeypatch):
    _save(tmp_path / "a", "probe")
    cpu = pick_device("cpu")
    plain = load_classifier(tmp_path / "a", device=cpu).logits(CROPS)
    for _ in range(2):
        cache = EmbeddingCache(tmp_path / "cache")
        cached = load_classifier(tmp_path / "a", device=cpu, cache=cache)
        np.testing.assert_allclose(cached.logits(CROPS), plain, atol=2e-2)  # bfloat16
        monkeypatch.setattr(TinyBackbone, "forward", lambda *_: pytest.fail("computed again"))


def test_a_candidate_without_a_detector_score_is_judged_by_the_network_alone(tmp_path):
    _save(tmp_path / "a", "probe")
    classifier = load_classifier(tmp_path / "a", device=pick_device("cpu"))
    unknown = classifier.classify(CROPS, np.full(5, np.nan, np.float32))
    np.testing.assert_array_equal(unknown, classifier.classify(CROPS, np.full(5, 0.5, np.float32)))


def test_other_weights_of_the_same_backbone_are_refused(tmp_path, monkeypatch):
    _save(tmp_path / "a", "probe")
    use_tiny_backbone(monkeypatch, seed=1)
    with pytest.raises(ModelError, match="other weights of efficientnet-lite0"):
        adapters.load_merged(CropNet(ENTRY), tmp_path / "a", ENTRY)


def test_another_backbone_is_refused(tmp_path):
    _save(tmp_path / "a", "full")
    with pytest.raises(ModelError, match="made for efficientnet-lite0, not for this phikon"):
        adapters.load_merged(CropNet(ENTRY), tmp_path / "a", replace(ENTRY, id="phikon"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mode": "prompt"}, "unknown mode"),
        ({"sha256": "0" * 64}, "damaged"),
        ({"task": "atypical"}, "atypical from normal"),
        ({"calibration": None}, "incomplete"),
        ({"backbone": "nobody"}, "no backbone"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_in_plain_words(tmp_path, monkeypatch, changed, said):
    _save(tmp_path / "a", "lora")
    _edit(tmp_path / "a", **changed)
    if "backbone" in changed:
        monkeypatch.undo()
    with pytest.raises(ModelError, match=said):
        load_classifier(tmp_path / "a", device=pick_device("cpu"))


def test_a_manifest_that_is_no_table_is_refused_in_plain_words(tmp_path):
    _save(tmp_path / "a", "lora")
    (tmp_path / "a" / adapters.MANIFEST).write_text("[1]", encoding="utf-8")
    with pytest.raises(ModelError, match="not a table"):
        load_classifier(tmp_path / "a", device=pick_device("cpu"))


def test_a_folder_without_an_adapter_is_said(tmp_path):
    with pytest.raises(ModelError, match="no adapter in"):
        load_classifier(tmp_path, device=pick_device("cpu"))


def test_tensors_of_another_mode_do_not_fit(tmp_path):
    for mode, claimed in (("probe", "full"), ("full", "probe"), ("probe", "lora")):
        folder = tmp_path / f"{mode}-{claimed}"
        _save(folder, mode)
        _edit(folder, mode=claimed, lora={"rank": 4, "alpha": 4, "dropout": 0, "targets": "mix"})
        with pytest.raises(ModelError, match="does not fit"):
            adapters.load_merged(CropNet(ENTRY), folder, ENTRY)


def test_lora_with_a_missing_tensor_is_refused(tmp_path):
    model = _trained("lora")
    entry = adapters.with_hash(ENTRY, CropNet(ENTRY))
    tensors = adapters._tensors(model, "lora")
    tensors.pop(next(name for name in tensors if "lora_A" in name))
    adapters.save(model, tmp_path, entry, MANIFEST)
    adapters.save_file(tensors, tmp_path / adapters.WEIGHTS)
    _edit(tmp_path, sha256=adapters.file_sha256(tmp_path / adapters.WEIGHTS))
    with pytest.raises(ModelError, match="does not fit"):
        adapters.load_merged(CropNet(ENTRY), tmp_path, ENTRY)


def test_adapters_are_listed_with_their_faults(tmp_path):
    assert adapters.list_adapters(tmp_path / "none") == []
    for name in ("a good one", "broken", "cut", "odd", ".under way"):
        _save(tmp_path / name, "probe")
    (tmp_path / "broken" / adapters.MANIFEST).write_text("{", encoding="utf-8")
    (tmp_path / "cut" / adapters.WEIGHTS).write_bytes(b"half")
    _edit(tmp_path / "odd", training=3, comparison="none", warnings=7)
    (tmp_path / "no adapter").mkdir()
    found = {info.folder.name: info for info in adapters.list_adapters(tmp_path)}
    assert set(found) == {"a good one", "broken", "cut", "odd"}
    good = found["a good one"]
    assert good.fault == ""
    assert (good.name, good.mode, good.task) == ("ours", "probe", "mitosis")
    assert (good.f1_shipped, good.f1_new, good.cells, good.slides) == (0.6, 0.7, 120, 2)
    assert good.warnings == ("few",)
    assert "JSON" in found["broken"].fault
    assert "damaged" in found["cut"].fault
    assert "not an adapter's manifest" in found["odd"].fault

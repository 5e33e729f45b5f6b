"""What ships: hashes hold, damage is told, and planted mitoses are found."""

import json
import shutil

import numpy as np
import pytest

from app.__main__ import main
from core.errors import ModelError
from models.classifier import load_classifier
from models.detector import load_detector
from models.registry import shipped, weights_folder


def test_the_shipped_models_load_and_name_themselves():
    detector, classifier = load_detector(), load_classifier()
    assert detector.origin.name == shipped("detector")
    assert classifier.origin.name == shipped("classifier")
    assert 0 < classifier.review_threshold < classifier.count_threshold < 1
    assert classifier.low_res_note
    total = sum(f.stat().st_size for f in weights_folder().rglob("*.safetensors"))
    assert total < 40e6


def test_probabilities_are_the_same_alone_and_in_a_batch():
    classifier = load_classifier()
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (9, classifier.crop_px, classifier.crop_px, 3), dtype=np.uint8)
    scores = np.linspace(0.1, 0.9, 9).astype(np.float32)
    together = classifier.classify(crops, scores)
    alone = np.concatenate(
        [classifier.classify(crops[i : i + 1], scores[i : i + 1]) for i in range(9)]
    )
    np.testing.assert_allclose(together, alone, atol=5e-3)


def test_damaged_weights_are_refused(tmp_path):
    name = shipped("detector")
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights_folder() / f"{name}{suffix}", tmp_path)
    weights = tmp_path / f"{name}.safetensors"
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        load_detector(weights)
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_detector(weights)


def test_planted_mitoses_are_found(tmp_path, capsys):
    """Half-millimetre slides of three seeds; the figures for whole ones are in the README."""
    planted = found = false_alarms = 0
    for seed in (11, 12, 13):
        out = tmp_path / str(seed)
        assert (
            main(["demo", "--out", str(out), "--seed", str(seed), "--side-mm", "0.5", "--json"])
            == 0
        )
        figures = json.loads(capsys.readouterr().out)["planted"]
        planted += figures["mitoses"]
        found += figures["found"]
        false_alarms += figures["false_alarms"]
    assert found >= 0.8 * planted
    assert found >= 0.5 * (found + false_alarms)

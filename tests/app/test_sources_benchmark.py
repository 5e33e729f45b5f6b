"""`benchmark sources`: patches are told from frames on crops that are alike in all else."""

import numpy as np
import pytest
from typer.testing import CliRunner

from app.benchmarks.sources import as_trained, matched, told_apart
from app.commands.benchmark import benchmark_app
from core.errors import InputError
from models.training.classifier_training import Cells, middle


def cells(rng, stratum, n, *, slides, score=None):
    """n cells of one stratum; unlabelled ones have scores drawn from a range."""
    return Cells(
        rng.integers(0, 255, (n, 128, 128, 3), dtype=np.uint8),
        np.full(n, stratum.endswith("mitosis")),
        np.full(n, stratum),
        rng.choice(slides, n),
        np.full(n, np.nan, np.float32) if score is None else rng.uniform(*score, n).astype("f4"),
    )


@pytest.fixture
def both():
    rng = np.random.default_rng(0)
    parts = [
        cells(rng, "field mitosis", 20, slides=["H03", "H04"]),
        cells(rng, "field mitosis", 15, slides=["H03"], score=(0.5, 1)),
        cells(rng, "human breast cancer mitosis", 30, slides=["a", "b"]),
        cells(rng, "canine lymphoma mitosis", 30, slides=["dog"]),
        cells(rng, "field hard", 60, slides=["H03", "H04"], score=(0.05, 0.5)),
        cells(rng, "beside hard", 60, slides=["a", "b"], score=(0.01, 0.12)),
        cells(rng, "beside hard", 40, slides=["dog"], score=(0.01, 0.12)),
    ]
    return Cells(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("tiles", "mitosis", "stratum", "slide", "detector_score")
        )
    )


def test_sources_are_matched_in_label_number_tissue_and_detector_score(both):
    (mitosis, of_mitosis, from_patch), (negative, of_negative, patch) = matched(both)
    assert (mitosis, negative) == ("mitosis", "negative")
    assert of_mitosis.mitosis.all()
    assert from_patch.sum() == 20 == (~from_patch).sum()
    assert np.isnan(of_mitosis.detector_score).all()
    assert not of_negative.mitosis.any()
    assert patch.sum() == (~patch).sum() > 5
    assert "dog" not in of_mitosis.slide
    assert "dog" not in of_negative.slide
    scores = of_negative.detector_score
    assert np.mean(scores[patch]) == pytest.approx(np.mean(scores[~patch]), abs=0.02)


def test_augmented_crops_look_different_and_are_the_same_again(both):
    few = both.select(np.arange(len(both.mitosis)) < 6)
    crops = as_trained(few)
    assert crops.shape == middle(few.tiles).shape == (6, 64, 64, 3)
    assert crops.dtype == np.uint8
    assert not np.array_equal(crops, middle(few.tiles))
    assert np.array_equal(crops, as_trained(few))


def test_a_source_is_told_only_where_it_shows():
    rng = np.random.default_rng(1)
    slide = rng.integers(0, 12, 400).astype(str)
    patch = slide.astype(int) < 6
    blind = rng.normal(size=(400, 6)).astype(np.float32)
    told = blind.copy()
    told[:, 2] += 3 * patch
    value, (low, high) = told_apart(told, patch, slide)
    assert 0.9 < low <= value <= high <= 1
    assert told_apart(blind, patch, slide)[0] == pytest.approx(0.5, abs=0.1)
    assert told_apart(told[:, 2:3], patch, slide)[0] > 0.9


def test_an_untrained_detector_is_named(tmp_path):
    result = CliRunner().invoke(
        benchmark_app, ["sources", "--data", str(tmp_path), "--detector", str(tmp_path)]
    )
    assert isinstance(result.exception, InputError)
    assert "train detector" in str(result.exception.hint)

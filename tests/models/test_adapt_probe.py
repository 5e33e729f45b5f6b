"""The probe, the folds and the balance: what is learnt from few cells of few slides."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tinynet import blob_examples

from models.training.adapt_data import (
    BatchSampler,
    Jitter,
    balance,
    cell_folds,
    hold_out,
    slide_folds,
    tile_side,
)
from models.training.adapt_probe import L2_GRID, fit_probe
from models.training.metrics import auroc


def _embeddings(n=240, dim=24, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    x = rng.normal(size=(n, dim)) * scale
    x[:, 0] += positive * 1.6 * scale
    slide = np.array([f"S{k % 6}" for k in range(n)])
    return x.astype(np.float32), positive, slide


def test_a_probe_is_a_minimum_of_what_it_minimises():
    x, positive, slide = _embeddings()
    probe = fit_probe(x, positive, slide, l2=0.1)
    z = (x - x.mean(0)) / x.std(0)
    w = probe.weight * x.std(0)
    p = 1 / (1 + np.exp(-probe(x).astype(np.float64)))
    residual = balance(positive, slide) * (p - positive)
    np.testing.assert_allclose(z.T @ residual + 0.1 * w, 0, atol=2e-3)
    assert residual.sum() == pytest.approx(0, abs=2e-3)


def test_it_agrees_with_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    x, positive, slide = _embeddings()
    probe = fit_probe(x, positive, slide, l2=0.1)
    z = (x - x.mean(0)) / x.std(0)
    weights = balance(positive, slide) * len(x)
    other = linear.LogisticRegression(C=1 / (0.1 * len(x)), max_iter=500, tol=1e-8)
    other.fit(z, positive, sample_weight=weights)
    np.testing.assert_allclose(probe(x), other.decision_function(z), atol=0.02)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_scale_of_embeddings_does_not_matter(scale):
    x, positive, slide = _embeddings(scale=scale)
    other, truth, _ = _embeddings(seed=1, scale=scale)
    x[:, 5] = 7.0  # a constant
    probe = fit_probe(x, positive, slide)
    assert np.isfinite(probe.weight).all()
    assert probe.l2 in L2_GRID
    assert auroc(truth, probe(other)) > 0.75


def test_more_noise_asks_for_more_l2():
    rng = np.random.default_rng(0)
    positive = np.arange(80) % 2 == 0
    slide = np.array([f"S{k % 4}" for k in range(80)])
    noise = fit_probe(rng.normal(size=(80, 300)).astype(np.float32), positive, slide)
    assert noise.l2 >= 1


def test_a_head_gives_the_probe_s_logits():
    x, positive, slide = _embeddings()
    probe, head = fit_probe(x, positive, slide), torch.nn.Linear(24, 1)
    probe.put_on(head)
    with torch.inference_mode():
        found = head(torch.from_numpy(x))[:, 0].numpy()
    np.testing.assert_allclose(found, probe(x), atol=1e-4)


cells = hnp.arrays(np.bool_, st.integers(10, 60)).flatmap(
    lambda positive: st.tuples(
        st.just(positive),
        hnp.arrays(np.int64, len(positive), elements=st.integers(0, 7)).map(
            lambda ids: np.array([f"S{k}" for k in ids])
        ),
    )
)


@given(cells, st.integers(2, 5))
def test_a_slide_is_in_one_fold_only(labelled, n):
    positive, slide = labelled
    folds = slide_folds(positive, slide, n)
    assert folds.min() >= 0
    assert folds.max() < n
    for name in np.unique(slide):
        assert len(np.unique(folds[slide == name])) == 1
    if len(np.unique(slide)) >= n:
        assert len(np.unique(folds)) == n


def test_a_fold_for_each_of_two_slides_of_which_one_holds_nearly_all():
    slide = np.array(["S0"] + ["S1"] * 9)
    assert sorted(np.unique(slide_folds(slide == "S0", slide, 2))) == [0, 1]


@given(cells)
def test_both_classes_weigh_alike(labelled):
    positive, slide = labelled
    weights = balance(positive, slide)
    assert weights.sum() == pytest.approx(1)
    if positive.any() and not positive.all():
        assert weights[positive].sum() == pytest.approx(0.5)


def test_cells_spread_evenly_over_folds():
    positive = np.arange(50) < 15
    folds = cell_folds(positive, 5, np.random.default_rng(0))
    assert np.bincount(folds[positive]).tolist() == [3] * 5
    assert np.bincount(folds[~positive]).tolist() == [7] * 5


def test_early_stopping_looks_at_other_slides():
    examples = blob_examples(slides=6)
    held = hold_out(examples, 0)
    assert 0 < held.sum() < len(held) / 2
    assert not set(examples.slide[held]) & set(examples.slide[~held])
    one = hold_out(blob_examples(slides=1, each=40), 0)
    assert 0 < one.sum() < 20


def test_a_batch_depends_on_its_number_only_and_shows_both_classes():
    examples = blob_examples()
    sampler = BatchSampler(examples, 16, 24, 3, Jitter())
    again = BatchSampler(examples, 16, 24, 3, Jitter())
    for epoch, step in ((2, 1), (0, 0), (2, 1)):
        (crops, labels), (other, same) = sampler(epoch, step), again(epoch, step)
        assert crops.shape == (16, 3, 24, 24)
        torch.testing.assert_close(crops, other, atol=0, rtol=0)
        assert torch.equal(labels, same)
    assert 0 < float(labels.mean()) < 1
    assert not torch.equal(sampler(0, 0)[0], sampler(0, 1)[0])


def test_a_tile_holds_the_crop_and_the_other_model_s():
    assert tile_side(64) == 96
    assert tile_side(32, 64) == 64
    assert tile_side(33) == 50

"""The figures of a judge agree with scikit-learn's where it is installed, and with plain cases."""

import numpy as np
import pytest

from models.training.metrics import auroc, best_threshold, bootstrap, measure


def _random(seed, n=200):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    return truth, np.round(0.4 * truth + rng.random(n), 2)


@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_scikit_learn(seed):
    sk = pytest.importorskip("sklearn.metrics")
    truth, score = _random(seed)
    found = measure(truth, score, 0.7)
    called = score >= 0.7
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, called))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(truth, called))
    assert found.kappa == pytest.approx(sk.cohen_kappa_score(truth, called, weights="quadratic"))
    assert found.weighted_f1 == pytest.approx(sk.f1_score(truth, called, average="weighted"))
    assert found.f1 == pytest.approx(sk.f1_score(truth, called))
    assert found.auroc == pytest.approx(sk.roc_auc_score(truth, score))


def test_one_class_has_no_figure_of_two():
    found = measure(np.ones(4, bool), np.array([0.1, 0.6, 0.7, 0.9]))
    assert found.accuracy == 0.75
    assert np.isnan([found.balanced_accuracy, found.weighted_f1, found.auroc]).all()


def test_the_best_threshold_is_the_best_of_all():
    truth, score = _random(7)
    chosen = best_threshold(truth, score)
    best = max(measure(truth, score, t).balanced_accuracy for t in np.unique(score))
    assert measure(truth, score, chosen).balanced_accuracy == pytest.approx(best)


def test_an_interval_by_slide_is_wider_where_slides_differ():
    truth = np.tile([True, False], 100)
    slide = np.repeat(np.arange(10).astype(str), 20)
    offset = np.repeat(np.arange(10), 20) / 5
    score = truth + offset + np.random.default_rng(0).normal(0, 0.5, 200)

    def statistic(ids):
        return auroc(truth[ids], score[ids])

    low, high = bootstrap(statistic, slide, resamples=200)
    assert low < auroc(truth, score) < high
    assert bootstrap(statistic, slide, resamples=200) == (low, high)
    assert all(np.isnan(bootstrap(lambda _: float("nan"), slide, resamples=3)))

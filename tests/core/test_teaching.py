"""The order in which verdicts teach most: unsure first, and unlike each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.reading.teaching import AMONG, DIVERSE, doubtful_order, teaching_order


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 400), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_every_figure_comes_once_those_with_verdicts_last(n, dimensions, seed):
    rng = np.random.default_rng(seed)
    probability = rng.random(n).astype(np.float32)
    probability[rng.random(n) < 0.1] = np.nan
    verdict = (rng.random(n) < 0.3) * rng.integers(1, 6, n)
    embedding = rng.normal(size=(n, dimensions)) if dimensions else None
    order = teaching_order(probability, embedding, verdict, threshold=0.3)
    assert sorted(order.tolist()) == list(range(n))
    kinds = np.where(verdict[order] > 0, 2, np.where(np.isnan(probability[order]), 1, 0))
    assert (np.diff(kinds) >= 0).all()


def test_without_looks_the_least_certain_come_first():
    probability = np.array([0.99, 0.31, 0.02, 0.6, 0.29])
    order = doubtful_order(probability, None, np.zeros(5, int), threshold=0.3)
    assert set(order[:2].tolist()) == {1, 4}
    assert order[2] == 3


def test_figures_that_look_alike_are_not_read_one_after_another():
    rng = np.random.default_rng(0)
    kind = np.arange(300) % 5
    embedding = np.eye(5)[kind] * 10 + rng.normal(0, 0.1, (300, 5))
    probability = 0.5 + rng.uniform(-0.02, 0.02, 300)
    order = doubtful_order(probability, embedding, np.zeros(300, int))
    # The pool grows from the least certain: all five kinds are among the first few.
    assert len(set(kind[order[:7]].tolist())) == 5


def test_what_looks_like_a_figure_that_was_read_waits():
    embedding = np.concatenate([np.zeros((10, 3)), np.full((10, 3), 5.0), np.zeros((1, 3))])
    verdict = np.zeros(21, int)
    verdict[20] = 1
    probability = np.full(21, 0.5)
    order = doubtful_order(probability, embedding[: len(probability)], verdict)
    # Ten are as far as it gets; the first look is among the least certain, which are the zeros.
    assert (embedding[order[1]] == 5.0).all() or (embedding[order[2]] == 5.0).all()


def test_a_whole_slide_is_ordered_with_its_least_certain_figures_in_front():
    rng = np.random.default_rng(1)
    probability = rng.random(50_000)
    embedding = rng.normal(size=(50_000, 1280)).astype(np.float32)[:, :64]
    order = doubtful_order(probability, embedding, np.zeros(50_000, int))
    doubt = np.abs(np.log(probability / (1 - probability)))
    rank = np.argsort(np.argsort(doubt))
    assert rank[order[:DIVERSE]].max() < DIVERSE * AMONG
    assert rank[order[: DIVERSE * AMONG]].max() < DIVERSE * AMONG


def test_every_second_figure_is_drawn_at_random():
    probability = np.random.default_rng(2).random(1000)
    none = np.zeros(1000, int)
    order = teaching_order(probability, None, none)
    doubtful = doubtful_order(probability, None, none)
    assert order[:40:2].tolist() == doubtful[:20].tolist()
    rank = np.argsort(doubtful)[order[1:400:2]]
    assert 300 < rank.mean() < 700
    assert teaching_order(probability, None, none).tolist() == order.tolist()

"""How a trained classifier is operated: levelling, calibration and thresholds out of fold."""

import numpy as np

from app.training.operating import carried, figures, judge, level, thresholds
from app.training.out_of_fold import FrameCandidates

N = 200


def frame(slide, seed, *, shift=0.0, whole=True):
    """A frame of 200 candidates, a tenth of them mitoses, and the classifier's logits of them."""
    rng = np.random.default_rng(seed)
    mitosis = np.arange(N) < N // 10
    xy_um = np.stack([np.arange(N) * 20.0, np.zeros(N)], axis=1)
    found = FrameCandidates(
        f"{slide}/{seed}",
        slide,
        0.13,
        whole,
        xy_um,
        np.full(N, 0.3),
        mitosis,
        np.zeros(N, bool),
        xy_um[mitosis],
    )
    return found, rng.normal(0, 1, N) + 3 * mitosis + shift


def frames(*pairs):
    return [c for c, _ in pairs], {c.file: z for c, z in pairs}


def test_a_slide_that_looks_more_like_mitoses_is_brought_to_the_others():
    found, logits = frames(frame("A", 0), frame("B", 1), frame("C", 2, shift=4.0))
    _, levelled = level(found, logits, 0.1)
    medians = [np.median(levelled[c.file]) for c in found]
    assert np.ptp(medians) < 0.5 * np.ptp([np.median(z) for z in logits.values()])
    before, after = judge(found, logits, 0.1), judge(found, levelled, 0.1)
    assert after.evaluation().curve().best()[1].f1 > before.evaluation().curve().best()[1].f1
    assert carried(after).f1 > carried(before).f1


def test_figures_stand_for_all_and_for_each_group():
    found, logits = frames(frame("A", 0), frame("B", 1), frame("B", 2, whole=False))
    judged = judge(found, logits, 0.1)
    review, count = thresholds(judged.evaluation())
    assert review <= count
    told = figures(judged, [["A"], ["B"]], count)
    assert told["mitoses"] == 40  # the frame that is not whole counts for nothing
    assert [g["mitoses"] for g in told["groups"]] == [20, 20]
    assert [g["slides"] for g in told["groups"]] == [["A"], ["B"]]
    low, high = sorted(g["f1"] for g in told["groups"])
    assert low <= told["f1"] <= high
    assert told["f1_at_threshold_of_other_slides"] <= told["f1"]
    assert sum(n for *_, n in told["reliability"]) == 2 * N

"""Which figures the gallery shows and in what order: pure functions of arrays, no Qt."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.geometry import Mpp
from core.reading.teaching import teaching_order
from core.reading.view import (
    ATYPICAL,
    DELETED,
    IMPOSTER,
    LABELS,
    MITOSIS,
    NONE,
    UNSURE,
    DeskView,
    Figures,
)

Sort = Literal["probability", "uncertainty", "teaching", "place"]
State = Literal[
    "unreviewed", "mitosis", "atypical", "imposter", "unsure", "disputed", "hand-placed"
]
STATES: tuple[State, ...] = get_args(State)

#: Side of the fields that the order by place goes through: what a 40× eyepiece shows across.
FIELD_UM = 500.0
#: For a slide whose pixel size nobody knows, only to order its figures.
ASSUMED_MPP = Mpp(0.25, 0.25)

#: Ends of the threshold's scale, which is even in log odds: review thresholds lie near 0.01.
LOWEST = 0.001

ATYPICAL_LABEL = LABELS.index("atypical")

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GalleryFilter:
    """What the gallery shows.

    Attributes:
        sort: `probability` highest first, `uncertainty` nearest the count threshold first,
            `teaching` uncertain and unlike each other first, `place` field by field in turns from
            left to right and from right to left.
        states: of these only; empty for all.
        in_area: in the count area only.
        threshold: candidates of at least this probability; hand-placed figures always. NaN where
            probabilities are hidden: what asks for a verdict or has one.
    """

    sort: Sort = "probability"
    states: frozenset[State] = frozenset()
    in_area: bool = False
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Above:
    """How many candidates reach a probability, on the slide and in the count area."""

    slide: int
    area: int


def state_masks(figures: Figures) -> dict[State, Mask]:
    """Which figures are in which state, (N,) bool each; deleted ones are in none."""
    verdict = figures.verdict
    there = verdict != DELETED
    return {
        "unreviewed": verdict == NONE,
        "mitosis": (verdict == MITOSIS) | (verdict == ATYPICAL),
        "atypical": (verdict == ATYPICAL) | labelled_atypical(figures),
        "imposter": verdict == IMPOSTER,
        "unsure": verdict == UNSURE,
        "disputed": figures.disputed & there,
        "hand-placed": (figures.key < 0) & there,
    }


def labelled_atypical(figures: Figures) -> Mask:
    """(N,) bool: candidates without a verdict that the models call atypical mitoses."""
    return (figures.verdict == NONE) & (figures.label == ATYPICAL_LABEL)


def in_scope(figures: Figures, wanted: GalleryFilter) -> Mask:
    """(N,) bool: what a filter lets through whatever the verdict."""
    if np.isnan(wanted.threshold):
        mask = figures.to_review | (figures.verdict != NONE) | (figures.key < 0)
    else:
        mask = (figures.probability >= wanted.threshold) | (figures.key < 0)
    return mask & figures.in_area if wanted.in_area else mask


def in_state(figures: Figures, wanted: GalleryFilter) -> Mask:
    """(N,) bool: figures that are not deleted and in one of the states asked for."""
    mask = figures.verdict != DELETED
    if not wanted.states:
        return mask
    masks = state_masks(figures)
    return mask & np.logical_or.reduce([masks[state] for state in wanted.states])


def ordered(
    figures: Figures, rows: Rows, sort: Sort, *, count_threshold: float, mpp: Mpp | None
) -> Rows:
    """Rows in the order of the gallery.

    Args:
        figures: of the slide.
        rows: (M,) rows of `figures`.
        sort: see `GalleryFilter`.
        count_threshold: of the classifier; NaN sorts by uncertainty around one half.
        mpp: of the slide.

    Returns:
        (M,) the same rows; hand-placed figures last, except by place.
    """
    if sort == "place":
        return rows[np.lexsort(_serpentine(figures.x0[rows], figures.y0[rows], mpp))]
    probability = figures.probability[rows].astype(np.float64)
    threshold = 0.5 if np.isnan(count_threshold) else count_threshold
    if sort == "teaching":
        return _teaching(figures, rows, threshold, mpp)
    rank = -probability if sort == "probability" else np.abs(probability - threshold)
    # NaN, which hand-placed figures have, goes last; equals stay in the order of their keys.
    return rows[np.argsort(rank, kind="stable")]


def _teaching(figures: Figures, rows: Rows, threshold: float, mpp: Mpp | None) -> Rows:
    """Rows by what they would teach; what was said of figures that are not listed counts too."""
    said = np.flatnonzero((figures.verdict != NONE) & (figures.verdict != DELETED))
    asked = np.union1d(rows, said)
    scale = mpp or ASSUMED_MPP
    # Without embeddings at hand, figures differ by where they lie and by what the detector says.
    looks = np.stack(
        [
            figures.x0[asked] * scale.x / FIELD_UM,
            figures.y0[asked] * scale.y / FIELD_UM,
            10.0 * np.nan_to_num(figures.score[asked], nan=0.5),
        ],
        axis=1,
    )
    order = teaching_order(
        figures.probability[asked], looks, figures.verdict[asked], threshold=threshold
    )
    listed = np.zeros(len(figures), bool)
    listed[rows] = True
    found = asked[order]
    return np.asarray(found[listed[found]], np.intp)


def review_queue(view: DeskView, *, in_area: bool = False, first: int | None = None) -> Rows:
    """Rows of the figures that ask for a verdict, in the order to review them.

    Figures in the count area come first, in each part the most probable first; in a blinded
    reading by place, lest the order tell.

    Args:
        view: of the desk.
        in_area: of the count area only.
        first: no more than so many.
    """
    figures = view.figures
    rows = np.flatnonzero(figures.to_review & figures.in_area if in_area else figures.to_review)
    if view.blinded:
        at = _serpentine(figures.x0[rows], figures.y0[rows], view.mpp)
        return rows[np.lexsort((*at, ~figures.in_area[rows]))][:first]
    # Hand-placed figures, which have no probability, come last in their part.
    likely = np.nan_to_num(figures.probability[rows].astype(np.float64), nan=-0.5)
    rank = -likely - 2.0 * figures.in_area[rows]
    if first is not None and first < len(rows):
        few = np.argpartition(rank, first)[:first]
        rows, rank = rows[few], rank[few]
    return rows[np.lexsort((rows, rank))]


def asked(view: DeskView) -> Mask:
    """(N,) bool: figures that ask for a verdict or asked for the one they have."""
    figures = view.figures
    said = (figures.verdict != NONE) & (figures.verdict != DELETED)
    if not view.blinded:
        said &= (figures.probability >= view.review_threshold) | (figures.key < 0)
    return figures.to_review | said


def above(figures: Figures, threshold: float) -> Above:
    """How many candidates reach a probability."""
    mask = (figures.probability >= threshold) & (figures.verdict != DELETED)
    return Above(int(np.count_nonzero(mask)), int(np.count_nonzero(mask & figures.in_area)))


def _serpentine(
    x0: NDArray[np.float64], y0: NDArray[np.float64], mpp: Mpp | None
) -> tuple[NDArray[np.float64], ...]:
    """Sort keys for `lexsort`, the last one first: row of fields, field, then y and x in it."""
    scale = mpp or ASSUMED_MPP
    row = np.floor(y0 * scale.y / FIELD_UM)
    col = np.floor(x0 * scale.x / FIELD_UM)
    turn = np.where(row % 2 == 0, 1.0, -1.0)
    return x0 * turn, y0, col * turn, row


def at_position(position: float) -> float:
    """The probability at a position 0..1 of the threshold's scale; 0 at its lower end."""
    if position <= 0:
        return 0.0
    return float(1 / (1 + np.exp(_reach() * (1 - 2 * position))))


def position_of(threshold: float) -> float:
    """The position 0..1 of a probability on the threshold's scale; 0 for NaN."""
    if np.isnan(threshold):
        return 0.0
    inside = min(max(threshold, LOWEST), 1 - LOWEST)
    return float((np.log(inside / (1 - inside)) / _reach() + 1) / 2)


def _reach() -> float:
    return float(np.log((1 - LOWEST) / LOWEST))

"""The figures of one slide for one reader, in columns; a verdict touches only its own rows.

A candidate of the run is always shown. A point with verdicts that belongs to none of them (placed
by hand, or left from an older run) is shown while a verdict stands that concerns the reader: their
own, a consensus, or another reader's mitosis or unsure. Blinded, only their own counts, and scores
and labels are masked in what is shown, not in what the hot spots are proposed by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.analysis.evaluate import MATCH_RADIUS_UM, RADIUS_SLACK
from core.geometry import Mpp
from core.reading.ledger import Ledger
from core.reading.view import ATYPICAL, LABELS, NONE, VERDICTS, Figures, Verdict
from core.review import PointState, current_states
from core.store import CandidateRecord, NewVerdict, VerdictRecord

Scalar = TypeVar("Scalar", bound=np.generic)

_CONCERNING = ("mitosis", "unsure")


def verdict_code(verdict: VerdictRecord | None) -> int:
    """A verdict as an index into `VERDICTS`."""
    if verdict is None:
        return NONE
    return ATYPICAL if verdict.atypical else VERDICTS.index(verdict.value)


def verdict_word(verdict: VerdictRecord) -> Verdict:
    """A verdict as a word of `VERDICTS`; it must not be `cleared`."""
    word: Verdict = VERDICTS[verdict_code(verdict)]  # type: ignore[assignment]
    return word


def with_value(target: NewVerdict, verdict: Verdict | Literal["cleared"]) -> NewVerdict:
    """A verdict of the same target with what was said."""
    if verdict == "atypical":
        return replace(target, value="mitosis", atypical=True)
    return replace(target, value=verdict, atypical=False)


def nearest(
    keys: NDArray[np.int64],
    xy0: NDArray[np.float64],
    place0: tuple[float, float],
    mpp: Mpp,
) -> int | None:
    """The key nearest to a place within the matching radius of 7.5 µm, if there is one.

    Args:
        keys: (N,) int64.
        xy0: (N, 2) level-0 pixels.
        place0: x and y, level-0 pixels.
        mpp: µm per level-0 pixel.
    """
    if not len(keys):
        return None
    away_um = np.hypot(*((xy0 - place0) * (mpp.x, mpp.y)).T)
    row = int(np.argmin(away_um))
    return int(keys[row]) if away_um[row] <= MATCH_RADIUS_UM * (1 + RADIUS_SLACK) else None


class FigureTable:
    """Candidates and hand-placed points with what counts for one reader.

    Args:
        ledger: of the slide; kept up to date by its owner, who then calls `touch`.
        reader_id: who reads.
        blinded: whether others' verdicts and the models' scores are hidden.
    """

    def __init__(self, ledger: Ledger, reader_id: int, *, blinded: bool) -> None:
        self._ledger = ledger
        self._reader_id = reader_id
        self._blinded = blinded
        self._states: dict[int, PointState] = {}
        self._review_threshold = float("nan")
        self._ids = np.empty(0, np.int64)
        self._xy0 = np.empty((0, 2))
        self._probability = np.empty(0)
        self._score = np.empty(0, np.float32)
        self._label = np.empty(0, np.uint8)
        self._atypical = np.empty(0, np.float32)
        self._point_of: list[int | None] = []  # of each candidate
        self._candidate_of: dict[int, int] = {}  # row among the candidates, by point
        self._by_hand: list[int] = []  # points shown by themselves, their keys ascending
        self._is_by_hand: frozenset[int] = frozenset()
        self._figures: Figures | None = None
        self._others: dict[int, int] | None = None
        self.touch(ledger.verdicts)

    def load(self, candidates: Iterable[CandidateRecord], review_threshold: float) -> None:
        """Show the candidates of a run, in order of their ids, instead of those before."""
        self._review_threshold = review_threshold
        self._ids, self._xy0 = np.empty(0, np.int64), np.empty((0, 2))
        self._probability = np.empty(0)
        self._score, self._label = np.empty(0, np.float32), np.empty(0, np.uint8)
        self._atypical = np.empty(0, np.float32)
        self._point_of, self._candidate_of = [], {}
        self.extend(candidates)
        self._sort_out_points()
        self._figures = None

    def extend(self, candidates: Iterable[CandidateRecord]) -> None:
        """Show further candidates, with ids above those known."""
        rows = list(candidates)
        codes = {name: code for code, name in enumerate(LABELS)}
        first = len(self._ids)
        self._ids = np.concatenate([self._ids, np.array([row.id for row in rows], np.int64)])
        places = np.array([(row.x0, row.y0) for row in rows]).reshape(-1, 2)
        self._xy0 = np.concatenate([self._xy0, places])
        self._probability = np.concatenate(
            [self._probability, np.array([row.probability for row in rows], np.float64)]
        )
        scores = np.array([row.detector_score for row in rows], np.float32)
        self._score = np.concatenate([self._score, scores])
        labels = np.array([codes[row.label] for row in rows], np.uint8)
        self._label = np.concatenate([self._label, labels])
        # A None of the store, for a candidate that was not asked, becomes NaN.
        atypical = np.array([row.atypical_probability for row in rows], np.float32)
        self._atypical = np.concatenate([self._atypical, atypical])
        self._point_of += [row.point_id for row in rows]
        for number, row in enumerate(rows, first):
            if row.point_id is not None:
                self._candidate_of[row.point_id] = number
        if rows:
            self._sort_out_points()
            self._figures = None

    def link(self, candidate_of: dict[int, int]) -> None:
        """Note which points belong to candidates: candidate id by point id."""
        for point_id, candidate_id in candidate_of.items():
            row = int(np.searchsorted(self._ids, candidate_id))
            if row < len(self._ids) and self._ids[row] == candidate_id:
                self._point_of[row] = point_id
                self._candidate_of[point_id] = row
        if not candidate_of.keys().isdisjoint(self._by_hand):
            self._sort_out_points()
        if self._figures is not None:
            self._figures = self._with_rows(self._figures, list(candidate_of))

    def touch(self, point_ids: Iterable[int]) -> None:
        """Take in new verdicts of these points."""
        touched = list(point_ids)
        verdicts = [v for v in self._ledger.verdicts_of(touched) if self._seen(v)]
        states = current_states(verdicts)
        if any(verdict.reader_id != self._reader_id for verdict in verdicts):
            self._others = None
        for point_id in touched:
            self._states[point_id] = states.get(point_id, PointState())
        if any(
            point_id in self._is_by_hand or point_id not in self._candidate_of
            for point_id in touched
        ):
            self._sort_out_points()
        if self._figures is not None:
            self._figures = self._with_rows(self._figures, touched)

    @property
    def columns(self) -> Figures:
        """All figures with their scores, `in_area` not filled in; read-only."""
        if self._figures is None:
            self._figures = self._build()
        return self._figures

    def shown(self, figures: Figures) -> Figures:
        """What the reader may see of figures."""
        if not self._blinded:
            return figures
        hidden = np.full(len(figures), np.nan, np.float32)
        return replace(
            figures,
            probability=_frozen(hidden),
            score=_frozen(hidden),
            label=_frozen(np.zeros(len(figures), np.uint8)),
            atypical=_frozen(hidden),
        )

    def state(self, point_id: int) -> PointState:
        """What stands of a point, of what the reader may see."""
        return self._states.get(point_id, PointState())

    def point_of(self, key: int) -> int | None:
        """The point that the verdicts of a figure belong to; None while it has none."""
        if key < 0:
            return -key
        row = int(np.searchsorted(self._ids, key))
        return self._point_of[row]

    def key_of(self, point_id: int) -> int | None:
        """The key of the figure of a point, if it is shown."""
        row = self._candidate_of.get(point_id)
        if row is not None:
            return int(self._ids[row])
        return -point_id if point_id in self._is_by_hand else None

    @property
    def last_id(self) -> int:
        """The highest candidate id; 0 without any."""
        return int(self._ids[-1]) if len(self._ids) else 0

    @property
    def disputed_points(self) -> list[int]:
        """Points on which readers differ, unsettled."""
        return [point for point, state in self._states.items() if state.disputed]

    @property
    def settled_points(self) -> list[int]:
        """Points with a consensus."""
        return [p for p, state in self._states.items() if state.consensus is not None]

    def free_points(self) -> dict[int, tuple[float, float]]:
        """Points of the slide that belong to no candidate, shown or not: (x0, y0) by id."""
        points = self._ledger.points
        return {point: at for point, at in points.items() if point not in self._candidate_of}

    def places(self) -> dict[int, tuple[float, float]]:
        """(x0, y0) of all figures by key, and of points that the reader does not see."""
        figures = self.columns
        hidden = {-point: place0 for point, place0 in self.free_points().items()}
        shown = zip(figures.x0.tolist(), figures.y0.tolist(), strict=True)
        return hidden | dict(zip(figures.key.tolist(), shown, strict=True))

    def own_word(self, key: int) -> str:
        """What this reader said of a figure or point, consensus or not; `none` for nothing."""
        point_id = self.point_of(key)
        said = {} if point_id is None else self.state(point_id).by_reader
        return VERDICTS[verdict_code(said.get(self._reader_id))]

    def free_candidates(self, after_id: int = 0) -> list[tuple[int, float, float]]:
        """(id, x0, y0) of candidates above an id without a point."""
        first = int(np.searchsorted(self._ids, after_id, side="right"))
        return [
            (int(self._ids[row]), float(self._xy0[row, 0]), float(self._xy0[row, 1]))
            for row in range(first, len(self._ids))
            if self._point_of[row] is None
        ]

    def others(self) -> dict[int, int]:
        """How many points other readers have standing verdicts of; empty if blinded."""
        if self._others is not None:
            return self._others
        found: dict[int, int] = {}
        for state in self._states.values():
            for reader_id in state.by_reader:
                if reader_id != self._reader_id:
                    found[reader_id] = found.get(reader_id, 0) + 1
        self._others = found
        return found

    def _seen(self, verdict: VerdictRecord) -> bool:
        own = verdict.reader_id == self._reader_id and not verdict.consensus
        return own or not self._blinded

    def _concerns(self, point_id: int) -> bool:
        state = self.state(point_id)
        if state.counting(self._reader_id) is not None:
            return True
        return any(verdict.value in _CONCERNING for verdict in state.by_reader.values())

    def _sort_out_points(self) -> None:
        """Choose the points that are shown by themselves."""
        by_hand = [
            point
            for point in self._states
            if point not in self._candidate_of and self._concerns(point)
        ]
        by_hand.sort(reverse=True)
        if by_hand != self._by_hand:
            self._by_hand, self._is_by_hand = by_hand, frozenset(by_hand)
            self._figures = None

    def _build(self) -> Figures:
        hand, n = len(self._by_hand), len(self._ids)
        placed = [self._ledger.points[point] for point in self._by_hand]
        xy0 = np.concatenate([np.array(placed, np.float64).reshape(-1, 2), self._xy0])
        unscored = np.full(hand, np.nan, np.float32)
        figures = Figures(
            key=np.concatenate([-np.array(self._by_hand, np.int64), self._ids]),
            x0=np.ascontiguousarray(xy0[:, 0]),
            y0=np.ascontiguousarray(xy0[:, 1]),
            probability=np.concatenate([unscored, self._probability.astype(np.float32)]),
            score=np.concatenate([unscored, self._score]),
            label=np.concatenate([np.zeros(hand, np.uint8), self._label]),
            verdict=np.zeros(hand + n, np.uint8),
            disputed=np.zeros(hand + n, np.bool_),
            in_area=np.zeros(hand + n, np.bool_),
            to_review=np.concatenate(
                [np.ones(hand, np.bool_), self._probability >= self._review_threshold]
            ),
            atypical=np.concatenate([unscored, self._atypical]),
        )
        for name in Figures.__slots__:
            _frozen(getattr(figures, name))
        return self._with_rows(figures, [*self._by_hand, *self._candidate_of])

    def _with_rows(self, figures: Figures, point_ids: Sequence[int]) -> Figures:
        """The same figures with the verdicts of some points as they stand now."""
        hand = len(self._by_hand)
        row_by_hand = {point: row for row, point in enumerate(self._by_hand)}
        verdict, disputed = figures.verdict.copy(), figures.disputed.copy()
        to_review = figures.to_review.copy()
        for point_id in point_ids:
            number = self._candidate_of.get(point_id)
            row = row_by_hand.get(point_id) if number is None else hand + number
            if row is None:
                continue
            state = self.state(point_id)
            verdict[row] = verdict_code(state.counting(self._reader_id))
            disputed[row] = state.disputed
            asks = number is None or self._probability[number] >= self._review_threshold
            to_review[row] = asks and verdict[row] == NONE
        return replace(
            figures,
            verdict=_frozen(verdict),
            disputed=_frozen(disputed),
            to_review=_frozen(to_review),
        )


def _frozen(column: NDArray[Scalar]) -> NDArray[Scalar]:
    column.flags.writeable = False
    return column

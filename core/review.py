"""From verdicts to the current state to counts; the only place with that rule.

A reader's current verdict of a point is the newest one. A verdict `cleared` (an undo of the first)
leaves none. The consensus is a verdict that readers settled on; it stands beside theirs and, where
there is one, it counts. Else the chosen reader's counts; else, with no reader chosen, what all
readers of the point say alike, and where they differ the point is disputed and none counts. A
candidate without a verdict that counts has its shipped label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import KDTree

from core.analysis.evaluate import MATCH_RADIUS_UM
from core.errors import PixelSizeError
from core.geometry import Mpp
from core.store.records import Label, NewVerdict, VerdictRecord
from core.store.repository import Store


@dataclass(frozen=True, slots=True)
class PointState:
    """What stands of one point.

    Attributes:
        by_reader: the newest verdict of each reader who has one, by reader id.
        consensus: what the readers settled on, if they did.
    """

    by_reader: Mapping[int, VerdictRecord] = field(default_factory=dict)
    consensus: VerdictRecord | None = None

    @property
    def disputed(self) -> bool:
        """Whether readers differ and have not settled it."""
        sayings = {(verdict.value, verdict.atypical) for verdict in self.by_reader.values()}
        return self.consensus is None and len(sayings) > 1

    def counting(self, reader_id: int | None = None) -> VerdictRecord | None:
        """The verdict that counts, by the rule at the head of this module.

        Args:
            reader_id: whose count it is; None for the count of all readers.
        """
        if self.consensus is not None:
            return self.consensus
        if reader_id is not None:
            return self.by_reader.get(reader_id)
        if self.disputed or not self.by_reader:
            return None
        return max(self.by_reader.values(), key=lambda verdict: verdict.id)


def _state_key(verdict: VerdictRecord) -> tuple[int, int | None]:
    """Verdicts of one key follow one another: a reader's of a point, or a point's consensus."""
    return verdict.point_id, None if verdict.consensus else verdict.reader_id


def current_states(verdicts: Iterable[VerdictRecord]) -> dict[int, PointState]:
    """The state of every point, by point id, from verdicts in any order."""
    newest: dict[tuple[int, int | None], VerdictRecord] = {}
    for verdict in verdicts:
        key = _state_key(verdict)
        known = newest.get(key)
        if known is None or known.id < verdict.id:
            newest[key] = verdict
    readers: dict[int, dict[int, VerdictRecord]] = {point_id: {} for point_id, _ in newest}
    settled: dict[int, VerdictRecord] = {}
    for (point_id, reader_id), verdict in newest.items():
        if verdict.value == "cleared":
            continue
        if reader_id is None:
            settled[point_id] = verdict
        else:
            readers[point_id][reader_id] = verdict
    return {point: PointState(said, settled.get(point)) for point, said in readers.items()}


def is_mitosis(verdict: VerdictRecord | None, label: Label | None) -> bool:
    """Whether a candidate or hand-placed point counts: by its verdict, else by its label."""
    if verdict is not None:
        return verdict.value == "mitosis"
    return label in ("mitosis", "atypical")


def is_atypical(verdict: VerdictRecord | None, label: Label | None) -> bool:
    """Whether what counts as a mitosis is an atypical one: by its verdict, else by its label."""
    if verdict is not None:
        return verdict.value == "mitosis" and verdict.atypical
    return label == "atypical"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a set of candidates and hand-placed points are what.

    Attributes:
        mitoses: confirmed ones and unreviewed ones together: the count.
        confirmed: mitoses by verdict.
        unreviewed: mitoses by label only.
        atypical: of `mitoses`, those called atypical.
        imposters: by verdict.
        unsure: by verdict; not counted.
        deleted: by verdict.
    """

    mitoses: int = 0
    confirmed: int = 0
    unreviewed: int = 0
    atypical: int = 0
    imposters: int = 0
    unsure: int = 0
    deleted: int = 0


def tally(called: Iterable[tuple[VerdictRecord | None, Label | None]]) -> Tally:
    """Count (verdict that counts, shipped label) pairs; a hand-placed point has no label."""
    confirmed = unreviewed = atypical = 0
    said = {"imposter": 0, "unsure": 0, "deleted": 0}
    for verdict, label in called:
        if verdict is None:
            unreviewed += is_mitosis(None, label)
            atypical += label == "atypical"
        elif verdict.value == "mitosis":
            confirmed += 1
            atypical += verdict.atypical
        elif verdict.value in said:
            said[verdict.value] += 1
    return Tally(
        mitoses=confirmed + unreviewed,
        confirmed=confirmed,
        unreviewed=unreviewed,
        atypical=atypical,
        imposters=said["imposter"],
        unsure=said["unsure"],
        deleted=said["deleted"],
    )


def inverse(history: Iterable[VerdictRecord], action: Sequence[VerdictRecord]) -> list[NewVerdict]:
    """What takes the verdicts of an action back: what held before, each naming what it undoes.

    Args:
        history: all verdicts of the action's points.
        action: verdicts given in one go.
    """
    by_state: dict[tuple[int, int | None], list[VerdictRecord]] = {}
    for verdict in history:
        by_state.setdefault(_state_key(verdict), []).append(verdict)
    inverted = []
    for verdict in reversed(action):
        before = [other for other in by_state[_state_key(verdict)] if other.id < verdict.id]
        last = max(before, key=lambda other: other.id, default=None)
        inverted.append(
            NewVerdict(
                value="cleared" if last is None else last.value,
                atypical=last is not None and last.atypical,
                point_id=verdict.point_id,
                undoes_id=verdict.id,
            )
        )
    return inverted


def overruled(history: Iterable[VerdictRecord], action: Sequence[VerdictRecord]) -> bool:
    """Whether another reader's newer verdict took the place of one of these: a consensus.

    What the same reader said since stands in the way of nothing: it was undone first.
    """
    given = {_state_key(verdict): verdict for verdict in action}
    return any(
        (mine := given.get(_state_key(other))) is not None
        and other.id > mine.id
        and other.reader_id != mine.reader_id
        for other in history
    )


def carry_verdicts(store: Store, run_id: int, mpp: Mpp | None = None) -> int:
    """Let a slide's verdicts stand on the candidates of a new detection set too.

    Points and candidates are matched one to one within 7.5 µm, the nearest first; a point without
    a match stays as it is, hand-placed or not. Calling it again adds nothing.

    Args:
        store: that holds the run.
        run_id: of the new detection set.
        mpp: µm per level-0 pixel; None for the slide's newest calibration.

    Returns:
        How many candidates took on verdicts.

    Raises:
        PixelSizeError: the slide has points but no pixel size.
    """
    run = store.run(run_id)
    points = {point.id: (point.x0, point.y0) for point in store.iter_points(run.slide_id)}
    if not points:
        return 0
    mpp = mpp or store.slide(run.slide_id).mpp
    if mpp is None:
        raise PixelSizeError("The slide has no µm per pixel.", "Give one with --mpp.")
    free: list[tuple[int, float, float]] = []
    for candidate in store.iter_candidates(run_id):
        if candidate.point_id is None:
            free.append((candidate.id, candidate.x0, candidate.y0))
        else:
            points.pop(candidate.point_id, None)
    pairs = pair_with_points(free, points, mpp)
    if pairs:
        store.link_candidates(pairs)
    return len(pairs)


def pair_with_points(
    candidates: Sequence[tuple[int, float, float]],
    points: Mapping[int, tuple[float, float]],
    mpp: Mpp,
    radius_um: float = MATCH_RADIUS_UM,
) -> list[tuple[int, int]]:
    """Match candidates and points one to one within a radius, the nearest pair first.

    Args:
        candidates: (id, x0, y0), level-0 pixels.
        points: (x0, y0) by id.
        mpp: µm per level-0 pixel.
        radius_um: largest distance of a pair.

    Returns:
        (candidate id, point id) of every pair, by candidate.
    """
    if not candidates or not points:
        return []
    scale = np.array([mpp.x, mpp.y])
    point_ids = list(points)
    points_um = np.array([points[point_id] for point_id in point_ids]) * scale
    candidates_um = np.array([(x0, y0) for _, x0, y0 in candidates]) * scale
    near = KDTree(points_um).query_ball_point(candidates_um, radius_um)
    distances = sorted(
        (float(np.hypot(*(candidates_um[i] - points_um[k]))), i, k)
        for i, found in enumerate(near)
        for k in found
    )
    point_of: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, k in distances:
        if i not in point_of and k not in taken:
            point_of[i] = k
            taken.add(k)
    return [(candidates[i][0], point_ids[k]) for i, k in sorted(point_of.items())]

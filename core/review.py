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

from core.analysis.evaluate import match
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


def current_states(verdicts: Iterable[VerdictRecord]) -> dict[int, PointState]:
    """The state of every point, by point id, from verdicts in any order."""
    newest: dict[tuple[int, int | None], VerdictRecord] = {}
    for verdict in verdicts:
        key = (verdict.point_id, None if verdict.consensus else verdict.reader_id)
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


@dataclass(frozen=True, slots=True)
class Inverse:
    """What takes an action back: verdicts to append, each naming the one it undoes."""

    verdicts: Sequence[NewVerdict]
    consensus: bool


@dataclass(slots=True)
class _Step:
    """A reader's action with the undo and redo actions that followed it.

    Attributes:
        chain: the verdicts of the action, of its undo, of its redo, and so on.
    """

    chain: list[list[VerdictRecord]]

    @property
    def done(self) -> bool:
        """Whether it stands: an even number of inversions."""
        return len(self.chain) % 2 == 1

    @property
    def tip(self) -> list[VerdictRecord]:
        """The newest inversion, or the action itself."""
        return self.chain[-1]


def _steps(history: Iterable[VerdictRecord], reader_id: int) -> list[_Step]:
    """A reader's actions on one slide, oldest first."""
    own = sorted((v for v in history if v.reader_id == reader_id), key=lambda v: v.id)
    actions: dict[str, list[VerdictRecord]] = {}
    for verdict in own:
        actions.setdefault(verdict.action, []).append(verdict)
    steps: list[_Step] = []
    step_of: dict[int, _Step] = {}
    for verdicts in actions.values():
        undone = verdicts[0].undoes_id
        if undone is None:
            step = _Step([verdicts])
            steps.append(step)
        else:
            step = step_of[undone]
            step.chain.append(verdicts)
        step_of.update({verdict.id: step for verdict in verdicts})
    return steps


def plan_undo(history: Sequence[VerdictRecord], reader_id: int) -> Inverse | None:
    """What takes back a reader's newest action that stands; None if there is none.

    Args:
        history: all verdicts of one slide.
        reader_id: whose action.
    """
    standing = [step for step in _steps(history, reader_id) if step.done]
    return _inverse(history, standing[-1].tip) if standing else None


def plan_redo(history: Sequence[VerdictRecord], reader_id: int) -> Inverse | None:
    """What brings back the action undone last; None if there is none, or a newer action."""
    steps = _steps(history, reader_id)
    undone = [step for step in steps if not step.done]
    if not undone:
        return None
    last = max(undone, key=lambda step: step.tip[0].id)
    if any(step.chain[0][0].id > last.tip[0].id for step in steps):
        return None
    return _inverse(history, last.tip)


def _inverse(history: Sequence[VerdictRecord], action: Sequence[VerdictRecord]) -> Inverse:
    inverted = []
    for verdict in reversed(action):
        before = [
            other
            for other in history
            if other.id < verdict.id
            and (other.point_id, other.reader_id, other.consensus)
            == (verdict.point_id, verdict.reader_id, verdict.consensus)
        ]
        last = max(before, key=lambda other: other.id, default=None)
        inverted.append(
            NewVerdict(
                value="cleared" if last is None else last.value,
                atypical=last is not None and last.atypical,
                point_id=verdict.point_id,
                undoes_id=verdict.id,
            )
        )
    return Inverse(inverted, action[0].consensus)


def undo(store: Store, slide_id: int, reader_id: int) -> str | None:
    """Take back a reader's newest action on a slide; the name of the new action, if any."""
    inverse = plan_undo(list(store.iter_verdicts(slide_id)), reader_id)
    return _give(store, slide_id, reader_id, inverse, "undo")


def redo(store: Store, slide_id: int, reader_id: int) -> str | None:
    """Bring back what a reader undid last on a slide; the name of the new action, if any."""
    inverse = plan_redo(list(store.iter_verdicts(slide_id)), reader_id)
    return _give(store, slide_id, reader_id, inverse, "redo")


def _give(
    store: Store, slide_id: int, reader_id: int, inverse: Inverse | None, method: str
) -> str | None:
    if inverse is None:
        return None
    return store.give_verdicts(
        slide_id, reader_id, inverse.verdicts, method=method, consensus=inverse.consensus
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
    free: list[int] = []
    places: list[tuple[float, float]] = []
    for candidate in store.iter_candidates(run_id):
        if candidate.point_id is None:
            free.append(candidate.id)
            places.append((candidate.x0, candidate.y0))
        else:
            points.pop(candidate.point_id, None)
    if not free or not points:
        return 0
    scale = np.array([mpp.x, mpp.y])
    point_ids = list(points)
    points_um = np.array([points[point_id] for point_id in point_ids]) * scale
    candidates_um = np.array(places) * scale
    nearness = -KDTree(points_um).query(candidates_um)[0]
    taken = match(candidates_um, nearness, points_um).truth_index
    pairs = [(free[n], point_ids[t]) for n, t in enumerate(taken) if t >= 0]
    store.link_candidates(pairs)
    return len(pairs)

"""Undo and redo of a reader's actions on a slide, of whatever kind.

An undo is an action of its own: it appends the inverse of another one and names it. So the stack
is in the store and survives a restart. A redo is the undo of an undo. What another reader has
changed since (a region, the pixel size, a consensus) is not taken back over their heads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import StoreError
from core.reading.ledger import Ledger
from core.review import inverse, overruled
from core.store import (
    AcknowledgementRecord,
    ActionRecord,
    CalibrationRecord,
    NewAcknowledgement,
    NewAction,
    NewCalibration,
    NewRegion,
    RegionVersion,
    VerdictRecord,
)

_CHANGED_SINCE = "Another reader has changed it since."

Version = TypeVar("Version", RegionVersion, CalibrationRecord, AcknowledgementRecord)
"""A row of one of the kinds of which the newest holds."""


@dataclass(slots=True)
class Step:
    """A reader's action with its undo, its redo and so on.

    Attributes:
        chain: the action, then its inversions in turn.
    """

    chain: list[ActionRecord]

    @property
    def done(self) -> bool:
        """Whether it stands: an even number of inversions."""
        return len(self.chain) % 2 == 1

    @property
    def text(self) -> str:
        """Its name."""
        return self.chain[0].text

    @property
    def tip(self) -> ActionRecord:
        """The newest inversion, or the action itself."""
        return self.chain[-1]


class History:
    """A reader's actions on one slide as steps, taken in as they come.

    Attributes:
        last_id: of the newest action taken in; 0 without any.
    """

    def __init__(self) -> None:
        self.last_id = 0
        self._steps: list[Step] = []
        self._step_of: dict[int, Step] = {}
        self._redoable: dict[int, Step] = {}  # undone since the newest step, by its first action

    def add(self, actions: Iterable[ActionRecord]) -> None:
        """Take in further actions, in order of their ids."""
        for action in actions:
            self.last_id = action.id
            if action.undoes_id is None:
                step = Step([action])
                self._steps.append(step)
                self._redoable.clear()
            else:
                step = self._step_of[action.undoes_id]
                step.chain.append(action)
                if step.done:
                    self._redoable.pop(step.chain[0].id, None)
                else:
                    self._redoable[step.chain[0].id] = step
            self._step_of[action.id] = step

    @property
    def undoable(self) -> Step | None:
        """The newest step that stands."""
        return next((step for step in reversed(self._steps) if step.done), None)

    @property
    def redoable(self) -> Step | None:
        """The step undone last, unless something newer was done."""
        return max(self._redoable.values(), key=lambda step: step.tip.id, default=None)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that an action appended."""

    verdicts: Sequence[VerdictRecord]
    regions: Sequence[RegionVersion]
    calibrations: Sequence[CalibrationRecord]
    acknowledgements: Sequence[AcknowledgementRecord]


def contents(ledger: Ledger, action: ActionRecord) -> Contents:
    """What an action appended."""
    return Contents(
        ledger.by_action.get(action.id, ()),
        [region for region in ledger.region_versions if region.action_id == action.id],
        [size for size in ledger.calibrations if size.action_id == action.id],
        [said for said in ledger.acknowledgements if said.action_id == action.id],
    )


def inversion(ledger: Ledger, step: Step, method: str) -> NewAction:
    """What takes the tip of a step back.

    Args:
        ledger: up to date.
        step: to undo or redo.
        method: `undo` or `redo`.

    Raises:
        StoreError: somebody changed it since.
    """
    made = contents(ledger, step.tip)
    history = ledger.verdicts_of({verdict.point_id for verdict in made.verdicts})
    if overruled(history, made.verdicts):
        raise StoreError(f"“{step.text}” cannot be taken back.", _CHANGED_SINCE)
    return NewAction(
        text=step.text,
        verdicts=inverse(history, made.verdicts),
        regions=[_region_before(ledger, step, region) for region in reversed(made.regions)],
        calibrations=[_size_before(ledger, step, size) for size in made.calibrations],
        acknowledgements=[_said_before(ledger, step, said) for said in made.acknowledgements],
        method=method,
        consensus=any(verdict.consensus for verdict in made.verdicts),
        undoes_id=step.tip.id,
    )


def _region_before(ledger: Ledger, step: Step, region: RegionVersion) -> NewRegion:
    versions = [other for other in ledger.region_versions if other.lineage == region.lineage]
    before = _before(step, versions, region)
    if before is None:
        return NewRegion(region.kind, None, region.properties, region.lineage)
    return NewRegion(before.kind, before.wkb, before.properties, before.lineage)


def _size_before(ledger: Ledger, step: Step, size: CalibrationRecord) -> NewCalibration:
    before = _before(step, ledger.calibrations, size)
    return NewCalibration(None, "") if before is None else NewCalibration(before.mpp, before.origin)


def _said_before(ledger: Ledger, step: Step, said: AcknowledgementRecord) -> NewAcknowledgement:
    same = [other for other in ledger.acknowledgements if _scope(other) == _scope(said)]
    before = _before(step, same, said)
    return NewAcknowledgement(said.kind, before is not None and before.value, said.run_id)


def _before(step: Step, versions: Sequence[Version], row: Version) -> Version | None:
    """What held before a row, if anything; newer rows of the same reader were undone already.

    Raises:
        StoreError: another reader wrote a newer one.
    """
    if any(other.id > row.id and other.reader_id != row.reader_id for other in versions):
        raise StoreError(f"“{step.text}” cannot be taken back.", _CHANGED_SINCE)
    return max((v for v in versions if v.id < row.id), key=lambda v: v.id, default=None)


def _scope(said: AcknowledgementRecord) -> tuple[str, int | None, int | None]:
    """Acknowledgements of one scope follow one another; that of the tumour is the slide's."""
    if said.kind == "all tissue is tumour":
        return said.kind, None, None
    return said.kind, said.reader_id, said.run_id

"""What a reader's work at the desk hands to the store and takes from it: frozen dataclasses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.geometry import Mpp
from core.store.records import NewVerdict, RegionKind, RegionRecord, StoredSlide

AcknowledgementKind = Literal["all tissue is tumour", "blur", "field done"]
SlideProgress = Literal["new", "running", "analysed", "reviewed", "signed"]


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The slides of one specimen."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class RegionVersion:
    """Any version of a region; a tombstone has no `wkb`."""

    id: int
    slide_id: int
    lineage: str
    version: int
    kind: RegionKind
    wkb: bytes | None
    properties: Mapping[str, Any]
    reader_id: int | None
    action_id: int | None

    def current(self) -> RegionRecord | None:
        """The region that this version makes; None for a tombstone."""
        if self.wkb is None:
            return None
        return RegionRecord(
            self.id,
            self.slide_id,
            self.lineage,
            self.version,
            self.kind,
            self.wkb,
            self.properties,
            self.reader_id,
            self.action_id,
        )


@dataclass(frozen=True, slots=True)
class NewRegion:
    """A region to draw: a newer version where `lineage` is given, a tombstone without `wkb`."""

    kind: RegionKind
    wkb: bytes | None
    properties: Mapping[str, Any] = field(default_factory=dict)
    lineage: str = ""


@dataclass(frozen=True, slots=True)
class NewCalibration:
    """A pixel size to set; None takes the first one back."""

    mpp: Mpp | None
    origin: str


@dataclass(frozen=True, slots=True)
class NewAcknowledgement:
    """What a reader takes note of; `value` False takes it back."""

    kind: AcknowledgementKind
    value: bool = True
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewAction:
    """What a reader decides in one go: one transaction and one step of undo.

    Attributes:
        text: names it to the reader, for instance `mitosis`.
        verdicts: to give.
        regions: to draw, move or delete.
        calibrations: to set.
        acknowledgements: to note.
        method: of the verdicts: `key`, `field done`, `joined`, `import`, `undo`.
        run_id: whose scores the reader saw, if any.
        consensus: whether the verdicts are settled among readers.
        reason: where one is asked for.
        undoes_id: the action that this one takes back.
    """

    text: str
    verdicts: Sequence[NewVerdict] = ()
    regions: Sequence[NewRegion] = ()
    calibrations: Sequence[NewCalibration] = ()
    acknowledgements: Sequence[NewAcknowledgement] = ()
    method: str = "key"
    run_id: int | None = None
    consensus: bool = False
    reason: str = ""
    undoes_id: int | None = None


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """An action as it stands in the store for good."""

    id: int
    slide_id: int
    reader_id: int
    text: str
    undoes_id: int | None
    acted_at: datetime


@dataclass(frozen=True, slots=True)
class AcknowledgementRecord:
    """What a reader took note of, or took back; the newest of a kind holds."""

    id: int
    slide_id: int
    reader_id: int
    run_id: int | None
    kind: AcknowledgementKind
    value: bool
    action_id: int
    acknowledged_at: datetime


@dataclass(frozen=True, slots=True)
class ViewState:
    """Where a reader left a slide.

    Attributes:
        centre0: of the view, level-0 pixels.
        magnification: 40 is 0.25 µm per screen pixel; None for the whole slide.
        angle_deg: clockwise turn on the screen.
        selected_key: of the figure that was selected, if any.
        protocol: id of the counting rule.
    """

    centre0: tuple[float, float]
    magnification: float | None = None
    angle_deg: float = 0.0
    selected_key: int | None = None
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class ViewedArea:
    """Which parts of a slide a reader saw at reading magnification.

    Attributes:
        cell0: side of a cell, level-0 pixels; cell (0, 0) lies at the slide's origin.
        mask: (rows, cols) bool.
    """

    cell0: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SlideState:
    """A slide as the slides panel lists it, for one reader.

    Attributes:
        slide: with its name, path, alias and case.
        state: how far it is read.
        run_id: its newest run that is done, else its newest; None without one.
        candidates: of that run.
        verdicts: points with a verdict of this reader.
        mitoses: of the newest count signed by this reader; None without one.
    """

    slide: StoredSlide
    state: SlideProgress
    run_id: int | None
    candidates: int
    verdicts: int
    mitoses: int | None

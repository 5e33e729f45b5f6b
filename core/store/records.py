"""The rows that cross the store's border: frozen dataclasses, no ORM object among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from core.geometry import Mpp
from core.ports import ModelOrigin

RegionKind = Literal["tumour", "excluded", "count_area"]
RunState = Literal["running", "cancelled", "done", "failed"]
WindowState = Literal["done", "failed"]
Label = Literal["mitosis", "imposter", "atypical"]
VerdictValue = Literal["mitosis", "imposter", "unsure", "deleted", "cleared"]
CountState = Literal["proposed", "accepted", "signed", "reopened"]
#: The largest number of a row: SQLite's integers have 64 bits.
MAX_ROW_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """A slide as its reader describes it.

    Attributes:
        identity_kind: `quickhash-1` or `size+sha256-3mib`.
        identity: the digest, lower-case hex.
        name: file name.
        width0: level-0 pixels.
        height0: level-0 pixels.
        mpp_x: µm per level-0 pixel; None when unknown, and then so is `mpp_y`.
        mpp_y: µm per level-0 pixel.
        mpp_origin: where the pixel size came from: `openslide.mpp`, `tiff resolution`, `typed`.
        vendor: OpenSlide's vendor, for instance `aperio`.
        path: where the file was last seen.
    """

    identity_kind: str
    identity: str
    name: str
    width0: int
    height0: int
    mpp_x: float | None
    mpp_y: float | None
    mpp_origin: str
    vendor: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class StoredSlide:
    """A slide of the store with its newest calibration, if it has one.

    Attributes:
        alias: the name that exports and logs use; None for the file's.
        case_id: of the case that it belongs to, if any.
        opened_at: when it was last opened in the desktop.
    """

    id: int
    identity_kind: str
    identity: str
    name: str
    path: str
    alias: str | None
    width0: int
    height0: int
    vendor: str
    mpp: Mpp | None
    mpp_origin: str
    case_id: int | None = None
    opened_at: datetime | None = None

    @property
    def shown_name(self) -> str:
        """The alias once one is set, else the file's name."""
        return self.alias or self.name


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """A version of a slide's µm per pixel.

    Attributes:
        mpp: None where a reader took the first one back.
        reader_id: None when the file itself said it.
        action_id: of the reader's action, if it was one.
    """

    id: int
    slide_id: int
    mpp: Mpp | None
    origin: str
    reader_id: int | None
    action_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RegionRecord:
    """The current version of a region; `wkb` is a polygon in level-0 pixels."""

    id: int
    slide_id: int
    lineage: str
    version: int
    kind: RegionKind
    wkb: bytes
    properties: Mapping[str, Any]
    reader_id: int | None = None
    action_id: int | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What identifies a run.

    Attributes:
        key: digest of slide hash, regions, mpp, models, pixel backend and parameters.
        slide_id: the store's slide.
        parameters: JSON-able, kept with the run as its origin.
        detector: which detector, where.
        classifier: which classifier, where.
        app_version: of Mitoscope.
        region_ids: the region versions analysed; empty for all tissue.
        detection_key: the same digest without the classifier; runs that share it share one
            detection set. Empty: the run has a detection set of its own.
        subtype: which model tells atypical from normal mitoses; None: none is asked.
        detection_set_id: of the detection set to classify; None: that of the detection key.
    """

    key: str
    slide_id: int
    parameters: Mapping[str, Any]
    detector: ModelOrigin
    classifier: ModelOrigin
    app_version: str
    region_ids: Sequence[int] = ()
    detection_key: str = ""
    subtype: ModelOrigin | None = None
    detection_set_id: int | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of the store; `times` are seconds by name, summed over its sessions."""

    id: int
    detection_set_id: int
    slide_id: int
    key: str
    attempt: int
    state: RunState
    message: str
    parameters: Mapping[str, Any]
    detector: ModelOrigin
    classifier: ModelOrigin
    app_version: str
    times: Mapping[str, float]
    started_at: datetime
    finished_at: datetime | None
    subtype: ModelOrigin | None = None


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A point of one window, level-0 pixels, before merging across windows."""

    x0: float
    y0: float
    detector_score: float


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A window that is finished, with its points.

    Attributes:
        col: column of the window in the run's grid.
        row: row of the window in the run's grid.
        state: `failed` when the slide could not be read there.
        device: where the detector ran on it.
        precision: of the forward pass.
        message: why it failed; empty otherwise.
        blurred: whether it was out of focus.
        candidates: its points.
    """

    col: int
    row: int
    state: WindowState
    device: str
    precision: str
    message: str = ""
    blurred: bool = False
    candidates: Sequence[CandidateRow] = ()


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """A finished window as the store has it."""

    col: int
    row: int
    state: WindowState
    device: str
    precision: str
    message: str
    blurred: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A merged and classified candidate, level-0 pixels."""

    x0: float
    y0: float
    detector_score: float
    probability: float
    label: Label


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A candidate of a run; `point_id` once a verdict belongs to it.

    `atypical_probability` is None where no model was asked whether the mitosis is atypical.
    """

    id: int
    run_id: int
    x0: float
    y0: float
    detector_score: float
    probability: float
    label: Label
    point_id: int | None
    atypical_probability: float | None = None


@dataclass(frozen=True, slots=True)
class ReaderRecord:
    """A person who gives verdicts."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A place on a slide with verdicts, level-0 pixels."""

    id: int
    slide_id: int
    x0: float
    y0: float
    hand_placed: bool


@dataclass(frozen=True, slots=True)
class NewVerdict:
    """A verdict to give; of exactly one of a candidate, a known point, or a new place.

    Attributes:
        value: what the reader says.
        atypical: only with `mitosis`.
        candidate_id: a candidate of the slide.
        point_id: a point that has verdicts already.
        place0: (x0, y0) in level-0 pixels of a hand-placed point.
        undoes_id: the verdict that this one takes back.
    """

    value: VerdictValue
    atypical: bool = False
    candidate_id: int | None = None
    point_id: int | None = None
    place0: tuple[float, float] | None = None
    undoes_id: int | None = None


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict as it stands in the store for good.

    Attributes:
        action_id: of what was decided together, in one transaction and one undo step.
        consensus: settled among readers; stands beside what each of them said.
        undoes_id: the verdict that this one takes back, if it is an undo.
    """

    id: int
    slide_id: int
    point_id: int
    reader_id: int
    reader: str
    run_id: int | None
    value: VerdictValue
    atypical: bool
    consensus: bool
    action_id: int
    method: str
    undoes_id: int | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class CountRecord:
    """A version of a count; `id`, `version` and `created_at` are the store's to give."""

    slide_id: int
    protocol: str
    state: CountState
    mitoses: int
    planned_mm2: float
    counted_mm2: float
    app_version: str
    details: Mapping[str, Any] = field(default_factory=dict)
    run_id: int | None = None
    region_id: int | None = None
    reader_id: int | None = None
    lineage: str = ""
    id: int = 0
    version: int = 0
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One line of the audit trail; `old` and `new` are canonical JSON texts."""

    id: int
    at: str
    reader: str
    kind: str
    object: str
    old: str
    new: str
    reason: str
    app_version: str
    model_version: str
    previous: str
    hash: str

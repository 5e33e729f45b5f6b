"""What a reader sees of a slide at one moment: frozen, made on one thread, shown on another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.protocols import Protocol
from core.counting.statistics import Categorisation, CountStatistics, RateInterval
from core.geometry import Mpp
from core.review import Tally
from core.store.records import CountRecord, ReaderRecord, RegionRecord, RunRecord

#: `Figures.verdict` is an index into these.
VERDICTS = ("none", "mitosis", "atypical", "imposter", "unsure", "deleted")
NONE, MITOSIS, ATYPICAL, IMPOSTER, UNSURE, DELETED = range(6)
#: `Figures.label` is an index into these; hand-placed points have no label.
LABELS = ("none", "imposter", "mitosis", "atypical")
#: What the proposals are called while no tumour region narrows them.
SPOTS_OF_ALL = "hot spot of all tissue"

Verdict = Literal["mitosis", "atypical", "imposter", "unsure", "deleted"]
#: What is counted: one outline, the microscope's fields, or all the tumour's tissue.
Plan = Literal["one", "fields", "whole"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Candidates of the run and hand-placed points, in columns of one length N, all read-only.

    Attributes:
        key: (N,) int64, ascending; a candidate's id, or minus a hand-placed point's.
        x0, y0: (N,) float64, level-0 pixels.
        probability: (N,) float32; NaN where hand-placed.
        score: (N,) float32, the detector's; NaN where hand-placed.
        label: (N,) uint8, index into `LABELS`.
        verdict: (N,) uint8, index into `VERDICTS`: what counts for the present reader.
        disputed: (N,) bool; never set in a blinded reading.
        in_area: (N,) bool, inside the count area.
        to_review: (N,) bool, asks for a verdict and has none: a candidate above the review
            threshold, or a point that another reader placed. Known in a blinded reading too.
        atypical: (N,) float32, probability of being atypical if it is a mitosis; NaN where no model
            was asked. Not given: NaN for all.
    """

    key: NDArray[np.int64]
    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    probability: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.uint8]
    verdict: NDArray[np.uint8]
    disputed: NDArray[np.bool_]
    in_area: NDArray[np.bool_]
    to_review: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    atypical: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    def __post_init__(self) -> None:
        """Fill in what nobody was asked."""
        if len(self.atypical) != len(self.key):
            unknown = np.full(len(self.key), np.nan, np.float32)
            unknown.flags.writeable = False
            object.__setattr__(self, "atypical", unknown)

    def __len__(self) -> int:
        return len(self.key)

    def row(self, key: int) -> int | None:
        """The row of a key, or None."""
        at = int(np.searchsorted(self.key, key))
        return at if at < len(self.key) and self.key[at] == key else None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A figure on which readers differ, or differed.

    Attributes:
        key: of the figure.
        x0, y0: level-0 pixels.
        by_reader: their verdicts by their names.
        consensus: what they settled on; None while they differ.
    """

    key: int
    x0: float
    y0: float
    by_reader: Mapping[str, Verdict]
    consensus: Verdict | None = None


@dataclass(frozen=True, slots=True)
class AreaView:
    """The count area as it lies on the slide.

    Attributes:
        polygon0: its outline, level-0 pixels; of several parts where fields lie apart.
        centre0: its centre, level-0 pixels.
        kind: `rectangle`, `circle`, `fields`, or `tissue` where all tissue is counted.
        width_um, height_um: of its sides, or its diameter twice; of fields those of one field.
        angle_deg: clockwise turn on the screen.
        planned_mm2: what the protocol asks for.
        counted_mm2: what is left of it on readable tissue of the tumour.
        locked: whether its area is held to the protocol's.
        state: `proposed` by the program, or `accepted` by a reader (then it never moves by itself).
        lineage: of its region in the store.
        piece: the piece of readable tissue that it counts on, numbered as in its `Ground`; 0 for
            all of them.
        anchor0: a place whose nearest piece that is, level-0 pixels; None: the piece of which it
            holds the most.
        field_kind: the outline of each field.
        centres0: of the fields, level-0 pixels, in the order in which they are numbered.
        fields0: their outlines.
        sets: where several sets of fields are counted, each of them; this area is the one that
            holds the most.
    """

    polygon0: shapely.Polygon | shapely.MultiPolygon
    centre0: tuple[float, float]
    kind: Literal["rectangle", "circle", "tissue", "fields"]
    width_um: float
    height_um: float
    angle_deg: float
    planned_mm2: float
    counted_mm2: float
    locked: bool
    state: Literal["proposed", "accepted"]
    lineage: str = ""
    piece: int = 0
    anchor0: tuple[float, float] | None = None
    field_kind: Literal["rectangle", "circle"] = "rectangle"
    centres0: tuple[tuple[float, float], ...] = ()
    fields0: tuple[shapely.Polygon, ...] = ()
    sets: "tuple[AreaView, ...]" = ()


@dataclass(frozen=True, slots=True)
class SpotView:
    """A place where the count area would hold many mitoses.

    Attributes:
        centre0: of the area, level-0 pixels; of the first field where there are several.
        polygon0: its outline.
        mitoses: that it holds.
        anchor0: as in `AreaView`.
        centres0, fields0: as in `AreaView`.
        at_most: no such fields hold more; None where the place is the exact hot spot.
    """

    centre0: tuple[float, float]
    polygon0: shapely.Polygon | shapely.MultiPolygon
    mitoses: int
    anchor0: tuple[float, float] | None = None
    centres0: tuple[tuple[float, float], ...] = ()
    fields0: tuple[shapely.Polygon, ...] = ()
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that stands between a count and its signature.

    Attributes:
        kind: what it is about; the panel knows what to offer.
        text: in plain words.
        keys: the figures it is about, the one to look at first at the head.
        place0: where to look, level-0 pixels; None where there is no place.
    """

    kind: Literal["unreviewed", "unsure", "failed", "blur", "tumour", "mpp", "run", "area"]
    text: str
    keys: tuple[int, ...] = ()
    place0: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class CountView:
    """The count in the count area, and what stands between it and a signature.

    Attributes:
        protocol: the rule.
        tally: of the figures in the count area.
        to_review: figures in the area above the review threshold without a verdict.
        interval: count, counted mm² and the Poisson interval.
        category: what the protocol makes of the count.
        rule: the protocol's categories and source in words.
        spots: the best places, best first; the first may be better than the area accepted.
        spots_name: `hot spot`, or `hot spot of all tissue` without a tumour region.
        better: the best place where it holds more than the accepted area does, else None.
        blockers: why it cannot be signed; empty when it can.
        signed: the signed count, frozen.
        plans: what the protocol lets be counted, its own first.
        plan: which of them is counted.
        sets: mitoses in each set of fields, where there are several; the highest is the count.
        statistics: how sure the count is; the rows of its `settling` are keys of figures.
    """

    protocol: Protocol
    tally: Tally
    to_review: int
    interval: RateInterval
    category: Categorisation
    rule: str
    spots: tuple[SpotView, ...] = ()
    spots_name: str = SPOTS_OF_ALL
    better: SpotView | None = None
    blockers: tuple[Blocker, ...] = ()
    signed: CountRecord | None = None
    plans: tuple[Plan, ...] = ("one",)
    plan: Plan = "one"
    sets: tuple[int, ...] = ()
    statistics: CountStatistics | None = None


@dataclass(frozen=True, slots=True)
class PieceView:
    """A piece of tissue that can be excluded as a whole."""

    index: int
    polygon0: shapely.Polygon
    mm2: float
    excluded: bool


@dataclass(frozen=True, slots=True)
class DeskView:
    """Everything that the panels and layers show of the open slide.

    Attributes:
        slide_id: the store's slide; answers that carry another one are dropped.
        reader: who reads.
        blinded: whether scores, and what others said and placed, are hidden.
        mpp: µm per level-0 pixel with where it came from; None: no mm² until the reader sets it.
        run: whose candidates are shown; None before the first analysis.
        review_threshold, count_threshold: of the run's classifier; NaN without a run.
        figures: candidates and hand-placed points.
        regions: tumour and excluded polygons, newest versions.
        pieces: of tissue; empty until the tissue is known.
        area: None without mpp or tissue.
        count: None without an area.
        all_tissue_is_tumour: recorded by a reader.
        failed_windows0, blurred_windows0: what could not be read, what is out of focus.
        blur_acknowledged: by a reader for this run.
        undo_text, redo_text: what would be undone or redone; empty when there is nothing.
        spots_settled: False while a verdict waits for the hot spots to be searched anew; then call
            `Desk.settle_spots`.
        others: other readers with verdicts on this slide, by id, with how many; empty if blinded.
    """

    slide_id: int
    reader: ReaderRecord
    blinded: bool
    mpp: Mpp | None
    mpp_origin: str
    run: RunRecord | None
    review_threshold: float
    count_threshold: float
    figures: Figures
    regions: tuple[RegionRecord, ...] = ()
    pieces: tuple[PieceView, ...] = ()
    area: AreaView | None = None
    count: CountView | None = None
    all_tissue_is_tumour: bool = False
    failed_windows0: tuple[shapely.Polygon, ...] = ()
    blurred_windows0: tuple[shapely.Polygon, ...] = ()
    blur_acknowledged: bool = False
    undo_text: str = ""
    redo_text: str = ""
    spots_settled: bool = True
    others: Mapping[int, int] = field(default_factory=dict)

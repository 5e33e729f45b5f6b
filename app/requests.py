"""What is asked of the worker and what it answers: frozen, from thread to thread."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry.base import BaseGeometry

from app.listing import shown_name
from core.analysis.progress import Progress
from core.analysis.tiling import Regions
from core.errors import UserError
from core.geometry import Mpp
from core.slides.reader import Backend
from core.store import Store

if TYPE_CHECKING:
    from app.analysing import Models
    from core.analysis.pipeline import RunSummary
    from core.analysis.reclassify import Reclassified
    from core.ports import Classifier

#: Loads the shipped networks for a device.
ModelLoader = Callable[[str], "Models"]
#: Loads the classifier of an adapter's folder for a device.
AdapterLoader = Callable[[Path, str], "Classifier"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A slide to analyse.

    Attributes:
        slide_id: the store's.
        path: of the slide.
        name: alias or file name, for the screen.
        mpp: µm per level-0 pixel as the store has it; None: as the file says.
        mpp_origin: where it came from.
        regions: where to look.
        region_ids: their versions in the store.
        device: `auto`, `cuda`, `mps` or `cpu`.
        backend: pixel library.
        again: make a new run even if there is one.
        adapter: folder of the classifier; None for the shipped one.
        reclassifies: the run whose candidates are classified anew, without detecting; None: the
            slide is analysed.
        first0: of those, candidates in here come first, level-0 pixels.
    """

    slide_id: int
    path: Path
    name: str
    mpp: Mpp | None = None
    mpp_origin: str = ""
    regions: Regions = field(default_factory=Regions)
    region_ids: tuple[int, ...] = ()
    device: str = "auto"
    backend: Backend = "auto"
    again: bool = False
    adapter: Path | None = None
    reclassifies: int | None = None
    first0: BaseGeometry | None = None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is; `run_id` once the store has it."""

    slide_id: int
    token: int
    progress: Progress
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class RunDone:
    """A run that came to its end; `notes` are warnings of the networks on the way."""

    slide_id: int
    token: int
    request: RunRequest
    summary: "RunSummary | Reclassified"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunStopped:
    """A run that was cancelled (`error` None) or failed; what is finished is kept in `run_id`."""

    slide_id: int
    token: int
    request: RunRequest
    error: UserError | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceNews:
    """Where the networks run and why; empty while they are being loaded."""

    device: str
    why: str


def make_request(
    store: Store,
    slide_id: int,
    *,
    device: str,
    backend: Backend,
    tumour_only: bool,
    again: bool = False,
    hide_names: bool = False,
    adapter: Path | None = None,
) -> RunRequest:
    """What to ask of a slide of the store; runs on the desk thread.

    Args:
        store: holds the slide and its regions.
        slide_id: the store's slide.
        device: where to run.
        backend: pixel library.
        tumour_only: look in the tumour regions only, if there are any.
        again: make a new run.
        hide_names: whether file names are hidden on the screen.
        adapter: folder of the classifier; None for the shipped one.
    """
    stored = store.slide(slide_id)
    drawn = [region for region in store.regions(slide_id) if region.kind != "count_area"]
    if not tumour_only:
        drawn = [region for region in drawn if region.kind != "tumour"]
    polygons: dict[str, list[Any]] = {"tumour": [], "excluded": []}
    for region in drawn:
        polygons[region.kind].append(shapely.from_wkb(region.wkb))
    united = {kind: shapely.union_all(found) if found else None for kind, found in polygons.items()}
    return RunRequest(
        slide_id=slide_id,
        path=Path(stored.path),
        name=shown_name(stored, hidden=hide_names),
        mpp=stored.mpp,
        mpp_origin=stored.mpp_origin,
        regions=Regions(tumour=united["tumour"], excluded=united["excluded"]),
        region_ids=tuple(region.id for region in drawn),
        device=device,
        backend=backend,
        again=again,
        adapter=adapter,
    )

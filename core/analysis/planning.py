"""What a run will look at: tissue, regions, windows, and under which key it is stored."""

import os
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

from core.analysis.runkey import detection_key, run_key, run_parameters
from core.analysis.tiling import (
    Regions,
    SearchArea,
    Window,
    WindowGrid,
    make_grid,
    make_search_area,
    plan_windows,
)
from core.geometry import UM2_PER_MM2, Rect0
from core.ports import Classifier, Detector, ModelOrigin, SubtypeClassifier
from core.slides.reader import Slide
from core.slides.tissue import find_tissue
from core.store import RunRecord, RunSpec, SlideRecord, Store

# Above this a slide was scanned at 20× or less: the models' pixels have to be made up.
LOW_RESOLUTION_MPP = 0.4


def default_reader_threads() -> int:
    """Two at least, so that one decodes while the other waits for the disk; 16 at most."""
    return min(16, max(2, os.cpu_count() or 2))


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """What to analyse and how.

    Attributes:
        app_version: of Mitoscope, for the record.
        regions: where to look.
        again: make a new run even if there is one of the same key.
        reader_threads: threads that read and decode.
        region_ids: of the regions where they are in the store already; None: they are added.
        grid_shift_px: shifts the grid of windows, detector pixels; for tests.
    """

    app_version: str
    regions: Regions = field(default_factory=Regions)
    again: bool = False
    reader_threads: int = field(default_factory=default_reader_threads)
    region_ids: tuple[int, ...] | None = None
    grid_shift_px: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a run looks, decided before anything is stored.

    Attributes:
        bounds0: the slide's bounds, level-0 pixels.
        area: where points count.
        grid: of the windows.
        windows: that are read, in raster order.
        mm2: area of all windows' cores inside the bounds.
        parameters: what identifies the run.
        detector: which detector, where.
        classifier: which classifier, where.
        notes: what the reader of the result must know.
        subtype: what tells atypical from normal mitoses, where; None: nothing does.
    """

    bounds0: Rect0
    area: SearchArea
    grid: WindowGrid
    windows: list[Window]
    mm2: float
    parameters: dict[str, Any]
    detector: ModelOrigin
    classifier: ModelOrigin
    notes: tuple[str, ...]
    subtype: ModelOrigin | None = None

    def window_mm2(self, window: Window) -> float:
        """Area of a window's core inside the slide's bounds, mm²."""
        return _core_mm2(window, self.bounds0, self.grid)

    def inside_px(self, window: Window) -> tuple[slice, slice]:
        """Rows and columns of a window's pixels that lie inside the slide's bounds."""
        rect, bounds, grid = window.rect0, self.bounds0, self.grid
        left, right = ((x0 - rect.x0) / grid.scale_x for x0 in (bounds.x0, bounds.x1))
        top, bottom = ((y0 - rect.y0) / grid.scale_y for y0 in (bounds.y0, bounds.y1))
        return (
            slice(max(0, ceil(top)), max(0, min(grid.window_px, floor(bottom)))),
            slice(max(0, ceil(left)), max(0, min(grid.window_px, floor(right)))),
        )

    def open_run(self, store: Store, slide: Slide, request: AnalysisRequest) -> RunRecord:
        """Put slide, regions and run into the store, or find them there."""
        slide_id = store.add_slide(slide_record(slide))
        regions = request.regions
        region_ids = list(request.region_ids or ())
        if request.region_ids is None:
            if regions.tumour is not None:
                region_ids.append(store.add_region(slide_id, "tumour", regions.tumour.wkb))
            if regions.excluded is not None:
                region_ids.append(store.add_region(slide_id, "excluded", regions.excluded.wkb))
        spec = RunSpec(
            key=run_key(self.parameters),
            slide_id=slide_id,
            # The grid is no part of the key: the result does not depend on it.
            parameters=self.parameters | {"grid": _grid_parameters(self.grid)},
            detector=self.detector,
            classifier=self.classifier,
            app_version=request.app_version,
            region_ids=region_ids,
            detection_key=detection_key(self.parameters),
            subtype=self.subtype,
        )
        return store.open_run(spec, again=request.again)


def _grid_parameters(grid: WindowGrid) -> dict[str, Any]:
    return {
        "mpp": grid.mpp,
        "window_px": grid.window_px,
        "core_px": grid.core_px,
        "halo_px": grid.halo_px,
        "shift_px": list(grid.shift_px),
    }


def slide_record(slide: Slide) -> SlideRecord:
    """A slide as the store keeps it."""
    mpp = slide.mpp
    return SlideRecord(
        identity_kind=slide.identity.kind,
        identity=slide.identity.digest,
        name=slide.name,
        width0=slide.width0,
        height0=slide.height0,
        mpp_x=None if mpp is None else mpp.x,
        mpp_y=None if mpp is None else mpp.y,
        mpp_origin=slide.mpp_origin,
        vendor=slide.vendor,
        path=str(slide.path),
    )


def make_plan(
    slide: Slide,
    detector: Detector,
    classifier: Classifier,
    request: AnalysisRequest,
    subtype: SubtypeClassifier | None = None,
) -> Plan:
    """Find the tissue and choose the windows.

    Raises:
        PixelSizeError: the slide has no µm per pixel.
        SlideError: no tissue.
        RegionError: a region outside the slide or its tissue.
    """
    mpp = slide.require_mpp()
    area = make_search_area(find_tissue(slide), slide.bounds, mpp, request.regions)
    grid = make_grid(detector, mpp, shift_px=request.grid_shift_px)
    windows = plan_windows(grid, area)
    parameters = run_parameters(slide, request.regions, detector, classifier, subtype)
    if request.grid_shift_px != (0, 0):
        parameters["grid_shift_px"] = list(request.grid_shift_px)
    return Plan(
        bounds0=slide.bounds,
        area=area,
        grid=grid,
        windows=windows,
        mm2=sum(_core_mm2(window, slide.bounds, grid) for window in windows),
        parameters=parameters,
        detector=detector.origin,
        classifier=classifier.origin,
        notes=(*request.regions.notes, *_resolution_notes(mpp.mean, classifier)),
        subtype=None if subtype is None else subtype.origin,
    )


def _core_mm2(window: Window, bounds0: Rect0, grid: WindowGrid) -> float:
    core = window.core0
    width0 = max(0.0, min(core.x1, bounds0.x1) - max(core.x0, bounds0.x0))
    height0 = max(0.0, min(core.y1, bounds0.y1) - max(core.y0, bounds0.y0))
    return width0 * height0 * grid.slide_mpp.px_area_um2 / UM2_PER_MM2


def _resolution_notes(mpp: float, classifier: Classifier) -> tuple[str, ...]:
    if mpp <= LOW_RESOLUTION_MPP:
        return ()
    measured = getattr(classifier, "low_res_note", None)
    note = f"the slide has {mpp:.3f} µm/px, coarser than the models' {classifier.mpp:g}"
    return (f"{note}: it was resampled, expect more errors",) + ((measured,) if measured else ())

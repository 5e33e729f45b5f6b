"""Windows of a run that could not be read or are out of focus, as polygons on the slide."""

from collections.abc import Iterable

import shapely

from core.analysis.tiling import WindowGrid
from core.geometry import Mpp
from core.store import RunRecord, WindowRecord


def run_grid(run: RunRecord) -> WindowGrid:
    """The grid of a run's windows, as `core.analysis.planning` kept it."""
    slide, grid = run.parameters["slide"], run.parameters["grid"]
    shift_x, shift_y = grid["shift_px"]
    return WindowGrid(
        slide_mpp=Mpp(slide["mpp_x"], slide["mpp_y"]),
        mpp=grid["mpp"],
        window_px=grid["window_px"],
        core_px=grid["core_px"],
        halo_px=grid["halo_px"],
        shift_px=(shift_x, shift_y),
    )


def windows0(
    run: RunRecord, notable: Iterable[WindowRecord]
) -> tuple[tuple[shapely.Polygon, ...], tuple[shapely.Polygon, ...]]:
    """The cores of windows that failed, and of those out of focus, level-0 pixels.

    Args:
        run: that the windows belong to.
        notable: its windows that failed or are blurred.
    """
    known = list(notable)
    if not known:
        return (), ()
    grid = run_grid(run)
    failed, blurred = (
        tuple(
            grid.window(window.col, window.row).core0.polygon()
            for window in known
            if (window.state == "failed") == is_failed and (window.blurred or is_failed)
        )
        for is_failed in (True, False)
    )
    return failed, blurred

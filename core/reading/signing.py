"""What stands between a count and its signature, and the origin that a signature freezes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from core.reading.ground import Ground
from core.reading.view import UNSURE, AreaView, Blocker, CountView, Figures
from core.store.records import ReaderRecord, RegionRecord, RunRecord, StoredSlide

# Pixel sizes that the file itself states; any other was typed or measured by somebody.
FILE_ORIGINS = ("openslide.mpp", "tiff resolution")


def blockers(
    figures: Figures,
    area: AreaView | None,
    ground: Ground | None,
    *,
    tumour: bool,
    all_tissue_is_tumour: bool,
    run: RunRecord | None = None,
    blurred0: Iterable[BaseGeometry] = (),
    blur_acknowledged: bool = False,
) -> tuple[Blocker, ...]:
    """Why a count cannot be signed, the quickest to mend last; empty when it can.

    Args:
        figures: with `in_area` and `to_review` filled in.
        area: the count area.
        ground: where figures count; None without a pixel size or before the tissue is known.
        tumour: whether there is a tumour region.
        all_tissue_is_tumour: recorded by a reader.
        run: whose candidates are shown; None for a slide counted by hand.
        blurred0: windows out of focus, level-0 pixels.
        blur_acknowledged: by a reader for this run.
    """
    found: list[Blocker] = []
    if ground is None:
        found.append(
            Blocker("mpp", "The pixel size or the tissue is not known yet: there are no mm².")
        )
    elif area is None or area.counted_mm2 <= 0:
        found.append(Blocker("area", "The count area holds no readable tissue of the tumour."))
    if run is not None and run.state != "done":
        found.append(Blocker("run", "The analysis of this slide is not finished."))
    if ground is not None and area is not None:
        found += _windows(area, ground, blurred0, blur_acknowledged=blur_acknowledged)
    if not (tumour or all_tissue_is_tumour):
        found.append(
            Blocker("tumour", "No tumour region is drawn, nor is all tissue said to be tumour.")
        )
    unsure = figures.in_area & (figures.verdict == UNSURE)
    unreviewed = figures.in_area & figures.to_review
    if unsure.any():
        said = _counted(int(np.count_nonzero(unsure)), "figure is", "figures are")
        found.append(_of_figures("unsure", f"{said} unsure in the count area.", figures, unsure))
    if unreviewed.any():
        said = _counted(int(np.count_nonzero(unreviewed)), "figure", "figures")
        text = f"{said} above the review threshold without a verdict in the count area."
        found.append(_of_figures("unreviewed", text, figures, unreviewed))
    return tuple(found)


def open_part0(area: AreaView, ground: Ground) -> BaseGeometry:
    """The count area inside the regions, level-0 pixels."""
    if ground.where0 is None:
        return area.polygon0
    return area.polygon0.intersection(ground.where0)


def _windows(
    area: AreaView, ground: Ground, blurred0: Iterable[BaseGeometry], *, blur_acknowledged: bool
) -> list[Blocker]:
    """Unreadable and unacknowledged blurred windows that the count area lies over."""
    found: list[Blocker] = []
    open0 = open_part0(area, ground)
    if area.kind == "tissue":
        # Its outline leaves out what could not be read: look around it.
        open0 = open0.convex_hull if ground.where0 is None else ground.where0
    failed = (
        [] if ground.failed0 is None else list(getattr(ground.failed0, "geoms", [ground.failed0]))
    )
    hit = _overlapping(failed, open0)
    if hit:
        text = "Part of the count area could not be read: move it, or exclude that part."
        found.append(Blocker("failed", text, place0=_middle(hit[0], open0)))
    hit = [] if blur_acknowledged else _overlapping(blurred0, open0)
    if hit:
        said = _counted(len(hit), "window is", "windows are")
        text = f"{said} out of focus in the count area, not yet acknowledged."
        found.append(Blocker("blur", text, place0=_middle(hit[0], open0)))
    return found


def _overlapping(windows0: Iterable[BaseGeometry], open0: BaseGeometry) -> list[BaseGeometry]:
    return [window for window in windows0 if window.intersection(open0).area > 0]


def _middle(window0: BaseGeometry, open0: BaseGeometry) -> tuple[float, float]:
    point: shapely.Point = window0.intersection(open0).representative_point()
    return float(point.x), float(point.y)


def _of_figures(kind: Any, text: str, figures: Figures, chosen: NDArray[np.bool_]) -> Blocker:
    """A blocker by figures, the most probable first; hand-placed ones before those."""
    rows = np.flatnonzero(chosen)
    probability = np.nan_to_num(figures.probability[rows], nan=2.0)
    rows = rows[np.argsort(-probability, kind="stable")]
    place0 = (float(figures.x0[rows[0]]), float(figures.y0[rows[0]]))
    return Blocker(kind, text, tuple(figures.key[rows].tolist()), place0)


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def stated_pixel_size(mpp_origin: str) -> str:
    """What a reader of a result must know of the pixel size; empty where the file states it."""
    if mpp_origin in FILE_ORIGINS:
        return ""
    return f"The pixel size was not read from the file ({mpp_origin or 'unknown origin'})."


def details(
    slide: StoredSlide,
    reader: ReaderRecord,
    run: RunRecord | None,
    ground: Ground,
    area: AreaView,
    count: CountView,
    regions: Sequence[RegionRecord],
    *,
    mpp_origin: str,
    review_threshold: float,
    count_threshold: float,
    all_tissue_is_tumour: bool,
    blur_acknowledged: bool,
    app_version: str,
    checklist: Mapping[str, bool],
) -> dict[str, Any]:
    """The origin of a signed count, JSON-able: all that it rests on, frozen.

    Args:
        slide: as the store has it.
        reader: who signs.
        run: whose candidates were read; None for a count by hand.
        ground: where figures counted.
        area: the count area.
        count: as shown.
        regions: current ones of the slide.
        mpp_origin: where the pixel size came from.
        review_threshold: of the run's classifier; NaN without a run.
        count_threshold: likewise.
        all_tissue_is_tumour: recorded by a reader.
        blur_acknowledged: by a reader.
        app_version: of Mitoscope.
        checklist: the protocol's points, and whether the reader ticked them.
    """
    return {
        "slide": {
            "name": slide.alias or slide.name,
            "hash": slide.identity,
            "hash_kind": slide.identity_kind,
        },
        "mpp": [ground.mpp.x, ground.mpp.y],
        "mpp_origin": mpp_origin,
        "mpp_note": stated_pixel_size(mpp_origin),
        "reader": reader.name,
        **_result(count),
        "area": _area(area, count),
        "spots": [{"centre0": list(s.centre0), "mitoses": s.mitoses} for s in count.spots],
        "better": None if count.better is None else count.better.mitoses,
        "regions": [
            {"lineage": r.lineage, "version": r.version, "kind": r.kind}
            for r in regions
            if r.kind != "count_area"
        ],
        "all_tissue_is_tumour": all_tissue_is_tumour,
        "blur_acknowledged": blur_acknowledged,
        "checklist": dict(checklist),
        "models": None if run is None else _models(run),
        "review_threshold": None if np.isnan(review_threshold) else review_threshold,
        "count_threshold": None if np.isnan(count_threshold) else count_threshold,
        "app_version": app_version,
    }


def _result(count: CountView) -> dict[str, Any]:
    protocol, interval, category = count.protocol, count.interval, count.category
    tally = count.tally
    return {
        "protocol": {
            "id": protocol.id,
            "name": protocol.name,
            "source": protocol.source,
            "verified": protocol.verified,
            "doubt": protocol.doubt,
            "origin": protocol.origin,
            "rule": count.rule,
        },
        "source": protocol.source,
        "category": category.category,
        "category_reason": category.reason,
        "near_border": category.near_border,
        "reached": list(category.reached),
        "value": category.value,
        "unit": category.unit,
        "interval": {"level": interval.level, "low": interval.low, "high": interval.high},
        "tally": {
            "confirmed": tally.confirmed,
            "unreviewed": tally.unreviewed,
            "atypical": tally.atypical,
            "imposters": tally.imposters,
            "unsure": tally.unsure,
            "deleted": tally.deleted,
        },
    }


def _area(area: AreaView, count: CountView) -> dict[str, Any]:
    return {
        "shape": area.kind,
        "plan": count.plan,
        "outline0": area.polygon0.wkt if area.kind != "tissue" else "",
        "fields0": [field0.wkt for field0 in area.fields0],
        "field": area.field_kind if area.fields0 else "",
        "sets": list(count.sets),
        "centre0": list(area.centre0),
        "width_um": area.width_um,
        "height_um": area.height_um,
        "angle_deg": area.angle_deg,
        "locked": area.locked,
        "state": area.state,
        "planned_mm2": area.planned_mm2,
        "counted_mm2": area.counted_mm2,
    }


def _models(run: RunRecord) -> dict[str, Any]:
    return {
        "run": run.id,
        "run_key": run.key,
        "run_app_version": run.app_version,
        **{
            role: {
                "name": model.name,
                "sha256": model.sha256,
                "device": model.device,
                "precision": model.precision,
            }
            for role, model in (("detector", run.detector), ("classifier", run.classifier))
        },
        "detector_threshold": run.parameters.get("detector", {}).get("threshold"),
    }

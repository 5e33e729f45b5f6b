"""Marks of a store's readers, and of a run's model, ready to be compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from core.analysis.agreement import Marks
from core.errors import InputError, PixelSizeError
from core.geometry import Mpp
from core.review import PointState, current_states, is_mitosis
from core.store import Store, StoredSlide

MODEL = "model"
CONSENSUS = "consensus"


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read in common.

    Attributes:
        slides: marks by slide and rater, all raters on every slide.
        mpp: of each slide.
        left_out: in words, slides that one of the raters has not read.
    """

    slides: Mapping[str, Mapping[str, Marks]]
    mpp: Mapping[str, Mpp]
    left_out: tuple[str, ...]


def readings(
    store: Store,
    slides: Sequence[StoredSlide],
    raters: Sequence[str] = (),
    region0: BaseGeometry | None = None,
) -> Readings:
    """Collect what raters marked on slides that all of them read.

    Args:
        store: holds the verdicts.
        slides: to compare on.
        raters: names of readers, `model` (the labels of the newest finished run) and `consensus`
            (what the readers settled on or say alike); empty for all readers of the first slide
            that two of them read.
        region0: compare only what lies in it, level-0 pixels.

    Raises:
        InputError: there is no slide that at least two of them read.
        PixelSizeError: a slide has no µm per pixel.
    """
    names = {reader.id: reader.name for reader in store.readers()}
    found: dict[str, dict[str, Marks]] = {}
    sizes: dict[str, Mpp] = {}
    left_out = []
    for slide in slides:
        marks = _marks(store, slide, names, region0)
        wanted = list(raters) or [name for name in marks if name not in (MODEL, CONSENSUS)]
        missing = [name for name in wanted if name not in marks]
        label = slide.alias or slide.name
        if label in found:  # two files of one name
            label = f"{label} ({slide.id})"
        if missing or len(wanted) < 2:
            who = ", ".join(missing) or "a second reader"
            left_out.append(f"{label}: not read by {who}")
            continue
        raters = wanted
        found[label] = {name: marks[name] for name in wanted}
        assert slide.mpp is not None
        sizes[label] = slide.mpp
    if not found:
        raise InputError(
            "No slide was read by two raters.", "; ".join(left_out) or "The store has no slide."
        )
    return Readings(found, sizes, tuple(left_out))


def _marks(
    store: Store, slide: StoredSlide, names: Mapping[int, str], region0: BaseGeometry | None
) -> dict[str, Marks]:
    if slide.mpp is None:
        raise PixelSizeError(f"{slide.alias or slide.name} has no µm per pixel.", "Set it first.")
    points = {point.id: (point.x0, point.y0) for point in store.iter_points(slide.id)}
    said: dict[str, list[tuple[float, float, bool]]] = {}
    for point_id, state in current_states(store.iter_verdicts(slide.id)).items():
        for name, value in _sayings(state, names):
            own = said.setdefault(name, [])
            if value in ("mitosis", "imposter"):
                own.append((*points[point_id], value == "mitosis"))
    runs = [run for run in store.runs(slide.id) if run.state == "done"]
    if runs:
        said[MODEL] = [
            (one.x0, one.y0, True)
            for one in store.iter_candidates(runs[-1].id)
            if is_mitosis(None, one.label)
        ]
    return {name: _as_marks(rows, slide.mpp, region0) for name, rows in said.items()}


def _sayings(state: PointState, names: Mapping[int, str]) -> Iterable[tuple[str, str]]:
    for reader_id, verdict in state.by_reader.items():
        yield names[reader_id], verdict.value
    common = state.counting()
    if common is not None:
        yield CONSENSUS, common.value


def _as_marks(
    rows: Sequence[tuple[float, float, bool]], mpp: Mpp, region0: BaseGeometry | None
) -> Marks:
    xy0 = np.array([row[:2] for row in rows], np.float64).reshape(-1, 2)
    mitosis = np.array([row[2] for row in rows], bool)
    if region0 is not None:
        inside = shapely.intersects_xy(region0, xy0[:, 0], xy0[:, 1])
        xy0, mitosis = xy0[inside], mitosis[inside]
    return Marks(xy0 * (mpp.x, mpp.y), mitosis)

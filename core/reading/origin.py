"""What a count rests on, figure by figure: frozen with the count, so that a report can be printed.

`core.reading.signing.details` says what was counted by which rule; this says which mitoses, who
said so and when, and who set the pixel size. All of it is JSON-able.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from core.counting.statistics import CountStatistics
from core.geometry import Mpp
from core.reading.counting import mitoses
from core.reading.figures import verdict_word
from core.reading.view import LABELS, VERDICTS, DeskView, Figures
from core.review import PointState
from core.store.records import CalibrationRecord, ReaderRecord, RunRecord, VerdictRecord

#: Mitoses are numbered as one reads: in bands of this height, from left to right.
BAND_UM = 150.0


def frozen_facts(
    view: DeskView,
    state_of: Callable[[int], PointState | None],
    readers: Mapping[int, ReaderRecord],
    calibrations: Sequence[CalibrationRecord],
) -> dict[str, Any]:
    """What a count keeps beside `core.reading.signing.details`; masked as the view is.

    Args:
        view: with a count, as the reader saw it.
        state_of: what stands of the figure of a key; None where nobody said anything.
        readers: by id.
        calibrations: of the slide, oldest first.
    """
    assert view.mpp is not None  # an area needs it
    assert view.count is not None
    return {
        # The store sorts the keys of `checklist`.
        "checklist_order": list(view.count.protocol.checklist),
        "figures": counted_figures(view.figures, state_of, view.mpp),
        "blinded": view.blinded,
        "calibration": _calibration(calibrations, readers),
        "windows": _windows(view),
        "run_times": None if view.run is None else _times(view.run),
        "subtype": None if view.run is None else _subtype(view.run),
        **_statistics(view.count.statistics),
        "others": {
            readers[reader_id].name: number
            for reader_id, number in view.others.items()
            if reader_id in readers and reader_id != view.reader.id
        },
    }


def _statistics(found: CountStatistics | None) -> dict[str, Any]:
    """How sure the count is."""
    if found is None:
        return {}
    expected = found.expected
    return {
        "expected": (
            None
            if expected is None
            else {
                "mean": expected.mean,
                "low": expected.low,
                "high": expected.high,
                "level": expected.level,
                "open": found.open,
                "unknown": expected.unknown,
            }
        ),
        "chances": [list(pair) for pair in found.chances],
    }


def counted_figures(
    figures: Figures, state_of: Callable[[int], PointState | None], mpp: Mpp
) -> list[dict[str, Any]]:
    """The mitoses of the count area in the order in which they are numbered.

    Args:
        figures: with `in_area` filled in.
        state_of: what stands of the figure of a key.
        mpp: µm per level-0 pixel.
    """
    rows = np.flatnonzero(figures.in_area & mitoses(figures))
    bands = np.floor(figures.y0[rows] * mpp.y / BAND_UM)
    ordered = rows[np.lexsort((figures.x0[rows], bands))]
    return [_figure(figures, int(row), state_of) for row in ordered]


def _figure(
    figures: Figures, row: int, state_of: Callable[[int], PointState | None]
) -> dict[str, Any]:
    key = int(figures.key[row])
    state = state_of(key) or PointState()
    said = sorted(state.by_reader.values(), key=lambda verdict: verdict.id)
    return {
        "key": key,
        "x0": round(float(figures.x0[row]), 2),
        "y0": round(float(figures.y0[row]), 2),
        "probability": _number(figures.probability, row),
        "score": _number(figures.score, row),
        "atypical_probability": _number(figures.atypical, row),
        "label": LABELS[int(figures.label[row])],
        "verdict": VERDICTS[int(figures.verdict[row])],
        "by_reader": [_said(verdict) for verdict in said],
        "consensus": None if state.consensus is None else _said(state.consensus),
    }


def _said(verdict: VerdictRecord) -> dict[str, str]:
    return {
        "reader": verdict.reader,
        "verdict": verdict_word(verdict),
        "at": verdict.decided_at.isoformat(timespec="seconds"),
    }


def _number(column: NDArray[np.float32], row: int) -> float | None:
    """A score; None where there is none, or it was hidden from the reader."""
    value = float(column[row]) if row < len(column) else np.nan
    return None if np.isnan(value) else round(value, 6)


def _calibration(
    calibrations: Sequence[CalibrationRecord], readers: Mapping[int, ReaderRecord]
) -> dict[str, str]:
    """Who gave the pixel size, and when; nobody where the file did."""
    if not calibrations:
        return {"reader": "", "at": ""}
    newest = calibrations[-1]
    who = None if newest.reader_id is None else readers.get(newest.reader_id)
    return {
        "reader": "" if who is None else who.name,
        "at": newest.created_at.isoformat(timespec="seconds"),
    }


def _windows(view: DeskView) -> dict[str, int]:
    """How many windows of the run failed or are out of focus, on the slide and in the area."""
    found = {}
    for name, windows0 in (("failed", view.failed_windows0), ("blurred", view.blurred_windows0)):
        found[name] = len(windows0)
        touched = 0
        if view.area is not None and windows0:
            touched = int(np.count_nonzero(shapely.intersects(windows0, view.area.polygon0)))
        found[f"{name}_in_area"] = touched
    return found


def _subtype(run: RunRecord) -> dict[str, str] | None:
    """The model that told atypical mitoses, if one was asked."""
    model = run.subtype
    if model is None:
        return None
    return {
        "name": model.name,
        "sha256": model.sha256,
        "device": model.device,
        "precision": model.precision,
    }


def _times(run: RunRecord) -> dict[str, str]:
    return {
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "finished_at": (
            "" if run.finished_at is None else run.finished_at.isoformat(timespec="seconds")
        ),
    }

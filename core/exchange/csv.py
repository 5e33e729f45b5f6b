"""`candidates.csv` and `summary.csv`, and the summary as JSON.

One row per candidate, also those under the threshold; one row per slide in the summary. Dots for
decimals, UTF-8, fixed columns. A text cell that a spreadsheet would take for a formula begins with
an apostrophe; numbers are written as numbers, negative ones too.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from core.exchange.files import replacing
from core.geometry import Mpp
from core.review import PointState
from core.store.records import CandidateRecord

RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

# What spreadsheets take for the start of a formula, full-width forms included (OWASP, "CSV
# Injection"); leading blanks are skipped by some of them.
_FORMULA_STARTS = tuple("=+-@＝＋－＠")
_BLANKS = " \t\r\n\v\f\0\u00a0\u3000"

PX_DECIMALS = 2
UM_DECIMALS = 3
SCORE_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class CandidateCsvRow:
    """A row of `candidates.csv`; the fields are its columns.

    Attributes:
        slide: file name or alias.
        candidate_id: the store's.
        x_px: level-0 pixels.
        y_px: level-0 pixels.
        x_um: µm from the slide's top left corner; None without a pixel size.
        y_um: µm.
        detector_score: 0..1; None for a hand-placed point.
        probability: of a mitosis, 0..1; None for a hand-placed point.
        label: mitosis, imposter or atypical at the shipped threshold.
        verdict: what the reader said; empty if nobody did.
        reader: who.
        decided_at: when, UTC.
        in_count_area: whether it lies in the count area.
        run_id: the store's.
        atypical_probability: of being atypical if it is a mitosis, 0..1; None where no model was
            asked.
        research_use: the research-use line.
    """

    slide: str
    candidate_id: int
    x_px: float
    y_px: float
    x_um: float | None
    y_um: float | None
    detector_score: float | None
    probability: float | None
    label: str
    verdict: str
    reader: str
    decided_at: datetime | None
    in_count_area: bool
    run_id: int
    atypical_probability: float | None = None
    research_use: str = RESEARCH_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """A row of `summary.csv`: a slide's count with its origin; the fields are its columns.

    Attributes:
        slide: file name or alias.
        slide_hash: identity of the file's content.
        slide_hash_kind: `quickhash-1` or `size+sha256-3mib`.
        mpp_x: µm per level-0 pixel.
        mpp_y: µm per level-0 pixel.
        mpp_origin: where the pixel size came from.
        protocol: id of the counting rule.
        protocol_source: where the rule is published.
        protocol_verified: whether the rule was checked against its source.
        planned_mm2: area that the protocol asks for.
        counted_mm2: area that was counted.
        shape: circle, square, rectangle, or the whole tissue.
        centre_x_px: of the count area, level-0 pixels; None for the whole tissue.
        centre_y_px: of the count area, level-0 pixels.
        mitoses: the mitotic count, in the counted area.
        per_mm2: mitoses per mm² of the counted area.
        per_mm2_low: lower end of the Garwood interval.
        per_mm2_high: upper end.
        interval_level: of the interval, for instance 0.95.
        protocol_value: the count in the unit that the protocol reports in; None where less than
            the planned area could be counted.
        protocol_unit: that unit in words.
        category: by the protocol; empty when withheld.
        category_note: why withheld, or that a border lies inside the interval.
        candidates: on the slide.
        mitoses_on_slide: labelled mitoses on the slide.
        atypical: of `mitoses`, those called atypical, by their verdict or else their label; None
            where no model was asked and no reader said so.
        detector: name.
        detector_sha256: of its weights.
        classifier: name.
        classifier_sha256: of its weights.
        subtype: what told atypical from normal mitoses; empty: nothing did.
        subtype_sha256: of its weights.
        atypical_threshold: a mitosis from this probability on is labelled atypical.
        detector_threshold: points below it are not kept.
        review_threshold: a reader must look at candidates from this probability on.
        count_threshold: candidates from this probability on are labelled mitosis.
        app_version: of Mitoscope.
        device: where the models ran.
        precision: of the forward passes.
        backend: that decoded the pixels.
        started_at: of the run.
        finished_at: of the run.
        read_s: reading and decoding, summed over threads.
        forward_s: in the models.
        post_s: merging and storing.
        total_s: by the clock.
        tissue_mm2: tissue in the regions.
        analysed_mm2: of finished windows.
        windows: number of them.
        failed_windows: could not be read.
        failed_window_names: column and row of each.
        blurred_mm2: out of focus.
        run_id: the store's.
        warnings: in plain words, separated by `; `.
        research_use: the research-use line.
        protocol_origin: shipped, edited by the laboratory, its own, or chosen by the reader.
        fields: the microscope's fields that make up the planned area, in words; may be empty.
        gap_rule: the rule that is followed between printed whole numbers; may be empty.
        category_probabilities: that the true rate lies in each category, `name: 0.123` separated
            by `; `; empty where categories are withheld.
        expected_mitoses: in the counted area once every candidate is decided, from calibrated
            probabilities and verdicts.
        expected_low: with `expected_high` its exact interval at `interval_level`.
        expected_high: upper end.
        open_candidates: in the counted area, still to be looked at.
        open_share: of the rate's uncertainty, in undecided candidates, 0..1.
        settled_by: which verdicts would settle the category, in words; empty without categories.
        count_note: that a hot-spot count is a maximum; empty where all tissue was counted.
    """

    slide: str
    slide_hash: str
    slide_hash_kind: str
    mpp_x: float
    mpp_y: float
    mpp_origin: str
    protocol: str
    protocol_source: str
    protocol_verified: bool
    planned_mm2: float
    counted_mm2: float
    shape: str
    centre_x_px: float | None = None
    centre_y_px: float | None = None
    mitoses: int
    per_mm2: float | None
    per_mm2_low: float | None
    per_mm2_high: float | None
    interval_level: float = 0.95
    protocol_value: float | None = None
    protocol_unit: str = ""
    category: str = ""
    category_note: str = ""
    candidates: int
    mitoses_on_slide: int
    atypical: int | None = None
    detector: str
    detector_sha256: str
    classifier: str
    classifier_sha256: str
    subtype: str = ""
    subtype_sha256: str = ""
    atypical_threshold: float | None = None
    detector_threshold: float
    review_threshold: float
    count_threshold: float
    app_version: str
    device: str
    precision: str
    backend: str
    started_at: datetime
    finished_at: datetime
    read_s: float
    forward_s: float
    post_s: float
    total_s: float
    tissue_mm2: float
    analysed_mm2: float
    windows: int
    failed_windows: int
    failed_window_names: str = ""
    blurred_mm2: float
    run_id: int
    warnings: str = ""
    research_use: str = RESEARCH_USE
    protocol_origin: str = ""
    fields: str = ""
    gap_rule: str = ""
    category_probabilities: str = ""
    expected_mitoses: float | None = None
    expected_low: int | None = None
    expected_high: int | None = None
    open_candidates: int = 0
    open_share: float | None = None
    settled_by: str = ""
    count_note: str = ""


def candidate_rows(
    slide: str,
    mpp: Mpp | None,
    candidates: Iterable[CandidateRecord],
    states: Mapping[int, PointState],
    in_count_area: Callable[[float, float], bool],
    reader_id: int | None = None,
) -> Iterator[CandidateCsvRow]:
    """Rows of a run's candidates, one at a time.

    Args:
        slide: name or alias to write.
        mpp: µm per level-0 pixel, if known.
        candidates: of the run.
        states: current state by point id, from `core.review.current_states`.
        in_count_area: whether a level-0 point lies in the count area.
        reader_id: whose verdicts; None for those of all readers.
    """
    for candidate in candidates:
        state = None if candidate.point_id is None else states.get(candidate.point_id)
        verdict = state.counting(reader_id) if state else None
        called: str = "" if verdict is None else "atypical" if verdict.atypical else verdict.value
        if verdict is None and state is not None and state.disputed and reader_id is None:
            called = "disputed"
        yield CandidateCsvRow(
            slide=slide,
            candidate_id=candidate.id,
            x_px=round(candidate.x0, PX_DECIMALS),
            y_px=round(candidate.y0, PX_DECIMALS),
            x_um=None if mpp is None else round(candidate.x0 * mpp.x, UM_DECIMALS),
            y_um=None if mpp is None else round(candidate.y0 * mpp.y, UM_DECIMALS),
            detector_score=round(candidate.detector_score, SCORE_DECIMALS),
            probability=round(candidate.probability, SCORE_DECIMALS),
            label=candidate.label,
            verdict=called,
            reader="" if verdict is None else verdict.reader,
            decided_at=None if verdict is None else verdict.decided_at,
            in_count_area=in_count_area(candidate.x0, candidate.y0),
            run_id=candidate.run_id,
            atypical_probability=_rounded(candidate.atypical_probability),
        )


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, SCORE_DECIMALS)


def write_candidates(path: Path, rows: Iterable[CandidateCsvRow], *, bom: bool = False) -> int:
    """Write `candidates.csv` from an iterator; returns the number of rows.

    Args:
        path: of the file; replaced as a whole.
        rows: read one at a time.
        bom: begin with a byte order mark, by which Excel knows UTF-8.

    Raises:
        UserError: the file cannot be written; the old one stays.
    """
    return _write(path, CandidateCsvRow, rows, bom=bom)


def write_summary(path: Path, rows: Iterable[SummaryRow], *, bom: bool = False) -> int:
    """Write `summary.csv`, one row per slide; as `write_candidates`."""
    return _write(path, SummaryRow, rows, bom=bom)


def summary_values(row: SummaryRow) -> dict[str, Any]:
    """The summary as JSON-able values under the names of the CSV's columns."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: _json_value(value) for name, value in values.items()}


def guarded(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(_BLANKS).startswith(_FORMULA_STARTS) else text


def _write(
    path: Path, kind: type[CandidateCsvRow | SummaryRow], rows: Iterable[Any], *, bom: bool
) -> int:
    names = [field.name for field in fields(kind)]
    written = 0
    with replacing(path, encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([_cell(getattr(row, name)) for name in names])
            written += 1
    return written


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value)) if isfinite(value) else ""
    return guarded(str(value))


def _json_value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if isfinite(value) else None
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

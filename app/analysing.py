"""One slide from file to count, and results to CSV: what `analyze` and `demo` share.

Torch is imported by `load_models` and nowhere else here.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import __version__
from app.laboratory import check_adapter
from core.analysis.count import MitoticCount, count_run, save_count
from core.analysis.pipeline import RunSummary, analyze
from core.analysis.planning import AnalysisRequest
from core.analysis.progress import Listener
from core.analysis.tiling import Regions
from core.cancel import CancelToken
from core.counting.protocols import Protocol
from core.counting.statistics import settling_text
from core.errors import DeviceError, UserError
from core.exchange.csv import (
    CandidateCsvRow,
    SummaryRow,
    candidate_rows,
    summary_values,
    write_candidates,
    write_summary,
)
from core.exchange.geojson import read_regions
from core.ports import DEVICES, Classifier, Detector, SubtypeClassifier
from core.reading.view import Plan
from core.slides.reader import Backend, Slide, open_slide
from core.store import Store
from models.adapter_folders import read_info

if TYPE_CHECKING:
    from models.device import Device


@dataclass(frozen=True, slots=True)
class Models:
    """The networks of an analysis.

    Attributes:
        detector, classifier: both always there.
        why: in a sentence, why they run where they run.
        subtype: tells atypical from normal mitoses; None: nothing does.
    """

    detector: Detector
    classifier: Classifier
    why: str = ""
    subtype: SubtypeClassifier | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened to memory and device since loading."""
        all_ = (self.detector, self.classifier, self.subtype)
        return tuple(chain.from_iterable(getattr(model, "warnings", ()) for model in all_))


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of a slide.

    Attributes:
        protocol: the counting rule.
        region: a GeoJSON file, or None for the whole slide.
        mpp: µm per pixel that overrides the slide's own.
        backend: pixel library.
        again: make a new run.
        plan: what is counted; None for what the protocol asks for.
    """

    protocol: Protocol
    region: Path | None = None
    mpp: float | None = None
    backend: Backend = "auto"
    again: bool = False
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class SlideResult:
    """What a slide gave."""

    summary: RunSummary
    count: MitoticCount
    row: SummaryRow


def check_device(name: str) -> None:
    """Refuse an unknown device before anything heavy is loaded."""
    if name not in DEVICES:
        raise DeviceError(f"There is no device {name!r}.", f"Choose one of {', '.join(DEVICES)}.")


def make_folder(folder: Path) -> None:
    """Make a folder for results before hours of work are spent on them.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Choose another with --out."
        ) from error


def load_models(device: str, threads: int | None = None, *, adapter: Path | None = None) -> Models:
    """Load the shipped detector and classifier, and what tells atypical mitoses if it ships.

    Args:
        device: `auto`, `cuda`, `mps` or `cpu`.
        threads: of torch on the CPU; None for one a core.
        adapter: a laboratory's own, in place of the shipped classifier.

    Raises:
        DeviceError: the device is not there.
        ModelError: weights are missing or damaged, or the adapter does not fit its backbone.
    """
    check_device(device)
    from models.classifier import load_classifier
    from models.detector import load_detector
    from models.device import pick_device, set_threads
    from models.registry import ships

    set_threads(threads)
    picked = pick_device(device)
    subtype = None
    if ships("atypical"):
        from models.atypical import load_atypical

        subtype = load_atypical(device=picked)
    classifier = (
        load_classifier(device=picked) if adapter is None else load_adapter(adapter, picked)
    )
    return Models(load_detector(device=picked), classifier, picked.why, subtype)


def load_adapter(folder: Path, device: "Device") -> Classifier:
    """The classifier of a laboratory's own adapter; a probe's embeddings are cached.

    Raises:
        InputError: the laboratory does not offer it.
        ModelError: it is damaged, or does not fit its backbone.
    """
    from app.adapting.cache import embedding_cache
    from models.classifier import load_classifier

    check_adapter(read_info(folder).name)
    return load_classifier(folder, device=device, cache=embedding_cache())


def open_for(path: Path, question: Question) -> tuple[Slide, Regions]:
    """Open a slide and read its regions, before any model is loaded.

    Raises:
        SlideError, PixelSizeError, RegionError: what is wrong with them.
    """
    slide = open_slide(path, mpp=question.mpp, backend=question.backend)
    try:
        slide.require_mpp()
        regions = Regions()
        if question.region is not None:
            regions = read_regions(question.region, (slide.bounds.x0, slide.bounds.y0))
    except BaseException:
        slide.close()
        raise
    return slide, regions


def analyse_slide(
    slide: Slide,
    regions: Regions,
    question: Question,
    models: Models,
    store: Store,
    *,
    progress: Listener | None = None,
    token: CancelToken | None = None,
) -> SlideResult:
    """Analyse an open slide and count it; errors as `core.analysis.pipeline.analyze`."""
    request = AnalysisRequest(__version__, regions, question.again)
    warned = models.warnings
    summary = analyze(
        slide,
        models.detector,
        models.classifier,
        store,
        request,
        subtype=models.subtype,
        progress=progress,
        token=token,
    )
    fresh = tuple(warning for warning in models.warnings if warning not in warned)
    summary = replace(summary, notes=summary.notes + fresh)
    count = count_run(store, summary, question.protocol, question.plan)
    save_count(store, summary, count)
    return SlideResult(summary, count, summary_row(slide, summary, count))


def summary_row(slide: Slide, summary: RunSummary, count: MitoticCount) -> SummaryRow:
    """A slide's row of `summary.csv`."""
    run, interval, protocol = summary.run, count.interval, count.protocol
    sure = count.statistics
    expected = sure.expected
    origin, centre0, times = run.parameters, count.centre0, run.times
    return SummaryRow(
        slide=slide.name,
        slide_hash=slide.identity.digest,
        slide_hash_kind=slide.identity.kind,
        mpp_x=count.mpp.x,
        mpp_y=count.mpp.y,
        mpp_origin=slide.mpp_origin,
        protocol=protocol.id,
        protocol_source=protocol.source,
        protocol_verified=protocol.verified,
        planned_mm2=protocol.area_mm2,
        counted_mm2=interval.area_mm2,
        shape=_shape_name(count),
        centre_x_px=None if centre0 is None else centre0[0],
        centre_y_px=None if centre0 is None else centre0[1],
        mitoses=count.mitoses,
        per_mm2=interval.per_mm2,
        per_mm2_low=interval.low_per_mm2,
        per_mm2_high=interval.high_per_mm2,
        interval_level=interval.level,
        # A count in too small an area is not scaled up to the protocol's.
        protocol_value=count.category.value if _area_is_full(count) else None,
        protocol_unit=count.category.unit,
        category=count.category.category or "",
        category_note=_category_note(count),
        candidates=summary.candidates,
        mitoses_on_slide=len(count.mitoses_um),
        atypical=count.atypical,
        detector=run.detector.name,
        detector_sha256=run.detector.sha256,
        classifier=run.classifier.name,
        classifier_sha256=run.classifier.sha256,
        subtype="" if run.subtype is None else run.subtype.name,
        subtype_sha256="" if run.subtype is None else run.subtype.sha256,
        atypical_threshold=origin["subtype"]["threshold"] if "subtype" in origin else None,
        detector_threshold=origin["detector"]["threshold"],
        review_threshold=origin["classifier"]["review_threshold"],
        count_threshold=origin["classifier"]["count_threshold"],
        app_version=run.app_version,
        device=run.detector.device,
        precision=run.detector.precision,
        backend=slide.backend,
        started_at=run.started_at,
        finished_at=run.finished_at or run.started_at,
        read_s=times.get("read_s", 0.0) + times.get("crop_s", 0.0),
        forward_s=times.get("detect_s", 0.0) + times.get("classify_s", 0.0),
        post_s=times.get("post_s", 0.0),
        total_s=times.get("plan_s", 0.0) + times.get("total_s", 0.0),
        tissue_mm2=summary.plan.area.area_mm2(),
        analysed_mm2=summary.analysed_mm2,
        windows=summary.windows,
        failed_windows=len(summary.failed),
        failed_window_names=" ".join(f"{window.col},{window.row}" for window in summary.failed),
        blurred_mm2=summary.blurred_mm2,
        run_id=run.id,
        warnings="; ".join((*summary.notes, *count.notes)),
        protocol_origin=protocol.origin,
        fields=protocol.field_text,
        gap_rule=protocol.gap_rule,
        category_probabilities="; ".join(f"{name}: {p:.3f}" for name, p in sure.chances),
        expected_mitoses=None if expected is None else expected.mean,
        expected_low=None if expected is None else expected.low,
        expected_high=None if expected is None else expected.high,
        open_candidates=sure.open,
        open_share=None if expected is None else sure.open_share,
        settled_by="" if sure.settling is None else settling_text(sure.settling),
        count_note=sure.note,
    )


def _area_is_full(count: MitoticCount) -> bool:
    return count.interval.area_mm2 >= count.protocol.area_mm2 * (1 - 1e-6)


def _shape_name(count: MitoticCount) -> str:
    area, rule = count.area, count.protocol.fields
    if area.kind == "tissue":
        return "whole tumour" if area.state == "accepted" else "whole tissue"
    if area.kind == "fields":
        kind = "contiguous" if rule is not None and rule.contiguous else "free"
        name = f"{len(area.fields0)} fields, {kind}"
        return f"{name}, highest of {len(area.sets)} sets" if area.sets else name
    square = area.kind == "rectangle" and abs(area.width_um - area.height_um) < 1e-6
    return "square" if square else area.kind


def _category_note(count: MitoticCount) -> str:
    category = count.category
    if category.near_border:
        return f"a category border lies inside the interval: {', '.join(category.reached)}"
    return "" if category.category else category.reason


def write_results(out: Path, store: Store, results: Sequence[SlideResult]) -> tuple[Path, Path]:
    """Write `candidates.csv` and `summary.csv` of some slides; returns their paths.

    Raises:
        UserError: a file cannot be written.
    """
    candidates, summary = out / "candidates.csv", out / "summary.csv"
    write_candidates(candidates, chain.from_iterable(_rows(store, result) for result in results))
    write_summary(summary, [result.row for result in results])
    return candidates, summary


def _rows(store: Store, result: SlideResult) -> Iterator[CandidateCsvRow]:
    count, run_id = result.count, result.summary.run.id
    return candidate_rows(
        result.row.slide, count.mpp, store.iter_candidates(run_id), count.states, count.holds
    )


def summary_text(row: SummaryRow) -> str:
    """A slide's result in two or three lines of plain words."""
    lines = [
        f"{row.slide}: {row.mitoses} mitoses in {row.counted_mm2:.2f} mm² ({row.shape}; "
        f"{row.protocol} asks for {row.planned_mm2:.4g} mm²)"
        + ("" if row.atypical is None else f", {row.atypical} of them atypical"),
        f"  {row.per_mm2:.2f} per mm², {row.interval_level:.0%} interval "
        f"{row.per_mm2_low:.2f} to {row.per_mm2_high:.2f}",
    ]
    if row.protocol_value is not None:
        lines.append(f"  reported as {row.protocol_value:.4g} {row.protocol_unit}")
    if row.category or row.category_note:
        parts = [part for part in (row.category, row.category_note) if part]
        lines.append(f"  category: {'; '.join(parts) if row.category else f'none ({parts[0]})'}")
    if row.category_probabilities:
        lines.append(f"  probability of the true rate: {row.category_probabilities}")
    if row.gap_rule:
        lines.append(f"  between whole numbers: {row.gap_rule}")
    if row.expected_mitoses is not None:
        lines.append(
            f"  expected once all candidates are decided: {row.expected_mitoses:.1f}, "
            f"{row.interval_level:.0%} interval {row.expected_low} to {row.expected_high}; "
            f"{row.open_candidates} still to be looked at"
        )
    if row.settled_by:
        lines.append(f"  {row.settled_by}")
    if row.count_note:
        lines.append(f"  {row.count_note}")
    lines.append(
        f"  {row.mitoses_on_slide} mitoses among {row.candidates} candidates on "
        f"{row.tissue_mm2:.2f} mm² of tissue"
    )
    return "\n".join(lines)


def to_json(rows: Sequence[SummaryRow | dict[str, Any]], *, single: bool) -> str:
    """Summaries as JSON: one object for a single slide, else a list."""
    values = [row if isinstance(row, dict) else summary_values(row) for row in rows]
    return json.dumps(
        values[0] if single else values, indent=2, ensure_ascii=False, allow_nan=False
    )

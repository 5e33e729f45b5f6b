"""An adapter's manifest and model card: what it is, of what it was made, how it compares."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app import __version__
from app.adapting.comparison import Fitted
from app.adapting.request import CLASS_NAMES, AdaptReport, AdaptRequest, MetricRow
from app.adapting.sources import Loaded
from core.exchange.csv import RESEARCH_USE
from models.registry import Backbone
from models.training.adapt_data import MPP

METRIC_NAMES = {
    "f1": "F1",
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "brier": "Brier score (lower is better)",
    "calibration_error": "Calibration error (lower is better)",
}


def manifest(
    request: AdaptRequest,
    entry: Backbone,
    loaded: Loaded,
    fitted: Fitted,
    report: AdaptReport,
    training: dict[str, Any],
    quarter_turns: int,
) -> dict[str, Any]:
    """The manifest's keys beside those of `adapters.save`; no name of a slide, reader or path."""
    crop_px = loaded.examples.crop_px
    slides = [
        {
            "identity": loaded.identities[slide.name],
            "positives": slide.positives,
            "negatives": slide.negatives,
            "fold": slide.fold,
        }
        for slide in report.slides
    ]
    comparison = report.as_dict()
    kept = ("current", "rows", "bootstrap", "held_out", "folds", "reliability")
    return {
        "name": request.name or request.out.name,
        "task": request.task,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "app_version": __version__,
        "mpp": MPP,
        "crop_px": crop_px,
        "crop_um": crop_px * MPP,
        "quarter_turns": quarter_turns,
        "normalisation": {
            "mean": list(entry.mean),
            "std": list(entry.std),
            "input_px": entry.input_px,
            "interpolation": entry.interpolation,
            "embedding": entry.embedding,
        },
        "calibration": asdict(fitted.calibration),
        "review_threshold": round(fitted.review_threshold, 5),
        "count_threshold": round(fitted.count_threshold, 5),
        "threshold": round(fitted.count_threshold, 5),
        "seed": request.seed,
        "training": training,
        "data": {
            "origin": loaded.origin,
            "cells": report.cells,
            "positives": report.positives,
            "with_detector_score": int((loaded.examples.detector_score >= 0).sum()),
            "slides": slides,
        },
        "comparison": {key: comparison[key] for key in kept}
        | {"warnings": [w for w in report.warnings if not _for_screen_only(w)]},
    }


def _for_screen_only(warning: str) -> bool:
    """Whether a warning names what was left out: not for a file that is passed on."""
    return warning.startswith("Left out: ")


def card(request: AdaptRequest, entry: Backbone, report: AdaptReport, made: dict[str, Any]) -> str:
    """The model card, Markdown; says no more than the manifest."""
    positive, negative = CLASS_NAMES[request.task]
    data = made["data"]
    warnings = made["comparison"]["warnings"]
    lines = [
        f"# {made['name']}",
        "",
        RESEARCH_USE,
        "",
        f"Tells {positive} from {negative}. Made by Mitoscope {made['app_version']} on "
        f"{made['made_at'][:10]} from {data['origin']}.",
        "",
        "| | |",
        "|---|---|",
        f"| Backbone | {entry.title} (`{entry.id}`), licence {entry.licence} |",
        f"| Mode | {request.mode} |",
        f"| Crop | {made['crop_um']:g} µm, {made['crop_px']} px at {MPP} µm/px |",
        f"| Cells | {report.cells}: {report.positives} {positive}, "
        f"{report.cells - report.positives} {negative} |",
        f"| Slides | {len(report.slides)} |",
        f"| Seed | {made['seed']} |",
        f"| Threshold | {made['count_threshold']:g} |",
        "",
        "## Comparison",
        "",
        _what_was_held_out(report),
        "",
        *table(report),
        "",
    ]
    if warnings:
        lines += ["## Limits", "", *(f"- {text}" for text in warnings), ""]
    lines += [
        "## Use",
        "",
        f"Probabilities hold where {positive} and {negative} are as frequent as among these "
        f"labels ({report.positives / report.cells:.0%} {positive}), on slides of this "
        "laboratory. Of the backbone's licence follows what may be done with this adapter.",
        "",
    ]
    return "\n".join(lines)


def _what_was_held_out(report: AdaptReport) -> str:
    held = (
        f"whole slides, in {report.folds} folds"
        if report.held_out == "slide"
        else f"single cells, in {report.folds} folds, which flatters"
    )
    return (
        f"Held out: {held}. Calibration and threshold of a fold come from the other folds. "
        f"Intervals: 95 %, paired bootstrap by {report.bootstrap}."
    )


def table(report: AdaptReport) -> list[str]:
    """The comparison as a Markdown table."""
    name = report.current or "no current model"
    lines = [
        f"| | {name} | {name}, refitted | new | new − {name} | new − refitted |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [f"| {' | '.join(cells)} |" for cells in table_cells(report)]


def table_cells(report: AdaptReport) -> list[list[str]]:
    """Name, three figures and two differences with intervals of every metric, as text."""
    return [
        [
            METRIC_NAMES[row.metric],
            _number(row.shipped),
            _number(row.refitted),
            _number(row.new),
            _interval(row.difference, row.low, row.high),
            _interval(row.refitted_difference, row.refitted_low, row.refitted_high),
        ]
        for row in report.rows
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    if low is None or high is None:
        return f"{value:+.3f}"
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def main_row(report: AdaptReport) -> MetricRow:
    """The row that the field judges a task by: F1, or balanced accuracy for atypical mitoses."""
    return report.row("f1" if report.task == "mitosis" else "balanced_accuracy")


def verdict(report: AdaptReport) -> str:
    """In one sentence, whether the new adapter is better; says what the interval says."""
    row = main_row(report)
    name = METRIC_NAMES[row.metric]
    if row.low is None or row.high is None or not report.current:
        return f"{name} of the new adapter is {row.new:.3f}; there is nothing to compare it with."
    if row.low > 0:
        said = f"better than {report.current}"
    elif row.high < 0:
        said = f"worse than {report.current}"
    else:
        said = f"not clearly better or worse than {report.current}"
    return f"The new adapter is {said} on held-out {report.held_out}s by {name}."

"""Tables and figures of `mitoscope benchmark classify`: means over seeds, CSV, Markdown, PNG."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from app.benchmarks.classify_design import HELD_OUT
from core.exchange.csv import guarded
from core.exchange.files import replacing

FIGURES = ("accuracy", "balanced_accuracy", "kappa", "weighted_f1", "auroc")
#: The paper's claim: LoRA with a tenth of the labels reaches this share of the full-data AUROC.
CLAIM_FRACTION, CLAIM_SHARE = 0.1, 0.98


@dataclass(frozen=True, slots=True)
class Row:
    """Mean and standard deviation over seeds of one judge on one test.

    Attributes:
        cells, positives: of the test; the mean over seeds, which hold out different slides.
        train_cells: learnt from; likewise.
    """

    model: str
    mode: str
    train_on: str
    fraction: float
    test: str
    seeds: int
    train_cells: int
    cells: int
    positives: int
    accuracy: float
    accuracy_sd: float
    balanced_accuracy: float
    balanced_accuracy_sd: float
    kappa: float
    kappa_sd: float
    weighted_f1: float
    weighted_f1_sd: float
    auroc: float
    auroc_sd: float


def summarise(lines: Sequence[dict[str, Any]]) -> list[Row]:
    """One row for each network, mode, training domains, fraction and test."""
    groups: dict[tuple[Any, ...], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for line in lines:
        trial = line["trial"]
        for test, found in line["tests"].items():
            key = (trial["model"], trial["mode"], trial["train_on"], trial["fraction"], test)
            groups.setdefault(key, []).append((line, found))
    rows = []
    for key in sorted(groups):
        members = groups[key]
        figures: dict[str, Any] = {}
        for name in FIGURES:
            values = np.array([np.nan if f[name] is None else f[name] for _, f in members])
            known = values[np.isfinite(values)]
            figures[name] = round(float(known.mean()), 4) if len(known) else float("nan")
            spread = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
            figures[f"{name}_sd"] = round(spread, 4)
        rows.append(
            Row(
                *key,
                seeds=len(members),
                train_cells=_mean(line["train_cells"] for line, _ in members),
                cells=_mean(f["cells"] for _, f in members),
                positives=_mean(f["positives"] for _, f in members),
                **figures,
            )
        )
    return rows


def _mean(values: Any) -> int:
    return round(float(np.mean(list(values))))


@dataclass(frozen=True, slots=True)
class Claim:
    """LoRA with a tenth of the labels against LoRA with all, on one test.

    Attributes:
        ratio: of the mean AUROCs; None where a fraction is missing.
        holds: the ratio reaches 0.98.
    """

    model: str
    train_on: str
    test: str
    auroc_tenth: float
    auroc_full: float
    ratio: float
    holds: bool


def claims(rows: Sequence[Row]) -> list[Claim]:
    """The paper's claim on every test that has both fractions."""
    lora = {(r.model, r.train_on, r.test, r.fraction): r for r in rows if r.mode == "lora"}
    found = []
    for (model, train_on, test, fraction), row in lora.items():
        full = lora.get((model, train_on, test, 1.0))
        if fraction == CLAIM_FRACTION and full is not None:
            ratio = row.auroc / full.auroc
            holds = ratio >= CLAIM_SHARE
            found.append(
                Claim(model, train_on, test, row.auroc, full.auroc, round(ratio, 4), holds)
            )
    return found


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All rows, one column for each figure."""
    names = [f.name for f in fields(Row)]
    with replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = [getattr(row, name) for name in names]
            writer.writerow([guarded(v) if isinstance(v, str) else v for v in values])


def markdown(rows: Sequence[Row], settings: dict[str, Any]) -> str:
    """The table with its conditions, and what became of the paper's claim."""
    held_out = (
        "whole slides"
        if settings["split"] == "slide"
        else "single annotations (the paper's protocol, which flatters: cells of a slide resemble "
        "each other)"
    )
    out = [
        f"Task: {settings['task']}; cells from {', '.join(settings['sources'])}; held out: "
        f"{held_out}; {settings['steps']} steps of {settings['batch']} crops for LoRA and full; "
        "threshold 0.5 after training on both classes alike; mean ± standard deviation over seeds.",
        "",
        "| network | mode | learnt from | labels | tested on | AUROC | balanced accuracy | κ "
        "| weighted F1 | accuracy | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    out += [
        f"| {r.model} | {r.mode} | {r.train_on} | {r.fraction:.3g} ({r.train_cells}) | {r.test} "
        f"({r.positives} of {r.cells}) | {_pm(r, 'auroc')} | {_pm(r, 'balanced_accuracy')} | "
        f"{_pm(r, 'kappa')} | {_pm(r, 'weighted_f1')} | {_pm(r, 'accuracy')} | {r.seeds} |"
        for r in rows
    ]
    found = claims(rows)
    if found:
        out += ["", "LoRA with 10 % of the labels against all of them (≥ 98 % of the AUROC?):", ""]
        out += [
            f"- {c.model}, learnt from {c.train_on}, {c.test}: {c.auroc_tenth:.3f} / "
            f"{c.auroc_full:.3f} = {100 * c.ratio:.1f} %: {'holds' if c.holds else 'does not hold'}"
            for c in found
        ]
    return "\n".join(out) + "\n"


def _pm(row: Row, name: str) -> str:
    value, spread = getattr(row, name), getattr(row, f"{name}_sd")
    if np.isnan(value):
        return "–"
    return f"{value:.3f}" if np.isnan(spread) else f"{value:.3f} ± {spread:.3f}"


def scaling_figure(path: Path, rows: Sequence[Row]) -> None:
    """AUROC against the share of labels, one panel for each test, bands of one deviation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tests = sorted({(r.train_on, r.test) for r in rows}, key=lambda t: (t[0], t[1] != HELD_OUT, t))
    columns = 2 if len(tests) == 4 else min(3, len(tests))
    lines = -(-len(tests) // columns)
    judges = sorted({(r.model, r.mode) for r in rows})
    figure = Figure(figsize=(4.2 * columns, 3.2 * lines + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axis, (train_on, test) in zip(axes.flat, tests, strict=False):
        mine = [r for r in rows if (r.train_on, r.test) == (train_on, test)]
        for number, (model, mode) in enumerate(judges):
            curve = sorted(
                (r for r in mine if (r.model, r.mode) == (model, mode)), key=lambda r: r.fraction
            )
            x = np.array([100 * r.fraction for r in curve])
            y = np.array([r.auroc for r in curve])
            spread = np.nan_to_num([r.auroc_sd for r in curve])
            colour = f"C{number}"  # the same in every panel
            axis.plot(x, y, marker="o", markersize=3, color=colour, label=f"{model}, {mode}")
            axis.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15)
        axis.set_xscale("log")
        axis.set_xticks(sorted({100 * r.fraction for r in mine}), minor=False)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.minorticks_off()
        axis.set_title(f"{train_on} → {test}", fontsize=9)
        axis.set_xlabel("labels learnt from (%)")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(tests) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("AUROC")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=len(judges))
    figure.savefig(path, dpi=90)


def matrix_figure(path: Path, rows: Sequence[Row]) -> bool:
    """AUROC of domain against domain at the largest fraction, one panel for each judge.

    Returns:
        Whether there was more than one group of training domains to draw.
    """
    groups = sorted({r.train_on for r in rows})
    if len(groups) < 2:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    largest = max(r.fraction for r in rows)
    tests = sorted({r.test for r in rows}, key=lambda t: (t != HELD_OUT, t))
    judges = sorted({(r.model, r.mode) for r in rows})
    size = (0.9 * len(tests) + 3, (0.5 * len(groups) + 2.2) * len(judges))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(judges), 1, squeeze=False)[:, 0]
    for axis, (model, mode) in zip(axes, judges, strict=True):
        cells = np.full((len(groups), len(tests)), np.nan)
        for r in rows:
            if (r.model, r.mode, r.fraction) == (model, mode, largest):
                cells[groups.index(r.train_on), tests.index(r.test)] = r.auroc
        axis.imshow(cells, vmin=0.5, vmax=1, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(cells):
            if np.isfinite(value):
                axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white")
        axis.set_xticks(range(len(tests)), tests, rotation=30, ha="right", fontsize=8)
        axis.set_yticks(range(len(groups)), groups, fontsize=8)
        axis.set_title(f"{model}, {mode}: AUROC, learnt from (rows), tested on (columns)")
    figure.savefig(path, dpi=110)
    return True

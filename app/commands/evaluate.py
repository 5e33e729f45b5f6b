"""`mitoscope evaluate`: candidates against labelled truth, per file and pooled."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from core.analysis.evaluate import (
    FROC_CANDIDATES_PER_MM2,
    FROC_FP_PER_FILE,
    MATCH_RADIUS_UM,
    Curve,
    Evaluation,
    FilePoints,
    Scores,
    bootstrap_interval,
    evaluate_files,
)
from core.errors import InputError
from core.geometry import UM2_PER_MM2

MITOSIS_LABELS = frozenset({"mitosis", "mitotic figure", "atypical", "normal", "1"})
OTHER_LABELS = frozenset(
    {"imposter", "background", "non-mitosis", "not mitotic figure", "non-mitotic figure", "0", "2"}
)
TRUTH_HINT = (
    "A truth file has the columns file, x, y, label, mpp (and width and height in pixels, or "
    "area_mm2, if known)."
)
CANDIDATES_HINT = "Use the candidates.csv that `mitoscope analyze` wrote."


@dataclass(slots=True)
class _File:
    """Truth and candidates of one file; places in pixels of the file."""

    mpp: float = 0.0
    area_mm2: float | None = None
    truth: list[tuple[float, float]] = field(default_factory=list)
    found: list[tuple[float, float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def points(self, name: str) -> FilePoints:
        found = np.array(self.found, dtype=np.float64).reshape(-1, 2)
        truth = np.array(self.truth, dtype=np.float64).reshape(-1, 2)
        scores = np.array(self.scores, dtype=np.float64)
        return FilePoints(name, found * self.mpp, scores, truth * self.mpp, self.area_mm2)


def evaluate(
    candidates: Annotated[
        Path, typer.Option("--candidates", metavar="CSV", help="candidates.csv of analyze.")
    ],
    truth: Annotated[
        Path, typer.Option("--truth", metavar="CSV", help="Columns file, x, y, label, mpp.")
    ],
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability from which a candidate counts; else its label decides."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")
    ] = False,
) -> None:
    """Precision, recall, F1, average precision and FROC, matched one to one at 7.5 µm.

    Only files that the truth names are evaluated. A file without mitoses is named by a row with
    empty x and y.
    """
    files = _read_truth(truth)
    labelled, unknown = _read_candidates(candidates, files)
    for name in sorted(unknown):
        typer.echo(f"{name}: not in the truth, passed over", err=True)
    evaluation = evaluate_files([file.points(name) for name, file in sorted(files.items())])
    cut = labelled if threshold is None else threshold
    report = _report(evaluation, cut)
    typer.echo(json.dumps(report, indent=2, allow_nan=False) if as_json else _text(report))


def _rows(path: Path, columns: set[str], hint: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Numbered rows of a CSV file that has these columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = columns - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path.name} lacks {', '.join(sorted(missing))}.", hint)
            for number, row in enumerate(reader, start=2):
                yield number, {key: value or "" for key, value in row.items()}
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} is no CSV file: {error}.", hint) from error


def _number(row: Mapping[str, str], column: str, where: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = inf
    if not isfinite(value):
        raise InputError(f"{where}: {column} is {row[column]!r}, not a number.")
    return value


def _plain_name(cell: str) -> str:
    """A file's name without its folder and without the apostrophe that guards a CSV cell."""
    guarded = cell.startswith("'") and cell[1:].lstrip()[:1] in set("=+-@＝＋－＠")
    return Path(cell[1:] if guarded else cell).name


def _read_truth(path: Path) -> dict[str, _File]:
    files: dict[str, _File] = {}
    for number, row in _rows(path, {"file", "x", "y", "label", "mpp"}, TRUTH_HINT):
        where = f"{path.name}, line {number}"
        file = files.setdefault(_plain_name(row["file"]), _File())
        mpp = _number(row, "mpp", where)
        if mpp <= 0 or (file.mpp and mpp != file.mpp):
            raise InputError(f"{where}: mpp {mpp:g} is not possible, or differs within a file.")
        file.mpp = mpp
        if row.get("area_mm2"):
            file.area_mm2 = _number(row, "area_mm2", where)
        elif row.get("width") and row.get("height"):
            sides = _number(row, "width", where) * _number(row, "height", where)
            file.area_mm2 = sides * mpp**2 / UM2_PER_MM2
        if not row["x"] and not row["y"]:
            continue
        label = row["label"].strip().lower()
        if label not in MITOSIS_LABELS | OTHER_LABELS:
            raise InputError(f"{where}: label is {row['label']!r}.", "Use mitosis or imposter.")
        if label in MITOSIS_LABELS:
            file.truth.append((_number(row, "x", where), _number(row, "y", where)))
    if not files:
        raise InputError(f"{path.name} names no file.", TRUTH_HINT)
    return files


def _read_candidates(path: Path, files: dict[str, _File]) -> tuple[float, set[str]]:
    """Add the candidates to their files.

    Returns:
        The lowest probability that is labelled a mitosis (infinite if none is), and the names of
        slides that the truth does not know.
    """
    unknown: set[str] = set()
    lowest = inf
    columns = {"slide", "x_px", "y_px", "probability", "label"}
    for number, row in _rows(path, columns, CANDIDATES_HINT):
        where = f"{path.name}, line {number}"
        name = _plain_name(row["slide"])
        if name not in files:
            unknown.add(name)
        elif row["probability"]:  # a hand-placed point has none, and is not the models' doing
            score = _number(row, "probability", where)
            files[name].found.append((_number(row, "x_px", where), _number(row, "y_px", where)))
            files[name].scores.append(score)
            if row["label"] in ("mitosis", "atypical"):
                lowest = min(lowest, score)
    return lowest, unknown


def _report(evaluation: Evaluation, threshold: float) -> dict[str, Any]:
    curve = evaluation.curve()
    best_threshold, best = curve.best()
    area = curve.area_mm2
    return {
        "match_radius_um": MATCH_RADIUS_UM,
        "threshold": _finite(threshold),
        "files": [
            {"file": name, **_scores(scores)} for name, scores in evaluation.per_file(threshold)
        ],
        "pooled": _scores(curve.at(threshold)),
        "pooled_f1_interval": _interval(evaluation, lambda drawn: drawn.at(threshold).f1),
        "average_precision": _finite(curve.average_precision()),
        "average_precision_interval": _interval(evaluation, Curve.average_precision),
        "best": {"threshold": _finite(best_threshold), **_scores(best)},
        "area_mm2": area,
        "recall_at_fp_per_file": {
            f"{rate:g}": _finite(curve.recall_at_fp_per_file(rate)) for rate in FROC_FP_PER_FILE
        },
        "recall_at_candidates_per_mm2": {
            f"{rate:g}": _finite(curve.recall_at_candidates_per_mm2(rate))
            for rate in FROC_CANDIDATES_PER_MM2
            if area is not None
        },
    }


def _scores(scores: Scores) -> dict[str, float | int | None]:
    return {
        "tp": scores.tp,
        "fp": scores.fp,
        "fn": scores.fn,
        "precision": _finite(scores.precision),
        "recall": _finite(scores.recall),
        "f1": _finite(scores.f1),
    }


def _interval(evaluation: Evaluation, figure: Callable[[Curve], float]) -> list[float | None]:
    """Ends of the 95 % bootstrap interval over files; none from a single file."""
    if len(evaluation.files) < 2:
        return [None, None]
    interval = bootstrap_interval(evaluation, figure)
    return [_finite(interval.low), _finite(interval.high)]


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _text(report: dict[str, Any]) -> str:
    def line(name: str, row: dict[str, Any]) -> str:
        ratios = "  ".join(
            f"{key} {'none' if row[key] is None else format(row[key], '.3f')}"
            for key in ("precision", "recall", "f1")
        )
        return f"{name}: tp {row['tp']}  fp {row['fp']}  fn {row['fn']}  {ratios}"

    def ends(interval: list[float | None]) -> str:
        low, high = interval
        return "no interval" if low is None or high is None else f"{low:.3f} to {high:.3f}"

    threshold = report["threshold"]
    lines = [line(row["file"], row) for row in report["files"]]
    lines.append(
        line(f"pooled at {'none' if threshold is None else f'{threshold:g}'}", report["pooled"])
    )
    lines.append(f"f1 over files drawn again (95 %): {ends(report['pooled_f1_interval'])}")
    best, precision = report["best"], report["average_precision"]
    if best["threshold"] is not None:
        lines.append(line(f"best at {best['threshold']:.3f}", best))
    lines.append(
        f"average precision {'none' if precision is None else f'{precision:.3f}'} "
        f"({ends(report['average_precision_interval'])})"
    )
    for key, unit in (
        ("recall_at_fp_per_file", "false positives per file"),
        ("recall_at_candidates_per_mm2", "candidates per mm²"),
    ):
        recalls = [
            f"{rate}: {recall:.3f}" for rate, recall in report[key].items() if recall is not None
        ]
        if recalls:
            lines.append(f"recall at {unit}: {', '.join(recalls)}")
    return "\n".join(lines)

"""`mitoscope benchmark …`: the measurements behind the figures in the README."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from core.errors import InputError

benchmark_app = typer.Typer(help="Measure quality and speed on this machine.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Folder with labelled tissue.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")]


@benchmark_app.command("quality")
def quality(
    data: DataOption,
    slide: Annotated[str, typer.Option(help="The test slide in fields.csv.")] = "H05",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_there: Annotated[bool, typer.Option("--only-as-scanned", help="No scanner shifts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """F1, average precision and FROC on a screened slide, also under simulated scanner shifts."""
    from app.benchmarks.quality import SHIFTS, measure
    from models.classifier import load_classifier
    from models.detector import load_detector
    from models.device import pick_device, set_threads
    from models.training.data import load_frames

    set_threads()
    picked = pick_device(device)
    detector, classifier = load_detector(device=picked), load_classifier(device=picked)
    frames = [f for f in load_frames(data, mpp=classifier.mpp, slides=[slide]) if f.whole]
    if not frames:
        raise InputError(f"The data hold no screened frame of {slide}.")
    shifts = list(SHIFTS.items())[:1] if as_there else list(SHIFTS.items())
    rows = [measure(name, frames, detector, classifier, change) for name, change in shifts]
    if as_json:
        typer.echo(json.dumps([row.as_dict() for row in rows], indent=2))
        return
    table = Table(
        title=f"{slide}: {rows[0].frames} frames, {rows[0].area_mm2} mm², "
        f"{rows[0].mitoses} mitoses ({picked.why}, {picked.precision})"
    )
    for column in (
        "",
        "F1 (95 %)",
        "precision",
        "recall",
        "AP (95 %)",
        "best F1",
        "detector recall at 50/100/200 per mm²",
        "at operating point",
        "review",
    ):
        table.add_column(column)
    for row in rows:
        recalls = "/".join(f"{r:.2f}" for r in row.detector_recall.values())
        table.add_row(
            row.name,
            f"{row.f1:.3f} ({row.f1_interval[0]:.2f}–{row.f1_interval[1]:.2f})",
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            f"{row.average_precision:.3f} ({row.average_precision_interval[0]:.2f}–"
            f"{row.average_precision_interval[1]:.2f})",
            f"{row.best_f1:.3f}",
            recalls,
            f"{row.operating_recall:.2f} at {row.operating_per_mm2:.0f}/mm²",
            f"{row.review_recall:.2f} at {row.review_per_mm2:.0f}/mm²",
        )
    Console(width=200).print(table)

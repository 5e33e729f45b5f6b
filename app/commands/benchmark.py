"""`mitoscope benchmark …`: the measurements behind the figures in the README."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.benchmarks.report import show
from app.commands import benchmark_models
from core.errors import InputError

if TYPE_CHECKING:
    from models.classifier import CropClassifier
    from models.detector import HeatmapDetector

benchmark_app = typer.Typer(help="Measure quality and speed on this machine.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Folder with labelled tissue.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="Alternated measurements.")]


def _models(device: str, trained: Path | None = None) -> "tuple[HeatmapDetector, CropClassifier]":
    """The shipped models on a device, or the classifier that `train classifier` wrote to a folder.

    Torch is only loaded by the commands that need it.
    """
    from models.classifier import load_classifier
    from models.detector import load_detector
    from models.device import pick_device, set_threads

    set_threads()
    picked = pick_device(device)
    detector = load_detector(device=picked)
    if trained is None:
        return detector, load_classifier(device=picked)
    from app.training.classifier import load_trained

    return detector, load_trained(trained, picked)


@benchmark_app.command("quality")
def quality(
    data: DataOption,
    slide: Annotated[str, typer.Option(help="The test slide in fields.csv.")] = "H05",
    device: DeviceOption = "auto",
    trained: Annotated[
        Path | None,
        typer.Option(help="Judge by what `train classifier` wrote there, not by what ships."),
    ] = None,
    as_there: Annotated[bool, typer.Option("--only-as-scanned", help="No scanner shifts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """F1, average precision and FROC on a screened slide, also under simulated scanner shifts."""
    from app.benchmarks.quality import SHIFTS, measure
    from models.training.data import load_frames

    detector, classifier = _models(device, trained)
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
        f"{rows[0].mitoses} mitoses ({detector.origin.device}, {detector.origin.precision})"
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


@benchmark_app.command("speed")
def speed(
    data: DataOption,
    device: DeviceOption = "auto",
    threads: Annotated[int, typer.Option(min=0, help="That read; 0: as an analysis.")] = 0,
    rounds: RoundsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """The whole pipeline beside its bare forward passes and bare reading, on a real field."""
    from app.benchmarks.field import stitched_field
    from app.benchmarks.speed import Judges, measure_speed
    from models.atypical import load_atypical
    from models.device import pick_device

    with stitched_field(data) as path:
        models = Judges(*_models(device), load_atypical(device=pick_device(device)))
        row = measure_speed(path, models, repeats=rounds, threads=threads or None)
    show("Speed", [row], as_json=as_json)


@benchmark_app.command("read")
def read(
    data: DataOption,
    threads: Annotated[int, typer.Option(min=1, help="That read.")] = 2,
    rounds: RoundsOption = 5,
    as_json: JsonOption = False,
) -> None:
    """Windows of 1024 px: our reader, openslide.read_region, and bare JPEG decoding."""
    from app.benchmarks.field import stitched_field
    from app.benchmarks.reading import BETWEEN_TILES_PX, measure_reading

    with stitched_field(data) as path:
        rows = [
            measure_reading(path, offset_px=offset_px, threads=threads, repeats=rounds)
            for offset_px in (0, BETWEEN_TILES_PX)
        ]
    show("Reading", rows, as_json=as_json)


@benchmark_app.command("stability")
def stability(data: DataOption, device: DeviceOption = "auto", as_json: JsonOption = False) -> None:
    """Whether candidates depend on the window grid or on the library that decodes pixels."""
    from app.benchmarks.field import stitched_field
    from app.benchmarks.stability import measure_stability

    with stitched_field(data) as path:
        rows = measure_stability(path, *_models(device))
    show("Stability", rows, as_json=as_json)


@benchmark_app.command("tumour-types")
def tumour_types(
    data: DataOption,
    detector_folder: Annotated[
        Path, typer.Option("--detector", help="Folder that `train detector` wrote.")
    ] = Path("training/detector"),
    out: Annotated[Path, typer.Option(help="Keeps the networks trained for this.")] = Path(
        "training/tumour-types"
    ),
    detector_steps: Annotated[int, typer.Option(min=1, help="Of the detector.")] = 1800,
    base_steps: Annotated[int, typer.Option(min=1, help="On the patches.")] = 1300,
    field_steps: Annotated[int, typer.Option(min=1, help="On the frames.")] = 600,
    left_out: Annotated[
        str,
        typer.Option(
            help="What is left out of the training in turn: halves (of each type's slides), half "
            "(the first one only), types (one after another), all (six types at once)."
        ),
    ] = "halves",
    as_json: JsonOption = False,
) -> None:
    """Recall on six tumour types after training without them. Takes as long as training does."""
    from app.benchmarks.tumour_types import PARTS, run
    from app.training.classifier import Plan
    from core.cancel import CancelToken
    from models.device import keep_freed_memory, set_threads

    parts = PARTS.get(left_out)
    if parts is None:
        raise InputError(f"Nothing is called {left_out}.", f"One of {', '.join(PARTS)}.")
    set_threads()
    keep_freed_memory()
    plan = Plan(base_steps=base_steps, field_steps=field_steps)
    rows = run(data, detector_folder, out, plan, detector_steps, CancelToken(), parts=parts)
    show("Recall by tumour type on slides not trained on", rows, as_json=as_json)


@benchmark_app.command("viewer")
def viewer(
    data: DataOption,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of panning that is measured.")] = 5.0,
    minutes: Annotated[float, typer.Option(min=0, help="Of more panning, for the memory.")] = 0.0,
    threads: Annotated[int, typer.Option(min=0, help="That read; 0: as the desktop.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Start, first paint, panning and verdict keys: on a real field and on a large slide."""
    from app.benchmarks.field import stitched_field
    from app.benchmarks.keys import measure_keys
    from app.benchmarks.start import measure_start, start_qt
    from app.benchmarks.viewer import measure_viewer, write_synthetic

    with stitched_field(data) as path:
        large = path.with_name("synthetic.tif")
        write_synthetic(path, large)
        rows = [
            measure_viewer(slide, seconds=seconds, minutes=minutes, threads=threads or None)
            for slide in (path, large)
        ]
        application = start_qt()
        keys = measure_keys(path)
        application.processEvents()
    start = measure_start()
    if as_json:
        show("Viewer", [*rows, keys, start], as_json=True)
        return
    for row in rows:
        show(f"Viewer: {row.slide}", [row], as_json=False)
    show("Verdict keys", [keys], as_json=False)
    show("Start", [start], as_json=False)


@benchmark_app.command("scale")
def scale(
    largest: Annotated[int, typer.Option(min=1, help="Candidates on one slide.")] = 125_000,
    slides: Annotated[int, typer.Option(min=2, help="Slides in the store.")] = 1000,
    total: Annotated[int, typer.Option(help="Candidates in the store.")] = 1_000_000,
    rounds: RoundsOption = 5,
    as_json: JsonOption = False,
) -> None:
    """A full store of made-up candidates: time to its pages, and memory."""
    from app.benchmarks.scale import measure_scale

    if total < largest:
        raise InputError("The store cannot hold fewer candidates than its largest slide.")
    row = measure_scale(largest=largest, slides=slides, total=total, repeats=rounds)
    show("Scale", [row], as_json=as_json)


@benchmark_app.command("hotspot")
def hotspot(
    points: Annotated[
        Path, typer.Argument(help="CSV of x, y, label, filename; or the JSON of MIDOG++.")
    ],
    rounds: RoundsOption = 5,
    places: Annotated[
        bool,
        typer.Option("--places", help="Compare with areas placed at random; no times."),
    ] = False,
    area_mm2: Annotated[
        float | None, typer.Option("--area-mm2", help="Of the count area, with --places.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The exact hot spot on real mitoses, slide by slide, beside a search on a 32-px grid."""
    from app.commands.benchmark_hotspot import compare_places, run

    if places or points.suffix.lower() == ".json":
        compare_places(points, area_mm2=area_mm2, as_json=as_json)
        return
    run(points, repeats=rounds, as_json=as_json)


@benchmark_app.command("exchange")
def exchange(
    points: Annotated[int, typer.Option(min=1, help="Made up, on one slide.")] = 100_000,
    as_json: JsonOption = False,
) -> None:
    """Writing and reading many points in every format, and taking them into a store."""
    from app.benchmarks.exchange import measure_exchange

    rows, taking = measure_exchange(points)
    show("Exchange formats", [*rows, taking] if as_json else rows, as_json=as_json)
    if not as_json:
        show("Taking in", [taking], as_json=False)


benchmark_app.command("classify")(benchmark_models.classify)
benchmark_app.command("verdict-order")(benchmark_models.verdict_order)
benchmark_app.command("adapt-speed")(benchmark_models.adapt_speed)
benchmark_app.command("sources")(benchmark_models.sources)

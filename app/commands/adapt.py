"""`mitoscope adapt`: a laboratory's own adapter from its verdicts or a labelled folder."""

import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from app import analysing
from app.adapting.request import (
    MODES,
    TARGETS,
    TASKS,
    AdaptProgress,
    AdaptReport,
    AdaptRequest,
    FolderSource,
    StoreSource,
)
from app.stopping import ctrl_c_cancels
from core.cancel import Cancelled
from core.errors import InputError
from core.exchange.csv import RESEARCH_USE
from core.store import open_store

STOPPED = 130
_SQLITE = b"SQLite format 3\0"
_PARTS = {
    "reading": "reading crops",
    "embedding": "computing embeddings",
    "comparing": "cross-validating",
    "training": "training on everything",
    "saving": "saving",
}
T = TypeVar("T", bound=str)


def adapt(
    source: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="STORE|DATA",
            help="A result store; a folder with fields.csv or patches.csv; a MIDOG JSON beside "
            "its images; or a folder of crops: mitosis/ and imposter/ (or atypical/ and normal/), "
            "a file name's part before the first _ being its slide.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the new adapter.")],
    backbone: Annotated[
        str, typer.Option(metavar="ID", help="As `mitoscope models list` names it.")
    ] = "mitoscope-lite0",
    mode: Annotated[str, typer.Option(help="probe (the head alone), lora or full.")] = "lora",
    slides: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these slides (name, or number in the store)."),
    ] = None,
    readers: Annotated[
        list[str] | None,
        typer.Option(metavar="all|consensus|NAME", help="Whose verdicts; repeat for several."),
    ] = None,
    targets: Annotated[str, typer.Option(help="What LoRA adapts: attention or all.")] = "all",
    task: Annotated[str, typer.Option(help="mitosis or atypical.")] = "mitosis",
    folds: Annotated[int, typer.Option(help="Of the cross-validation by slide, at most.")] = 5,
    epochs: Annotated[int, typer.Option(help="Longest training.")] = 30,
    batch: Annotated[int, typer.Option(help="Crops of an optimiser step.")] = 32,
    mpp: Annotated[
        float, typer.Option(help="µm per pixel of MIDOG images and crops, which do not say it.")
    ] = 0.25,
    crop_um: Annotated[
        float | None, typer.Option(help="Side of the tissue in a crop; else the backbone's own.")
    ] = None,
    current: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Adapter to compare with, instead of the shipped model."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, sampling and augmentation.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON on stdout, nothing else.")
    ] = False,
) -> None:
    """Adapt a backbone to this laboratory's own labels, and compare it with the model in use.

    Held out are whole slides; nothing is chosen on them. The same command goes on where it was
    stopped.
    """
    analysing.check_device(device)
    request = AdaptRequest(
        backbone=backbone,
        mode=_one_of("mode", mode, MODES),
        source=_source(source, slides, readers, mpp),
        out=out,
        task=_one_of("task", task, TASKS),
        targets=_one_of("targets", targets, TARGETS),
        folds=folds,
        epochs=epochs,
        seed=seed,
        device=device,
        batch=batch,
        crop_um=crop_um,
        current=current,
    )
    report = _run(request)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    _print(report)


def _one_of(name: str, value: str, choices: tuple[T, ...]) -> T:
    for choice in choices:
        if choice == value:
            return choice
    raise InputError(f"Unknown {name} “{value}”.", f"Choose {', '.join(choices)}.")


def _source(
    path: Path, slides: list[str] | None, readers: list[str] | None, mpp: float
) -> StoreSource | FolderSource:
    names = tuple(slides) if slides else None
    if not _is_store(path):
        if readers:
            raise InputError(f"{path.name} is no store and has no readers.", "Leave --readers out.")
        if not 0.05 <= mpp <= 2:
            raise InputError(f"{mpp:g} µm per pixel cannot be.", "Give 0.05 to 2 with --mpp.")
        return FolderSource(path, names, mpp)
    ids = None if names is None else _slide_ids(path, names)
    return StoreSource(path, ids, _readers(readers))


def _is_store(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False  # what is wrong with it is said where it is read


def _readers(names: list[str] | None) -> Literal["all", "consensus"] | tuple[str, ...]:
    if not names or names == ["all"]:
        return "all"
    return "consensus" if names == ["consensus"] else tuple(names)


def _slide_ids(path: Path, names: tuple[str, ...]) -> tuple[int, ...]:
    """The ids of slides by number, name or alias."""
    with open_store(path, read_only=True) as store:
        slides = store.slides()
        while len(page := store.slides(slides[-1].id if slides else 0)):
            slides += page
    found = []
    for name in names:
        same = [s.id for s in slides if name in (str(s.id), s.name, s.shown_name)]
        if not same:
            known = ", ".join(f"{s.id} ({s.shown_name})" for s in slides)
            raise InputError(f"The store has no slide {name}.", f"It has {known or 'none'}.")
        found += same
    return tuple(dict.fromkeys(found))


def _run(request: AdaptRequest) -> AdaptReport:
    from app.adapting.engine import adapt as run
    from models.device import set_threads

    set_threads()
    with ctrl_c_cancels() as token, _Bar() as bar:
        try:
            return run(request, token=token, progress=bar.show)
        except Cancelled:
            typer.echo("Stopped. Run the same command again to go on.", err=True)
            raise typer.Exit(STOPPED) from None


class _Bar:
    """Progress on stderr; silent where that is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, left="")

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, report: AdaptProgress) -> None:
        left = ""
        if report.seconds_left is not None:
            minutes, seconds = divmod(round(report.seconds_left), 60)
            left = f"at most {minutes}:{seconds:02} left"
        self._bar.update(
            self._task,
            description=_PARTS[report.part],
            completed=report.done,
            total=report.total or None,
            left=left,
        )


def _print(report: AdaptReport) -> None:
    from app.adapting.saving import table_cells, verdict

    slides = len(report.slides)
    held = "slide" if report.held_out == "slide" else "cell"
    typer.echo(
        f"{report.cells} cells ({report.positives} positive) of {slides} slide"
        f"{'s' * (slides > 1)}; {report.folds} folds by {held}; intervals 95 %, bootstrap by "
        f"{report.bootstrap}"
    )
    current = report.current or "none"
    head = ["", current, "refitted", "new", f"new − {current}", "new − refitted"]
    rows = [head, *table_cells(report)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip())
    if report.current:
        typer.echo("refitted: the same model, threshold and calibration fitted to these labels")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(verdict(report))
    typer.echo(f"Written: {report.folder} ({report.seconds:.0f} s)")
    typer.echo(RESEARCH_USE)

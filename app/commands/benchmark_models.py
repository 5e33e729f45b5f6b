"""`mitoscope benchmark classify|verdict-order|adapt-speed|sources`: the model bench, measured."""

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from core.errors import InputError

if TYPE_CHECKING:
    from app.benchmarks.classify_data import Domain, Task
    from app.benchmarks.classify_design import Mode, SplitBy
    from models.device import Device

DataOption = Annotated[
    Path, typer.Option("--data", help="Folder with labelled tissue, or a MIDOG JSON.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Keeps every trial: a later call goes on.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="How many times all is repeated.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")]


def _prepare(device: str) -> "Device":
    from models.device import keep_freed_memory, pick_device, set_threads

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    set_threads()
    keep_freed_memory()
    return pick_device(device)


def _one_of(value: str, known: tuple[str, ...], what: str) -> str:
    if value not in known:
        raise InputError(f"Unknown {what} “{value}”.", f"Choose one of {', '.join(known)}.")
    return value


def classify(
    data: DataOption,
    task: Annotated[str, typer.Option(help="mitosis or atypical.")] = "mitosis",
    models: Annotated[
        str, typer.Option(help="Backbones, by commas; `mitoscope models list`.")
    ] = "efficientnet-lite0",
    modes: Annotated[str, typer.Option(help="Of probe, lora, full; by commas.")] = "probe,lora",
    fractions: Annotated[
        str, typer.Option(help="Of the training cells, by commas.")
    ] = "0.03,0.1,0.3,1",
    seeds: SeedsOption = 5,
    sources: Annotated[
        str,
        typer.Option(
            help="Sets, by commas; default: fields for mitosis, AMi-Br and AtNorm for atypical."
        ),
    ] = "",
    split: Annotated[
        str,
        typer.Option(help="Held out: slide, or annotation (the protocol of the paper)."),
    ] = "slide",
    domain: Annotated[str, typer.Option(help="A domain is a tissue or a set.")] = "tissue",
    train_on: Annotated[
        str,
        typer.Option(
            help="all domains; each alone; all others but one (leave one out); or one by name."
        ),
    ] = "all",
    steps: Annotated[int, typer.Option(min=1, help="Of LoRA and full, for any fraction.")] = 300,
    batch: Annotated[int, typer.Option(min=2, help="Crops of a step.")] = 32,
    device: DeviceOption = "auto",
    out: OutOption = Path("training/classify"),
) -> None:
    """Networks × probe, LoRA, full × shares of the labels × seeds, as Ammeling et al. 2025."""
    if find_spec("matplotlib") is None:  # said before hours of training, not after
        raise InputError("The figures need matplotlib.", "pip install matplotlib")
    picked = _prepare(device)
    from app.benchmarks import classify_tables
    from app.benchmarks.classify_data import load
    from app.benchmarks.classify_design import MODES, training_domains, trials
    from app.benchmarks.classify_run import Settings, Study
    from core.cancel import CancelToken
    from core.exchange.files import replacing
    from models.registry import backbone

    chosen_task = cast("Task", _one_of(task, ("mitosis", "atypical"), "task"))
    by = cast("SplitBy", _one_of(split, ("slide", "annotation"), "split"))
    chosen_domain = cast("Domain", _one_of(domain, ("tissue", "set"), "domain"))
    chosen_modes = [cast("Mode", _one_of(m, MODES, "mode")) for m in _listed(modes)]
    networks = [backbone(name).id for name in _listed(models)]
    labelled = load(data, chosen_task, _listed(sources) or None, chosen_domain)
    groups = training_domains(labelled, train_on)
    names = tuple(dict.fromkeys(labelled.source.tolist()))
    settings = Settings(chosen_task, names, chosen_domain, by, steps, batch)
    study = Study(labelled, settings, out, picked)
    plan = trials(networks, chosen_modes, groups, _fractions(fractions), range(seeds))
    rows = classify_tables.summarise(study.run(plan, CancelToken()))
    classify_tables.write_csv(out / "table.csv", rows)
    table = classify_tables.markdown(rows, study.lines[0]["settings"])
    with replacing(out / "table.md") as stream:
        stream.write(table)
    classify_tables.scaling_figure(out / "scaling.png", rows)
    classify_tables.matrix_figure(out / "matrix.png", rows)
    typer.echo(table)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _fractions(text: str) -> list[float]:
    try:
        found = [float(part) for part in _listed(text)]
    except ValueError as error:
        raise InputError(f"--fractions must be numbers, not “{text}”.") from error
    if not found or not all(0 < value <= 1 for value in found):
        raise InputError("Every fraction must be above 0 and at most 1.", "For instance 0.1,1.")
    return found


def verdict_order(
    data: DataOption,
    seeds: SeedsOption = 5,
    device: DeviceOption = "auto",
    cache: Annotated[Path, typer.Option(help="Keeps the embeddings.")] = Path(
        "training/embeddings"
    ),
    as_json: JsonOption = False,
) -> None:
    """What a probe learns from verdicts in random order, and in orders that should teach more."""
    picked = _prepare(device)
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from app.benchmarks.verdict_order import measure, read_pool
    from core.cancel import CancelToken

    token = CancelToken()
    pool, start = read_pool(data, picked, cache, token)
    rows = [asdict(row) for row in measure(pool, start, seeds=seeds, token=token)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    slides = len(set(pool.slide.tolist()))
    table = Table(
        title=f"{int(pool.mitosis.sum())} mitoses among {len(pool.mitosis)} candidates of "
        f"{slides} slides; a third of the slides held out, {seeds} seeds"
    )
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=170).print(table)


def adapt_speed(
    models: Annotated[str, typer.Option(help="Backbones, by commas.")] = "efficientnet-lite0",
    device: DeviceOption = "auto",
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Alternated measurements.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Probe, embedding and LoRA steps beside the bare work; memory of LoRA and full training."""
    picked = _prepare(device)
    from app.benchmarks.adapt_speed import measure_adapt_speed
    from app.benchmarks.report import show

    rows = [measure_adapt_speed(name, picked, repeats=rounds) for name in _listed(models)]
    show("Adapting", rows, as_json=as_json)


def sources(
    data: DataOption,
    detector_folder: Annotated[
        Path, typer.Option("--detector", help="Folder that `train detector` wrote.")
    ] = Path("training/detector"),
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Whether patches are told from frames, the label being equal: by probes, by the classifier."""
    picked = _prepare(device)
    from app.benchmarks.report import show
    from app.benchmarks.sources import measure, read_cells

    rows = measure(read_cells(data, detector_folder), picked)
    show("Telling patches from frames", rows, as_json=as_json)

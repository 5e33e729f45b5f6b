"""`mitoscope train detector|classifier|atypical`: trains what ships, from labelled tissue."""

import logging
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from core.cancel import CancelToken
from core.errors import InputError

train_app = typer.Typer(help="Train the shipped models from labelled tissue.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Folder with fields.csv, patches.csv.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for weights and parts.")]
SeedOption = Annotated[int, typer.Option(help="Seed of sampling and augmentation.")]


def _token_for_ctrl_c() -> CancelToken:
    """A token that Ctrl-C cancels; training stops before its next step."""
    token = CancelToken()

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        token.cancel()

    signal.signal(signal.SIGINT, cancel)
    return token


def _prepare(data: Path) -> CancelToken:
    if not data.is_dir():
        raise InputError(f"The folder {data} does not exist.", "Name it with --data.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from models.device import keep_freed_memory, set_threads

    set_threads()
    keep_freed_memory()
    return _token_for_ctrl_c()


@train_app.command("detector")
def detector(
    data: DataOption,
    out: OutOption = Path("training/detector"),
    steps: Annotated[int, typer.Option(help="Optimiser steps of each fold.")] = 1200,
    final_steps: Annotated[int, typer.Option(help="Optimiser steps of the final network.")] = 1800,
    seed: SeedOption = 0,
) -> None:
    """Train the candidate detector: four folds for the figures, then all training slides."""
    token = _prepare(data)
    from app.training.detector import train

    weights = train(data, out, steps=steps, final_steps=final_steps, seed=seed, token=token)
    typer.echo(f"Detector written to {weights}")


@train_app.command("classifier")
def classifier(
    data: DataOption,
    detector_folder: Annotated[
        Path, typer.Option("--detector", help="Folder that `train detector` wrote.")
    ] = Path("training/detector"),
    out: OutOption = Path("training/classifier"),
    base_steps: Annotated[int, typer.Option(help="Steps on the patches; 0: none.")] = 1300,
    field_steps: Annotated[int, typer.Option(help="Steps on the frames.")] = 600,
    mode: Annotated[str, typer.Option(help="What learns from frames: lora or full.")] = "lora",
    operated_as: Annotated[
        Path | None,
        typer.Option(
            help="Train the final network alone, with the thresholds and calibration of what was "
            "trained in this folder (for another seed)."
        ),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Train the classifier on what the detector proposed out of fold."""
    if mode not in ("lora", "full"):
        raise InputError(f"Unknown mode “{mode}”.", "Choose lora or full.")
    token = _prepare(data)
    from app.training.classifier import Plan, train

    plan = Plan(base_steps=base_steps, field_steps=field_steps, mode=mode, seed=seed)
    folder = train(data, detector_folder, out, plan, operated_as=operated_as, token=token)
    typer.echo(f"Classifier written to {folder}")


@train_app.command("atypical")
def atypical(
    data: DataOption,
    out: OutOption = Path("training/atypical"),
    base_steps: Annotated[int, typer.Option(min=1, help="Steps of the base.")] = 800,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each network.")] = 300,
    seed: SeedOption = 0,
) -> None:
    """Train the head that tells atypical from normal mitoses, and test it."""
    token = _prepare(data)
    from app.training.atypical import Plan, train

    plan = Plan(base_steps=base_steps, steps=steps, seed=seed)
    folder = train(data, out, plan, token=token)
    typer.echo(f"Head written to {folder}")

"""What an adapting is asked for, how far it is, and what it found; loads no network library."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Mode = Literal["probe", "lora", "full"]
Task = Literal["mitosis", "atypical"]
Targets = Literal["attention", "all"]
MODES: tuple[Mode, ...] = ("probe", "lora", "full")
TASKS: tuple[Task, ...] = ("mitosis", "atypical")
TARGETS: tuple[Targets, ...] = ("attention", "all")

#: What a positive and a negative are called, in sources, reports and on screen.
CLASS_NAMES: dict[Task, tuple[str, str]] = {
    "mitosis": ("mitosis", "imposter"),
    "atypical": ("atypical", "normal"),
}


@dataclass(frozen=True, slots=True)
class StoreSource:
    """Verdicts of a result store.

    Attributes:
        path: of the store.
        slide_ids: which slides; None for all that have verdicts.
        readers: `all` (the consensus, else what all readers of a point say alike), `consensus`
            (settled points only), or the names of readers.
    """

    path: Path
    slide_ids: tuple[int, ...] | None = None
    readers: Literal["all", "consensus"] | tuple[str, ...] = "all"


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A labelled folder or file.

    Attributes:
        path: a folder with `fields.csv` and `patches.csv`; a MIDOG JSON (or the folder that holds
            one) with its images beside it; or a folder of crops with one folder for each class.
        slides: names of slides; None for all.
        mpp: µm per pixel of images that do not say it themselves (MIDOG, crops).
    """

    path: Path
    slides: tuple[str, ...] | None = None
    mpp: float = 0.25


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """An adapter to make.

    Attributes:
        backbone: registry id.
        mode: `probe` (the head alone), `lora`, or `full` (all weights).
        source: where the labels come from.
        out: folder of the adapter; must not exist yet, or be empty.
        task: what is told apart.
        targets: what LoRA adapts: the attention only, or the MLP as well. `attention` is refused
            for networks without it.
        folds: of the cross-validation, at most one a slide.
        epochs: longest training of `lora` and `full`; early stopping ends it sooner.
        seed: of sampling, augmentation, folds and initialisation.
        device: `auto`, `cuda`, `mps` or `cpu`.
        batch: crops of one optimiser step.
        crop_um: side of the tissue that the network sees; None for the backbone's own.
        current: adapter to compare with; None for the shipped classifier.
        name: of the adapter; empty for the name of its folder.
    """

    backbone: str
    mode: Mode
    source: StoreSource | FolderSource
    out: Path
    task: Task = "mitosis"
    targets: Targets = "all"
    folds: int = 5
    epochs: int = 30
    seed: int = 0
    device: str = "auto"
    batch: int = 32
    crop_um: float | None = None
    current: Path | None = None
    name: str = ""


#: Parts of an adapting in their order; `comparing` is one cross-validation fold after another.
Part = Literal["reading", "embedding", "comparing", "training", "saving"]


@dataclass(frozen=True, slots=True)
class AdaptProgress:
    """How far an adapting is.

    Attributes:
        part: what is being done.
        done, total: crops while reading and embedding, optimiser steps (folds of a probe) after.
        seconds_left: of the whole adapting; an upper bound, since early stopping ends trainings
            sooner. None while it cannot be told.
    """

    part: Part
    done: int
    total: int
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class SlideCells:
    """How many labelled cells a slide gave, and in which fold it was held out (-1: by cell)."""

    name: str
    positives: int
    negatives: int
    fold: int = -1


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One figure on the same held-out cells.

    Attributes:
        metric: `f1`, `balanced_accuracy`, `auroc`, `brier` or `calibration_error`.
        higher_is_better: false for `brier` and `calibration_error`.
        shipped: of the shipped (or current) model as it is; None where there is none.
        refitted: of the same model with threshold and calibration fitted to these labels.
        new: of the new adapter.
        difference: new − shipped.
        low, high: 95 % bootstrap interval of the difference.
        refitted_difference, refitted_low, refitted_high: the same against `refitted`.
    """

    metric: str
    higher_is_better: bool
    shipped: float | None
    refitted: float | None
    new: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    refitted_difference: float | None = None
    refitted_low: float | None = None
    refitted_high: float | None = None


@dataclass(frozen=True, slots=True)
class AdaptReport:
    """What an adapting found.

    Attributes:
        folder: of the adapter.
        backbone, mode, task: as asked.
        current: name of the model compared with; empty where there is none.
        rows: the comparison.
        bootstrap: what was drawn anew for the intervals: `slide` or `cell`.
        held_out: what was held out together: `slide`, or `cell`, which flatters.
        slides: each slide's cells.
        cells, positives: how many labelled cells there were, and of them the positives.
        folds: of the cross-validation.
        count_threshold: the new adapter's.
        reliability: (mean probability, share of positives, cells) in ten bins, of the adapter's
            held-out probabilities.
        warnings: what limits the comparison, in plain words.
        seconds: what the whole took.
    """

    folder: str
    backbone: str
    mode: Mode
    task: Task
    current: str
    rows: tuple[MetricRow, ...]
    bootstrap: Literal["slide", "cell"]
    held_out: Literal["slide", "cell"]
    slides: tuple[SlideCells, ...]
    cells: int
    positives: int
    folds: int
    count_threshold: float
    reliability: tuple[tuple[float, float, int], ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return asdict(self)

    def row(self, metric: str) -> MetricRow:
        """The row of a metric."""
        return next(row for row in self.rows if row.metric == metric)


ProgressListener = Callable[[AdaptProgress], None]

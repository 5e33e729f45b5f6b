"""What an adapting refuses at once, how it holds out, and what limits its comparison."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.adapting.baseline import Baseline
from app.adapting.comparison import SLIDES_FOR_BOOTSTRAP
from app.adapting.request import CLASS_NAMES, AdaptReport, AdaptRequest, SlideCells
from app.adapting.sources import FEW
from core.errors import InputError
from models.training.adapt_data import Examples, both_classes, cell_folds, slide_folds


def check_request(request: AdaptRequest) -> None:
    """Refuse what cannot be before anything is read.

    Raises:
        InputError: the folder holds something already, or a number makes no sense.
    """
    out = request.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"There is something in {out} already.", "Choose another folder with --out."
        )
    for name, value, least in (
        ("folds", request.folds, 2),
        ("epochs", request.epochs, 1),
        ("batch", request.batch, 1),
        ("seed", request.seed, 0),
    ):
        if value < least:
            raise InputError(f"The number of {name} is {value}.", f"It must be {least} or more.")
    if request.crop_um is not None and not 4 <= request.crop_um <= 128:
        raise InputError(f"A crop of {request.crop_um:g} µm cannot be used.", "Choose 4 to 128.")


@dataclass(frozen=True, slots=True)
class Folds:
    """Which fold (N,) each cell is in, and whether whole slides are."""

    of_cell: NDArray[np.int64]
    by: Literal["slide", "cell"]

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.of_cell.max()) + 1


def make_folds(examples: Examples, most: int, seed: int) -> Folds:
    """Folds of whole slides, where both classes remain without any of them; else of cells."""
    n_slides = len(np.unique(examples.slide))
    for n in range(min(most, n_slides), 1, -1):
        folds = slide_folds(examples.positive, examples.slide, n)
        rest = [examples.positive[folds != k] for k in range(n)]
        if len(np.unique(folds)) == n and all(both_classes(positive) for positive in rest):
            return Folds(folds, "slide")
    rng = np.random.default_rng([seed, 11])
    return Folds(cell_folds(examples.positive, most, rng), "cell")


def slide_cells(examples: Examples, folds: Folds) -> tuple[SlideCells, ...]:
    """How many cells each slide gave, by name."""
    found = []
    for name in np.unique(examples.slide):
        own = examples.slide == name
        positives = int(examples.positive[own].sum())
        fold = int(folds.of_cell[own][0]) if folds.by == "slide" else -1
        found.append(SlideCells(str(name), positives, int(own.sum()) - positives, fold))
    return tuple(found)


def limits(report: AdaptReport, base: Baseline | None) -> list[str]:
    """What limits the comparison, in plain words."""
    found = []
    names = CLASS_NAMES[report.task]
    for name, n in zip(names, (report.positives, report.cells - report.positives), strict=True):
        if n < FEW:
            found.append(
                f"There are {n} labels of {name} only, fewer than {FEW}: every figure is hardly "
                "more than a guess."
            )
    if len(report.slides) == 1:
        found.append(
            "All labels are of one slide. Single cells of it were held out, which says nothing of "
            "other slides: the comparison is not honest across slides."
        )
    elif report.held_out == "cell":
        found.append(
            "Both classes do not come from enough slides. Single cells were held out, and slides "
            "lie on either side: the comparison is not honest across slides."
        )
    if report.bootstrap == "cell":
        found.append(
            f"There are fewer than {SLIDES_FOR_BOOTSTRAP} slides: the intervals are of cells and "
            "too narrow."
        )
    known = {slide.name for slide in report.slides} & (base.trained_on if base else set())
    if known:
        found.append(
            f"{report.current} has learnt from {len(known)} of these slides: its figures here are "
            "too good."
        )
    return found

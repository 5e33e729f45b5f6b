"""The design of `mitoscope benchmark classify`: which judge learns from which cells, tested where.

Ammeling et al. 2025 (arXiv 2508.04441) draw 20 % of the annotations for the test, then a fraction
of the rest for training, for several seeds. `annotation` does that; `slide`, the default, holds out
whole slides instead, because cells of one slide resemble each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.benchmarks.classify_data import Labelled
from core.errors import InputError

Mode = Literal["probe", "lora", "full"]
SplitBy = Literal["slide", "annotation"]
MODES: tuple[Mode, ...] = ("probe", "lora", "full")

TEST_SHARE = 0.2
LEAST_PER_CLASS = 2
ALL, EACH, OTHERS = "all", "each", "others"
#: Name of the test on held-out cells of the training domains.
HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Trial:
    """One judge of the design: a network, how it learns, and from which cells.

    Attributes:
        model: registry id of the backbone.
        mode: what learns.
        train_on: domains that are learnt from, joined by ` + `.
        fraction: of the training cells.
        seed: of split, sampling and initialisation.
    """

    model: str
    mode: Mode
    train_on: str
    fraction: float
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """As in a line of the results."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of cells.

    Attributes:
        train: (M,) that are learnt from.
        tests: name of each test and its cells: `HELD_OUT`, and every domain not learnt from.
    """

    train: NDArray[np.int64]
    tests: dict[str, NDArray[np.int64]]


def training_domains(labelled: Labelled, train_on: str) -> list[tuple[str, ...]]:
    """The groups of domains that judges learn from.

    Args:
        labelled: all cells.
        train_on: `all` domains together; `each` alone (the paper's matrix); all `others` but one,
            for every one (leave one tumour out); or the name of one domain.

    Raises:
        InputError: there is no such domain, or one that is learnt from lacks a class.
    """
    names = sorted(np.unique(labelled.domain).tolist())
    if train_on == ALL:
        groups = [tuple(names)]
    elif train_on == EACH:
        groups = [(name,) for name in names]
    elif train_on == OTHERS:
        groups = [tuple(n for n in names if n != name) for name in names]
    elif train_on in names:
        groups = [(train_on,)]
    else:
        raise InputError(
            f"There is no domain “{train_on}” in the data.",
            f"Choose {ALL}, {EACH}, {OTHERS}, or one of: {', '.join(names)}.",
        )
    if train_on in (EACH, OTHERS):
        _require_both_classes(labelled, names)
    return groups


def _require_both_classes(labelled: Labelled, names: Sequence[str]) -> None:
    """Across domains every one must hold both classes, or a figure of it would mean nothing."""
    positive = labelled.cells.mitosis
    lacking = []
    for name in names:
        share = positive[labelled.domain == name].mean()
        if not 0 < share < 1:
            lacking.append(name)
    if len(names) < 2:
        raise InputError(
            f"The data hold one domain only ({names[0]}): nothing can be tested across domains.",
            "Use MIDOG images (--data MIDOG.json), or --task atypical.",
        )
    if lacking:
        raise InputError(
            f"One class is missing in {', '.join(lacking)}: nothing can be tested across domains.",
            "Use MIDOG images (--data MIDOG.json), or --task atypical.",
        )


def trials(
    models: Sequence[str],
    modes: Sequence[Mode],
    domains: Sequence[tuple[str, ...]],
    fractions: Sequence[float],
    seeds: Sequence[int],
) -> Iterator[Trial]:
    """All judges, seed by seed, so that a stopped study is complete for its first seeds."""
    for seed in seeds:
        for group in domains:
            for fraction in fractions:
                for model in models:
                    for mode in modes:
                        yield Trial(model, mode, " + ".join(group), fraction, seed)


def split(
    labelled: Labelled, group: Sequence[str], fraction: float, seed: int, by: SplitBy
) -> Split:
    """Training and test cells; of one seed, a smaller fraction is part of every larger one.

    Args:
        labelled: all cells.
        group: domains that are learnt from.
        fraction: of the cells that are left after the test; drawn from both classes alike.
        seed: of both draws.
        by: hold out whole slides, or single annotations.

    Raises:
        InputError: too few slides to hold any out.
    """
    rng = np.random.default_rng(seed)
    inside = np.isin(labelled.domain, list(group))
    if by == "annotation":
        held_out = _annotations(labelled, inside, rng)
    else:
        held_out = _slides(labelled, inside, rng)
    pool = np.flatnonzero(inside & ~held_out)
    train = np.sort(np.concatenate(list(_fraction(labelled, pool, fraction, rng))))
    tests = {HELD_OUT: np.flatnonzero(held_out)}
    # A slide that is learnt from may lie in another domain too: none of its cells is tested.
    known = np.isin(labelled.cells.slide, np.unique(labelled.cells.slide[inside]))
    for name in np.unique(labelled.domain[~inside]).tolist():
        tests[name] = np.flatnonzero((labelled.domain == name) & ~known)
    return Split(train, tests)


def _annotations(
    labelled: Labelled, inside: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    held_out = np.zeros(len(labelled), bool)
    drawn = rng.permutation(np.flatnonzero(inside))
    held_out[drawn[: round(TEST_SHARE * len(drawn))]] = True
    return held_out


def _slides(
    labelled: Labelled, inside: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Slides in random order until the held-out ones have their share of both classes' weight.

    A slide that would overshoot the share by half is passed over, so that one slide with very many
    cells does not become the whole test.
    """
    slide, positive = labelled.cells.slide, labelled.cells.mitosis
    weight = np.zeros(len(labelled))
    for kind in (True, False):
        members = inside & (positive == kind)
        weight[members] = 0.5 / max(1, members.sum())
    chosen: list[str] = []
    total = 0.0
    for name in rng.permutation(np.unique(slide[inside])).tolist():
        gain = float(weight[slide == name].sum())
        if total + gain <= 1.5 * TEST_SHARE:
            chosen.append(name)
            total += gain
        if total >= TEST_SHARE:
            break
    held_out = inside & np.isin(slide, chosen)
    for part in (held_out, inside & ~held_out):
        share = positive[part].mean() if part.any() else 0.0
        if not 0 < share < 1:
            raise InputError(
                "There are too few slides to hold some out with both classes.",
                "Add slides, or use --split annotation.",
            )
    return held_out


def _fraction(
    labelled: Labelled, pool: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """The first share of a random order, class by class."""
    for kind in (True, False):
        members = rng.permutation(pool[labelled.cells.mitosis[pool] == kind])
        yield members[: max(LEAST_PER_CLASS, round(fraction * len(members)))]

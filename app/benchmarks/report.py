"""Prints what a benchmark measured: a table for people, JSON for programs."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import typer
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Taken:
    """What a piece of work took: seconds by the clock, and of all threads on the processors."""

    wall_s: float
    cpu_s: float


def alternate(works: Mapping[str, Callable[[], Taken]], repeats: int) -> dict[str, Taken]:
    """Run every work once in turn, `repeats` times over; medians by name.

    Alternating spreads whatever else the machine does over all of them alike. The order is turned
    by one place each time, so that none always follows the same other.

    Args:
        works: each returns what it took.
        repeats: rounds.
    """
    taken: dict[str, list[Taken]] = {name: [] for name in works}
    names = list(works)
    for turn in range(repeats):
        for step in range(len(names)):
            name = names[(turn + step) % len(names)]
            taken[name].append(works[name]())
    return {
        name: Taken(median(t.wall_s for t in times), median(t.cpu_s for t in times))
        for name, times in taken.items()
    }


def timed(work: Callable[[], object]) -> Taken:
    """Run `work` and tell what it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def show(title: str, rows: Sequence[Any], *, as_json: bool) -> None:
    """Print frozen dataclasses of one kind: one column each, or a JSON list."""
    values = [asdict(row) for row in rows]
    if as_json:
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    table = Table(title=title, show_header=False)
    for name in values[0]:
        table.add_row(name, *(_text(value[name]) for value in values))
    Console(width=160).print(table)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)

"""`mitoscope benchmark hotspot`: the exact hot spot on real point sets, against a grid search.

The grid search is the usual one (SlideRunner's proc_MitHeatmap): mitoses are binned at 32 level-0
pixels and a box of whole bins is moved over the bins. Its answer is judged by what the true shape
holds at the place that it proposes.
"""

import csv
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.signal import fftconvolve

from app.benchmarks.placing import (
    PlacingRow,
    PlacingTotal,
    measure,
    read_midog,
    slide_ground,
    totals,
)
from core.counting.allowed import AllowedCentres
from core.counting.hotspot import find_hot_spots
from core.counting.protocols import get_protocol
from core.counting.shapes import CountShape
from core.errors import InputError

# Level-0 pixel size of the point sets in shared data (its README): Aperio ScanScope at 0.25 µm/px.
POINTS_MPP = 0.25
GRID_PX = 32
MAST_CELLS = "canine mast cell tumour"
# Half a frame of MIDOG++.
FRAME_AREA_MM2 = 1.0
SHAPES = ("rectangle-4:3", "circle")

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One slide and one shape.

    Attributes:
        slide: file name.
        shape: `rectangle-4:3` or `circle`.
        mitoses: points on the slide.
        seconds: median time of the exact search by the clock.
        cpu_seconds: median processor time of it; less than `seconds` on a machine that is busy.
        exact: mitoses in the hot spot.
        grid: mitoses that the shape holds where the grid search puts it.
    """

    slide: str
    shape: str
    mitoses: int
    seconds: float
    cpu_seconds: float
    exact: int
    grid: int


@dataclass(frozen=True, slots=True)
class ShapeTotal:
    """All slides of one shape.

    Attributes:
        shape: `rectangle-4:3` or `circle`.
        slides: how many.
        missed: on how many the grid search holds fewer.
        mean_lost: mitoses lost on average over all slides.
        most_lost: on the worst slide.
        most_lost_share: greatest loss as a share of the exact count.
        median_seconds: of the slides' medians.
        densest_seconds: on the slide with the most mitoses.
        densest_cpu_seconds: on the same, processor time.
    """

    shape: str
    slides: int
    missed: int
    mean_lost: float
    most_lost: int
    most_lost_share: float
    median_seconds: float
    densest_seconds: float
    densest_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class PlacingBenchmark:
    """What was compared.

    Attributes:
        area_mm2: of the count area.
        placements: random ones of each slide.
        rules: whose categories were compared, `tumour type: protocol`.
        totals: by tumour type, and of all.
        slides: each of them.
    """

    area_mm2: float
    placements: int
    rules: tuple[str, ...]
    totals: tuple[PlacingTotal, ...]
    slides: tuple[PlacingRow, ...]


@dataclass(frozen=True, slots=True)
class HotSpotBenchmark:
    """What was measured: every slide and the totals, one for each shape."""

    area_mm2: float
    slides: tuple[SlideRow, ...]
    totals: tuple[ShapeTotal, ...]


def run(
    points_csv: Path, *, repeats: int = 5, mpp: float = POINTS_MPP, as_json: bool = False
) -> HotSpotBenchmark:
    """Search every slide of a point set, print the figures and return them.

    Args:
        points_csv: columns x, y (level-0 px), label (1 = mitosis), filename; `ccmct_odael.csv`.
        repeats: timed searches of each slide.
        mpp: µm per level-0 pixel.
        as_json: print JSON instead of tables.

    Raises:
        InputError: missing file, wrong columns, a place that is not a number, no mitoses.
    """
    slides = read_points(points_csv).mitoses
    area_mm2 = get_protocol().area_mm2
    rows = []
    for name, points_px in sorted(slides.items(), key=lambda item: (-len(item[1]), item[0])):
        for shape_name in SHAPES:
            shape = CountShape.from_name(shape_name, area_mm2)
            rows.append(_measure(name, points_px * mpp, shape_name, shape, GRID_PX * mpp, repeats))
    totals = tuple(_total(name, [row for row in rows if row.shape == name]) for name in SHAPES)
    result = HotSpotBenchmark(area_mm2, tuple(rows), totals)
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2))
    else:
        _print(result)
    return result


def compare_places(
    labels: Path,
    *,
    area_mm2: float | None = None,
    placements: int = 2000,
    mpp: float = POINTS_MPP,
    as_json: bool = False,
) -> PlacingBenchmark:
    """Compare random, grid and exact placement on a label set, print the figures, return them.

    Args:
        labels: `ccmct_odael.csv` (whole slides of canine mast cell tumour, judged by the two-tier
            grade) or `midogpp.json` (frames of 2 mm²; the breast ones judged per mm²).
        area_mm2: of the count area; None: the protocol's on whole slides, 1 mm² in frames.
        placements: random ones of each slide.
        mpp: µm per level-0 pixel of whole slides.
        as_json: print JSON instead of tables.

    Raises:
        InputError: missing or wrong file, or an area that does not fit.
        ProtocolError: an impossible area.
    """
    frames = labels.suffix.lower() == ".json"
    mast_cells, breast = get_protocol("dog_mct_kiupel"), get_protocol("breast_mm2")
    area_mm2 = area_mm2 or (FRAME_AREA_MM2 if frames else mast_cells.area_mm2)
    shape = CountShape.from_name(mast_cells.shape_name, area_mm2)
    if frames:
        grounds = read_midog(labels, shape)
        rules = {"human breast cancer": breast.with_area(area_mm2)}
    else:
        points = read_points(labels)
        found = (
            slide_ground(name, MAST_CELLS, px * mpp, points.labelled[name] * mpp, shape)
            for name, px in sorted(points.mitoses.items())
        )
        grounds = [ground for ground in found if ground is not None]
        rules = {MAST_CELLS: mast_cells} if area_mm2 == mast_cells.area_mm2 else {}

    def on_grid(
        points_um: Points, shape: CountShape, allowed: AllowedCentres
    ) -> tuple[float, float]:
        return grid_search(points_um, shape, GRID_PX * mpp, allowed)

    rows = tuple(
        measure(ground, shape, on_grid, rules.get(ground.group), placements=placements)
        for ground in grounds
    )
    names = tuple(f"{group}: {rule.id}" for group, rule in rules.items())
    result = PlacingBenchmark(area_mm2, placements, names, totals(rows), rows)
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=2))
    else:
        _print_places(result)
    return result


@dataclass(frozen=True, slots=True)
class LabelledSlides:
    """By file name, (N, 2) float64 level-0 px: mitoses, and all that is labelled."""

    mitoses: dict[str, Points]
    labelled: dict[str, Points]


def read_points(path: Path) -> LabelledSlides:
    """Places of the mitoses, and of mitoses and imposters, of slides that have mitoses."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    every: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"x", "y", "label", "filename"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path.name} lacks {', '.join(sorted(missing))}.")
            for line, row in enumerate(reader, start=2):
                try:
                    place = float(row["x"]), float(row["y"])
                except (TypeError, ValueError) as error:
                    raise InputError(f"{path.name}, line {line}: x or y is no number.") from error
                every[row["filename"]].append(place)
                if row["label"] == "1":
                    found[row["filename"]].append(place)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not found:
        raise InputError(f"{path.name} holds no mitoses (label 1).")
    mitoses = {name: np.array(places, dtype=np.float64) for name, places in found.items()}
    return LabelledSlides(mitoses, {name: np.array(every[name]) for name in mitoses})


def grid_search(
    points_um: Points, shape: CountShape, bin_um: float, allowed: AllowedCentres | None = None
) -> tuple[float, float]:
    """Centre in µm that a search over whole bins proposes; the first of equals, by rows.

    Args:
        points_um: (N, 2) float64.
        shape: the count area; its box is rounded to whole bins, a circle to the bins whose
            centres it holds.
        bin_um: side of a bin.
        allowed: where centres may lie; None for everywhere.
    """
    columns, rows = (max(1, round(side / bin_um)) for side in (shape.width_um, shape.height_um))
    kernel = np.ones((rows, columns))
    if shape.kind == "circle":
        across = (np.arange(columns) + 0.5 - columns / 2) * bin_um
        down = (np.arange(rows) + 0.5 - rows / 2) * bin_um
        kernel = (np.hypot(across[None, :], down[:, None]) <= shape.width_um / 2).astype(float)
    # Bins are those of the slide (multiples of bin_um from its corner), cut to where points are.
    first = np.floor(points_um.min(axis=0) / bin_um).astype(int)
    bins = np.floor(points_um / bin_um).astype(int) - first
    image = np.zeros((bins[:, 1].max() + 1, bins[:, 0].max() + 1))
    np.add.at(image, (bins[:, 1], bins[:, 0]), 1)
    held = np.rint(fftconvolve(image, kernel, mode="full"))
    if allowed is not None:
        across = (first[0] + np.arange(held.shape[1]) - columns / 2 + 1) * bin_um
        down = (first[1] + np.arange(held.shape[0]) - rows / 2 + 1) * bin_um
        centres = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        held[~allowed.contains(centres).reshape(held.shape)] = -1
    row, column = np.unravel_index(int(np.argmax(held)), held.shape)
    left, top = first[0] + column - columns + 1, first[1] + row - rows + 1
    return float((left + columns / 2) * bin_um), float((top + rows / 2) * bin_um)


def _measure(
    name: str, points_um: Points, shape_name: str, shape: CountShape, bin_um: float, repeats: int
) -> SlideRow:
    times, cpu_times = [], []
    for _ in range(repeats):
        start, cpu_start = perf_counter(), process_time()
        spot = find_hot_spots(points_um, shape)[0]
        times.append(perf_counter() - start)
        cpu_times.append(process_time() - cpu_start)
    proposed = grid_search(points_um, shape, bin_um)
    grid = int(np.count_nonzero(shape.contains(points_um, proposed)))
    return SlideRow(
        slide=name,
        shape=shape_name,
        mitoses=len(points_um),
        seconds=median(times),
        cpu_seconds=median(cpu_times),
        exact=spot.count,
        grid=grid,
    )


def _total(shape: str, rows: list[SlideRow]) -> ShapeTotal:
    lost = [row.exact - row.grid for row in rows]
    densest = max(rows, key=lambda row: row.mitoses)
    return ShapeTotal(
        shape=shape,
        slides=len(rows),
        missed=sum(loss > 0 for loss in lost),
        mean_lost=sum(lost) / len(rows),
        most_lost=max(lost),
        most_lost_share=max(loss / row.exact for loss, row in zip(lost, rows, strict=True)),
        median_seconds=median(row.seconds for row in rows),
        densest_seconds=densest.seconds,
        densest_cpu_seconds=densest.cpu_seconds,
    )


def _print(result: HotSpotBenchmark) -> None:
    console = Console(width=110)
    table = Table(title=f"Exact hot spot of {result.area_mm2:g} mm² against a {GRID_PX}-px grid")
    for column in ("slide", "shape", "mitoses", "ms", "exact", "grid", "lost"):
        table.add_column(column, justify="left" if column in ("slide", "shape") else "right")
    for row in result.slides:
        lost = row.exact - row.grid
        counts = (row.mitoses, f"{row.seconds * 1000:.1f}", row.exact, row.grid, lost or "")
        table.add_row(row.slide, row.shape, *map(str, counts))
    console.print(table)
    for total in result.totals:
        console.print(
            f"{total.shape}: the grid misses the maximum on {total.missed} of {total.slides} "
            f"slides, by {total.mean_lost:.2f} mitoses on average and {total.most_lost} at most "
            f"({total.most_lost_share:.0%} at most); exact search {total.median_seconds * 1000:.1f}"
            f" ms (median slide), {total.densest_seconds * 1000:.0f} ms on the densest "
            f"({total.densest_cpu_seconds * 1000:.0f} ms of processor time).",
            highlight=False,
        )


def _print_places(result: PlacingBenchmark) -> None:
    console = Console(width=150)
    table = Table(
        title=f"Loss against the exact hot spot of {result.area_mm2:g} mm² "
        f"({result.placements} random areas a slide)"
    )
    heads = ("slides", "exact", "random", "grid", "grid at most", "grid misses")
    changes = ("random changes category", "on most random areas", "grid changes it")
    for column in ("tumour", *heads, *changes):
        table.add_column(column, justify="left" if column == "tumour" else "right")
    for total in result.totals:
        shares = (total.random_changed, total.random_median_changed, total.grid_changed)
        table.add_row(
            total.group,
            f"{total.slides}" + (f" (+{total.empty} empty)" if total.empty else ""),
            f"{total.exact_mean:.1f}",
            f"{total.random_lost:.1%}",
            f"{total.grid_lost:.2%}",
            f"{total.grid_lost_most:.1%}",
            f"{total.grid_missed}",
            *("" if share is None else f"{share:.1%}" for share in shares),
        )
    console.print(table)
    if result.rules:
        console.print(f"Categories: {'; '.join(result.rules)}.", highlight=False)

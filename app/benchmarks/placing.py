"""What a count loses by where its area lies: at random, on a grid's hot spot, on the exact one.

Only labels are needed, no pixels. The exact hot spot is the reference: no allowed placement holds
more. Where a count area may lie is the same for all three.

- A frame that was cut from a slide (MIDOG++): anywhere within it.
- A whole slide without its image (CCMCT): tissue is what lies within `NEAR_UM` of a labelled cell,
  mitosis or imposter, and the program's own coverage rule holds on it. This favours the random
  area: on the slide it could also lie where there are no such cells.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.counting.allowed import AllowedCentres, allowed_centres
from core.counting.hotspot import find_hot_spots
from core.counting.protocols import Protocol
from core.counting.shapes import CountShape
from core.counting.statistics import categorise
from core.errors import InputError
from core.geometry import UM2_PER_MM2

Points = NDArray[np.float64]
#: Finds the centre that a grid search proposes: mitoses in µm, shape, allowed centres.
GridSearch = Callable[[Points, CountShape, AllowedCentres], tuple[float, float]]

# Regions of MIDOG++ were cut to 2 mm² (Aubreville et al. 2023, Sci Data 10:484); the labels' file
# holds no pixel size, and this gives it.
MIDOG_MM2 = 2.0
MITOSIS, IMPOSTER = 1, 2
CELL_UM = 100.0
NEAR_UM = 500.0
# Placements tried at once, so that a dense slide does not fill the memory.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Ground:
    """Mitoses and where a count area may lie.

    Attributes:
        name: of the slide or frame.
        group: tumour type.
        mitoses_um: (N, 2) float64.
        allowed: centres.
    """

    name: str
    group: str
    mitoses_um: Points
    allowed: AllowedCentres


@dataclass(frozen=True, slots=True)
class PlacingRow:
    """One slide.

    Attributes:
        name, group: as in `Ground`.
        mitoses: on the slide.
        exact: in the exact hot spot.
        grid: in the shape where the grid search puts it.
        random_mean, random_median: over random placements.
        random_changed: share of random placements with another category than the exact hot spot;
            None without categories.
        grid_changed: whether the grid's count has another category; likewise.
    """

    name: str
    group: str
    mitoses: int
    exact: int
    grid: int
    random_mean: float
    random_median: float
    random_changed: float | None
    grid_changed: bool | None


@dataclass(frozen=True, slots=True)
class PlacingTotal:
    """Some slides together; losses as shares of the exact count, on slides that have mitoses.

    Attributes:
        group: tumour type, or `all`.
        slides: with at least one mitosis in the exact hot spot.
        empty: without any that an allowed area holds; they are in nothing else.
        exact_mean: mitoses in the exact hot spot.
        random_lost: mean over slides of the mean loss of a random area.
        random_lost_median: median over slides of the loss of the median random area.
        grid_missed: slides where the grid's place holds fewer than the exact one.
        grid_lost: mean over slides.
        grid_lost_most: on the worst.
        random_changed: chance that a random area changes the category, mean over slides.
        random_median_changed: share of slides where most random areas do.
        grid_changed: share of slides where the grid's place does.
    """

    group: str
    slides: int
    empty: int
    exact_mean: float
    random_lost: float
    random_lost_median: float
    grid_missed: int
    grid_lost: float
    grid_lost_most: float
    random_changed: float | None
    random_median_changed: float | None
    grid_changed: float | None


def read_midog(path: Path, shape: CountShape) -> list[Ground]:
    """The annotated frames of MIDOG++; those without labels are not known to be free of mitoses.

    Args:
        path: `midogpp.json`.
        shape: the count area, which must fit into a frame.

    Raises:
        InputError: not such a file, or the area is larger than its frames.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in data["images"]}
        places: dict[int, list[tuple[float, float]]] = defaultdict(list)
        seen = set()
        for label in data["annotations"]:
            x1, y1, x2, y2 = label["bbox"]
            seen.add(label["image_id"])
            if label["category_id"] == MITOSIS:
                places[label["image_id"]].append(((x1 + x2) / 2, (y1 + y2) / 2))
        grounds = [_frame(images[number], places[number], shape) for number in sorted(seen)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is no label file of MIDOG++: {error!r}.") from error
    return grounds


def _frame(image: dict[str, Any], places: list[tuple[float, float]], shape: CountShape) -> Ground:
    width, height = float(image["width"]), float(image["height"])
    mpp = sqrt(MIDOG_MM2 * UM2_PER_MM2 / (width * height))
    room_x, room_y = width * mpp - shape.width_um, height * mpp - shape.height_um
    if min(room_x, room_y) <= 0:
        raise InputError(
            f"A count area of {shape.area_mm2:g} mm² does not fit into {image['file_name']}.",
            "Take a smaller one with --area-mm2.",
        )
    origin = (shape.width_um / 2, shape.height_um / 2)
    allowed = AllowedCentres(np.ones((1, 1), dtype=bool), room_x, room_y, origin)
    points = np.array(places, dtype=np.float64).reshape(-1, 2) * mpp
    return Ground(image["file_name"], image["tumor_type"], points, allowed)


def slide_ground(
    name: str, group: str, mitoses_um: Points, labelled_um: Points, shape: CountShape
) -> Ground | None:
    """A whole slide of which only labels are known; the rule is at the module's head.

    Args:
        name: of the slide.
        group: its tumour type.
        mitoses_um: (N, 2).
        labelled_um: (M, 2), mitoses and imposters.
        shape: the count area.

    Returns:
        None where less than the count area lies near labelled cells.
    """
    margin = NEAR_UM + 2 * CELL_UM
    low = np.floor((labelled_um.min(axis=0) - margin) / CELL_UM) * CELL_UM
    columns, rows = np.ceil((labelled_um.max(axis=0) + margin - low) / CELL_UM).astype(int)
    free = np.ones((rows, columns), dtype=bool)
    at = np.floor((labelled_um - low) / CELL_UM).astype(int)
    free[at[:, 1], at[:, 0]] = False
    tissue = ndimage.distance_transform_edt(free) * CELL_UM <= NEAR_UM
    origin = (float(low[0]), float(low[1]))
    allowed = allowed_centres(tissue, CELL_UM, CELL_UM, origin, shape)
    return None if allowed is None else Ground(name, group, mitoses_um, allowed)


def random_centres(
    allowed: AllowedCentres, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Centres uniform over the allowed cells: (count, 2) float64, µm."""
    rows, columns = np.nonzero(allowed.mask)
    picked = rng.integers(len(rows), size=count)
    at = np.stack([columns[picked], rows[picked]], axis=1) + rng.random((count, 2))
    return np.asarray(at * (allowed.cell_um_x, allowed.cell_um_y) + allowed.origin_um)


def counts_at(points_um: Points, shape: CountShape, centres_um: Points) -> NDArray[np.int64]:
    """Mitoses that the shape holds at each centre: (R,) int64."""
    found = [np.zeros(0, dtype=np.int64)]
    half = np.array([shape.width_um, shape.height_um]) / 2
    for start in range(0, len(centres_um), _BATCH):
        away = np.abs(points_um[None] - centres_um[start : start + _BATCH, None]) / half
        reach = np.hypot(away[..., 0], away[..., 1]) if shape.kind == "circle" else away.max(axis=2)
        found.append(np.count_nonzero(reach <= 1, axis=1))
    return np.concatenate(found)


def measure(
    ground: Ground,
    shape: CountShape,
    grid_search: GridSearch,
    protocol: Protocol | None,
    *,
    placements: int,
    seed: int = 0,
) -> PlacingRow:
    """Place the count area on one slide in the three ways.

    Args:
        ground: mitoses and allowed centres.
        shape: the count area.
        grid_search: of the grid.
        protocol: whose categories are compared; None: none.
        placements: random ones.
        seed: of their places.
    """
    points = ground.mitoses_um
    spots = find_hot_spots(points, shape, ground.allowed) if len(points) else []
    if not spots:  # no mitosis, or none that an allowed placement holds
        return PlacingRow(ground.name, ground.group, len(points), 0, 0, 0.0, 0.0, None, None)
    exact = spots[0].count
    at_grid = grid_search(points, shape, ground.allowed)
    grid = int(np.count_nonzero(shape.contains(points, at_grid)))
    centres = random_centres(ground.allowed, placements, np.random.default_rng(seed))
    counts = counts_at(points, shape, centres)
    changed: float | None = None
    grid_changed: bool | None = None
    if protocol is not None:
        names = {
            int(count): categorise(int(count), shape.area_mm2, protocol).category
            for count in {exact, grid, *counts.tolist()}
        }
        changed = float(np.mean([names[count] != names[exact] for count in counts.tolist()]))
        grid_changed = names[grid] != names[exact]
    return PlacingRow(
        name=ground.name,
        group=ground.group,
        mitoses=len(points),
        exact=exact,
        grid=grid,
        random_mean=float(counts.mean()),
        random_median=float(np.median(counts)),
        random_changed=changed,
        grid_changed=grid_changed,
    )


def totals(rows: Iterable[PlacingRow]) -> tuple[PlacingTotal, ...]:
    """Each group with its slides, and all of them where there are several groups."""
    groups: dict[str, list[PlacingRow]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    found = [_total(name, members) for name, members in groups.items()]
    if len(groups) > 1:
        found.append(_total("all", [row for members in groups.values() for row in members]))
    return tuple(found)


def _total(group: str, rows: list[PlacingRow]) -> PlacingTotal:
    some = [row for row in rows if row.exact]
    judged = [row for row in some if row.random_changed is not None]
    if len(judged) < len(some):  # not all of them have categories: nothing can be said of all
        judged = []
    if not some:
        return PlacingTotal(group, 0, len(rows), 0, 0, 0, 0, 0, 0, None, None, None)
    lost = [1 - row.grid / row.exact for row in some]
    return PlacingTotal(
        group=group,
        slides=len(some),
        empty=len(rows) - len(some),
        exact_mean=mean(row.exact for row in some),
        random_lost=mean(1 - row.random_mean / row.exact for row in some),
        random_lost_median=median(1 - row.random_median / row.exact for row in some),
        grid_missed=sum(loss > 0 for loss in lost),
        grid_lost=mean(lost),
        grid_lost_most=max(lost),
        random_changed=mean(row.random_changed or 0.0 for row in judged) if judged else None,
        random_median_changed=(
            mean((row.random_changed or 0.0) > 0.5 for row in judged) if judged else None
        ),
        grid_changed=mean(bool(row.grid_changed) for row in judged) if judged else None,
    )

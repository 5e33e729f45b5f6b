"""Where everything of the demo slide lies: nests, stroma, gaps, cells, mitoses and imposters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from core.slides.synthetic.figures import PHASES
from core.slides.synthetic.imposters import IMPOSTERS
from core.slides.synthetic.noise import Float, smooth_field

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TissuePlan:
    """What the slide is to hold.

    Attributes:
        side_mm: side of the square slide.
        mitoses_per_mm2: scattered mitoses, on the whole slide's area.
        hot_spot_share: further mitoses in the hot spot, as a share of the scattered ones.
        hot_spot_radius_mm: radius of the hot spot (at most a fifth of the side).
        imposters_per_mm2: planted look-alikes, on the whole slide's area.
        figure_spacing_um: least distance between planted figures.
        nucleus_spacing_um: least distance between ordinary nuclei; 11 µm gives about 4,500 per
            mm² of nest, as counted on H04_01Dd.
        stroma_share: share of the sites tried in the stroma that may hold a nucleus (there are
            six times as many sites as places, so it thins the stroma by less than it says).
        holes_per_mm2: vacuoles and small lumina.
        margin_share: glass around the tissue, as a share of the side.
    """

    side_mm: float = 2.0
    mitoses_per_mm2: float = 8.0
    hot_spot_share: float = 0.6
    hot_spot_radius_mm: float = 0.28
    imposters_per_mm2: float = 12.5
    figure_spacing_um: float = 26.0
    nucleus_spacing_um: float = 11.0
    stroma_share: float = 0.18
    holes_per_mm2: float = 70.0
    margin_share: float = 0.035


@dataclass(frozen=True, slots=True)
class Fields:
    """Slow quantities on a grid of `step_um`; sample (i, j) lies at (j, i) × step.

    Attributes:
        stroma_depth: µm into the stroma (negative in the nests).
        across: µm across the band of stroma, the coordinate of its fibres.
        tissue_depth: µm into the tissue (negative on the glass).
        size: relative size of the nuclei.
        mood: unit noise that decides between kinds of nuclei.
    """

    step_um: float
    stroma_depth: Float
    across: Float
    tissue_depth: Float
    size: Float
    mood: Float

    def at(self, field: Float, points_um: Points) -> Points:
        """The field at points (N, 2)."""
        where = points_um[:, ::-1].T / self.step_um
        found: Points = map_coordinates(field, where, order=1, mode="nearest").astype(np.float64)
        return found


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that the renderer draws; positions (·, 2) are µm from the slide's top left."""

    fields: Fields
    nuclei_um: Points
    nucleus_kind: list[str]
    nucleus_angle: Points
    holes_um: Points
    hole_radius_um: Points
    mitoses_um: Points
    phases: list[str]
    imposters_um: Points
    imposter_kinds: list[str]


def lay_out(plan: TissuePlan, seed: int) -> Layout:
    """Draw a layout; the same plan and seed give the same one."""
    rng = np.random.default_rng([seed, 1])
    side_um = plan.side_mm * 1000
    fields = _fields(rng, plan, side_um)
    holes, radii = _holes(rng, plan, fields, side_um)
    room = _Room(fields, holes, radii, plan.figure_spacing_um)
    mitoses = _place_mitoses(rng, plan, room, side_um)
    kinds = _draw_kinds(rng, IMPOSTERS, max(4, round(plan.imposters_per_mm2 * plan.side_mm**2)))
    imposters = np.concatenate(
        [_place(rng, room, side_um, 1, kind in _STROMAL)[:1] for kind in kinds]
    )
    nuclei = _nuclei(rng, plan, fields, side_um)
    nuclei = nuclei[_far(nuclei, mitoses, 12.5) & _far(nuclei, imposters, 8.5)]
    for reach in np.unique(np.ceil(radii)):
        nuclei = nuclei[_far(nuclei, holes[np.ceil(radii) == reach], reach + 2.5)]
    names, angles = _nucleus_kinds(rng, fields, nuclei)
    return Layout(
        fields,
        nuclei,
        names,
        angles,
        holes,
        radii,
        mitoses,
        _draw_kinds(rng, PHASES, len(mitoses)),
        imposters,
        kinds,
    )


_STROMAL = ("elongated", "lymphocyte", "pigment")


def _fields(rng: np.random.Generator, plan: TissuePlan, side_um: float) -> Fields:
    step = 4.0
    count = int(np.ceil(side_um / step)) + 2
    shape = (count, count)
    depth, across = np.full(shape, -1e3, np.float32), np.zeros(shape, np.float32)
    # Septa are the zero lines of smooth noises: (noise scale, half width), all µm.
    for scale, half_width in ((150.0, 26.0), (75.0, 7.0)):
        noise = smooth_field(rng, shape, scale / step)
        slope = np.hypot(*np.gradient(noise, step))
        distance = noise / np.maximum(slope, 0.35 / scale)
        wide = half_width * (1 + 0.45 * smooth_field(rng, shape, 60 / step))
        inside = wide - np.abs(distance)
        across = np.where(inside > depth, distance, across)
        depth = np.maximum(depth, inside)
    axis = np.arange(count) * step
    to_edge = np.minimum(axis, side_um - axis)
    margin = plan.margin_share * side_um
    ragged = 0.5 * smooth_field(rng, shape, 70 / step) + 0.2 * smooth_field(rng, shape, 16 / step)
    tissue = np.minimum(to_edge[:, None], to_edge[None, :]) - margin * (1 + ragged)
    return Fields(
        step,
        depth.astype(np.float32),
        across.astype(np.float32),
        tissue.astype(np.float32),
        np.clip(1 + 0.09 * smooth_field(rng, shape, 90 / step), 0.8, 1.25).astype(np.float32),
        smooth_field(rng, shape, 50 / step),
    )


def _holes(
    rng: np.random.Generator, plan: TissuePlan, fields: Fields, side_um: float
) -> tuple[Points, Points]:
    count = rng.poisson(plan.holes_per_mm2 * plan.side_mm**2)
    points = rng.uniform(0, side_um, (count, 2))
    radii = np.exp(rng.normal(np.log(5.0), 0.75, count)).clip(1.8, 45)
    # More of them in and beside the stroma, as vessels and fat.
    near = fields.at(fields.stroma_depth, points) > -15
    keep = (rng.uniform(size=count) < np.where(near, 1.0, 0.5)) & (
        fields.at(fields.tissue_depth, points) > radii + 10
    )
    return points[keep], radii[keep]


class _Room:
    """Which places are still free for planted figures."""

    def __init__(self, fields: Fields, holes: Points, radii: Points, spacing_um: float) -> None:
        self.fields, self.holes, self.radii = fields, holes, radii
        self.spacing_um = spacing_um
        self.taken = np.empty((0, 2))

    def fits(self, point: Points, stromal: bool) -> bool:
        depth = float(self.fields.at(self.fields.stroma_depth, point[None])[0])
        if float(self.fields.at(self.fields.tissue_depth, point[None])[0]) < 25:
            return False
        if depth < 3 if stromal else depth > -9:
            return False
        if (np.hypot(*(self.holes - point).T) < self.radii + 10).any():
            return False
        return not (np.hypot(*(self.taken - point).T) < self.spacing_um).any()


def _place(
    rng: np.random.Generator,
    room: _Room,
    side_um: float,
    count: int,
    stromal: bool,
    disc_um: tuple[float, float, float] | None = None,
) -> Points:
    """Up to `count` free places, anywhere or in a disc (x, y, radius)."""
    found: list[Points] = []
    for attempt in range(400 * count):
        if disc_um is None:
            point = rng.uniform(0, side_um, 2)
        else:
            turn, far = rng.uniform(0, 2 * np.pi), disc_um[2] * np.sqrt(rng.uniform())
            point = np.array([disc_um[0] + far * np.cos(turn), disc_um[1] + far * np.sin(turn)])
        # Slides with hardly any stroma take the rest of their stromal imposters in the nests.
        if room.fits(point, stromal and attempt < 300 * count):
            room.taken = np.concatenate([room.taken, point[None]])
            found.append(point)
            if len(found) == count:
                break
    return np.array(found).reshape(-1, 2)


def _place_mitoses(
    rng: np.random.Generator, plan: TissuePlan, room: _Room, side_um: float
) -> Points:
    scattered = max(4, round(plan.mitoses_per_mm2 * plan.side_mm**2))
    radius = min(plan.hot_spot_radius_mm * 1000, side_um / 5)
    centres = rng.uniform(side_um * 0.25, side_um * 0.75, (60, 2))
    around = rng.normal(0, radius / 2, (80, 1, 2)) + centres
    nests = room.fields.at(room.fields.stroma_depth, around.reshape(-1, 2)) < -9
    x, y = centres[nests.reshape(80, 60).mean(0).argmax()]
    hot = _place(rng, room, side_um, round(plan.hot_spot_share * scattered), False, (x, y, radius))
    return np.concatenate([hot, _place(rng, room, side_um, scattered, False)])


def _nuclei(rng: np.random.Generator, plan: TissuePlan, fields: Fields, side_um: float) -> Points:
    """Random sequential adsorption: points in random order, each kept if no kept one is near."""
    spacing = plan.nucleus_spacing_um
    points = rng.uniform(0, side_um, (int(6 * (side_um / spacing) ** 2), 2))
    depth = fields.at(fields.stroma_depth, points)
    keep = (depth < 0) | (rng.uniform(size=len(points)) < plan.stroma_share)
    points = points[keep & (fields.at(fields.tissue_depth, points) > 6)]
    pairs = cKDTree(points).query_pairs(spacing, output_type="ndarray")
    first, second = pairs.min(1), pairs.max(1)
    kept, open_ = np.zeros(len(points), bool), np.ones(len(points), bool)
    while open_.any():
        blocked = np.zeros(len(points), bool)
        blocked[second[open_[first] & open_[second]]] = True
        winners = open_ & ~blocked
        kept |= winners
        open_ &= ~winners
        open_[second[winners[first]]] = False
        open_[first[winners[second]]] = False
    return points[kept]


def _nucleus_kinds(
    rng: np.random.Generator, fields: Fields, points: Points
) -> tuple[list[str], Points]:
    depth, mood = fields.at(fields.stroma_depth, points), fields.at(fields.mood, points)
    draw, angle = rng.uniform(size=len(points)), rng.uniform(0, np.pi, len(points))
    # Fibres and their nuclei run along the band, that is across the gradient of its coordinate.
    rise = np.gradient(fields.across, fields.step_um)
    along = np.arctan2(fields.at(rise[0], points), fields.at(rise[1], points)) + np.pi / 2
    granular = np.clip(0.3 + 0.25 * mood, 0.05, 0.75)
    immune = np.clip(0.14 + 0.2 * mood, 0.02, 0.7)
    names: list[str] = []
    for i in range(len(points)):
        if depth[i] > 0:
            angle[i] = along[i] + rng.normal(0, 0.2)
            lymphocyte = draw[i] < immune[i]
            names.append("lymphocyte" if lymphocyte else "spindle" if draw[i] < 0.85 else "plump")
        elif draw[i] < 0.16:
            names.append("ghost")
        elif draw[i] < 0.18:
            names.append("lymphocyte")
        else:
            names.append("granular" if draw[i] - 0.18 < 0.82 * granular[i] else "vesicular")
    return names, angle


def _far(points: Points, others: Points, distance_um: float) -> NDArray[np.bool_]:
    """Which points have none of the others within the distance."""
    if not len(others) or not len(points):
        return np.ones(len(points), bool)
    return np.asarray(cKDTree(others).query(points)[0] > distance_um)


def _draw_kinds(rng: np.random.Generator, shares: dict[str, float], count: int) -> list[str]:
    """Kinds in the proportions of `shares`, without the luck of independent draws."""
    weights = np.array(list(shares.values())) / sum(shares.values())
    edges = np.cumsum(weights)
    order = np.searchsorted(edges, (np.arange(count) + 0.5) / count, side="left")
    names = list(shares)
    return [names[min(i, len(names) - 1)] for i in rng.permutation(order)]

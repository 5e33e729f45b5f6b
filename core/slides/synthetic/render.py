"""Paint the layout tile by tile: ground, gaps, nuclei, figures; then the scanner."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.slides.synthetic import figures, imposters, nuclei
from core.slides.synthetic.layout import Layout, Points
from core.slides.synthetic.noise import Float, NoiseBank, upsample
from core.slides.synthetic.patch import Canvas, Patch, canvas, edge, wobbly_depth
from core.slides.synthetic.stain import Optics, Stain, develop

# Green densities of the ground, medians of hand-picked areas of H03, H04 and H07.
CYTOPLASM = (0.11, 0.25)
STROMA = (0.055, 0.36)
HALO_PX = 12
VORONOI_STEP_PX = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """A layout with everything needed to paint any tile of it.

    Attributes:
        cells: tree of all cell centres (nuclei, mitoses, imposters), µm.
        tones: (cells, 2) relative haematoxylin and eosin of each cell's cytoplasm.
    """

    layout: Layout
    noise: NoiseBank
    stain: Stain
    optics: Optics
    mpp: float
    seed: int
    cells: cKDTree
    tones: Float


def make_scene(layout: Layout, stain: Stain, optics: Optics, mpp: float, seed: int) -> Scene:
    """Index the layout."""
    rng = np.random.default_rng([seed, 2])
    cells = np.concatenate([layout.nuclei_um, layout.mitoses_um, layout.imposters_um])
    tones = np.exp(rng.normal(0, (0.3, 0.17), (len(cells), 2))).astype(np.float32)
    # One cell in twenty is clear.
    tones[rng.uniform(size=len(cells)) < 0.05] *= 0.5
    return Scene(layout, NoiseBank(seed, mpp), stain, optics, mpp, seed, cKDTree(cells), tones)


def paint_tile(scene: Scene, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 sRGB of the slide from pixel (left, top); tiles have no seams."""
    box = (left - HALO_PX, top - HALO_PX, width + 2 * HALO_PX, height + 2 * HALO_PX)
    dyes = _ground(scene, *box)
    _paint_cells(scene, dyes, *box)
    rgb = develop(dyes, scene.stain, scene.optics, scene.noise, box[:2], scene.mpp)
    return rgb[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]


def _ground(scene: Scene, left: int, top: int, width: int, height: int) -> Float:
    """Cytoplasm, stroma and gaps: (3, height, width) dyes."""
    box = (left, top, width, height)
    fields, step = scene.layout.fields, scene.layout.fields.step_um / scene.mpp
    stroma_depth = upsample(fields.stroma_depth, step, *box)
    grain, foam = scene.noise.cut("grain", *box), scene.noise.cut("foam", *box)
    blotch = scene.noise.cut("blotch", left + 400, top + 90, width, height)
    drift = scene.noise.cut("drift", *box)
    stroma = edge(stroma_depth + 2.0 * blotch + 0.5 * foam, 1.5)
    tumour, cleft = _cytoplasm(scene, box, grain, foam, blotch)
    across = upsample(fields.across, step, *box)
    fibres, slits = _stroma(scene, box, across, blotch, grain)
    dyes = np.zeros((3, height, width), np.float32)
    dyes[:2] = tumour * (1 - stroma) + fibres * stroma
    dyes[:2] *= np.clip(1 + 0.1 * drift, 0.6, 1.5)
    # Nests shrink away from their stroma here and there.
    ragged = np.clip(scene.noise.cut("blotch", left, top + 700, width, height) + 0.9 * drift, 0, 1)
    rim = np.exp(-(((stroma_depth + 3 + 1.5 * blotch) / 1.3) ** 2)) * np.clip(ragged * 1.6, 0, 1)
    gap = np.maximum(np.maximum(cleft * (1 - stroma), slits * stroma), rim)
    gap = np.maximum(gap, 1 - edge(_rough_tissue(scene, box, foam, blotch), 1.0))
    dyes *= 1 - np.float32(0.97) * gap
    _punch_holes(scene, dyes, *box)
    return dyes


def _rough_tissue(
    scene: Scene, box: tuple[int, int, int, int], foam: Float, blotch: Float
) -> Float:
    fields = scene.layout.fields
    depth = upsample(fields.tissue_depth, fields.step_um / scene.mpp, *box)
    return depth + 4 * blotch + 0.8 * foam


def _cytoplasm(
    scene: Scene, box: tuple[int, int, int, int], grain: Float, foam: Float, blotch: Float
) -> tuple[Float, Float]:
    """Cytoplasm of the nests with cell borders; (2, h, w) dyes and the (h, w) share of clefts."""
    left, top, width, height = box
    coarse_left, coarse_top = left // VORONOI_STEP_PX, top // VORONOI_STEP_PX
    columns = coarse_left + np.arange(width // VORONOI_STEP_PX + 3)
    rows = coarse_top + np.arange(height // VORONOI_STEP_PX + 3)
    grid = np.stack(np.meshgrid(columns, rows), -1) * (VORONOI_STEP_PX * scene.mpp)
    # Wavy instead of straight cell borders.
    bend = scene.noise.cut("blotch", int(columns[0]), int(rows[0]), *grid.shape[1::-1])
    distance, index = scene.cells.query(grid + 0.8 * bend[..., None], k=2)
    offset = (left - coarse_left * VORONOI_STEP_PX, top - coarse_top * VORONOI_STEP_PX)
    half_gap = ((distance[..., 1] - distance[..., 0]) / 2).astype(np.float32)
    border = upsample(half_gap, VORONOI_STEP_PX, *offset, width, height) + 0.25 * foam
    tone = scene.tones[index[..., 0]]
    # Neighbouring cells blend over a µm or two, as sections are thicker than their borders.
    tone_h = upsample(tone[..., 0], VORONOI_STEP_PX, *offset, width, height)
    tone_e = upsample(tone[..., 1], VORONOI_STEP_PX, *offset, width, height)
    rough = 0.15 * grain + 0.23 * foam + 0.2 * blotch
    # Vacuoles are shallower than granules are dense.
    rough = np.where(rough < 0, 0.75 * rough, rough)
    # Strings between the vacuoles of the cytoplasm: the zero lines of a noise.
    net = np.exp(-((scene.noise.cut("net", *box) / 0.33) ** 2))
    line = np.exp(-((border / 0.5) ** 2))
    gate = scene.noise.cut("blotch", left + 50, top + 350, width, height)
    wall = line * np.clip(0.55 + 0.5 * gate, 0, 1.2)
    dyes = np.empty((2, height, width), np.float32)
    dyes[0] = (
        CYTOPLASM[0] * tone_h * np.clip(0.7 + 1.6 * rough + 0.95 * net, 0.05, 3.5) + 0.1 * wall
    )
    dyes[1] = (
        CYTOPLASM[1] * tone_e * np.clip(0.82 + 0.85 * rough + 0.5 * net, 0.12, 2.5) + 0.14 * wall
    )
    opening = np.clip((-gate - 0.4) * 1.4, 0, 1)
    cleft = np.exp(-((border / (0.35 + 0.9 * opening)) ** 2)) * opening
    return dyes, cleft


def _stroma(
    scene: Scene, box: tuple[int, int, int, int], across: Float, blotch: Float, grain: Float
) -> tuple[Float, Float]:
    """Bundles of collagen along the band; (2, h, w) dyes and the (h, w) share of slits."""
    left, top, width, height = box
    x = (left + np.arange(width, dtype=np.float32))[None, :]
    y = (top + np.arange(height, dtype=np.float32))[:, None]
    drift = scene.noise.cut("drift", left + 77, top + 13, width, height)
    u = across / np.float32(scene.mpp) + 1.6 * blotch + 9 * drift
    v = x / 7 + y / 9
    # Loose and dense stroma take turns.
    loose = scene.noise.cut("drift", left + 901, top + 377, width, height)
    fine = scene.noise.sample("fibre", u, v)
    coarse = scene.noise.sample("blotch", u * np.float32(1.3), v * np.float32(1.4) + 500)
    dyes = np.empty((2, height, width), np.float32)
    dyes[0] = STROMA[0] * np.clip(1 + 0.6 * blotch + 0.5 * loose + 0.3 * grain, 0.2, 3)
    dyes[1] = STROMA[1] * np.clip(
        0.95 + 0.26 * fine + 0.2 * coarse + 0.18 * blotch + 0.14 * grain - 0.18 * loose, 0.12, 2.2
    )
    slits = np.clip((-coarse - 1.1 - 0.35 * fine + 0.4 * blotch + 0.5 * loose) * 1.6, 0, 1)
    return dyes, slits


def _punch_holes(scene: Scene, dyes: Float, left: int, top: int, width: int, height: int) -> None:
    """Vacuoles and small lumina: white, with a thin rim."""
    centres = scene.layout.holes_um / scene.mpp
    reach = scene.layout.hole_radius_um * 1.4 / scene.mpp + 8
    for i in _within(centres, reach, left, top, width, height):
        radius = float(scene.layout.hole_radius_um[i])
        grid = _canvas_at(scene, centres[i], radius * 1.4 + 2, [scene.seed, 5, int(i)])
        squeeze = grid.rng.uniform(0.55, 1.0)
        depth = wobbly_depth(grid, (radius, radius * squeeze), grid.rng.uniform(0, 3.1), 0.15)
        cover = edge(depth, 0.5)
        rim = np.exp(-(((depth + 0.6) / 0.5) ** 2)) * np.float32(0.15)
        hole = Patch(np.zeros((3, *cover.shape), np.float32), cover * np.float32(0.97))
        _stamp(dyes, hole, centres[i], left, top)
        edge_dyes = np.zeros((3, *cover.shape), np.float32)
        edge_dyes[0], edge_dyes[1] = 0.1, 0.4
        _stamp(dyes, Patch(edge_dyes, rim * 2), centres[i], left, top)


def _paint_cells(scene: Scene, dyes: Float, left: int, top: int, width: int, height: int) -> None:
    box = (left, top, width, height)
    layout, mpp = scene.layout, scene.mpp
    centres = layout.nuclei_um / mpp
    sizes = layout.fields.at(layout.fields.size, layout.nuclei_um)
    for i in _within(centres, nuclei.HALF_UM * 1.3 / mpp + 3, *box):
        kind, size = layout.nucleus_kind[i], float(sizes[i])
        half = nuclei.HALF_UM * (1.0 if kind != "lymphocyte" else 0.6)
        grid = _canvas_at(scene, centres[i], half, [scene.seed, 3, int(i)])
        patch = nuclei.draw_nucleus(grid, kind, float(layout.nucleus_angle[i]), size)
        _stamp(dyes, patch, centres[i], left, top)
    centres = layout.imposters_um / mpp
    for i in _within(centres, imposters.HALF_UM / mpp + 3, *box):
        grid = _canvas_at(scene, centres[i], imposters.HALF_UM, [scene.seed, 4, int(i)])
        patch = imposters.draw_imposter(grid, layout.imposter_kinds[i])
        _stamp(dyes, patch, centres[i], left, top)
    centres = layout.mitoses_um / mpp
    for i in _within(centres, figures.HALF_UM / mpp + 3, *box):
        grid = _canvas_at(scene, centres[i], figures.HALF_UM, [scene.seed, 6, int(i)])
        patch = figures.draw_mitosis(grid, layout.phases[i], CYTOPLASM)
        _stamp(dyes, patch, centres[i], left, top)


def _canvas_at(scene: Scene, centre_px: Points, half_um: float, seed: list[int]) -> Canvas:
    offset = centre_px - np.rint(centre_px)
    return canvas(half_um, scene.mpp, (float(offset[0]), float(offset[1])), seed, scene.noise)


def _within(
    centres_px: Points, reach_px: float | Points, left: int, top: int, width: int, height: int
) -> NDArray[np.intp]:
    """Which centres reach into the box."""
    x, y = centres_px[:, 0], centres_px[:, 1]
    near = (x > left - reach_px) & (x < left + width + reach_px)
    return np.flatnonzero(near & (y > top - reach_px) & (y < top + height + reach_px))


def _stamp(dyes: Float, patch: Patch, centre_px: Points, left: int, top: int) -> None:
    """Blend a patch into the dyes, in place; whatever lies outside is cut off."""
    half = patch.cover.shape[0] // 2
    x, y = int(np.rint(centre_px[0])) - left - half, int(np.rint(centre_px[1])) - top - half
    height, width = dyes.shape[1:]
    x_from, x_to = max(x, 0), min(x + 2 * half + 1, width)
    y_from, y_to = max(y, 0), min(y + 2 * half + 1, height)
    if x_from >= x_to or y_from >= y_to:
        return
    rows, columns = slice(y_from - y, y_to - y), slice(x_from - x, x_to - x)
    below = dyes[:, y_from:y_to, x_from:x_to]
    cover = np.clip(patch.cover[rows, columns], 0, 1)
    below += (patch.dyes[:, rows, columns] - below) * cover

"""Mitoses: chromatin without a membrane, with a rough outline, in a rounded, cleared cell."""

from collections.abc import Callable

import numpy as np

from core.slides.synthetic.noise import Float
from core.slides.synthetic.patch import Canvas, Patch, blobs, edge, over, wobbly_depth

HALF_UM = 13.0

# Share of each phase. Plates and clumps are most of MITOS-ATYPIA-14's and MIDOG's mitoses.
PHASES = {"plate": 0.42, "clump": 0.2, "ring": 0.16, "anaphase": 0.14, "telophase": 0.08}


def draw_mitosis(grid: Canvas, phase: str, cytoplasm: tuple[float, float]) -> Patch:
    """One mitosis with its cell, centred on the canvas.

    Args:
        grid: canvas of at least `HALF_UM`.
        phase: a key of `PHASES`.
        cytoplasm: haematoxylin and eosin of the cells around, in units of green density.
    """
    angle = grid.rng.uniform(0, np.pi)
    cell = _cell(grid, phase, angle, cytoplasm)
    field, level = _CHROMATIN[phase](grid, angle)
    return over(cell, _stained(grid, field, level))


def _stained(grid: Canvas, field: Float, level: float) -> Patch:
    """Chromatin where `field` exceeds `level`."""
    rng = grid.rng
    # Darkest 5 % of the frames' mitoses: RGB (55, 9, 62), that is 1.43 of green density; the
    # palest that readers called are about 0.9.
    amount = rng.uniform(0.88, 1.4)
    cover = edge((field - np.float32(level)) * 1.6, rng.uniform(0.4, 0.75))
    dyes = np.zeros((3, *field.shape), np.float32)
    depth = np.clip((field - level) / 0.8, 0, 1)
    uneven = 1 + 0.13 * grid.texture("grain") + 0.16 * grid.texture("foam")
    dyes[0] = amount * (0.6 + 0.4 * depth) * np.clip(uneven, 0.5, 1.5)
    dyes[1] = rng.uniform(0.02, 0.1)
    return Patch(dyes, cover)


def _cell(grid: Canvas, phase: str, angle: float, cytoplasm: tuple[float, float]) -> Patch:
    """The rounded cell: paler than its neighbours, granular, sometimes with a bright cleft."""
    rng = grid.rng
    size = rng.uniform(6.8, 8.8)
    if phase in ("anaphase", "telophase"):
        # The spindle's axis lies across the plates; a telophase is waisted.
        stretch = 1.12 if phase == "anaphase" else 1.3
        depth = wobbly_depth(grid, (size / stretch, size * stretch), angle, 0.05)
        if phase == "telophase":
            u, v = grid.turned(angle)
            depth -= np.float32(2.2) * np.exp(-((v / 1.6) ** 2)) * (np.abs(u) > 1.0)
    else:
        depth = wobbly_depth(grid, (size, size * rng.uniform(0.82, 1.0)), angle + 0.6, 0.08)
    clear = rng.uniform(0.45, 1.0)
    dyes = np.zeros((3, *depth.shape), np.float32)
    granules = 0.18 * grid.texture("grain") + 0.3 * grid.texture("foam")
    granules += 0.22 * grid.texture("blotch")
    granules += 0.35 * np.exp(-((grid.texture("net") / 0.33) ** 2))
    # The zone around the chromatin is the clearest.
    granules -= np.float32(rng.uniform(0, 0.35)) * np.exp(-((size - depth - 3.5) ** 2) / 4)
    dyes[0] = cytoplasm[0] * clear * np.clip(0.9 + granules, 0.1, 2.5)
    dyes[1] = cytoplasm[1] * clear * np.clip(1 + 0.8 * granules, 0.15, 2.2)
    uneven = np.clip(0.3 + 0.7 * grid.texture("blotch"), 0, 1.2)
    depth = depth + 0.5 * grid.texture("blotch") + 0.2 * grid.texture("foam")
    membrane = np.exp(-(((depth - 0.3) / 0.4) ** 2)) * np.float32(rng.uniform(0, 0.22)) * uneven
    dyes[0] += 0.4 * membrane
    dyes[1] += membrane
    cover = edge(depth + 0.6, 1.1) * np.float32(rng.uniform(0.65, 0.95))
    if rng.uniform() < 0.3:
        # Shrinkage: a white cleft along part of the outline.
        u, _ = grid.turned(rng.uniform(0, 2 * np.pi))
        side = np.clip(u / size + 0.6 * grid.texture("blotch") - 0.2, 0, 1)
        width = rng.uniform(0.7, 1.8)
        cleft = np.exp(-(((depth + 0.5 * width) / width) ** 2)) * np.clip(2 * side, 0, 0.95)
        dyes *= 1 - cleft
        cover = np.maximum(cover, cleft)
    return Patch(dyes, cover)


def _plate(grid: Canvas, angle: float) -> tuple[Float, float]:
    """Metaphase from the side: a bar with knobs and hairs."""
    rng = grid.rng
    u, v = grid.turned(angle)
    return _bar(grid, u, v, rng.uniform(7.2, 10.5), rng.uniform(0.9, 1.4), rng.normal(0, 0.02))


def _bar(
    grid: Canvas, u: Float, v: Float, length: float, half_width: float, bend: float
) -> tuple[Float, float]:
    rng = grid.rng
    count = int(length * 2.4)
    along = np.linspace(-0.5, 0.5, count) * (length - 2 * half_width)
    across = np.cumsum(rng.normal(0, 0.2, count)) * 0.6 + rng.normal(0, 0.24, count)
    across = across - across.mean() + bend * along**2 - bend * length**2 / 12
    centres = np.stack([along + rng.normal(0, 0.12, count), across], 1)
    radii = half_width * rng.uniform(0.6, 1.2, count)
    hairs = rng.integers(5, 11)
    which = rng.integers(0, count, hairs)
    side = rng.choice([-1.0, 1.0], hairs) * half_width * rng.uniform(0.9, 1.7, hairs)
    tips = centres[which] + np.stack([rng.normal(0, 0.4, hairs), side], 1)
    centres = np.concatenate([centres, tips])
    radii = np.concatenate([radii, rng.uniform(0.3, 0.55, hairs)])
    field = blobs(u, v, centres, radii, grid=grid, rough=0.22)
    # Balls overlap along the bar, so their sum on its outline is well above one ball's half.
    return field, 0.95


def _clump(grid: Canvas, angle: float) -> tuple[Float, float]:
    """Prometaphase, or a plate seen obliquely: an irregular knobby clump."""
    rng = grid.rng
    u, v = grid.turned(angle)
    count = int(rng.integers(20, 32))
    reach = rng.uniform(2.5, 3.7)
    turn, far = rng.uniform(0, 2 * np.pi, count), reach * np.sqrt(rng.uniform(0, 1, count))
    squash = rng.uniform(0.55, 0.9)
    centres = np.stack([far * np.cos(turn), squash * far * np.sin(turn)], 1)
    radii = rng.uniform(0.7, 1.15, count)
    arms = int(rng.integers(4, 9))
    turn = rng.uniform(0, 2 * np.pi, arms)
    far = reach * rng.uniform(1.0, 1.45, arms)
    tips = np.stack([far * np.cos(turn), squash * far * np.sin(turn)], 1)
    return (
        blobs(
            u,
            v,
            np.concatenate([centres, tips]),
            np.concatenate([radii, rng.uniform(0.45, 0.8, arms)]),
            grid=grid,
            rough=0.35,
        ),
        0.85,
    )


def _ring(grid: Canvas, angle: float) -> tuple[Float, float]:
    """Metaphase from the pole: a knobby ring or disc."""
    rng = grid.rng
    u, v = grid.turned(angle)
    count = int(rng.integers(15, 20))
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.1, count)
    reach = rng.uniform(2.3, 3.3)
    far = reach * rng.uniform(0.85, 1.15, count)
    centres = np.stack([far * np.cos(turn), rng.uniform(0.8, 1.0) * far * np.sin(turn)], 1)
    radii = rng.uniform(0.75, 1.1, count)
    inner = int(rng.integers(1, 7))
    middle = rng.normal(0, reach * 0.35, (inner, 2))
    return (
        blobs(
            u,
            v,
            np.concatenate([centres, middle]),
            np.concatenate([radii, rng.uniform(0.6, 1.0, inner)]),
            grid=grid,
            rough=0.3,
        ),
        0.75,
    )


def _anaphase(grid: Canvas, angle: float) -> tuple[Float, float]:
    return _two_plates(grid, angle, grid.rng.uniform(3.8, 5.6), grid.rng.uniform(6.0, 8.2))


def _telophase(grid: Canvas, angle: float) -> tuple[Float, float]:
    return _two_plates(grid, angle, grid.rng.uniform(6.8, 8.4), grid.rng.uniform(5.4, 7.0))


def _two_plates(grid: Canvas, angle: float, apart: float, length: float) -> tuple[Float, float]:
    """Two bars, each bent towards the other at its ends' far side."""
    rng = grid.rng
    bend = rng.uniform(0.0, 0.05)
    total = np.zeros_like(grid.x)
    for side in (-1.0, 1.0):
        u, v = grid.turned(angle)
        tilt = rng.normal(0, 0.08)
        u, v = u + v * np.float32(tilt), v - np.float32(side * apart / 2)
        share, level = _bar(grid, u, v, length, rng.uniform(0.8, 1.1), -side * bend)
        total = np.maximum(total, share)
    return total, level


_CHROMATIN: dict[str, Callable[[Canvas, float], tuple[Float, float]]] = {
    "plate": _plate,
    "clump": _clump,
    "ring": _ring,
    "anaphase": _anaphase,
    "telophase": _telophase,
}

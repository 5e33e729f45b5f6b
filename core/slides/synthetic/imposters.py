"""Look-alikes of mitoses: dark nuclei that a reader rejects, and why each is rejected."""

from collections.abc import Callable

import numpy as np

from core.slides.synthetic.noise import Float
from core.slides.synthetic.nuclei import draw_nucleus
from core.slides.synthetic.patch import Canvas, Patch, defocus, edge, flat, over, wobbly_depth

HALF_UM = 11.0

# Shares by eye on the imposters of MITOS-ATYPIA-14 (not H05).
IMPOSTERS = {
    "pyknotic": 0.26,
    "apoptotic": 0.14,
    "hyperchromatic": 0.2,
    "elongated": 0.16,
    "lymphocyte": 0.12,
    "blurred": 0.08,
    "pigment": 0.04,
}


def draw_imposter(grid: Canvas, kind: str) -> Patch:
    """One imposter, centred on the canvas of at least `HALF_UM`; `kind` of `IMPOSTERS`."""
    return _DRAW[kind](grid)


def _ball(grid: Canvas, depth: Float, amount: float, eosin: float = 0.15) -> Patch:
    """Homogeneous dark chromatin with a smooth, sharp outline."""
    dyes = flat(grid, amount, eosin)
    dyes[0] *= 1 + 0.05 * grid.texture("foam")
    return Patch(dyes, edge(depth, 0.3))


def _shrunken_cell(grid: Canvas, radius: float) -> Patch:
    """Hypereosinophilic, smooth cytoplasm in a white halo."""
    rng = grid.rng
    depth = wobbly_depth(grid, (radius, radius * rng.uniform(0.65, 1.0)), rng.uniform(0, 3), 0.2)
    depth += 0.3 * grid.texture("foam") + 0.5 * grid.texture("blotch")
    u, _ = grid.turned(rng.uniform(0, 2 * np.pi))
    share = np.clip(rng.uniform(0, 1) + u / radius + 0.5 * grid.texture("blotch"), 0, 0.95)
    halo = Patch(flat(grid, 0.0, 0.04), edge(depth + rng.uniform(0.5, 2.0), 0.7) * share)
    dyes = flat(grid, rng.uniform(0.05, 0.2), rng.uniform(0.4, 0.75))
    dyes[1] *= 1 + 0.15 * grid.texture("foam") + 0.15 * grid.texture("blotch")
    return over(halo, Patch(np.maximum(dyes, 0), edge(depth, 0.6)))


def _pyknotic(grid: Canvas) -> Patch:
    rng = grid.rng
    radius = rng.uniform(1.6, 2.7)
    x, y = rng.normal(0, 0.3, 2)
    shifted = Canvas(grid.x - np.float32(x), grid.y - np.float32(y), grid.mpp, rng, grid.noise)
    depth = wobbly_depth(
        shifted, (radius, radius * rng.uniform(0.75, 1.0)), rng.uniform(0, 3), 0.06
    )
    cell = _shrunken_cell(grid, radius + rng.uniform(0.9, 2.4))
    return over(cell, _ball(grid, depth, rng.uniform(0.9, 1.35), 0.25))


def _apoptotic(grid: Canvas) -> Patch:
    """Several smooth balls of unequal size in one eosinophilic body."""
    rng = grid.rng
    patch = _shrunken_cell(grid, rng.uniform(3.2, 4.6))
    for number in range(int(rng.integers(2, 5))):
        radius = rng.uniform(0.6, 1.5) if number else rng.uniform(1.3, 1.9)
        x, y = rng.normal(0, 1.2, 2)
        depth = np.float32(radius) - np.hypot(grid.x - np.float32(x), grid.y - np.float32(y))
        patch = over(patch, _ball(grid, depth, rng.uniform(0.8, 1.3), 0.25))
    return patch


def _hyperchromatic(grid: Canvas) -> Patch:
    """A dark tumour nucleus that keeps its smooth outline, membrane and some texture."""
    rng = grid.rng
    radius, aspect = rng.uniform(3.2, 4.4), rng.uniform(1.1, 1.6)
    axes = (radius * np.sqrt(aspect), radius / np.sqrt(aspect))
    depth = wobbly_depth(grid, axes, rng.uniform(0, np.pi), 0.05)
    dyes = flat(grid, rng.uniform(0.55, 0.8), rng.uniform(0.15, 0.3))
    dyes[0] += 0.14 * grid.texture("chromatin") + 0.06 * grid.texture("grain")
    dyes[0] += 0.25 * np.exp(-(((depth - 0.4) / 0.4) ** 2))
    return Patch(np.maximum(dyes, 0), edge(depth, 0.3))


def _elongated(grid: Canvas) -> Patch:
    """A dark, smooth, pointed stromal or crushed nucleus."""
    rng = grid.rng
    long, short = rng.uniform(5.0, 7.5), rng.uniform(1.2, 2.0)
    bend = rng.normal(0, 0.03)
    depth = wobbly_depth(grid, (long, short), rng.uniform(0, np.pi), 0.12, bend)
    dyes = flat(grid, rng.uniform(0.6, 0.95), rng.uniform(0.15, 0.3))
    dyes[0] *= 1 + 0.08 * grid.texture("foam")
    cell = flat(grid, 0.08, rng.uniform(0.35, 0.55))
    return over(
        Patch(cell, edge(depth + 0.8, 0.8) * np.float32(0.8)), Patch(dyes, edge(depth, 0.4))
    )


def _lymphocyte(grid: Canvas) -> Patch:
    """A small round dark nucleus, often in a clear halo."""
    rng = grid.rng
    nucleus = draw_nucleus(grid, "lymphocyte", rng.uniform(0, np.pi), 1.0)
    nucleus.dyes[0] *= rng.uniform(1.0, 1.25)
    if rng.uniform() < 0.5:
        return nucleus
    depth = wobbly_depth(grid, (4.2, 3.8), rng.uniform(0, np.pi), 0.08)
    return over(Patch(flat(grid, 0.02, 0.06), edge(depth, 0.6)), nucleus)


def _blurred(grid: Canvas) -> Patch:
    """A dark nucleus above or below the plane of focus."""
    return defocus(_hyperchromatic(grid), grid.rng.uniform(0.9, 1.4), grid.mpp)


def _pigment(grid: Canvas) -> Patch:
    """Brown-black granules: haemosiderin or ink."""
    rng = grid.rng
    dyes = flat(grid, 0.0, 0.1)
    dyes[2] = rng.uniform(0.7, 1.1)
    grains = np.full_like(grid.x, -9)
    for _ in range(int(rng.integers(6, 16))):
        x, y = rng.normal(0, 1.6, 2)
        ball = np.float32(rng.uniform(0.4, 1.0)) - np.hypot(
            grid.x - np.float32(x), grid.y - np.float32(y)
        )
        grains = np.maximum(grains, ball)
    return Patch(dyes, edge(grains, 0.3) * np.float32(0.9))


_DRAW: dict[str, Callable[[Canvas], Patch]] = {
    "pyknotic": _pyknotic,
    "apoptotic": _apoptotic,
    "hyperchromatic": _hyperchromatic,
    "elongated": _elongated,
    "lymphocyte": _lymphocyte,
    "blurred": _blurred,
    "pigment": _pigment,
}

"""Ordinary nuclei: vesicular and granular tumour nuclei, ghosts, lymphocytes, spindle nuclei."""

from dataclasses import dataclass

import numpy as np

from core.slides.synthetic.noise import Float
from core.slides.synthetic.patch import Canvas, Patch, defocus, edge, flat, wobbly_depth


@dataclass(frozen=True, slots=True)
class NucleusLook:
    """Ranges (low, high) of one kind of nucleus; dyes in units of green density.

    Attributes:
        radius_um: mean half axis.
        aspect: long by short half axis.
        ground: haematoxylin between the chromatin.
        clumps: haematoxylin of the chromatin clumps.
        membrane: haematoxylin of the nuclear membrane.
        eosin: eosin inside.
        nucleoli: greatest number.
        defocus_um: blur beyond the scanner's.
    """

    radius_um: tuple[float, float]
    aspect: tuple[float, float]
    ground: tuple[float, float]
    clumps: tuple[float, float]
    membrane: tuple[float, float]
    eosin: tuple[float, float]
    nucleoli: int
    defocus_um: tuple[float, float]


# Measured by eye and in profiles on H03, H04, H07: tumour nuclei 8 to 12 µm wide, membrane about
# 0.7 µm with green density 0.6 to 0.9, interior 0.1 to 0.3, nucleoli 1.5 to 2.5 µm at 0.7 to 0.9.
LOOKS = {
    "vesicular": NucleusLook(
        (4.0, 5.5), (1.0, 1.5), (0.0, 0.1), (0.3, 0.65), (0.5, 0.9), (0.0, 0.05), 3, (0.0, 0.25)
    ),
    "granular": NucleusLook(
        (3.8, 5.4), (1.0, 1.5), (0.14, 0.3), (0.4, 0.65), (0.3, 0.6), (0.03, 0.12), 2, (0.0, 0.3)
    ),
    "ghost": NucleusLook(
        (3.6, 5.2),
        (1.0, 1.5),
        (0.08, 0.18),
        (0.15, 0.35),
        (0.12, 0.35),
        (0.12, 0.2),
        1,
        (0.2, 0.45),
    ),
    "lymphocyte": NucleusLook(
        (2.7, 3.3), (1.0, 1.2), (0.42, 0.6), (0.3, 0.5), (0.3, 0.5), (0.05, 0.12), 0, (0.0, 0.25)
    ),
    "spindle": NucleusLook(
        (2.3, 3.2), (2.2, 4.2), (0.3, 0.5), (0.25, 0.45), (0.25, 0.5), (0.1, 0.2), 0, (0.0, 0.5)
    ),
    "plump": NucleusLook(
        (3.0, 4.0), (1.4, 2.2), (0.2, 0.4), (0.2, 0.4), (0.3, 0.55), (0.05, 0.15), 1, (0.0, 0.4)
    ),
}
HALF_UM = 9.0


def draw_nucleus(grid: Canvas, kind: str, angle: float, size: float) -> Patch:
    """One nucleus.

    Args:
        grid: canvas of at least `HALF_UM`.
        kind: a key of `LOOKS`.
        angle: of the long axis, radians.
        size: factor on the radius (pleomorphic regions have larger nuclei).
    """
    look, rng = LOOKS[kind], grid.rng
    radius, aspect = rng.uniform(*look.radius_um) * size, rng.uniform(*look.aspect)
    long, short = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
    spindle = kind == "spindle"
    bend = rng.normal(0, 0.025) if spindle else 0.0
    depth = wobbly_depth(grid, (long, short), angle, 0.1 if spindle else 0.08, bend=bend)
    dyes = flat(grid, 0.0, rng.uniform(*look.eosin))
    dyes[0] = rng.uniform(*look.ground) * (1 + 0.4 * grid.texture("blotch"))
    dyes[0] += _chromatin(grid, depth, rng.uniform(*look.clumps))
    dyes[0] += _membrane(grid, depth, rng.uniform(*look.membrane))
    for _ in range(rng.integers(0, look.nucleoli + 1)):
        _add_nucleolus(grid, dyes, radius)
    dyes[1] += 0.05 * np.abs(grid.texture("foam")) + 0.03 * np.abs(grid.texture("net"))
    # A ghost lies under some cytoplasm, whose texture shows through.
    cover = edge(depth + 0.2, 0.3) * np.float32(0.62 if kind == "ghost" else 0.96)
    patch = Patch(np.maximum(dyes, 0), cover)
    blur = rng.uniform(*look.defocus_um)
    return defocus(patch, blur, grid.mpp) if blur > 0.15 else patch


def _chromatin(grid: Canvas, depth: Float, amount: float) -> Float:
    """Clumps and strands: the upper part of a noise, denser towards the membrane."""
    texture = grid.texture("chromatin") + 0.4 * grid.texture("grain")
    texture += 0.45 * grid.texture("blotch")
    texture += np.float32(0.6) * np.exp(-np.maximum(depth, 0) / 1.0)
    strands = np.exp(-((grid.texture("net") / 0.3) ** 2)) * grid.rng.uniform(0.15, 0.5)
    level = grid.rng.uniform(0.2, 1.1)
    clumps: Float = np.clip((texture - level) / 1.3, 0, 1.3) + 0.5 * strands
    return clumps * np.float32(amount)


def _membrane(grid: Canvas, depth: Float, amount: float) -> Float:
    """A line of uneven darkness just inside the outline."""
    uneven = np.clip(0.85 + 0.25 * grid.texture("foam") + 0.3 * grid.texture("blotch"), 0.2, 1.4)
    width = grid.rng.uniform(0.3, 0.46)
    line: Float = np.exp(-(((depth - 0.45) / width) ** 2)) * uneven * np.float32(amount)
    return line


def _add_nucleolus(grid: Canvas, dyes: Float, radius: float) -> None:
    rng = grid.rng
    distance, turn = radius * 0.55 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    u, v = grid.turned(rng.uniform(0, np.pi), distance * np.cos(turn), distance * np.sin(turn))
    size = rng.uniform(0.55, 1.1)
    ball = np.exp(-(((u / size) ** 2 + (v / (size * rng.uniform(0.7, 1.0))) ** 2) ** 1.5))
    dyes[0] += np.float32(rng.uniform(0.35, 0.65)) * ball
    dyes[1] += np.float32(rng.uniform(0.1, 0.3)) * ball

"""What is painted: small pictures of one cell's dyes with a mask, and shapes to make them of."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from core.slides.synthetic.noise import Float, NoiseBank


@dataclass(frozen=True, slots=True)
class Patch:
    """Dyes that replace what lies below, as far as `cover` says.

    Attributes:
        dyes: (3, n, n) float32 units of haematoxylin, eosin and pigment.
        cover: (n, n) float32 in 0..1.
    """

    dyes: Float
    cover: Float


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square grid around one cell.

    Attributes:
        x, y: (n, n) float32 µm from the cell's centre.
        mpp: µm per pixel.
        rng: the cell's own random numbers, so that it looks the same in every tile.
        noise: textures.
    """

    x: Float
    y: Float
    mpp: float
    rng: np.random.Generator
    noise: NoiseBank

    def texture(self, name: str) -> Float:
        """A cut of a texture at a random place, (n, n), unit variance."""
        left, top = self.rng.integers(0, 4000, 2)
        return self.noise.cut(name, int(left), int(top), self.x.shape[1], self.x.shape[0])

    def turned(self, angle: float, x_um: float = 0.0, y_um: float = 0.0) -> tuple[Float, Float]:
        """Coordinates in a frame that is shifted and then turned by `angle` radians."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        x, y = self.x - np.float32(x_um), self.y - np.float32(y_um)
        return x * cos + y * sin, y * cos - x * sin


def canvas(
    half_um: float, mpp: float, offset_px: tuple[float, float], seed: list[int], noise: NoiseBank
) -> Canvas:
    """A grid of about 2 × `half_um`; `offset_px` is the centre's place within its pixel."""
    half = int(np.ceil(half_um / mpp))
    axis = np.arange(-half, half + 1, dtype=np.float32)
    x = (axis - np.float32(offset_px[0])) * np.float32(mpp)
    y = (axis - np.float32(offset_px[1])) * np.float32(mpp)
    grid_x, grid_y = np.broadcast_arrays(x[None, :], y[:, None])
    return Canvas(grid_x, grid_y, mpp, np.random.default_rng(seed), noise)


def edge(depth_um: Float, width_um: float) -> Float:
    """A soft step: 0 outside, 1 inside, `depth_um` being the depth below the outline."""
    out: Float = np.clip(depth_um / np.float32(2 * width_um) + np.float32(0.5), 0, 1)
    return out * out * (3 - 2 * out)


def wobbly_depth(
    grid: Canvas, radii_um: tuple[float, float], angle: float, wobble: float, bend: float = 0.0
) -> Float:
    """Depth in µm below the outline of a wobbly ellipse (negative outside).

    Args:
        grid: where.
        radii_um: half axes.
        angle: of the first axis, radians.
        wobble: relative size of the low harmonics of the outline.
        bend: curvature of the first axis, per µm.
    """
    u, v = grid.turned(angle)
    v = v - np.float32(bend) * u * u
    u, v = u / np.float32(radii_um[0]), v / np.float32(radii_um[1])
    rho = np.sqrt(u * u + v * v) + 1e-6
    theta = np.arctan2(v, u)
    outline = np.ones_like(rho)
    for order in (2, 3, 4, 6):
        size, phase = wobble * grid.rng.normal() / order, grid.rng.uniform(0, 2 * np.pi)
        outline += np.float32(size) * np.cos(order * theta + np.float32(phase))
    # Away from the centre, a step of rho is about a step of the mean radius.
    radius = np.hypot(grid.x, grid.y) / rho
    return np.asarray((outline - rho) * np.maximum(radius, 0.3), np.float32)


def blobs(
    u: Float, v: Float, centres_um: Float, radii_um: Float, *, grid: Canvas, rough: float = 0.25
) -> Float:
    """A field made of soft balls, with rough edges; about 0.5 on their outline, more inside.

    Args:
        u: (n, n) first coordinate in µm.
        v: (n, n) second coordinate in µm.
        centres_um: (K, 2) in the same frame.
        radii_um: (K,).
        grid: gives the roughness.
        rough: its size.
    """
    field = np.zeros_like(u)
    centres, radii = centres_um.astype(np.float32), radii_um.astype(np.float32)
    for (cu, cv), radius in zip(centres, radii, strict=True):
        distance2 = (u - cu) ** 2 + (v - cv) ** 2
        field += np.exp(distance2 * np.float32(-np.log(2) / radius**2))
    ragged = 0.7 * grid.texture("grain") + 0.7 * grid.texture("foam")
    field += np.float32(rough) * ragged * (field > 0.02)
    return field


def defocus(patch: Patch, sigma_um: float, mpp: float) -> Patch:
    """The patch as seen out of focus."""
    sigma = sigma_um / mpp
    cover = gaussian_filter(patch.cover, sigma)
    weighted = np.stack([gaussian_filter(dye * patch.cover, sigma) for dye in patch.dyes])
    return Patch(weighted / np.maximum(cover, 1e-3), cover)


def flat(grid: Canvas, haematoxylin: float, eosin: float) -> Float:
    """(3, n, n) dyes of one tone."""
    dyes = np.zeros((3, *grid.x.shape), np.float32)
    dyes[0], dyes[1] = haematoxylin, eosin
    return dyes


def over(base: Patch, top: Patch) -> Patch:
    """`top` painted on `base`."""
    cover = top.cover + base.cover * (1 - top.cover)
    share = np.divide(top.cover, np.maximum(cover, 1e-6))
    return Patch(top.dyes * share + base.dyes * (1 - share), cover)

"""Augmentation that imitates laboratories and scanners: stain, light, focus, JPEG, resolution.

All functions take and give (B, 3, H, W) float32 in 0..1, channels in RGB order.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

# Haematoxylin, eosin and residual as rows in optical density, Ruifrok & Johnston 2001 (the DAB row
# replaced by the cross product, as their H&E deconvolution does).
_HE = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]])
_STAINS = np.vstack([_HE, np.cross(_HE[0], _HE[1])])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)


@dataclass(frozen=True, slots=True)
class AugmentStrength:
    """How far augmentation goes; standard deviations unless said otherwise.

    Attributes:
        stain_scale: of the log factor on each stain's optical density.
        stain_shift: of the offset on each stain's optical density.
        hue_mix: of the rotation of the stain vectors (off-diagonal entries).
        gamma: of the log exponent on intensity.
        blur_p, blur_sigma_px: probability, and largest Gaussian sigma.
        jpeg_p, jpeg_quality: probability, and lowest quality.
        halve_p: probability of a passage through half the resolution.
        noise: largest standard deviation of Gaussian noise, in 0..1.
    """

    stain_scale: float = 0.28
    stain_shift: float = 0.04
    hue_mix: float = 0.06
    gamma: float = 0.12
    blur_p: float = 0.25
    blur_sigma_px: float = 1.4
    jpeg_p: float = 0.2
    jpeg_quality: int = 35
    halve_p: float = 0.1
    noise: float = 0.02


def stain_matrix(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) map of optical densities that multiplies haematoxylin, eosin and residual by (3,)."""
    return np.asarray((_UNMIX @ np.diag(scale) @ _STAINS).T)


def stain_jitter(
    images: torch.Tensor, rng: np.random.Generator, strength: AugmentStrength
) -> torch.Tensor:
    """Change stain amounts and hues of each image by one affine map in optical density."""
    n = len(images)
    scale = np.exp(rng.normal(0, strength.stain_scale, (n, 3)))
    scale[:, 2] **= 0.5  # the residual carries little dye
    mix = np.eye(3) + rng.normal(0, strength.hue_mix, (n, 3, 3))
    shift = rng.normal(0, strength.stain_shift, (n, 3))
    matrices = np.einsum("ij,bj,bjk,kl->bil", _UNMIX, scale, mix, _STAINS)
    offsets = shift @ _STAINS
    od = -torch.log(images.clamp_min(1 / 255))
    flat = od.flatten(2)
    m = torch.from_numpy(matrices.transpose(0, 2, 1).astype(np.float32))
    o = torch.from_numpy(offsets.astype(np.float32))[:, :, None]
    out = torch.exp(-(torch.bmm(m, flat) + o).clamp_min(0)).view_as(images)
    gamma = torch.from_numpy(np.exp(rng.normal(0, strength.gamma, n)).astype(np.float32))
    return out.pow(gamma[:, None, None, None]).clamp(0, 1)


def _blur(image: torch.Tensor, sigma_px: float) -> torch.Tensor:
    radius = max(1, int(3 * sigma_px + 0.5))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1)
    padded = torch.nn.functional.pad(image[None], (radius,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, kernel[:, None, None, :], groups=3)
    return torch.nn.functional.conv2d(rows, kernel[:, None, :, None], groups=3)[0]


def _jpeg(image: torch.Tensor, quality: int) -> torch.Tensor:
    rgb = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(buffer), np.float32) / 255
    return torch.from_numpy(decoded).permute(2, 0, 1)


def _halve(image: torch.Tensor) -> torch.Tensor:
    small = torch.nn.functional.avg_pool2d(image[None], 2)
    size = tuple(image.shape[-2:])
    return torch.nn.functional.interpolate(small, size=size, mode="bicubic", align_corners=False)[
        0
    ].clamp(0, 1)


def degrade(
    images: torch.Tensor, rng: np.random.Generator, strength: AugmentStrength
) -> torch.Tensor:
    """Blur, halve, compress and add noise to some of the images."""
    out = images.clone()
    for i in range(len(out)):
        if rng.random() < strength.blur_p:
            out[i] = _blur(out[i], rng.uniform(0.3, strength.blur_sigma_px))
        if rng.random() < strength.halve_p:
            out[i] = _halve(out[i])
        if rng.random() < strength.jpeg_p:
            out[i] = _jpeg(out[i], int(rng.integers(strength.jpeg_quality, 95)))
        if rng.random() < 0.3:
            sigma = rng.uniform(0, strength.noise)
            noise = rng.standard_normal(out[i].shape, dtype=np.float32)
            out[i] = out[i] + sigma * torch.from_numpy(noise)
    return out.clamp(0, 1)


def turned(
    angle: NDArray[np.float64], zoom: NDArray[np.float64], flip: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Maps (n, 2, 3) for `affine_grid` that turn, zoom and mirror; shifts are left at 0.

    Args:
        angle: (n,) radians.
        zoom: (n,) side of what is seen over the side of the tile.
        flip: (n,) 1, or -1 for mirrored.
    """
    theta = np.zeros((len(angle), 2, 3), np.float32)
    theta[:, 0, 0] = np.cos(angle) * zoom * flip
    theta[:, 0, 1] = -np.sin(angle) * zoom
    theta[:, 1, 0] = np.sin(angle) * zoom * flip
    theta[:, 1, 1] = np.cos(angle) * zoom
    return theta


def dihedral(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One of the eight flips and quarter turns for each square image (any channel count)."""
    out = torch.empty_like(images)
    for i, k in enumerate(rng.integers(0, 8, len(images))):
        turned = torch.rot90(images[i], int(k) % 4, (-2, -1))
        out[i] = turned.flip(-1) if k >= 4 else turned
    return out


def augment(
    images: NDArray[np.uint8], rng: np.random.Generator, strength: AugmentStrength
) -> torch.Tensor:
    """Stain, light and scanner changes: (B, H, W, 3) uint8 → (B, 3, H, W) float32 in 0..1."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return degrade(stain_jitter(x, rng, strength), rng, strength).contiguous()

"""The detector's network: an RGB window to a heat map of mitosis-like centres."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from core.ports import WindowPoints
from models.foundation import timm_features

#: Heat-map cells are this many window pixels wide.
STRIDE_PX = 4
#: A window that starts at a multiple of the deepest stride gives the same heat map everywhere.
GRID_PX = 16
_PRIOR = 0.01  # starting probability of a cell, as in RetinaNet (Lin et al. 2017, §4.1)


class _Smooth(nn.Sequential):
    """Depthwise-separable 3 x 3 convolution with normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class HeatmapNet(nn.Module):
    """Backbone features at strides 4, 8 and 16, merged top-down into one map of logits.

    Input (B, 3, H, W) float32 in 0..1 with H and W multiples of 16; output (B, 1, H/4, W/4).
    """

    def __init__(self, architecture: str = "tf_efficientnet_lite0", channels: int = 64) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = timm_features(architecture, (1, 2, 3))
        widths: list[int] = self.backbone.feature_info.channels()  # type: ignore[operator, union-attr]
        self.laterals = nn.ModuleList(nn.Conv2d(w, channels, 1) for w in widths)
        self.smooths = nn.ModuleList(_Smooth(channels) for _ in widths)
        self.head = nn.Conv2d(channels, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, float(np.log(_PRIOR / (1 - _PRIOR))))  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a mitosis-like centre in each cell."""
        maps = self.backbone((images - 0.5) / 0.5)
        merged: torch.Tensor | None = None
        for feature, lateral, smooth in zip(
            reversed(maps), reversed(self.laterals), reversed(self.smooths), strict=True
        ):
            level = lateral(feature)
            if merged is not None:
                level = level + functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = smooth(level)
        logits: torch.Tensor = self.head(merged)
        return logits


def pad_to_grid(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) mirrored at right and bottom until both sides are multiples of `GRID_PX`."""
    height, width = rgb.shape[:2]
    return np.pad(rgb, ((0, -height % GRID_PX), (0, -width % GRID_PX), (0, 0)), mode="reflect")


def heat_to_points(
    logits: NDArray[np.float32], threshold: float, nms_cells: int = 2
) -> WindowPoints:
    """Local maxima of one heat map, refined to a fraction of a cell.

    Args:
        logits: (h, w) float32.
        threshold: smallest score kept.
        nms_cells: a maximum must be the largest within this many cells on each side.
    """
    heat = torch.from_numpy(logits)[None, None].sigmoid()
    side = 2 * nms_cells + 1
    peak = (heat == functional.max_pool2d(heat, side, 1, nms_cells)) & (heat >= threshold)
    rows, cols = (index.numpy() for index in torch.nonzero(peak[0, 0], as_tuple=True))
    probabilities = np.pad(heat[0, 0].numpy(), 1)
    offsets = np.zeros((len(rows), 2), np.float32)
    total = np.zeros(len(rows), np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            weight = probabilities[rows + 1 + dy, cols + 1 + dx]
            offsets += weight[:, None] * np.array([dx, dy], np.float32)
            total += weight
    offsets /= np.maximum(total, 1e-9)[:, None]
    xy = (np.stack([cols, rows], 1).astype(np.float32) + 0.5 + offsets) * STRIDE_PX
    scores = probabilities[rows + 1, cols + 1].astype(np.float32)
    return WindowPoints(xy.astype(np.float32), scores)

"""A backbone of a few hundred weights in the place of a real one, and cells that it can learn."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from models.registry import Backbone, backbone
from models.training.adapt_data import Examples

ENTRY: Backbone = replace(
    backbone("efficientnet-lite0"),
    dim=12,
    input_px=32,
    package="",
    sha256="",
    lora_targets=r"backbone\.(mix|out)",
    lora_all=r"backbone\.(mix|out)",
    lora_attention=r"backbone\.mix",
)


class TinyBackbone(nn.Module):
    """Images (B, 3, H, W) → (B, 12); the same weights every time."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, 8, 5, stride=4)
            self.norm = nn.BatchNorm2d(8)
            self.mix = nn.Conv2d(8, 12, 1)
            self.out = nn.Linear(12, 12)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.mix(torch.relu(self.norm(self.stem(images))))
        return self.out(x.mean((2, 3)))


def use_tiny_backbone(monkeypatch, entry: Backbone = ENTRY, seed: int = 0) -> None:
    """Let every backbone that is asked for be the tiny one."""
    monkeypatch.setattr(
        "models.crop_net.build_backbone", lambda e, random=False: TinyBackbone(seed)
    )
    for module in ("models.classifier", "models.atypical", "app.adapting.engine"):
        monkeypatch.setattr(f"{module}.backbone", lambda _id: entry, raising=False)


def blob_examples(slides: int = 6, each: int = 12, *, seed: int = 0, noise: int = 40) -> Examples:
    """Cells with a dark middle (positive) or a lighter one, each slide a little tinted."""
    rng = np.random.default_rng(seed)
    n, side = slides * each, 48
    positive = np.arange(n) % 2 == 0
    tiles = rng.integers(190, 250, (n, side, side, 3)).astype(np.int64)
    dark = np.where(positive, 60, 130) + rng.integers(-noise, noise + 1, n)
    tiles[:, 16:32, 16:32] = dark[:, None, None, None]
    tint = rng.integers(0, 20, (slides, 3)).repeat(each, axis=0)
    tiles = np.clip(tiles - tint[:, None, None], 0, 255).astype(np.uint8)
    slide = np.array([f"S{k}" for k in range(slides)]).repeat(each)
    source = np.array([f"cell {k}" for k in range(n)])
    return Examples(tiles, positive, slide, source, np.full(n, np.nan, np.float32), 32)

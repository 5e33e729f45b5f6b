"""The classifier's network: a crop to the logit of being a mitosis."""

import torch
from torch import nn
from torch.nn import functional

from models.registry import Backbone, build_backbone


class CropNet(nn.Module):
    """Normalise, resize to the backbone's input, embed, one linear unit.

    Input (B, 3, h, w) float32 in 0..1; output (B,) logits.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, entry: Backbone, *, random: bool = False) -> None:
        super().__init__()
        self.input_px = entry.input_px
        self.interpolation = entry.interpolation
        self.backbone = build_backbone(entry, random=random)
        self.mitosis_head = nn.Linear(entry.dim, 1)
        self.register_buffer("mean", torch.tensor(entry.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(entry.std).view(1, 3, 1, 1), persistent=False)

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, dim) of crops (B, 3, h, w) in 0..1."""
        x = (crops - self.mean) / self.std
        if x.shape[-1] != self.input_px:
            x = functional.interpolate(
                x, size=(self.input_px, self.input_px), mode=self.interpolation, align_corners=False
            )
        embeddings: torch.Tensor = self.backbone(x)
        return embeddings

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Logits of being a mitosis."""
        logits: torch.Tensor = self.mitosis_head(self.embed(crops))
        return logits[:, 0]


class QuarterTurns(nn.Module):
    """The mean logit over quarter turns of a crop.

    What a cell is does not depend on how the slide lay on the scanner; a network's logit does a
    little, and the mean over turns is the better judge.

    Input (B, 3, s, s) float32 in 0..1; output (B,) logits.
    """

    def __init__(self, network: nn.Module, turns: int) -> None:
        super().__init__()
        self.network = network
        self.turns = turns

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Mean of the logits of the crop and of its quarter turns."""
        total: torch.Tensor = self.network(crops)
        for k in range(1, self.turns):
            total = total + self.network(torch.rot90(crops, k, (-2, -1)))
        return total / self.turns

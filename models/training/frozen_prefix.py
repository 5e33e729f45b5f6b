"""LoRA on the later blocks only: what comes before them is computed once and kept.

The early blocks of a backbone neither learn nor change, so the features of an augmented crop can be
drawn once and serve every fold, seed and epoch. Training then costs only the later blocks.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from core.cancel import CancelToken
from models.crop_net import CropNet
from models.device import Device
from models.training.classifier_training import ClassifierRecipe, CropSampler, fit

log = logging.getLogger(__name__)

#: Stages of an EfficientNet whose features are kept; LoRA targets lie in the later ones.
PREFIX_STAGES = 3


class Prefix(nn.Module):
    """Crops (B, 3, h, w) in 0..1 → features after the first `PREFIX_STAGES` stages."""

    def __init__(self, network: CropNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Features (B, C, h', w')."""
        backbone = self.network.backbone
        x: torch.Tensor = self.network.prepare(crops)
        x = backbone.bn1(backbone.conv_stem(x))  # type: ignore[operator]
        for stage in backbone.blocks[:PREFIX_STAGES]:  # type: ignore[index]
            x = stage(x)
        return x


class Suffix(nn.Module):
    """Features of `Prefix` → logits (B,); shares its modules with the network, LoRA included."""

    def __init__(self, network: CropNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of being a mitosis."""
        backbone = self.network.backbone
        x = features
        for stage in backbone.blocks[PREFIX_STAGES:]:  # type: ignore[index]
            x = stage(x)
        x = backbone.global_pool(backbone.bn2(backbone.conv_head(x)))  # type: ignore[operator]
        logits: torch.Tensor = self.network.mitosis_head(x)
        return logits[:, 0]


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Features of augmented crops, drawn in the shares of a recipe.

    Attributes:
        features: (N, C, h, w) bfloat16.
        labels: (N,) float32.
        slide: (N,) slide of each crop.
    """

    features: torch.Tensor
    labels: torch.Tensor
    slide: NDArray[np.str_]


def draw_features(
    network: CropNet,
    sampler: CropSampler,
    device: Device,
    n_crops: int,
    seed: int,
    token: CancelToken,
) -> FeatureCache:
    """Draw `n_crops` augmented crops and keep what the frozen stages make of them."""
    rng = np.random.default_rng(seed)
    prefix = Prefix(network).eval()
    features: torch.Tensor | None = None
    labels, slides = [], []
    done = 0
    while done < n_crops:
        token.check()
        crops, label = sampler.batch(rng)
        with torch.inference_mode(), device.autocast():
            part = prefix(crops).to(torch.bfloat16)
        if features is None:
            features = torch.empty((n_crops, *part.shape[1:]), dtype=torch.bfloat16)
        n = min(len(part), n_crops - done)
        features[done : done + n] = part[:n]
        labels.append(label[:n])
        slides.append(sampler.cells.slide[sampler.last_ids[:n]])
        done += n
        if done % (200 * len(part)) == 0:
            log.info("drew %d of %d crops", done, n_crops)
    assert features is not None
    return FeatureCache(features, torch.cat(labels), np.concatenate(slides))


def train_suffix(
    network: CropNet,
    cache: FeatureCache,
    without_slides: list[str],
    recipe: ClassifierRecipe,
    *,
    token: CancelToken | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Train what learns in the later blocks, on crops of all slides but `without_slides`.

    Args:
        network: with LoRA attached to its later blocks; left in eval mode.
        cache: from `draw_features` of the same network before LoRA was attached.
        without_slides: held-out slides.
        recipe: steps, batch, learning rate and seed.
        token: cancels between steps.
        on_step: called with the step and its loss.
    """
    rng = np.random.default_rng(recipe.seed)
    ids = np.flatnonzero(~np.isin(cache.slide, without_slides))
    order = np.concatenate(
        [rng.permutation(ids) for _ in range(recipe.steps * recipe.batch // len(ids) + 1)]
    )

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.from_numpy(order[step * recipe.batch : (step + 1) * recipe.batch])
        x = cache.features[chosen].float()
        return x.contiguous(memory_format=torch.channels_last), cache.labels[chosen]

    fit(
        Suffix(network),
        batch,
        functional.binary_cross_entropy_with_logits,
        recipe,
        token=token,
        on_step=on_step,
    )

"""Training of the heat-map detector on screened frames and mosaics of single-cell patches."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.cancel import CancelToken
from core.ports import WindowPoints
from models.foundation import load_in_order
from models.heatmap import STRIDE_PX, HeatmapNet, heat_to_points, pad_to_grid
from models.training.augment import AugmentStrength, augment, dihedral
from models.training.data import Frame, Patch

log = logging.getLogger(__name__)

_TILE_PX = 64  # side of a patch in a mosaic: 32 µm at 0.5 µm/px
_CENTRE_SIGMA_CELLS = 1.25
#: At 0.5 µm/px a pixel of blur is twice as wide on the tissue.
COARSE_STRENGTH = AugmentStrength(blur_sigma_px=0.9, jpeg_quality=50, halve_p=0.05)


@dataclass(frozen=True, slots=True)
class DetectorRecipe:
    """Settings of one training.

    Attributes:
        mpp: µm per pixel of the windows.
        window_px: side of a training window.
        frame_windows, mosaic_windows: of each batch.
        steps: optimiser steps.
        lr: peak learning rate of the head; the backbone gets `backbone_lr_factor` of it.
        seed: of sampling, augmentation and initialisation.
    """

    architecture: str = "tf_efficientnet_lite0"
    mpp: float = 0.5
    window_px: int = 256
    frame_windows: int = 6
    mosaic_windows: int = 2
    steps: int = 2000
    lr: float = 2e-3
    backbone_lr_factor: float = 0.5
    weight_decay: float = 1e-2
    p_mitosis: float = 0.45
    p_imposter: float = 0.2
    seed: int = 0
    strength: AugmentStrength = COARSE_STRENGTH


def _gaussian_target(
    points_px: NDArray[np.float32], size_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat target in 0..1 and the mask of centre cells, both (cells, cells) float32."""
    cells = size_px // STRIDE_PX
    axis = np.arange(cells, dtype=np.float32) + 0.5
    target = np.zeros((cells, cells), np.float32)
    centre = np.zeros((cells, cells), np.float32)
    for x, y in points_px / STRIDE_PX:
        if not (0 <= x < cells and 0 <= y < cells):
            continue
        squared = (axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2
        np.maximum(target, np.exp(-squared / (2 * _CENTRE_SIGMA_CELLS**2)), out=target)
        centre[int(y), int(x)] = 1
    return target, centre


class WindowSampler:
    """Draws training windows: by slide first, so that a slide with many labels does not rule."""

    def __init__(
        self, frames: Sequence[Frame], patches: Sequence[Patch], recipe: DetectorRecipe
    ) -> None:
        self.recipe = recipe
        self.frames = frames
        self.patches = patches
        self.by_slide: dict[str, list[int]] = {}
        for i, frame in enumerate(frames):
            self.by_slide.setdefault(frame.slide, []).append(i)
        self.points = {kind: self._points_by_slide(kind) for kind in ("mitoses_px", "imposters_px")}
        self.by_tissue: dict[str, list[int]] = {}
        for i, patch in enumerate(patches):
            self.by_tissue.setdefault(patch.tissue, []).append(i)

    def _points_by_slide(self, kind: str) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        for i, frame in enumerate(self.frames):
            for j in range(len(getattr(frame, kind))):
                found.setdefault(frame.slide, []).append((i, j))
        return found

    def _pick(self, rng: np.random.Generator) -> tuple[Frame, float, float]:
        """A frame and the centre of a window in it, pixels."""
        u = rng.random()
        kind = (
            "mitoses_px"
            if u < self.recipe.p_mitosis
            else "imposters_px"
            if u < self.recipe.p_mitosis + self.recipe.p_imposter
            else None
        )
        if kind is not None and self.points[kind]:
            table = self.points[kind]
            # Square-root weights: a compromise between slides alike and points alike.
            slides = list(table)
            weight = np.sqrt([len(table[s]) for s in slides])
            slide = slides[rng.choice(len(slides), p=weight / weight.sum())]
            i, j = table[slide][rng.integers(len(table[slide]))]
            x, y = getattr(self.frames[i], kind)[j]
            spread = self.recipe.window_px * 0.4
            dx, dy = rng.uniform(-spread, spread, 2)
            return self.frames[i], float(x + dx), float(y + dy)
        slides = list(self.by_slide)
        ids = self.by_slide[slides[rng.integers(len(slides))]]
        frame = self.frames[ids[rng.integers(len(ids))]]
        height, width = frame.rgb.shape[:2]
        return frame, rng.uniform(0, width), rng.uniform(0, height)

    def window(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A window (window_px, window_px, 3) uint8 and its mitoses (N, 2) in window pixels."""
        frame, x, y = self._pick(rng)
        side = self.recipe.window_px
        height, width = frame.rgb.shape[:2]
        left = int(np.clip(x - side / 2, 0, max(0, width - side)))
        top = int(np.clip(y - side / 2, 0, max(0, height - side)))
        cut = frame.rgb[top : top + side, left : left + side]
        pad = ((0, side - cut.shape[0]), (0, side - cut.shape[1]), (0, 0))
        cut = np.pad(cut, pad, mode="reflect") if pad[0][1] or pad[1][1] else cut
        points = frame.mitoses_px - np.array([left, top], np.float32)
        inside = ((points >= 0) & (points < side)).all(axis=1)
        return cut, points[inside]

    def tile(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A jittered patch (64, 64, 3) uint8 and its mitosis (1, 2), in tile pixels."""
        tissues = list(self.by_tissue)
        weight = np.sqrt([len(self.by_tissue[t]) for t in tissues])
        ids = self.by_tissue[tissues[rng.choice(len(tissues), p=weight / weight.sum())]]
        rgb = self.patches[ids[rng.integers(len(ids))]].rgb
        margin = _TILE_PX // 2
        padded = np.pad(rgb, ((margin,) * 2, (margin,) * 2, (0, 0)), mode="reflect")
        dx, dy = rng.integers(-18, 19, 2)
        top = padded.shape[0] // 2 - margin + dy
        left = padded.shape[1] // 2 - margin + dx
        cut = padded[top : top + _TILE_PX, left : left + _TILE_PX]
        centre = np.array([[padded.shape[1] / 2 - left, padded.shape[0] / 2 - top]], np.float32)
        return cut, centre

    def batch(
        self, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images (B, 3, S, S), then target, centre mask and weight, each (B, 1, S/4, S/4)."""
        r = self.recipe
        windows = [self.window(rng) for _ in range(r.frame_windows)]
        images = augment(np.stack([w[0] for w in windows]), rng, r.strength)
        targets = [_gaussian_target(w[1], r.window_px) for w in windows]
        planes = [np.stack([t, c, np.ones_like(t)]) for t, c in targets]
        if self.patches and r.mosaic_windows:
            mosaics, mosaic_planes = self._mosaics(rng)
            images = torch.cat([images, mosaics])
            planes += mosaic_planes
        labels = torch.from_numpy(np.stack(planes))
        cells = labels.repeat_interleave(STRIDE_PX, 2).repeat_interleave(STRIDE_PX, 3)
        turned = dihedral(torch.cat([images, cells], 1), rng)
        labels = turned[:, 3:, ::STRIDE_PX, ::STRIDE_PX]
        return turned[:, :3].contiguous(), labels[:, 0:1], labels[:, 1:2], labels[:, 2:3]

    def _mosaics(self, rng: np.random.Generator) -> tuple[torch.Tensor, list[NDArray[np.float32]]]:
        r = self.recipe
        per_side = r.window_px // _TILE_PX
        cells = _TILE_PX // STRIDE_PX
        n = r.mosaic_windows * per_side**2
        tiles = [self.tile(rng) for _ in range(n)]
        images = augment(np.stack([t[0] for t in tiles]), rng, r.strength)
        weight = np.zeros((cells, cells), np.float32)
        weight[1:-1, 1:-1] = 1  # the seam between two patches is no tissue
        planes = np.stack([np.stack([*_gaussian_target(t[1], _TILE_PX), weight]) for t in tiles])

        def join(x: torch.Tensor, side: int) -> torch.Tensor:
            x = x.view(r.mosaic_windows, per_side, per_side, 3, side, side)
            return x.permute(0, 3, 1, 4, 2, 5).reshape(
                r.mosaic_windows, 3, per_side * side, per_side * side
            )

        joined = join(torch.from_numpy(planes), cells).numpy()
        return join(images, _TILE_PX), list(joined)


def focal_loss(
    logits: torch.Tensor, target: torch.Tensor, centre: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Penalty-reduced focal loss of heat maps (Law & Deng 2018, CornerNet, eq. 1; α 2, β 4)."""
    p = logits.sigmoid()
    positive = -functional.logsigmoid(logits) * (1 - p) ** 2 * centre
    negative = -functional.logsigmoid(-logits) * p**2 * (1 - target) ** 4 * (1 - centre) * weight
    return (positive.sum() + negative.sum()) / centre.sum().clamp_min(1)


def train_detector(
    frames: Sequence[Frame],
    patches: Sequence[Patch],
    recipe: DetectorRecipe,
    *,
    imagenet: dict[str, torch.Tensor] | None,
    token: CancelToken | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> HeatmapNet:
    """Train a detector from ImageNet weights; returns it in eval mode.

    Args:
        frames: at `recipe.mpp`, test slides left out.
        patches: at `recipe.mpp`.
        recipe: lengths, shares and seed.
        imagenet: state dict of the backbone's architecture, or None for random weights.
        token: cancels between steps.
        on_step: called with the step and its loss.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network = HeatmapNet(recipe.architecture)
    if imagenet is not None:
        load_in_order(network.backbone, imagenet)
    network = network.to(memory_format=torch.channels_last).train()
    backbone = list(network.backbone.parameters())
    known = {id(p) for p in backbone}
    head = [p for p in network.parameters() if id(p) not in known]
    rates = [recipe.lr * recipe.backbone_lr_factor, recipe.lr]
    optimiser = torch.optim.AdamW(
        [{"params": backbone}, {"params": head}], lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rates, total_steps=recipe.steps, pct_start=0.15
    )
    sampler = WindowSampler(frames, patches, recipe)
    started = time.perf_counter()
    running = 0.0
    for step in range(recipe.steps):
        if token is not None:
            token.check()
        images, target, centre, weight = sampler.batch(rng)
        logits = network(images.contiguous(memory_format=torch.channels_last))
        k = recipe.frame_windows
        loss = focal_loss(logits[:k], target[:k], centre[:k], weight[:k])
        if len(images) > k:
            loss = loss + 0.5 * focal_loss(logits[k:], target[k:], centre[k:], weight[k:])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running += loss.item()
        if on_step is not None:
            on_step(step, loss.item())
        if step % 100 == 99:
            rate = (step + 1) / (time.perf_counter() - started)
            log.info("step %d loss %.3f, %.2f steps/s", step + 1, running / 100, rate)
            running = 0.0
    return network.eval()


def detect_frame(network: HeatmapNet, rgb: NDArray[np.uint8], threshold: float) -> WindowPoints:
    """Candidates of a whole frame in one pass; points in frame pixels."""
    height, width = rgb.shape[:2]
    x = torch.from_numpy(pad_to_grid(rgb)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        logits = network(x.contiguous(memory_format=torch.channels_last))[0, 0]
    points = heat_to_points(logits.numpy(), threshold)
    inside = (points.xy_px[:, 0] < width) & (points.xy_px[:, 1] < height)
    return WindowPoints(points.xy_px[inside], points.scores[inside])

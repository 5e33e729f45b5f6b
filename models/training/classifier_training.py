"""Training of the crop classifier on cells cut from frames and patches."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from core.cancel import CancelToken
from models.adapters import freeze_norms
from models.training.augment import AugmentStrength, degrade, stain_jitter, turned
from models.training.data import Frame, Patch

log = logging.getLogger(__name__)

TILE_PX = 128  # cells are cut with this margin, so that a turned crop stays within the tile
CROP_PX = 64
MPP = 0.25
MIN_EDGE_PX = 14  # a cell nearer than this to the edge of a patch shows too little of itself

DEFAULT_STRENGTH = AugmentStrength()


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells to learn from, each in the middle of a tile at 0.25 µm/px.

    Attributes:
        tiles: (N, 128, 128, 3) uint8; edges are reflected where the image ended.
        mitosis: (N,) bool.
        stratum: what the sampler balances: source and kind, for instance `field imposter`.
        slide: the unit of every split.
        detector_score: (N,) float32, NaN where the detector was not asked.
    """

    tiles: NDArray[np.uint8]
    mitosis: NDArray[np.bool_]
    stratum: NDArray[np.str_]
    slide: NDArray[np.str_]
    detector_score: NDArray[np.float32]

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> "Cells":
        """Those cells for which `keep` (N,) holds, or the cells of some numbers in their order."""
        return Cells(
            self.tiles[keep],
            self.mitosis[keep],
            self.stratum[keep],
            self.slide[keep],
            self.detector_score[keep],
        )


def middle(tiles: NDArray[np.uint8], crop_px: int = CROP_PX) -> NDArray[np.uint8]:
    """The crops (N, crop_px, crop_px, 3) in the middle of tiles (N, T, T, 3); a view."""
    low = (tiles.shape[1] - crop_px) // 2
    return tiles[:, low : low + crop_px, low : low + crop_px]


def join(parts: Sequence[Cells]) -> Cells:
    """All cells of all parts."""
    return Cells(
        np.concatenate([p.tiles for p in parts]),
        np.concatenate([p.mitosis for p in parts]),
        np.concatenate([p.stratum for p in parts]),
        np.concatenate([p.slide for p in parts]),
        np.concatenate([p.detector_score for p in parts]),
    )


def cut_tile(
    rgb: NDArray[np.uint8], x: float, y: float, side_px: int = TILE_PX
) -> NDArray[np.uint8]:
    """A square centred on a point of an image, mirrored where the image ends."""
    half = side_px // 2
    left, top = round(x) - half, round(y) - half
    height, width = rgb.shape[:2]
    before = (max(0, -top), max(0, -left))
    after = (max(0, top + side_px - height), max(0, left + side_px - width))
    cut = rgb[max(0, top) : top + side_px, max(0, left) : left + side_px]
    if any(before + after):
        pad = ((before[0], after[0]), (before[1], after[1]), (0, 0))
        mode = "reflect" if max(before + after) < min(cut.shape[:2]) else "symmetric"
        cut = np.pad(cut, pad, mode=mode)  # type: ignore[call-overload]
    return cut


def cut_tiles(
    rgb: NDArray[np.uint8], xy_px: NDArray[np.floating], side_px: int = TILE_PX
) -> NDArray[np.uint8]:
    """Squares (N, side_px, side_px, 3) centred on the points (N, 2) of an image."""
    tiles = [cut_tile(rgb, x, y, side_px) for x, y in xy_px]
    return np.stack(tiles) if tiles else np.empty((0, side_px, side_px, 3), np.uint8)


def cells_of_patches(patches: Sequence[Patch]) -> Cells:
    """Each patch's central cell."""
    tiles = [cut_tile(p.rgb, p.rgb.shape[1] / 2, p.rgb.shape[0] / 2) for p in patches]
    return Cells(
        np.stack(tiles),
        np.array([p.label == "mitosis" for p in patches]),
        np.array([f"{p.tissue} {p.label}" for p in patches]),
        np.array([p.slide for p in patches]),
        np.full(len(patches), np.nan, np.float32),
    )


def cells_beside(
    patch: Patch, xy_px: NDArray[np.floating], kind: Sequence[str], score: NDArray[np.float32]
) -> Cells:
    """Negatives at points (N, 2) of a patch, beside its central cell."""
    tiles = cut_tiles(patch.rgb, xy_px)
    return Cells(
        tiles,
        np.zeros(len(tiles), bool),
        np.array([f"beside {k}" for k in kind], dtype=str),
        np.array([patch.slide] * len(tiles), dtype=str),
        score.astype(np.float32),
    )


def cells_of_frame(
    frame: Frame,
    xy_px: NDArray[np.float32],
    mitosis: NDArray[np.bool_],
    kind: Sequence[str],
    score: NDArray[np.float32],
) -> Cells:
    """Cells at points of a frame at 0.25 µm/px."""
    tiles = cut_tiles(frame.rgb, xy_px)
    return Cells(
        tiles,
        mitosis.astype(bool),
        np.array([f"field {k}" for k in kind], dtype=str),
        np.array([frame.slide] * len(tiles), dtype=str),
        score.astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class ClassifierRecipe:
    """Settings of one training.

    Attributes:
        steps: optimiser steps.
        batch: crops a step.
        lr: peak learning rate; the head gets ten times as much when `head_boost` is set.
        shares: share of each stratum in a batch; a name ending in ` *` matches by its start, and
            `offcentre` draws a point beside a patch's mitosis as a negative.
        jitter_um: largest distance of a crop's centre from the cell's, per axis.
        mirror_p: probability that a crop is mirrored at a line beside its centre, as those near
            the edge of a patch are, whatever their label.
        seed: of sampling, augmentation and initialisation.
        crop_px: side of a crop at 0.25 µm/px, before zoom and resizing.
    """

    shares: Mapping[str, float]
    steps: int = 1500
    batch: int = 64
    lr: float = 5e-4
    weight_decay: float = 1e-2
    jitter_um: float = 1.5
    zoom: float = 0.12
    mirror_p: float = 0.35
    seed: int = 0
    train_norms: bool = True
    strength: AugmentStrength = DEFAULT_STRENGTH
    crop_px: int = CROP_PX


class CropSampler:
    """Draws augmented crops, balanced over strata, and within a stratum over slides."""

    def __init__(self, cells: Cells, recipe: ClassifierRecipe, input_px: int) -> None:
        self.cells = cells
        self.recipe = recipe
        self.input_px = input_px
        self.pools: list[tuple[str, NDArray[np.int64], NDArray[np.float64]]] = []
        shares = []
        for name, share in recipe.shares.items():
            ids = self._members(name)
            if len(ids) == 0:
                continue
            _, inverse, counts = np.unique(
                cells.slide[ids], return_inverse=True, return_counts=True
            )
            weight = (1 / np.sqrt(counts))[inverse]
            self.pools.append((name, ids, weight / weight.sum()))
            shares.append(share)
        self.shares = np.array(shares) / np.sum(shares)

    def _members(self, name: str) -> NDArray[np.int64]:
        if name == "offcentre":
            patches = ~np.char.startswith(self.cells.stratum, "field")
            return np.flatnonzero(patches & self.cells.mitosis)
        if name.endswith("*"):
            return np.flatnonzero(np.char.startswith(self.cells.stratum, name[:-1]))
        return np.flatnonzero(self.cells.stratum == name)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops (B, 3, S, S) float32 in 0..1 and labels (B,) float32."""
        n = self.recipe.batch
        picks = rng.choice(len(self.pools), n, p=self.shares)
        ids = np.empty(n, np.int64)
        shift = rng.uniform(-1, 1, (n, 2)) * self.recipe.jitter_um / MPP
        labels = np.empty(n, np.float32)
        for i, k in enumerate(picks):
            name, members, weight = self.pools[k]
            ids[i] = rng.choice(members, p=weight)
            labels[i] = self.cells.mitosis[ids[i]]
            if name == "offcentre":
                shift[i] = _beside(rng)
                labels[i] = 0
        crops = self.crops(ids, shift, rng)
        return crops.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)

    def crops(
        self, ids: NDArray[np.int64], shift_px: NDArray[np.float64], rng: np.random.Generator
    ) -> torch.Tensor:
        """Augmented crops (n, 3, S, S) float32 in 0..1 of cells (n,), off centre by (n, 2) px."""
        tiles = torch.from_numpy(self.cells.tiles[ids]).permute(0, 3, 1, 2).float() / 255
        crops = stain_jitter(self._cut(tiles, shift_px, rng), rng, self.recipe.strength)
        return degrade(crops, rng, self.recipe.strength)

    def _cut(
        self, tiles: torch.Tensor, shift_px: NDArray[np.float64], rng: np.random.Generator
    ) -> torch.Tensor:
        n = len(tiles)
        angle = rng.uniform(0, 2 * np.pi, n)
        zoom = np.exp(rng.uniform(-self.recipe.zoom, self.recipe.zoom, n))
        zoom *= self.recipe.crop_px / TILE_PX
        theta = turned(angle, zoom, rng.choice([-1.0, 1.0], n))
        theta[:, :, 2] = shift_px / (TILE_PX / 2)
        grid = functional.affine_grid(
            torch.from_numpy(theta), [n, 3, self.input_px, self.input_px], align_corners=False
        )
        self._mirror(grid, shift_px, rng)
        return functional.grid_sample(
            tiles, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )

    def _mirror(
        self, grid: torch.Tensor, shift_px: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        """Fold some of the sampling grids (n, s, s, 2) back at a line beside their centre."""
        for i in np.flatnonzero(rng.random(len(grid)) < self.recipe.mirror_p):
            axis, sign = int(rng.integers(2)), float(rng.choice([-1, 1]))
            from_centre_px = rng.uniform(MIN_EDGE_PX, 45)
            line = (sign * shift_px[i, axis] + from_centre_px) / (TILE_PX / 2)
            along = sign * grid[i, ..., axis]
            grid[i, ..., axis] = sign * torch.where(along > line, 2 * line - along, along)


def _beside(rng: np.random.Generator) -> NDArray[np.float64]:
    """An offset of 6 to 8 µm along at least one axis, pixels: a neighbour of the patch's cell."""
    far = rng.uniform(24, 32) * rng.choice([-1, 1])
    near = rng.uniform(-32, 32)
    return np.array([far, near] if rng.random() < 0.5 else [near, far])


def train_classifier(
    network: nn.Module,
    cells: Cells,
    recipe: ClassifierRecipe,
    *,
    input_px: int,
    token: CancelToken | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Train the parameters of `network` that want a gradient; leaves it in eval mode.

    Args:
        network: crops (B, 3, input_px, input_px) → (B,) logits; a `CropNet`, bare or with LoRA.
        cells: training cells, test slides left out.
        recipe: lengths, shares and seed.
        input_px: side of the crops drawn.
        token: cancels between steps.
        on_step: called with the step and its loss.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network.to(memory_format=torch.channels_last)
    network.train()
    if not recipe.train_norms:
        freeze_norms(network.modules())
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.lr, total_steps=recipe.steps, pct_start=0.15
    )
    sampler = CropSampler(cells, recipe, input_px)
    started = time.perf_counter()
    running = 0.0
    for step in range(recipe.steps):
        if token is not None:
            token.check()
        crops, labels = sampler.batch(rng)
        loss = functional.binary_cross_entropy_with_logits(network(crops), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        running += loss.item()
        if on_step is not None:
            on_step(step, loss.item())
        if step % 100 == 99:
            rate = (step + 1) * recipe.batch / (time.perf_counter() - started)
            log.info("step %d loss %.4f, %.0f crops/s", step + 1, running / 100, rate)
            running = 0.0
    network.eval()


def predict(
    network: nn.Module, tiles: NDArray[np.uint8], batch: int = 256, crop_px: int = CROP_PX
) -> NDArray[np.float32]:
    """Logits (N,) of the cells in the middle of (N, 128, 128, 3) tiles."""
    crops = middle(tiles, crop_px)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), batch):
            x = torch.from_numpy(np.ascontiguousarray(crops[start : start + batch]))
            x = x.permute(0, 3, 1, 2).float() / 255
            parts.append(network(x).numpy())
    return np.concatenate(parts) if parts else np.empty(0, np.float32)

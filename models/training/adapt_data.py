"""Labelled cells to adapt to: balance, folds by slide, and augmented batches."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.training.augment import AugmentStrength, degrade, stain_jitter, turned

MPP = 0.25
#: A tile is this much wider than the crop, so that a turned and shifted crop mostly stays within.
MARGIN = 1.5
DEFAULT_STRENGTH = AugmentStrength()


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled cells, each in the middle of a tile at 0.25 µm/px.

    Attributes:
        tiles: (N, tile_px, tile_px, 3) uint8; the crop and a margin for turning it.
        positive: (N,) bool; mitosis (of imposter) or atypical (of normal).
        slide: (N,) str; the unit of every split.
        source: (N,) str; where each cell comes from, for the reader to find it again.
        detector_score: (N,) float32; NaN where the detector was not asked.
        crop_px: side of the crop that a network sees, in the middle of the tile.
    """

    tiles: NDArray[np.uint8]
    positive: NDArray[np.bool_]
    slide: NDArray[np.str_]
    source: NDArray[np.str_]
    detector_score: NDArray[np.float32]
    crop_px: int

    def __len__(self) -> int:
        return len(self.positive)

    def select(self, keep: NDArray[np.bool_]) -> "Examples":
        """Those for which `keep` (N,) holds."""
        return Examples(
            self.tiles[keep],
            self.positive[keep],
            self.slide[keep],
            self.source[keep],
            self.detector_score[keep],
            self.crop_px,
        )

    def crops(self, crop_px: int | None = None) -> NDArray[np.uint8]:
        """The tiles' middles (N, crop_px, crop_px, 3); by default of the examples' own size."""
        side = crop_px or self.crop_px
        low = (self.tiles.shape[1] - side) // 2
        if low < 0:
            raise ValueError(f"tiles of {self.tiles.shape[1]} px hold no crops of {side} px")
        return self.tiles[:, low : low + side, low : low + side]

    def digest(self) -> str:
        """SHA-256 of all that a training depends on."""
        digest = hashlib.sha256(f"{self.crop_px} {self.tiles.shape}".encode())
        for tile in self.tiles:
            digest.update(tile.tobytes())
        digest.update(self.positive.tobytes())
        digest.update("\0".join(self.slide.tolist()).encode())
        digest.update(self.detector_score.tobytes())
        return digest.hexdigest()


def tile_side(crop_px: int, at_least_px: int = 0) -> int:
    """Side of the tile around a crop, even.

    Args:
        crop_px: of the network that learns.
        at_least_px: crop of another network that is to judge the same cells.
    """
    return 2 * math.ceil(max(MARGIN * crop_px, at_least_px) / 2)


def balance(positive: NDArray[np.bool_], slide: NDArray[np.str_]) -> NDArray[np.float64]:
    """Weights (N,) of sum 1: both classes alike, and within a class a slide by √ of its cells.

    The root is a compromise between slides alike and cells alike, as in `CropSampler`.
    """
    weights = np.zeros(len(positive))
    for value in (True, False):
        ids = np.flatnonzero(positive == value)
        if not len(ids):
            continue
        _, inverse, counts = np.unique(slide[ids], return_inverse=True, return_counts=True)
        own = (1 / np.sqrt(counts))[inverse]
        weights[ids] = own / own.sum()
    return np.asarray(weights / weights.sum())


def slide_folds(
    positive: NDArray[np.bool_], slide: NDArray[np.str_], n_folds: int
) -> NDArray[np.int64]:
    """Fold (N,) of each cell, whole slides together; both classes about equally in every fold.

    The slides with most cells are placed first, each into the fold that lacks their classes most.
    No fold stays empty where there are slides enough.
    """
    names, inverse = np.unique(slide, return_inverse=True)
    counts = np.zeros((len(names), 2))
    np.add.at(counts, (inverse, positive.astype(int)), 1)
    share = counts / np.maximum(counts.sum(axis=0), 1)
    load = np.zeros((n_folds, 2))
    fold_of = np.zeros(len(names), np.int64)
    order = sorted(range(len(names)), key=lambda k: (-share[k].sum(), names[k]))
    for placed, k in enumerate(order):
        spread = np.array([np.square(load + share[k] * unit).sum() for unit in _units(n_folds)])
        empty = ~load.any(axis=1)
        if len(names) - placed <= empty.sum():
            spread[~empty] = np.inf
        fold_of[k] = int(np.argmin(spread))
        load[fold_of[k]] += share[k]
    return fold_of[inverse]


def _units(n: int) -> list[NDArray[np.float64]]:
    return [np.eye(n)[k][:, None] for k in range(n)]


def cell_folds(
    positive: NDArray[np.bool_], n_folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Fold (N,) of each cell by itself, both classes spread evenly."""
    folds = np.zeros(len(positive), np.int64)
    for value in (True, False):
        ids = rng.permutation(np.flatnonzero(positive == value))
        folds[ids] = np.arange(len(ids)) % n_folds
    return folds


def both_classes(positive: NDArray[np.bool_]) -> bool:
    """Whether there is a positive and a negative."""
    return bool(positive.any() and not positive.all())


def hold_out(examples: Examples, seed: int) -> NDArray[np.bool_]:
    """Which examples (N,) stop a training early: about a fifth, whole slides where possible.

    Whole slides are possible where both classes stay on either side; else single cells are taken.
    """
    n_slides = len(np.unique(examples.slide))
    for n_folds in range(min(5, n_slides), 1, -1):
        held = np.asarray(slide_folds(examples.positive, examples.slide, n_folds) == 0)
        if both_classes(examples.positive[held]) and both_classes(examples.positive[~held]):
            return held
    return np.asarray(cell_folds(examples.positive, 5, np.random.default_rng([seed, 5])) == 0)


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far crops are changed for a training.

    Attributes:
        shift_um: largest distance of a crop's centre from the cell's, per axis.
        zoom: largest log factor of the scale.
        strength: of stain, light and scanner changes.
    """

    shift_um: float = 1.5
    zoom: float = 0.12
    strength: AugmentStrength = DEFAULT_STRENGTH


class BatchSampler:
    """Draws augmented batches, balanced over classes and slides.

    Every batch has a random generator of its own, from seed, epoch and step: batches may be made in
    any order, on any thread, and a resumed training draws what it would have drawn.
    """

    def __init__(
        self, examples: Examples, batch: int, output_px: int, seed: int, jitter: Jitter
    ) -> None:
        self.examples = examples
        self.batch = batch
        self._output_px = output_px
        self._seed = seed
        self._jitter = jitter
        self._weights = balance(examples.positive, examples.slide)

    def __call__(self, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops (B, 3, output_px, output_px) float32 in 0..1 and labels (B,) float32."""
        rng = np.random.default_rng([self._seed, epoch, step])
        ids = rng.choice(len(self.examples), self.batch, p=self._weights)
        tiles = torch.from_numpy(self.examples.tiles[ids]).permute(0, 3, 1, 2).float() / 255
        crops = functional.grid_sample(
            tiles,
            self._grid(rng),
            mode="bilinear",
            padding_mode="reflection",
            align_corners=False,
        )
        crops = stain_jitter(crops, rng, self._jitter.strength)
        crops = degrade(crops, rng, self._jitter.strength)
        labels = torch.from_numpy(self.examples.positive[ids].astype(np.float32))
        return crops.contiguous(memory_format=torch.channels_last), labels

    def _grid(self, rng: np.random.Generator) -> torch.Tensor:
        n, tile_px = self.batch, self.examples.tiles.shape[1]
        angle = rng.uniform(0, 2 * np.pi, n)
        zoom = np.exp(rng.uniform(-self._jitter.zoom, self._jitter.zoom, n))
        zoom *= self.examples.crop_px / tile_px
        theta = turned(angle, zoom, rng.choice([-1.0, 1.0], n))
        shift_px = rng.uniform(-1, 1, (n, 2)) * self._jitter.shift_um / MPP
        theta[:, :, 2] = shift_px / (tile_px / 2)
        size = [n, 3, self._output_px, self._output_px]
        return functional.affine_grid(torch.from_numpy(theta), size, align_corners=False)


def join(parts: Sequence[Examples]) -> Examples:
    """All examples of all parts; tiles and crops must be of one size."""
    return Examples(
        np.concatenate([p.tiles for p in parts]),
        np.concatenate([p.positive for p in parts]),
        np.concatenate([p.slide for p in parts]),
        np.concatenate([p.source for p in parts]),
        np.concatenate([p.detector_score for p in parts]),
        parts[0].crop_px,
    )

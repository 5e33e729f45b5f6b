"""`mitoscope benchmark sources`: does a classifier take where a crop comes from for what it shows?

Almost all mitoses of the training data lie in patches and almost all imposters in frames, so a
network could learn the source (stain, sharpness, JPEG, scanner) instead of the cell. Here patches
are told from frames on crops of one label and on held-out slides: by a probe on the crops as they
are, by a probe on the crops as training augments them, and by the shipped classifier's logit.

An AUROC of 0.5 is chance. A visible source does harm where it moves the judgement: a classifier
that took patches for mitoses would give the negatives of patches the higher logits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from app.training import out_of_fold
from app.training.classifier import FIELD_STRENGTH, START, Plan, training_cells
from app.training.detector import N_FOLDS
from models.classifier import load_classifier
from models.crop_net import CropNet
from models.device import Device
from models.embeddings import Embedder
from models.registry import backbone
from models.training.adapt_data import slide_folds
from models.training.adapt_probe import fit_probe
from models.training.classifier_training import (
    CROP_PX,
    MPP,
    Cells,
    ClassifierRecipe,
    CropSampler,
    middle,
)
from models.training.metrics import auroc, bootstrap

MITOSES = ("field mitosis", "human breast cancer mitosis")
NEGATIVES = (("field hard", "field easy"), ("beside hard", "beside easy"))
_SCORE_BINS = 20


@dataclass(frozen=True, slots=True)
class SourceControl:
    """How well the source is told from crops of one label.

    Attributes:
        label: mitosis or negative.
        seen: what the probe sees.
        frames, patches: how many crops of each source.
        auroc: of telling patches from frames on held-out slides; 0.5 is chance.
        interval: bootstrap by slide, 95 %.
    """

    label: str
    seen: str
    frames: int
    patches: int
    auroc: float
    interval: tuple[float, float]


def read_cells(data: Path, detector: Path) -> Cells:
    """All cells that the shipped classifier learnt from.

    Args:
        data: the labelled tissue.
        detector: the folder that `train detector` wrote.

    Raises:
        InputError: that folder is not complete.
    """
    return training_cells(data, detector, out_of_fold.load_all(detector, N_FOLDS), Plan())


def matched(cells: Cells, seed: int = 0) -> list[tuple[str, Cells, NDArray[np.bool_]]]:
    """Crops of both sources, label by label, as many of each; and which come from patches.

    All are of human breast cancer. The negatives are drawn so that the detector's scores are
    distributed alike: what a detector takes for a mitosis looks more like one.
    """
    rng = np.random.default_rng(seed)
    # Not the same mitoses again, from where a detector saw them.
    labelled = np.isnan(cells.detector_score)
    frame, patch = (np.flatnonzero((cells.stratum == name) & labelled) for name in MITOSES)
    n = min(len(frame), len(patch))
    pairs = [("mitosis", rng.choice(frame, n, replace=False), rng.choice(patch, n, replace=False))]
    breast = np.isin(cells.slide, cells.slide[cells.stratum == MITOSES[1]])
    frame = np.flatnonzero(np.isin(cells.stratum, NEGATIVES[0]))
    patch = np.flatnonzero(np.isin(cells.stratum, NEGATIVES[1]) & breast)
    pairs.append(("negative", *_alike(cells.detector_score, frame, patch, rng)))
    return [
        (label, cells.select(np.concatenate([a, b])), np.arange(len(a) + len(b)) >= len(a))
        for label, a, b in pairs
    ]


def _alike(
    score: NDArray[np.float32],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many of `a` as of `b` in every bin of the score."""
    edges = np.quantile(score[np.concatenate([a, b])], np.linspace(0, 1, _SCORE_BINS + 1)[1:-1])
    chosen: list[list[NDArray[np.int64]]] = [[], []]
    for k in range(_SCORE_BINS):
        bins = [ids[np.searchsorted(edges, score[ids]) == k] for ids in (a, b)]
        n = min(len(ids) for ids in bins)
        for kept, ids in zip(chosen, bins, strict=True):
            kept.append(rng.choice(ids, n, replace=False))
    return np.concatenate(chosen[0]), np.concatenate(chosen[1])


def as_trained(cells: Cells, seed: int = 0) -> NDArray[np.uint8]:
    """The crops (N, 64, 64, 3) uint8 as training shows them: turned, mirrored, stained, blurred."""
    recipe = ClassifierRecipe({}, strength=FIELD_STRENGTH, seed=seed)
    sampler = CropSampler(cells, recipe, CROP_PX)
    n, rng = len(cells.mitosis), np.random.default_rng(seed)
    shift_px = rng.uniform(-1, 1, (n, 2)) * recipe.jitter_um / MPP
    crops = sampler.crops(np.arange(n), shift_px, rng)
    return np.asarray((crops.permute(0, 2, 3, 1) * 255).round().to(torch.uint8))


def told_apart(
    seen: NDArray[np.float32], patch: NDArray[np.bool_], slide: NDArray[np.str_]
) -> tuple[float, tuple[float, float]]:
    """AUROC, with its interval, of telling patches from frames on slides held out.

    Args:
        seen: (N, dim) embeddings, or (N, 1): one number that is taken as it is.
        patch: (N,) whether a crop comes from a patch.
        slide: (N,).
    """
    score = seen[:, 0].astype(np.float32)
    if seen.shape[1] > 1:
        folds = slide_folds(patch, slide, N_FOLDS)
        for k in range(N_FOLDS):
            held = folds == k
            score[held] = fit_probe(seen[~held], patch[~held], slide[~held])(seen[held])
    interval = bootstrap(lambda ids: auroc(patch[ids], score[ids]), slide)
    return auroc(patch, score), interval


def measure(cells: Cells, device: Device) -> list[SourceControl]:
    """The control for both labels and everything that a probe may look at."""
    imagenet = Embedder(CropNet(backbone(START)), backbone(START), device)
    classifier = load_classifier(device=device)
    rows = []
    for label, chosen, patch in matched(cells):
        crops = np.ascontiguousarray(middle(chosen.tiles))
        looks = {
            "ImageNet embedding": imagenet(crops),
            "ImageNet embedding, augmented as in training": imagenet(as_trained(chosen)),
            "logit of the shipped classifier": classifier.logits(crops)[:, None],
        }
        for name, seen in looks.items():
            value, interval = told_apart(seen, patch, chosen.slide)
            n = int(patch.sum())
            rows.append(SourceControl(label, name, len(patch) - n, n, value, interval))
    return rows

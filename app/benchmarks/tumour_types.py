"""`mitoscope benchmark tumour-types`: recall on each tumour type, on slides not trained on.

Parts of AtNorM-MD are left out in turn: halves of its slides (by the hash of their names), each of
its six tumour types, or all of it. For each part the detector, the base and the adapter are trained
anew on everything else; calibration and thresholds stay those that ship, which were chosen on the
frames. The mitoses of the part are then looked for in their patches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import beta
from torch import nn

from app.training.cells import HELD_BACK_SET, held_back
from app.training.classifier import START, Plan, base_network, training_cells, tune_on_fields
from app.training.detector import PATCH_SETS, out_of_fold_candidates, train_or_load
from app.training.patch_points import detect_patch
from core.analysis.evaluate import MATCH_RADIUS_UM
from core.cancel import CancelToken
from models import adapters
from models.calibration import Calibration
from models.crop_net import QuarterTurns
from models.heatmap import HeatmapNet
from models.registry import backbone, read_manifest, shipped, weights_folder
from models.training.classifier_training import CROP_PX, MPP, cut_tile, predict
from models.training.data import Patch, field_slides, load_frames, load_patches
from models.training.detector_training import DetectorRecipe

TYPES = (
    "canine cutaneous mast cell tumor",
    "canine lung cancer",
    "canine lymphoma",
    "canine soft tissue sarcoma",
    "human melanoma",
    "human neuroendocrine tumor",
)
#: What is left out, one part after another, and what the networks then know of each type.
PARTS: Mapping[str, tuple[str, ...]] = {
    "halves": ("half-0", "half-1"),  # other slides of it
    "half": ("half-0",),  # the same, on half of the slides
    "types": TYPES,  # the five other types
    "all": ("all",),  # human breast cancer alone
}


@dataclass(frozen=True, slots=True)
class TypeRecall:
    """Recall on the mitoses of one tumour type.

    Attributes:
        slides: that the mitoses come from.
        detected: by the detector at its shipped threshold.
        counted: of all, called a mitosis at the shipped count threshold.
        interval: Clopper–Pearson, 95 %, of the share counted.
    """

    tissue: str
    slides: int
    mitoses: int
    detected: int
    counted: int
    interval: tuple[float, float]


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval (Clopper & Pearson 1934)."""
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def run(
    data: Path,
    detector_folder: Path,
    out: Path,
    plan: Plan,
    detector_steps: int,
    token: CancelToken,
    *,
    parts: Sequence[str] = PARTS["halves"],
) -> list[TypeRecall]:
    """Train without one part after another, and look for the mitoses of each.

    Args:
        data: the labelled tissue.
        detector_folder: what `train detector` wrote; its out-of-fold candidates are learnt from.
        out: keeps the networks, so that a stopped run goes on.
        plan: as of the shipped classifier.
        detector_steps: optimiser steps of the detectors.
        token: cancels between steps.
        parts: what is left out, one after another; names as of `app.training.cells.held_back`.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe = DetectorRecipe(steps=detector_steps, seed=plan.seed)
    found = out_of_fold_candidates(data, detector_folder, recipe, token)
    frames = load_frames(data, mpp=recipe.mpp, slides=field_slides(data))
    patches = load_patches(data, mpp=recipe.mpp, datasets=PATCH_SETS)
    unseen = load_patches(data, mpp=MPP, datasets=(HELD_BACK_SET,))
    looks: list[_Look] = []
    for part in parts:
        kept = [p for p in patches if not held_back(p, part)]
        path = out / f"detector-{part.replace(' ', '-')}.safetensors"
        detector = train_or_load(frames, kept, recipe, path, token)
        partial = replace(plan, held_back=part)
        base = base_network(data, detector_folder, out, partial, token)
        cells = training_cells(data, detector_folder, found, partial)
        network = tune_on_fields(base, backbone(START), cells, partial, token)
        classifier = QuarterTurns(adapters.merged(network), plan.quarter_turns).eval()
        looks += _look([p for p in unseen if held_back(p, part)], detector, classifier)
    tissues = sorted({look.tissue for look in looks})
    return [_recall(tissue, [k for k in looks if k.tissue == tissue]) for tissue in tissues]


def _best_near_centre(detector: HeatmapNet, patch: Patch, mpp: float) -> tuple[float, float, float]:
    """x, y (µm from the centre) and score of the best point within 7.5 µm; score 0 if none."""
    offset_um, scores = detect_patch(detector, patch, mpp, 0.01)
    near = np.flatnonzero(np.hypot(*offset_um.T) <= MATCH_RADIUS_UM)
    if not len(near):
        return 0.0, 0.0, 0.0
    best = near[np.argmax(scores[near])]
    return float(offset_um[best, 0]), float(offset_um[best, 1]), float(scores[best])


@dataclass(frozen=True, slots=True)
class _Look:
    """What became of one mitosis."""

    tissue: str
    slide: str
    detected: bool
    counted: bool


def _look(patches: Sequence[Patch], detector: HeatmapNet, classifier: nn.Module) -> list[_Look]:
    """Look for the mitoses in the middle of patches, at the shipped thresholds and calibration."""
    folder = weights_folder()
    of_detector = read_manifest(folder / f"{shipped('detector')}.json")
    of_classifier = read_manifest(folder / shipped("classifier") / adapters.MANIFEST)
    tiles, scores = [], []
    for patch in patches:
        x_um, y_um, score = _best_near_centre(detector, patch, of_detector["mpp"])
        centre_x, centre_y = patch.rgb.shape[1] / 2, patch.rgb.shape[0] / 2
        tiles.append(cut_tile(patch.rgb, centre_x + x_um / MPP, centre_y + y_um / MPP, CROP_PX))
        scores.append(score)
    calibration = Calibration(**of_classifier["calibration"])
    score = np.array(scores, np.float32)
    probability = calibration(predict(classifier, np.stack(tiles)), score)
    detected = score >= of_detector["threshold"]
    counted = detected & (probability >= of_classifier["count_threshold"])
    return [
        _Look(p.tissue, p.slide, bool(d), bool(c))
        for p, d, c in zip(patches, detected, counted, strict=True)
    ]


def _recall(tissue: str, looks: Sequence[_Look]) -> TypeRecall:
    """Recall of one type."""
    n, counted = len(looks), sum(look.counted for look in looks)
    low, high = clopper_pearson(counted, n)
    return TypeRecall(
        tissue,
        len({look.slide for look in looks}),
        n,
        sum(look.detected for look in looks),
        counted,
        (round(low, 3), round(high, 3)),
    )

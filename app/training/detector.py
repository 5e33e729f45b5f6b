"""Trains the shipped detector: four folds for honest figures, then all training slides."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from app.training import out_of_fold
from app.training.out_of_fold import FrameCandidates
from core.analysis.evaluate import Evaluation, evaluate_files
from core.cancel import CancelToken
from models.foundation import wheel_weights
from models.heatmap import HeatmapNet
from models.registry import backbone, file_sha256
from models.training.data import (
    Frame,
    Patch,
    balanced_groups,
    field_slides,
    load_frames,
    load_patches,
)
from models.training.detector_training import DetectorRecipe, train_detector

log = logging.getLogger(__name__)

NAME = "mitoscope-detector-1"
BACKBONE = "efficientnet-lite0"
PATCH_SETS = ("amibr", "atnorm_md")
N_FOLDS = 4
#: Candidates per mm² out of fold that fix the shipped threshold.
OPERATING_PER_MM2 = 200.0


def train_or_load(
    frames: Sequence[Frame],
    patches: Sequence[Patch],
    recipe: DetectorRecipe,
    path: Path,
    token: CancelToken,
) -> HeatmapNet:
    """Train, or take what an earlier call left in `path`."""
    network = HeatmapNet(recipe.architecture)
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval()
    log.info("training %s on %d frames", path.stem, len(frames))
    imagenet = wheel_weights(backbone(BACKBONE).package)
    network = train_detector(frames, patches, recipe, imagenet=imagenet, token=token)
    partial = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, partial)
    partial.rename(path)
    return network


def out_of_fold_candidates(
    data: Path, out: Path, recipe: DetectorRecipe, token: CancelToken
) -> list[FrameCandidates]:
    """Candidates of every training frame from the fold that had not seen its slide."""
    found: list[FrameCandidates] = []
    groups = balanced_groups(field_slides(data), N_FOLDS)
    paths = [out / f"fold-{k}.npz" for k in range(N_FOLDS)]
    if not all(path.exists() for path in paths):
        slides = [s for group in groups for s in group]
        frames = load_frames(data, mpp=recipe.mpp, slides=slides)
        patches = load_patches(data, mpp=recipe.mpp, datasets=PATCH_SETS)
        for k, group in enumerate(groups):
            training = [f for f in frames if f.slide not in group]
            network = train_or_load(training, patches, recipe, out / f"fold-{k}.safetensors", token)
            held_out = [f for f in frames if f.slide in group]
            out_of_fold.save(paths[k], out_of_fold.propose(network, held_out))
    for path in paths:
        found += out_of_fold.load(path)
    return found


def evaluate_detector(found: Sequence[FrameCandidates]) -> Evaluation:
    """The FROC of whole frames under the detector's own scores."""
    return evaluate_files([f.with_scores(f.scores) for f in found if f.whole])


def operating_threshold(evaluation: Evaluation) -> float:
    """The score at which `OPERATING_PER_MM2` candidates per mm² are left."""
    curve = evaluation.curve()
    assert curve.area_mm2 is not None
    within = curve.tp + curve.fp <= OPERATING_PER_MM2 * curve.area_mm2
    return float(curve.thresholds[within].min())


def train(
    data: Path, out: Path, *, steps: int, final_steps: int, seed: int, token: CancelToken
) -> Path:
    """Train folds and final network into `out`; finished parts are not trained again.

    Returns:
        The final weights; the manifest lies beside them.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe = DetectorRecipe(steps=steps, seed=seed)
    found = out_of_fold_candidates(data, out, recipe, token)
    evaluation = evaluate_detector(found)
    curve = evaluation.curve()
    slides = list(field_slides(data))
    weights = out / f"{NAME}.safetensors"
    final = replace(recipe, steps=final_steps)
    if not weights.exists():
        frames = load_frames(data, mpp=recipe.mpp, slides=slides)
        patches = load_patches(data, mpp=recipe.mpp, datasets=PATCH_SETS)
        train_or_load(frames, patches, final, weights, token)
    manifest = {
        "name": NAME,
        "architecture": recipe.architecture,
        "backbone": BACKBONE,
        "sha256": file_sha256(weights),
        "mpp": recipe.mpp,
        "threshold": round(operating_threshold(evaluation), 4),
        "operating_candidates_per_mm2": OPERATING_PER_MM2,
        "recipe": asdict(final),
        "training": {"slides": sorted(slides), "patches": list(PATCH_SETS)},
        "out_of_fold": {
            "folds": N_FOLDS,
            "steps": steps,
            "recall_at_candidates_per_mm2": {
                str(int(d)): round(curve.recall_at_candidates_per_mm2(d), 4) for d in (50, 100, 200)
            },
            "average_precision": round(curve.average_precision(), 4),
        },
    }
    text = json.dumps(manifest, indent=2) + "\n"
    weights.with_suffix(".json").write_text(text, encoding="utf-8")
    return weights

"""Trains the shipped classifier: a backbone tuned on patches, then LoRA on screened frames.

Steps, each kept on disk so that a stopped training goes on:

1. `base`: all weights of the ImageNet backbone are tuned on the patches. None of them comes from a
   slide of the frames, so every fold may start from it.
2. four folds: a LoRA adapter (or, with `mode="full"`, all weights) learns from the frames of the
   other groups, with the false alarms of a detector that had not seen them, and scores its own.
3. out of fold: levelling, calibration, and the two thresholds on the pooled F1 of both networks.
4. the final adapter learns from all training slides.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from app.training import out_of_fold
from app.training.cells import BASE_SHARES, FIELD_SHARES, PATCH_SETS, field_cells, patch_cells
from app.training.detector import N_FOLDS
from app.training.detector import NAME as DETECTOR
from app.training.operating import figures, judge, level, thresholds
from app.training.out_of_fold import FrameCandidates
from core.cancel import CancelToken
from core.errors import ModelError
from models import adapters
from models.classifier import CropClassifier, load_classifier
from models.crop_net import CropNet, QuarterTurns
from models.device import Device
from models.registry import Backbone, backbone, file_sha256, read_manifest
from models.training.augment import AugmentStrength
from models.training.classifier_training import (
    CROP_PX,
    MPP,
    Cells,
    ClassifierRecipe,
    cut_tiles,
    join,
    predict,
    train_classifier,
)
from models.training.data import balanced_groups, field_slides, load_frames

log = logging.getLogger(__name__)

NAME = "mitoscope-classifier-1"
START = "efficientnet-lite0"
TUNED = "mitoscope-lite0"
#: Tissue out of focus: 3 px of the resized crop are 0.5 µm.
FIELD_STRENGTH = AugmentStrength(blur_sigma_px=3.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Lengths of the parts of a training, and what is learnt from.

    Attributes:
        base_steps: optimiser steps on the patches; 0 leaves patches out altogether.
        field_steps: optimiser steps on the frames.
        mode: what learns from the frames: `lora` or `full`.
        seed: of sampling, augmentation and initialisation.
        patch_sets: which patches are learnt from.
        held_back: the part of the held-back set that is left out, for figures on tumour types;
            None: none.
        quarter_turns: how many turns of a crop the shipped classifier looks at.
    """

    base_steps: int = 1300
    field_steps: int = 600
    mode: str = "lora"
    seed: int = 0
    patch_sets: tuple[str, ...] = PATCH_SETS
    held_back: str | None = None
    quarter_turns: int = 4

    @property
    def part_name(self) -> str:
        """Tells the parts of different plans apart on disk."""
        return f"{self.mode}-{self.base_steps}-{self.field_steps}-{self.seed}{self._part}"

    @property
    def base_name(self) -> str:
        """Of the backbone after tuning on patches."""
        return f"base-{self.base_steps}-{self.seed}{self._part}"

    @property
    def _part(self) -> str:
        return "" if self.held_back is None else f"-{self.held_back.replace(' ', '-')}"


def _save(network: nn.Module, path: Path) -> None:
    partial = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, partial)
    partial.rename(path)


def base_network(data: Path, detector: Path, out: Path, plan: Plan, token: CancelToken) -> CropNet:
    """The backbone and head after tuning on patches."""
    entry = backbone(START)
    path = out / f"{plan.base_name}.safetensors"
    if plan.base_steps == 0:
        return CropNet(entry)
    if path.exists():
        network = CropNet(entry, random=True)
        network.load_state_dict(load_file(path))
        return network.eval()
    torch.manual_seed(plan.seed)  # of the head's start, whatever ran before in this process
    network = CropNet(entry)
    recipe = ClassifierRecipe(BASE_SHARES, steps=plan.base_steps, lr=1e-3, seed=plan.seed)
    cells = _patch_cells(data, detector, plan)
    train_classifier(network, cells, recipe, input_px=entry.input_px, token=token)
    _save(network, path)
    return network


@lru_cache(maxsize=1)  # the base and the frames' training ask for the same, minutes of detecting
def _patch_cells(data: Path, detector: Path, plan: Plan) -> Cells:
    weights = detector / f"{DETECTOR}.safetensors"
    return patch_cells(data, weights, plan.patch_sets, without=plan.held_back)


def training_cells(
    data: Path, detector: Path, found: Sequence[FrameCandidates], plan: Plan
) -> Cells:
    """Cells of the frames, and of the patches unless the plan leaves them out."""
    fields = field_cells(data, found)
    return join([fields, _patch_cells(data, detector, plan)]) if plan.base_steps else fields


def tune_on_fields(
    base: CropNet, entry: Backbone, cells: Cells, plan: Plan, token: CancelToken
) -> nn.Module:
    """LoRA (or all weights) on frames; returns the network with its adapter still apart."""
    network: nn.Module = base
    lora = plan.mode == "lora"
    torch.manual_seed(plan.seed)  # of the adapter's start, so that a resumed training is the same
    if lora:
        network = adapters.attach(base, entry.lora_targets, adapters.LoraSettings())
    recipe = ClassifierRecipe(
        FIELD_SHARES,
        steps=plan.field_steps,
        lr=1e-3 if lora else 4e-4,
        seed=plan.seed,
        train_norms=not lora,
        strength=FIELD_STRENGTH,
    )
    train_classifier(network, cells, recipe, input_px=entry.input_px, token=token)
    return network


def candidate_logits(
    network: nn.Module, data: Path, found: Sequence[FrameCandidates], quarter_turns: int
) -> dict[str, NDArray[np.float64]]:
    """The network's mean logit of every candidate over quarter turns, by file."""
    logits = {}
    network = QuarterTurns(network, quarter_turns).eval()
    frames = {f.file: f for f in load_frames(data, mpp=MPP, slides={c.slide for c in found})}
    for candidates in found:
        rgb = frames[candidates.file].rgb
        tiles = cut_tiles(rgb, candidates.xy_um / MPP, CROP_PX)
        logits[candidates.file] = predict(network, tiles).astype(np.float64)
    return logits


def out_of_fold_logits(
    data: Path, detector: Path, out: Path, plan: Plan, token: CancelToken
) -> tuple[list[FrameCandidates], dict[str, NDArray[np.float64]]]:
    """Every training frame's candidates, scored by the fold that had not seen their slide."""
    found = out_of_fold.load_all(detector, N_FOLDS)
    logits: dict[str, NDArray[np.float64]] = {}
    groups = balanced_groups(field_slides(data), N_FOLDS)
    cells: Cells | None = None
    for k, group in enumerate(groups):
        path = out / f"fold-{k}-{plan.part_name}.npz"
        if not path.exists():
            cells = cells or training_cells(data, detector, found, plan)
            base = base_network(data, detector, out, plan, token)
            training = cells.select(~np.isin(cells.slide, group))
            network = tune_on_fields(base, backbone(START), training, plan, token)
            network = adapters.merged(network)
            _save(network, path.with_suffix(".safetensors"))
            held_out = [c for c in found if c.slide in group]
            scored = candidate_logits(network, data, held_out, plan.quarter_turns)
            np.savez_compressed(path, **scored)
        with np.load(path) as archive:
            logits |= {file: archive[file] for file in archive.files}
    return found, logits


def operating_point(
    data: Path, detector: Path, out: Path, plan: Plan, token: CancelToken
) -> dict[str, Any]:
    """Levelling, calibration and thresholds out of fold, with the figures, as a manifest has them.

    Args:
        data: the labelled tissue.
        detector: the folder that `train detector` wrote.
        out: keeps the folds.
        plan: lengths and mode.
        token: cancels between steps.
    """
    found, logits = out_of_fold_logits(data, detector, out, plan, token)
    operating = json.loads((detector / f"{DETECTOR}.json").read_text("utf-8"))["threshold"]
    groups = balanced_groups(field_slides(data), N_FOLDS)
    unlevelled = judge(found, logits, operating)
    levelling, logits = level(found, logits, operating)
    judged = judge(found, logits, operating)
    review, count = thresholds(judged.evaluation())
    _, count_unlevelled = thresholds(unlevelled.evaluation())
    return {
        "calibration": asdict(judged.calibration),
        "levelling": asdict(levelling),
        "review_threshold": round(review, 5),
        "count_threshold": round(count, 5),
        "out_of_fold": figures(judged, groups, count),
        "out_of_fold_without_levelling": figures(unlevelled, groups, count_unlevelled),
    }


def operating_point_of(trained: Path) -> dict[str, Any]:
    """Levelling, calibration and thresholds of a classifier that is trained already.

    Args:
        trained: the folder that `train` wrote.

    Raises:
        ModelError: it holds none.
    """
    manifest = read_manifest(trained / NAME / adapters.MANIFEST)
    keys = ("calibration", "levelling", "review_threshold", "count_threshold")
    try:
        found = {key: manifest[key] for key in keys}
        return found | {"operated_as_seed": manifest["plan"]["seed"]}
    except KeyError as error:
        raise ModelError(f"The manifest of the classifier in {trained} lacks {error}.") from error


def train(
    data: Path,
    detector: Path,
    out: Path,
    plan: Plan,
    *,
    operated_as: Path | None = None,
    token: CancelToken,
) -> Path:
    """Train everything into `out`; parts that are finished are not trained again.

    Args:
        data: the labelled tissue.
        detector: the folder that `train detector` wrote.
        out: the folder for backbone, adapter and parts.
        plan: lengths and mode.
        operated_as: take thresholds and calibration from what was trained there, and train the
            final network alone; None to find them out of fold.
        token: cancels between steps.

    Returns:
        The adapter's folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    if operated_as is None:
        operating = operating_point(data, detector, out, plan, token)
    else:
        operating = operating_point_of(operated_as)
    base = base_network(data, detector, out, plan, token)
    tuned = out / f"{TUNED}.safetensors"
    _save(base.backbone, tuned)
    entry = tuned_backbone(out)
    cells = training_cells(data, detector, out_of_fold.load_all(detector, N_FOLDS), plan)
    model = tune_on_fields(base, entry, cells, plan, token)
    manifest = {
        "name": NAME,
        "mpp": MPP,
        "crop_px": CROP_PX,
        "quarter_turns": plan.quarter_turns,
        **operating,
        "plan": asdict(plan),
        "training": {"slides": sorted(field_slides(data)), "patches": list(plan.patch_sets)},
    }
    adapters.save(model, out / NAME, entry, manifest)
    log.info("backbone %s has SHA-256 %s", tuned.name, entry.sha256)
    return out / NAME


def tuned_backbone(out: Path) -> Backbone:
    """The registry's entry of the backbone that `train` wrote into `out`."""
    tuned = (out / f"{TUNED}.safetensors").resolve()
    return replace(backbone(START), id=TUNED, file=str(tuned), sha256=file_sha256(tuned))


def load_trained(out: Path, device: Device) -> CropClassifier:
    """The classifier that `train` wrote into `out`.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return load_classifier(out / NAME, device=device, entry=tuned_backbone(out))

"""Trains the head that tells atypical from normal mitoses.

Steps, each kept on disk so that a stopped training goes on:

1. `base`: all weights of the ImageNet backbone are tuned on mitoses of AMi-Br and TUPAC against
   the nuclei beside them, without their subtypes. The sets that the head is tested on are left out.
2. five folds of AMi-Br by slide: all weights learn atypical against normal, starting at the base,
   and each network scores the slides that it was not trained on.
3. out of fold: the calibration, and the threshold of the best balanced accuracy.
4. the final network is trained on all of AMi-Br.
5. it is tested once on AtNorM-Br and AtNorM-MD, which nothing was trained on.
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from app.training import classifier
from core.cancel import CancelToken
from models import calibration
from models.atypical import save_half
from models.calibration import Calibration
from models.crop_net import CropNet, QuarterTurns
from models.registry import backbone, weights_folder
from models.training.classifier_training import (
    MPP,
    Cells,
    ClassifierRecipe,
    cells_of_patches,
    predict,
    train_classifier,
)
from models.training.data import balanced_groups, load_patches
from models.training.metrics import auroc, balanced_accuracy, best_threshold, bootstrap

log = logging.getLogger(__name__)

NAME = "mitoscope-atypical-1"
TRAINING_SET = "amibr"
TEST_SETS = ("atnorm_br", "atnorm_md")
BASE_SETS = ("amibr", "tupac_prlab")
N_FOLDS = 5
SHARES = {"atypical": 0.5, "normal": 0.5}


@dataclass(frozen=True, slots=True)
class Plan:
    """Lengths and settings of a training; chosen by cross-validation on AMi-Br.

    Attributes:
        base_steps: optimiser steps on mitoses against nuclei beside them.
        steps: optimiser steps on atypical against normal.
        batch: crops of a step.
        lr: peak learning rate.
        crop_px: side of a crop at 0.25 µm/px.
        seed: of sampling and augmentation.
        quarter_turns: how many turns of a crop the shipped head looks at.
    """

    base_steps: int = 800
    steps: int = 300
    batch: int = 64
    lr: float = 5e-4
    crop_px: int = 64
    seed: int = 0
    quarter_turns: int = 4

    @property
    def part_name(self) -> str:
        """Tells the parts of different plans apart on disk."""
        lengths = f"{self.base_steps}-{self.steps}-{self.batch}"
        return f"{lengths}-{self.lr:g}-{self.crop_px}-{self.seed}"


def labelled_cells(data: Path, dataset: str) -> Cells:
    """The mitoses of a set; `mitosis` means atypical here, and the stratum is the subtype."""
    patches = load_patches(data, mpp=MPP, datasets=[dataset])
    subtype = np.array([p.subtype for p in patches], dtype=str)
    return replace(cells_of_patches(patches), mitosis=subtype == "atypical", stratum=subtype)


def fold_slides(cells: Cells, n_folds: int) -> list[list[str]]:
    """Slides in folds of about as many cells, an atypical one weighing as much as 3.5 normal."""
    weight: dict[str, int] = {}
    for slide, is_atypical in zip(cells.slide.tolist(), cells.mitosis.tolist(), strict=True):
        weight[slide] = weight.get(slide, 0) + (7 if is_atypical else 2)
    return balanced_groups(weight, n_folds)


def base_state(data: Path, out: Path, plan: Plan, token: CancelToken) -> dict[str, torch.Tensor]:
    """The weights after tuning on mitoses without their subtypes."""
    base_plan = classifier.Plan(base_steps=plan.base_steps, seed=plan.seed, patch_sets=BASE_SETS)
    network = classifier.base_network(data, weights_folder(), out, base_plan, token)
    return {k: v.clone() for k, v in network.state_dict().items()}


def train_network(
    data: Path, out: Path, plan: Plan, fold: int | None, token: CancelToken
) -> CropNet:
    """One network on all slides but a fold's, or on all; or what an earlier call left of it."""
    entry = backbone(classifier.START)
    network = CropNet(entry, random=True)
    name = "final" if fold is None else f"fold-{fold}"
    path = out / f"{name}-{plan.part_name}.safetensors"
    if path.exists():
        network.load_state_dict(load_file(path))
        return network.eval()
    cells = labelled_cells(data, TRAINING_SET)
    if fold is not None:
        cells = cells.select(~np.isin(cells.slide, fold_slides(cells, N_FOLDS)[fold]))
    network.load_state_dict(base_state(data, out, plan, token))
    torch.manual_seed(plan.seed)
    torch.nn.init.zeros_(network.mitosis_head.weight)  # the base's head judged another question
    torch.nn.init.zeros_(network.mitosis_head.bias)
    recipe = ClassifierRecipe(
        SHARES,
        steps=plan.steps,
        batch=plan.batch,
        lr=plan.lr,
        jitter_um=1.0,
        zoom=0.15,
        mirror_p=0.0,
        seed=plan.seed,
        crop_px=plan.crop_px,
    )
    log.info("training %s on %d cells", name, len(cells.slide))
    train_classifier(network, cells, recipe, input_px=entry.input_px, token=token)
    partial = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, partial)
    partial.rename(path)
    return network


def logits_of(network: CropNet, cells: Cells, plan: Plan) -> NDArray[np.float32]:
    """Mean logit (N,) of each cell over quarter turns."""
    turned = QuarterTurns(network, plan.quarter_turns).eval()
    return predict(turned, cells.tiles, crop_px=plan.crop_px)


def out_of_fold(
    data: Path, out: Path, plan: Plan, cells: Cells, token: CancelToken
) -> NDArray[np.float32]:
    """Logits (N,) of every cell from networks that had not seen its slide."""
    logits = np.full(len(cells.slide), np.nan, np.float32)
    for k, slides in enumerate(fold_slides(cells, N_FOLDS)):
        held_out = np.isin(cells.slide, slides)
        network = train_network(data, out, plan, k, token)
        logits[held_out] = logits_of(network, cells.select(held_out), plan)
    return logits


@dataclass(frozen=True, slots=True)
class SetFigures:
    """How well atypical and normal mitoses of a set are told apart, at the shipped threshold.

    Attributes:
        unit: what the intervals (95 %, bootstrap) draw anew: `slide` or `patch`.
    """

    name: str
    cells: int
    atypical: int
    slides: int
    balanced_accuracy: float
    balanced_accuracy_interval: tuple[float, float]
    sensitivity: float
    specificity: float
    auroc: float
    auroc_interval: tuple[float, float]
    unit: str


def figures(
    name: str, cells: Cells, probability: NDArray[np.float32], threshold: float
) -> SetFigures:
    """Balanced accuracy and AUROC of a set; intervals by slide where slides are known."""
    truth, called = cells.mitosis, probability >= threshold
    slides = len(np.unique(cells.slide))
    unit = cells.slide if slides > 1 else np.arange(len(truth)).astype(str)

    def rounded(pair: tuple[float, float]) -> tuple[float, float]:
        return round(pair[0], 4), round(pair[1], 4)

    return SetFigures(
        name,
        len(truth),
        int(truth.sum()),
        slides,
        round(balanced_accuracy(truth, called), 4),
        rounded(bootstrap(lambda ids: balanced_accuracy(truth[ids], called[ids]), unit)),
        round(float(called[truth].mean()), 4),
        round(float((~called[~truth]).mean()), 4),
        round(auroc(truth, probability), 4),
        rounded(bootstrap(lambda ids: auroc(truth[ids], probability[ids]), unit)),
        "slide" if slides > 1 else "patch",
    )


def probabilities(fitted: Calibration, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Calibrated probabilities (N,) of being atypical."""
    return fitted(logits, np.full(len(logits), 0.5, np.float32))


def train(data: Path, out: Path, plan: Plan, *, token: CancelToken) -> Path:
    """All steps; returns the folder of the finished head, whose manifest holds the figures.

    Args:
        data: folder with `patches.csv`.
        out: where weights, parts and `report.json` go.
        plan: lengths and seed.
        token: cancels; a later call goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    cells = labelled_cells(data, TRAINING_SET)
    logits = out_of_fold(data, out, plan, cells, token)
    undecided = np.full(len(logits), 0.5, np.float32)
    fitted = calibration.fit(logits, undecided, cells.mitosis)
    probability = probabilities(fitted, logits)
    threshold = best_threshold(cells.mitosis, probability)
    rows = [figures(f"{TRAINING_SET}, out of fold", cells, probability, threshold)]
    final = train_network(data, out, plan, None, token)
    for name in TEST_SETS:
        test = labelled_cells(data, name)
        rows.append(
            figures(name, test, probabilities(fitted, logits_of(final, test, plan)), threshold)
        )
    folder = out / NAME
    report: dict[str, Any] = {
        "name": NAME,
        "task": "atypical",
        "mpp": MPP,
        "crop_px": plan.crop_px,
        "quarter_turns": plan.quarter_turns,
        "calibration": asdict(fitted),
        "threshold": round(threshold, 5),
        "plan": asdict(plan),
        "training": {"patches": [TRAINING_SET], "base": list(BASE_SETS)},
        "figures": [asdict(row) for row in rows],
        "reliability": [
            (round(p, 4), round(q, 4), n)
            for p, q, n in calibration.reliability(probability, cells.mitosis)
        ],
    }
    save_half(final, folder, backbone(classifier.START), report)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        log.info("%s", row)
    return folder

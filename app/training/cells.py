"""Cuts the classifier's training cells: patches, labels of frames, and mined false alarms."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from app.training.out_of_fold import FrameCandidates
from app.training.patch_points import cells_beside_mitoses
from models.heatmap import HeatmapNet
from models.training.classifier_training import MPP, Cells, cells_of_frame, cells_of_patches, join
from models.training.data import Frame, Patch, load_frames, load_patches
from models.training.detector_training import DetectorRecipe

HELD_BACK_SET = "atnorm_md"  # left out where recall on unseen tumour types is measured
PATCH_SETS = ("amibr", HELD_BACK_SET, "tupac_prlab")
#: False alarms whose detector score is among the highest so many per mm² of a frame are `hard`.
HARD_PER_MM2 = 60.0

#: Shares of a batch when only patches are learnt from.
BASE_SHARES: Mapping[str, float] = {
    "human breast cancer mitosis": 0.24,
    "human melanoma mitosis": 0.04,
    "human neuroendocrine tumor mitosis": 0.03,
    "canine *": 0.14,
    "human breast cancer imposter": 0.10,
    "offcentre": 0.12,
    "beside hard": 0.20,
    "beside easy": 0.13,
}
#: Shares when frames are learnt from, with patches so that other tumours are not forgotten.
FIELD_SHARES: Mapping[str, float] = {
    "field mitosis": 0.28,
    "field imposter": 0.14,
    "field hard": 0.15,
    "field easy": 0.07,
    "human *": 0.10,
    "canine *": 0.06,
    "offcentre": 0.04,
    "beside hard": 0.10,
    "beside easy": 0.06,
}


def patch_cells(
    data: Path, detector: Path, datasets: Sequence[str] = PATCH_SETS, *, without: str | None = None
) -> Cells:
    """The central cells of the patches of the named sets, and negatives beside them.

    Args:
        data: the labelled tissue.
        detector: weights of the detector that finds the negatives.
        datasets: names of the sets.
        without: the part of `HELD_BACK_SET` to leave out, as `held_back` names it; None: none.
    """
    patches = load_patches(data, mpp=MPP, datasets=datasets)
    if without is not None:
        patches = [p for p in patches if not held_back(p, without)]
    network = HeatmapNet()
    network.load_state_dict(load_file(detector))
    beside = cells_beside_mitoses(patches, network.eval(), DetectorRecipe().mpp)
    return join([cells_of_patches(patches), beside])


def held_back(patch: Patch, part: str) -> bool:
    """Whether a patch is in a part of `HELD_BACK_SET`.

    Args:
        patch: of any set.
        part: `all`, `half-0` or `half-1` of its slides, or the name of a tissue.
    """
    parts = ("all", f"half-{slide_half(patch.slide)}", patch.tissue)
    return patch.dataset == HELD_BACK_SET and part in parts


def slide_half(slide: str) -> int:
    """Which half a slide belongs to, 0 or 1: by its name's hash, the same everywhere."""
    return hashlib.sha256(slide.encode()).digest()[0] & 1


def _of_frame(frame: Frame, found: FrameCandidates) -> list[Cells]:
    """Labels of one frame, and its candidates as mitoses or false alarms."""
    parts = [
        cells_of_frame(
            frame,
            frame.mitoses_px,
            np.ones(len(frame.mitoses_px), bool),
            ["mitosis"] * len(frame.mitoses_px),
            np.full(len(frame.mitoses_px), np.nan),
        ),
        cells_of_frame(
            frame,
            frame.imposters_px,
            np.zeros(len(frame.imposters_px), bool),
            ["imposter"] * len(frame.imposters_px),
            np.full(len(frame.imposters_px), np.nan),
        ),
    ]
    n_hard = max(1, int(HARD_PER_MM2 * found.area_mm2))
    false_rank = np.cumsum(~found.is_mitosis & ~found.is_near)
    kind = np.where(found.is_mitosis, "mitosis", np.where(false_rank <= n_hard, "hard", "easy"))
    keep = ~found.is_near
    xy_px = (found.xy_um[keep] / frame.mpp).astype(np.float32)
    parts.append(
        cells_of_frame(
            frame,
            xy_px,
            found.is_mitosis[keep],
            kind[keep].tolist(),
            found.scores[keep].astype(np.float32),
        )
    )
    return parts


def field_cells(
    data: Path, found: Sequence[FrameCandidates], *, max_easy_per_mm2: float = 150.0
) -> Cells:
    """Cells of all frames: labels, and out-of-fold candidates up to `max_easy_per_mm2`."""
    by_file = {f.file: f for f in found}
    frames = load_frames(data, mpp=MPP, slides={f.slide for f in found})
    parts: list[Cells] = []
    for frame in frames:
        candidates = by_file[frame.file]
        n = max(4, int(max_easy_per_mm2 * candidates.area_mm2))
        parts += _of_frame(frame, head(candidates, n))
    return join(parts)


def head(found: FrameCandidates, n: int) -> FrameCandidates:
    """The `n` candidates with the highest detector scores."""
    return FrameCandidates(
        found.file,
        found.slide,
        found.area_mm2,
        found.whole,
        found.xy_um[:n],
        found.scores[:n],
        found.is_mitosis[:n],
        found.is_near[:n],
        found.mitoses_um,
    )

"""What a detector finds on single-cell patches: the cell in the middle, and what lies beside it."""

import numpy as np
from numpy.typing import NDArray

from core.analysis.evaluate import MATCH_RADIUS_UM
from models.heatmap import GRID_PX, HeatmapNet
from models.training.classifier_training import (
    MIN_EDGE_PX,
    MPP,
    Cells,
    cells_beside,
    cut_tile,
    join,
)
from models.training.data import Patch, resize_to_mpp
from models.training.detector_training import detect_frame

_CANVAS_PX = 8 * GRID_PX  # a patch is mirrored to this size: the detector expects surroundings

#: Nuclei beside the central mitosis are kept as negatives from this score on; above the upper
#: bound many are mitoses that nobody labelled (seen by looking at the highest of them).
LOWEST_BESIDE, HARD_BESIDE, HIGHEST_BESIDE = 0.01, 0.025, 0.12


def detect_patch(
    detector: HeatmapNet, patch: Patch, mpp: float, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Points on a patch.

    Args:
        detector: any.
        patch: at any mpp.
        mpp: the detector's.
        threshold: smallest score kept.

    Returns:
        (N, 2) µm from the patch's centre, and the scores (N,).
    """
    coarse = resize_to_mpp(patch.rgb, patch.mpp, mpp)
    canvas = cut_tile(coarse, coarse.shape[1] / 2, coarse.shape[0] / 2, _CANVAS_PX)
    points = detect_frame(detector, canvas, threshold)
    return (points.xy_px.astype(np.float64) - _CANVAS_PX / 2) * mpp, points.scores


def cells_beside_mitoses(patches: list[Patch], detector: HeatmapNet, mpp: float) -> Cells:
    """Negatives beside the central cells of patches, by what the detector took for candidates.

    Labelled mitoses come from hundreds of slides, labelled imposters from a dozen: these nuclei
    show the classifier ordinary tissue of all the others.

    Args:
        patches: at 0.25 µm/px.
        detector: which points are taken, and which of them are `hard`.
        mpp: the detector's.
    """
    parts = []
    for patch in patches:
        xy_um, scores = detect_patch(detector, patch, mpp, LOWEST_BESIDE)
        height, width = patch.rgb.shape[:2]
        xy_px = xy_um / MPP + (width / 2, height / 2)
        inside = (xy_px >= MIN_EDGE_PX) & (xy_px <= np.array([width, height]) - MIN_EDGE_PX)
        keep = (
            inside.all(axis=1) & (np.hypot(*xy_um.T) >= MATCH_RADIUS_UM) & (scores < HIGHEST_BESIDE)
        )
        if keep.any():
            kind = np.where(scores[keep] >= HARD_BESIDE, "hard", "easy").tolist()
            parts.append(cells_beside(patch, xy_px[keep], kind, scores[keep]))
    return join(parts)

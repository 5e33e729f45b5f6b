"""Candidates found on frames by a detector that never saw their slides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.analysis.evaluate import MATCH_RADIUS_UM, FilePoints, match
from core.errors import InputError
from models.heatmap import HeatmapNet
from models.training.data import Frame
from models.training.detector_training import detect_frame

LOWEST_SCORE = 0.02
MAX_PER_MM2 = 400.0


@dataclass(frozen=True, slots=True)
class FrameCandidates:
    """What a detector proposes on one frame.

    Attributes:
        file, slide: of the frame.
        area_mm2: of the frame.
        whole: whether the frame is a whole one (figures use only these).
        xy_um: (N, 2) float64, from the frame's top left corner.
        scores: (N,) float64, descending.
        is_mitosis: (N,) bool, matched to a mitosis one to one at 7.5 µm.
        is_near: (N,) bool, unmatched but within 7.5 µm of a mitosis: neither class.
        mitoses_um: (M, 2) float64, the labels.
    """

    file: str
    slide: str
    area_mm2: float
    whole: bool
    xy_um: NDArray[np.float64]
    scores: NDArray[np.float64]
    is_mitosis: NDArray[np.bool_]
    is_near: NDArray[np.bool_]
    mitoses_um: NDArray[np.float64]

    def with_scores(self, scores: NDArray[np.float64]) -> FilePoints:
        """The candidates under other scores, as the evaluation wants them."""
        return FilePoints(self.file, self.xy_um, scores, self.mitoses_um, self.area_mm2)


def propose(network: HeatmapNet, frames: Sequence[Frame]) -> list[FrameCandidates]:
    """Run the detector on every frame at its own mpp and match what it finds to the labels."""
    found = []
    for frame in frames:
        area_mm2 = frame.rgb.shape[0] * frame.rgb.shape[1] * frame.mpp**2 / 1e6
        points = detect_frame(network, frame.rgb, LOWEST_SCORE)
        n = max(8, int(MAX_PER_MM2 * area_mm2))
        order = np.argsort(-points.scores, kind="stable")[:n]
        xy_um = points.xy_px[order].astype(np.float64) * frame.mpp
        scores = points.scores[order].astype(np.float64)
        truth = frame.mitoses_px.astype(np.float64) * frame.mpp
        hit = match(xy_um, scores, truth).hit
        near = np.zeros(len(xy_um), bool)
        if len(truth) and len(xy_um):
            distance = np.linalg.norm(xy_um[:, None] - truth[None], axis=2).min(axis=1)
            near = (distance <= MATCH_RADIUS_UM) & ~hit
        found.append(
            FrameCandidates(
                frame.file, frame.slide, area_mm2, frame.whole, xy_um, scores, hit, near, truth
            )
        )
    return found


def save(path: Path, found: Sequence[FrameCandidates]) -> None:
    """Write candidates as one NumPy archive."""
    arrays = {
        "name": np.array([f.file for f in found]),
        "slide": np.array([f.slide for f in found]),
        "area_mm2": np.array([f.area_mm2 for f in found]),
        "whole": np.array([f.whole for f in found]),
        "count": np.array([len(f.scores) for f in found]),
        "truth_count": np.array([len(f.mitoses_um) for f in found]),
        "xy_um": np.concatenate([f.xy_um for f in found]),
        "scores": np.concatenate([f.scores for f in found]),
        "is_mitosis": np.concatenate([f.is_mitosis for f in found]),
        "is_near": np.concatenate([f.is_near for f in found]),
        "mitoses_um": np.concatenate([f.mitoses_um for f in found]),
    }
    np.savez_compressed(path, **arrays)


def load(path: Path) -> list[FrameCandidates]:
    """Read what `save` wrote."""
    with np.load(path) as a:
        ends, truth_ends = np.cumsum(a["count"]), np.cumsum(a["truth_count"])
        per_point = {
            k: np.split(a[k], ends[:-1]) for k in ("xy_um", "scores", "is_mitosis", "is_near")
        }
        truths = np.split(a["mitoses_um"], truth_ends[:-1])
        return [
            FrameCandidates(
                str(a["name"][i]),
                str(a["slide"][i]),
                float(a["area_mm2"][i]),
                bool(a["whole"][i]),
                per_point["xy_um"][i],
                per_point["scores"][i],
                per_point["is_mitosis"][i],
                per_point["is_near"][i],
                truths[i],
            )
            for i in range(len(ends))
        ]


def load_all(folder: Path, n_folds: int) -> list[FrameCandidates]:
    """The candidates of all folds that `train detector` wrote into a folder.

    Raises:
        InputError: they are not all there.
    """
    paths = [folder / f"fold-{k}.npz" for k in range(n_folds)]
    if not all(path.is_file() for path in paths):
        raise InputError(
            f"{folder} does not hold the detector's candidates out of fold.",
            "Train it first: mitoscope train detector",
        )
    return [candidates for path in paths for candidates in load(path)]

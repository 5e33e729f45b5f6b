"""The model that a new adapter is compared with: the shipped one, or one that is in use."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from app.adapting.comparison import Judged
from app.adapting.request import AdaptRequest
from models.adapters import MANIFEST
from models.atypical import load_atypical
from models.classifier import load_classifier
from models.device import Device
from models.registry import read_manifest, shipped, ships, weights_folder
from models.training.adapt_data import Examples

_TINY = 1e-7


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model in use.

    Attributes:
        name: of the model.
        crop_px: side of the crops that it wants, at 0.25 µm/px.
        threshold: from this probability on it calls a cell positive.
        detector_weight: of the detector's log odds in its calibration.
        trained_on: names of the slides that it has learnt from, where they are published.
        logits: crops (N, crop_px, crop_px, 3) to (N,).
        probabilities: logits and detector scores (N,) to (N,).
    """

    name: str
    crop_px: int
    threshold: float
    detector_weight: float
    trained_on: frozenset[str]
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    probabilities: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

    def judge(self, examples: Examples) -> tuple[Judged, NDArray[np.float32]]:
        """What it says of cells as it is, and its bare logits (N,)."""
        logits = self.logits(examples.crops(self.crop_px))
        p = self.probabilities(logits, examples.detector_score).astype(np.float64)
        return Judged(p, p >= self.threshold), logits


def load_baseline(request: AdaptRequest, device: Device) -> tuple[Baseline | None, str]:
    """The model to compare with, or None and why there is none.

    Raises:
        ModelError: the adapter that was named cannot be loaded.
    """
    if request.task == "atypical":
        return _atypical(request, device)
    classifier = load_classifier(request.current, device=device)
    folder = request.current or weights_folder() / shipped("classifier")
    slides = read_manifest(folder / MANIFEST).get("training", {}).get("slides", [])
    return Baseline(
        name=classifier.origin.name,
        crop_px=classifier.crop_px,
        threshold=classifier.count_threshold,
        detector_weight=classifier.calibration.detector_weight,
        trained_on=frozenset(slides),
        logits=classifier.logits,
        probabilities=classifier.calibration,
    ), ""


def _atypical(request: AdaptRequest, device: Device) -> tuple[Baseline | None, str]:
    if request.current is None and not ships("atypical"):
        return None, "There is no model for atypical mitoses to compare with."
    head = load_atypical(request.current, device=device)

    def logits(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        p = np.clip(head.atypical(crops).astype(np.float64), _TINY, 1 - _TINY)
        return np.asarray(logit(p), np.float32)

    return Baseline(
        name=head.origin.name,
        crop_px=head.crop_px,
        threshold=head.threshold,
        detector_weight=0.0,
        trained_on=frozenset(),
        logits=logits,
        probabilities=lambda logits, _scores: np.asarray(expit(logits), np.float32),
    ), ""

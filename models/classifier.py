"""A classifier: a backbone with its adapter (probe, LoRA or full) merged, and a calibration."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.ports import Levelled, ModelOrigin
from models import adapters
from models.calibration import Calibration, Levelling
from models.crop_net import CropNet, QuarterTurns
from models.device import Device, Runner, pick_device
from models.embeddings import Embedder, EmbeddingCache, ProbeRunner
from models.registry import Backbone, backbone, file_sha256, shipped, weights_folder


class CropClassifier:
    """Crops to calibrated probabilities; implements `core.ports.Classifier`."""

    def __init__(
        self,
        network: CropNet,
        manifest: dict[str, Any],
        sha256: str,
        device: Device,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self._name: str = manifest["name"]
        self._sha256 = sha256
        self.mpp: float = manifest["mpp"]
        self.crop_px: int = manifest["crop_px"]
        self.review_threshold: float = manifest["review_threshold"]
        self.count_threshold: float = manifest["count_threshold"]
        #: What was measured of these models on slides of 0.5 µm/px, in words; None if nothing was.
        self.low_res_note: str | None = None
        self.calibration = Calibration(**manifest["calibration"])
        levelling = manifest.get("levelling")
        self._levelling = None if levelling is None else Levelling(**levelling)
        turns = manifest.get("quarter_turns", 1)
        self._runner: Runner | ProbeRunner
        if cache is not None and adapters.mode_of(manifest) == "probe":
            entry = backbone(manifest["backbone"])
            embedder = Embedder(network, entry, device, quarter_turns=turns, cache=cache)
            self._runner = ProbeRunner(embedder, network.mitosis_head)
        else:
            batch_size = 256 if device.kind == "cuda" else 64
            self._runner = Runner(QuarterTurns(network, turns), device, batch_size)

    @property
    def batch_size(self) -> int:
        """Crops in one forward pass; becomes smaller when memory is short."""
        return self._runner.batch_size

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash of the manifest, device and precision.

        The manifest names the hashes of backbone and adapter and holds calibration and thresholds,
        so its hash stands for all that decides a probability.
        """
        device = self._runner.device
        return ModelOrigin(self._name, self._sha256, device.kind, device.precision)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened to memory and device since loading."""
        return tuple(self._runner.warnings)

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The bare forward pass: (B, crop_px, crop_px, 3) uint8 → (B,) float32 logits."""
        return self._runner(crops)

    def classify(
        self, crops: NDArray[np.uint8], detector_scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Calibrated probabilities (B,); see `core.ports.Classifier`."""
        return self.calibration(self.logits(crops), detector_scores)

    def level(
        self, probabilities: NDArray[np.float64], detector_scores: NDArray[np.float64]
    ) -> Levelled:
        """Make up for the slide's stain and scanner; see `core.ports.Classifier`."""
        if self._levelling is None:
            return Levelled(probabilities, 0.0)
        shift = self._levelling.shift(self.calibration.logits(probabilities, detector_scores))
        return Levelled(self.calibration.shifted(probabilities, -shift), shift)


def load_classifier(
    folder: Path | None = None,
    *,
    device: Device | None = None,
    cache: EmbeddingCache | None = None,
    entry: Backbone | None = None,
) -> CropClassifier:
    """Load the shipped classifier, or the adapter in `folder`, on the backbone it names.

    Args:
        folder: of the adapter; None for the shipped one.
        device: None for the best there is.
        cache: embeddings that a probe need not compute again.
        entry: of the backbone; None for the registry's of the name in the manifest.

    Raises:
        ModelError: weights or manifest are missing or damaged, do not belong together, or are for
            another task.
    """
    adapter = folder or weights_folder() / shipped("classifier")
    if folder is not None and not (folder / adapters.MANIFEST).is_file():
        raise ModelError(
            f"There is no adapter in {folder}.", "Choose a folder that `mitoscope adapt` wrote."
        )
    manifest = adapters.manifest_for(adapter, "mitosis")
    sha256 = file_sha256(adapter / adapters.MANIFEST)
    try:
        entry = entry or backbone(manifest["backbone"])
        network = adapters.load_merged(CropNet(entry), adapter, entry)
        assert isinstance(network, CropNet)
        classifier = CropClassifier(network, manifest, sha256, device or pick_device(), cache)
    except (KeyError, TypeError) as error:
        raise ModelError(f"The manifest of {adapter.name} is incomplete: {error}.") from error
    if folder is None:
        classifier.low_res_note = shipped("low_res_note")
    return classifier

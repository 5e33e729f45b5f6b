"""The shipped head that tells atypical from normal mitoses.

A folder like an adapter's of mode `full`: all weights of the named backbone, in half precision,
which takes half the room and changes no logit by more than a few hundredths.
"""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from core.errors import ModelError
from core.ports import ModelOrigin
from models.adapters import MANIFEST, WEIGHTS, load_merged, manifest_for, mode_of
from models.calibration import Calibration
from models.crop_net import CropNet, QuarterTurns
from models.device import Device, Runner, pick_device
from models.registry import (
    Backbone,
    backbone,
    file_sha256,
    load_weights,
    shipped,
    weights_folder,
)


class AtypicalClassifier:
    """Crops of mitoses to the probability of being atypical; a `core.ports.SubtypeClassifier`."""

    def __init__(
        self, network: CropNet, manifest: dict[str, Any], sha256: str, device: Device
    ) -> None:
        self._name: str = manifest["name"]
        self._sha256 = sha256
        self.mpp: float = manifest["mpp"]
        self.crop_px: int = manifest["crop_px"]
        self.threshold: float = manifest["threshold"]
        self._calibration = Calibration(**manifest["calibration"])
        turned = QuarterTurns(network, manifest.get("quarter_turns", 1))
        self._runner = Runner(turned, device, batch_size=256 if device.kind == "cuda" else 64)

    @property
    def batch_size(self) -> int:
        """Crops in one forward pass; becomes smaller when memory is short."""
        return self._runner.batch_size

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash of the manifest (which names that of the weights), device and precision."""
        device = self._runner.device
        return ModelOrigin(self._name, self._sha256, device.kind, device.precision)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened to memory and device since loading."""
        return tuple(self._runner.warnings)

    def atypical(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (B,); see `core.ports.SubtypeClassifier`."""
        logits = self._runner(crops)
        # The calibration also knows a detector's score: one that says nothing is given.
        return self._calibration(logits, np.full(len(logits), 0.5, np.float32))


def save_half(network: CropNet, folder: Path, entry: Backbone, manifest: dict[str, Any]) -> None:
    """Write all weights of a network in half precision, and its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point()  # the counters of batches serve training only
    }
    save_file(tensors, folder / WEIGHTS)
    full = {
        "backbone": entry.id,
        "backbone_sha256": entry.sha256,
        "mode": "full",
        "sha256": file_sha256(folder / WEIGHTS),
        **manifest,
    }
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def load_atypical(
    folder: Path | None = None, *, device: Device | None = None
) -> AtypicalClassifier:
    """Load the shipped head, or one that `mitoscope train atypical` or `adapt` wrote.

    Raises:
        ModelError: weights or manifest are missing or damaged, do not belong together, or are for
            another task.
    """
    folder = folder or weights_folder() / shipped("atypical")
    manifest = manifest_for(folder, "atypical")
    sha256 = file_sha256(folder / MANIFEST)
    try:
        entry = backbone(manifest["backbone"])
        if mode_of(manifest) == "full":
            network = _with_all_weights(folder, entry, manifest["sha256"])
        else:
            network = cast("CropNet", load_merged(CropNet(entry), folder, entry))
        return AtypicalClassifier(network, manifest, sha256, device or pick_device())
    except (KeyError, TypeError) as error:
        raise ModelError(f"The manifest of {folder.name} is incomplete: {error}.") from error


def _with_all_weights(folder: Path, entry: Backbone, sha256: str) -> CropNet:
    """The network of a folder that holds all its weights; the backbone's own are not needed."""
    network = CropNet(entry, random=True)
    try:
        found = network.load_state_dict(load_weights(folder / WEIGHTS, sha256), strict=False)
    except RuntimeError as error:  # a shape differs
        raise ModelError(f"The weights in {folder.name} do not fit {entry.id}.") from error
    lacking = [k for k in found.missing_keys if not k.endswith("num_batches_tracked")]
    if found.unexpected_keys or lacking:
        raise ModelError(f"The weights in {folder.name} do not fit {entry.id}.")
    return network

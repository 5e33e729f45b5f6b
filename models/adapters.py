"""Adapters: make a network learn by head, LoRA or all weights; save with a manifest, load, merge.

An adapter is a folder with `adapter.safetensors`, `manifest.json` and `MODEL-CARD.md`. Its tensors
are the head's alone (`probe`), LoRA matrices and head (`lora`), or all (`full`).
LoRA: Hu et al. 2021, arXiv 2106.09685; r 16, α 16, dropout 0.1 as in Ammeling et al. 2025.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.utils import set_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

from core.errors import ModelError
from models.adapter_folders import (
    CARD,
    MANIFEST,
    MODES,
    WEIGHTS,
    AdapterInfo,
    list_adapters,
    mode_of,
    read_info,
)
from models.registry import Backbone, file_sha256, load_weights, read_manifest

__all__ = [
    "CARD",
    "HEAD",
    "MANIFEST",
    "WEIGHTS",
    "AdapterInfo",
    "LoraSettings",
    "attach",
    "freeze_norms",
    "list_adapters",
    "load_merged",
    "manifest_for",
    "merged",
    "mode_of",
    "prepare",
    "read_info",
    "save",
    "with_hash",
]

#: Name of the unit that is trained and saved whole. PEFT matches it by its ending, so it must not
#: be `head`, which would also catch the `conv_head` of EfficientNets.
HEAD = "mitosis_head"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Rank, scale and dropout of an adapter."""

    rank: int = 16
    alpha: int = 16
    dropout: float = 0.1


def attach(network: nn.Module, targets: str, settings: LoraSettings) -> PeftModel:
    """Wrap a `CropNet` so that only LoRA matrices and its head learn."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        bias="none",
        target_modules=targets,
        modules_to_save=[HEAD],
    )
    return get_peft_model(network, config)


def prepare(
    network: nn.Module, mode: str, targets: str = "", settings: LoraSettings | None = None
) -> nn.Module:
    """Make a `CropNet` learn in a mode: what shall not learn wants no gradient afterwards.

    Args:
        network: a `CropNet`.
        mode: `probe`, `lora` or `full`.
        targets: regular expression of the modules that LoRA adapts; from `Backbone.targets`.
        settings: of LoRA.

    Returns:
        The network, wrapped for `lora`.
    """
    if mode == "lora":
        return attach(network, targets, settings or LoraSettings())
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(mode == "full" or name.startswith(f"{HEAD}."))
    return network


def freeze_norms(modules: Iterable[nn.Module]) -> None:
    """Keep batch norms at their running statistics: an adapter does not carry them."""
    for module in modules:
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def with_hash(entry: Backbone, network: nn.Module) -> Backbone:
    """The entry with a hash of its weights: the registry's, else one of the tensors themselves.

    Weights from a wheel or the hub's cache have no hash in the registry.

    Args:
        entry: from the registry.
        network: a `CropNet` of it, before anything learnt or was merged.
    """
    if entry.sha256:
        return entry
    digest = hashlib.sha256()
    for name, tensor in sorted(network.get_submodule("backbone").state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return replace(entry, sha256=digest.hexdigest())


def _tensors(model: nn.Module, mode: str) -> dict[str, torch.Tensor]:
    """What an adapter of a mode keeps of a network that has learnt."""
    if mode == "lora":
        state = get_peft_model_state_dict(model)
    else:
        state = model.state_dict()
        if mode == "probe":
            state = {k: v for k, v in state.items() if k.startswith(f"{HEAD}.")}
    return {k: v.detach().cpu().contiguous() for k, v in state.items()}


def save(
    model: nn.Module,
    folder: Path,
    entry: Backbone,
    manifest: dict[str, Any],
    *,
    mode: str | None = None,
) -> None:
    """Write the adapter's tensors and its manifest, naming backbone and hashes.

    Args:
        model: what `attach` or `prepare` returned.
        folder: of the adapter.
        entry: of its backbone, with a hash; see `with_hash`.
        manifest: further keys.
        mode: how it learnt; None: LoRA if it is wrapped, else all weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wrapped = isinstance(model, PeftModel)
    mode = mode or ("lora" if wrapped else "full")
    if (mode == "lora") is not wrapped:
        raise ValueError(f"a network of mode {mode} must {'' if mode == 'lora' else 'not '}be LoRA")
    save_file(_tensors(model, mode), folder / WEIGHTS)
    full: dict[str, Any] = {
        "backbone": entry.id,
        "backbone_sha256": entry.sha256,
        "mode": mode,
    }
    if isinstance(model, PeftModel):
        config = model.peft_config["default"]
        assert isinstance(config, LoraConfig)
        full["lora"] = {
            "rank": config.r,
            "alpha": config.lora_alpha,
            "dropout": config.lora_dropout,
            "targets": config.target_modules,
        }
    full |= {"sha256": file_sha256(folder / WEIGHTS), **manifest}
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def merged(model: nn.Module) -> nn.Module:
    """The plain network with its adapter merged in, in eval mode; one without LoRA as it is."""
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    return model.eval()


def manifest_for(folder: Path, task: str) -> dict[str, Any]:
    """The manifest of the adapter in `folder`.

    Args:
        folder: of the adapter.
        task: what it must have been made for, one of `TASKS`.

    Raises:
        ModelError: there is none, or it was made for another task.
    """
    manifest = read_manifest(folder / MANIFEST)
    if manifest.get("task", "mitosis") == task:
        return manifest
    if task == "mitosis":
        raise ModelError(
            f"The adapter {folder.name} tells atypical from normal mitoses; it finds none.",
            "Choose one that was made for mitoses.",
        )
    raise ModelError(
        f"The adapter {folder.name} finds mitoses; it does not tell atypical from normal ones.",
        "Choose one that was made for atypical mitoses.",
    )


def load_merged(network: nn.Module, folder: Path, entry: Backbone) -> nn.Module:
    """Put the adapter in `folder` on `network` and merge it: the plain network again.

    Args:
        network: a `CropNet` of the backbone, with its weights.
        folder: of the adapter.
        entry: of the backbone.

    Raises:
        ModelError: the adapter is damaged, of an unknown mode, or belongs to another backbone.
    """
    manifest = read_manifest(folder / MANIFEST)
    try:
        made_for = manifest["backbone"], manifest["backbone_sha256"]
        sha256, mode = manifest["sha256"], mode_of(manifest)
    except (KeyError, TypeError) as error:
        raise ModelError(f"The manifest of the adapter {folder.name} is incomplete.") from error
    if made_for != (entry.id, with_hash(entry, network).sha256):
        same = made_for[0] == entry.id
        raise ModelError(
            f"The adapter {folder.name} was made for {'other weights of ' if same else ''}"
            f"{made_for[0]}, not for this {entry.id}.",
            "Register the weights that it was made with."
            if same
            else "Choose the backbone that its manifest names.",
        )
    if mode not in MODES:
        raise ModelError(
            f"The adapter {folder.name} is of the unknown mode “{mode}”.",
            "It may come from a newer Mitoscope.",
        )
    state = load_weights(folder / WEIGHTS, sha256)
    try:
        return merged(_with_state(network, mode, manifest, state))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"The adapter {folder.name} does not fit {entry.id}: {str(error).splitlines()[0]}"
        ) from error


def _with_state(
    network: nn.Module, mode: str, manifest: dict[str, Any], state: dict[str, torch.Tensor]
) -> nn.Module:
    """The network with an adapter's tensors; KeyError or RuntimeError where they do not fit."""
    if mode == "full":
        network.load_state_dict(state)
        return network
    if mode == "probe":
        head = {name.removeprefix(f"{HEAD}."): value for name, value in state.items()}
        network.get_submodule(HEAD).load_state_dict(head)
        return network
    lora = manifest["lora"]
    settings = LoraSettings(lora["rank"], lora["alpha"], lora["dropout"])
    model = attach(network, lora["targets"], settings)
    lacking = get_peft_model_state_dict(model).keys() ^ state.keys()
    if lacking:
        raise KeyError(f"{len(lacking)} tensors differ, {min(lacking)} for one")
    set_peft_model_state_dict(model, state)
    return model

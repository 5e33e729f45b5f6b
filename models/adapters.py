"""LoRA adapters: attach to a network, save with a manifest, load, merge.

An adapter is a folder with `adapter.safetensors` (LoRA matrices and head) and `manifest.json`.
Hu et al. 2021, arXiv 2106.09685; r 16, α 16, dropout 0.1 as in Ammeling et al. 2025.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.utils import set_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn

from core.errors import ModelError
from models.registry import Backbone, file_sha256, load_weights, read_manifest

#: Name of the unit that is trained and saved whole. PEFT matches it by its ending, so it must not
#: be `head`, which would also catch the `conv_head` of EfficientNets.
HEAD = "mitosis_head"
WEIGHTS = "adapter.safetensors"
MANIFEST = "manifest.json"


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


def freeze_norms(modules: Iterable[nn.Module]) -> None:
    """Keep batch norms at their running statistics: an adapter does not carry them."""
    for module in modules:
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def save(model: PeftModel, folder: Path, entry: Backbone, manifest: dict[str, Any]) -> None:
    """Write the adapter's tensors and its manifest, naming backbone and hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.peft_config["default"]
    assert isinstance(config, LoraConfig)
    tensors = {
        k: v.detach().cpu().contiguous() for k, v in get_peft_model_state_dict(model).items()
    }
    save_file(tensors, folder / WEIGHTS)
    full = {
        "backbone": entry.id,
        "backbone_sha256": entry.sha256,
        "lora": {
            "rank": config.r,
            "alpha": config.lora_alpha,
            "dropout": config.lora_dropout,
            "targets": entry.lora_targets,
        },
        "sha256": file_sha256(folder / WEIGHTS),
        **manifest,
    }
    text = json.dumps(full, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def merged(model: nn.Module) -> nn.Module:
    """The plain network with its adapter merged in, in eval mode; one without LoRA as it is."""
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    return model.eval()


def load_merged(network: nn.Module, folder: Path, entry: Backbone) -> nn.Module:
    """Attach the adapter in `folder` to `network` and merge it: the plain network again.

    Raises:
        ModelError: the adapter is damaged or belongs to another backbone.
    """
    manifest = read_manifest(folder / MANIFEST)
    if manifest["backbone"] != entry.id or manifest["backbone_sha256"] != entry.sha256:
        raise ModelError(
            f"The adapter {folder.name} was made for {manifest['backbone']}, not for this "
            f"{entry.id}.",
            "Choose the backbone that its manifest names.",
        )
    lora = manifest["lora"]
    settings = LoraSettings(lora["rank"], lora["alpha"], lora["dropout"])
    model = attach(network, lora["targets"], settings)
    state = load_weights(folder / WEIGHTS, manifest["sha256"])
    result = set_peft_model_state_dict(model, state)
    if result.unexpected_keys:  # type: ignore[attr-defined]
        raise ModelError(f"The adapter {folder.name} does not fit {entry.id}.")
    return merged(model)

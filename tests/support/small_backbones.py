"""Shrunken copies of registry entries: the same code path, a thousandth of the parameters."""

from dataclasses import replace

import torch
from safetensors.torch import save_file

from models.foundation import constructor_arguments, timm_embedder
from models.registry import backbone

_VIT = {"embed_dim": 32, "depth": 2, "num_heads": 2}

#: One entry for each way of building, with the arguments that make it small and its input in px.
SMALL = {
    "phikon": ({**_VIT, "img_size": 32}, 32, 32),
    "phikon-v2": ({**_VIT, "img_size": 32}, 32, 32),
    "uni": ({**_VIT, "img_size": 32}, 32, 32),
    "uni2-h": ({**_VIT, "img_size": 28}, 28, 32),
    "virchow": ({**_VIT, "img_size": 28}, 28, 64),
    "virchow2": ({**_VIT, "img_size": 28}, 28, 64),
    "prov-gigapath": ({**_VIT, "img_size": 32}, 32, 32),
    "h-optimus-0": ({**_VIT, "img_size": 28}, 28, 32),
    "h0-mini": ({**_VIT, "img_size": 28}, 28, 64),
    "hibou-b": ({**_VIT, "img_size": 28}, 28, 32),
    "kaiko-s8": ({**_VIT, "img_size": 16}, 16, 32),
    "midnight-12k": ({**_VIT, "img_size": 28}, 28, 64),
    "vit-tiny": ({**_VIT, "img_size": 32}, 32, 32),
    "dinov2-s": ({**_VIT, "img_size": 28}, 28, 32),
    "dinov3-s": ({**_VIT, "img_size": 32}, 32, 32),
    "dinov3-hplus": ({**_VIT, "img_size": 32}, 32, 32),
    "swin-base": (
        {"embed_dim": 8, "depths": (1, 2), "num_heads": (1, 2), "img_size": 28},
        28,
        16,
    ),
    "convnext-base": ({"depths": (1, 1, 2, 1), "dims": (8, 8, 16, 16)}, 32, 16),
    "resnet50": ({"layers": (1, 1, 2, 1), "channels": (8, 8, 16, 16)}, 32, 64),
    "densenet121": ({"growth_rate": 8, "block_config": (2, 2)}, 32, None),
    "efficientnet-b0": ({}, 32, None),
}


def small(backbone_id, **changes):
    """The shrunken entry; `changes` go to the constructor."""
    arguments, px, dim = SMALL[backbone_id]
    entry = backbone(backbone_id)
    entry = replace(
        entry, arguments={**entry.arguments, **arguments, **changes}, input_px=px, sha256=""
    )
    if backbone_id == "efficientnet-b0":  # its constructor does not take sizes; timm has a tiny one
        entry = replace(entry, architecture="test_efficientnet")
    if dim is None:
        dim = timm_embedder(entry.architecture, **constructor_arguments(entry)).num_features
    network = timm_embedder(entry.architecture, **constructor_arguments(entry))
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    return replace(entry, dim=dim, params_m=millions)


def published_file(entry, folder, seed=0):
    """Write random weights as the hub has them, with a classifier; the bare network beside.

    Layer scales are raised to one, so that no block is all but skipped.
    """
    torch.manual_seed(seed)
    network = timm_embedder(entry.architecture, **constructor_arguments(entry)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith((".gamma", "gamma_1", "gamma_2")):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 1.0 if name.endswith("weight") else 0.0, 0.2)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    classifier = network.pretrained_cfg.get("classifier", "head")
    state[f"{classifier}.weight"] = torch.zeros(7, network.num_features)
    state[f"{classifier}.bias"] = torch.zeros(7)
    path = folder / "model.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path, network

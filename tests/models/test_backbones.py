"""Every entry of the registry, built on the meta device: nothing is allocated or fetched."""

import re
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from core.errors import ModelError
from models.crop_net import CropNet
from models.foundation import ClassAndMean
from models.registry import backbone, backbones, build_backbone, unsupported

#: Published counts in millions (model cards and papers), as far as one is published without head.
PUBLISHED = {
    "phikon": 86,
    "phikon-v2": 303,
    "uni": 303,
    "uni2-h": 681,
    "virchow": 631,
    "virchow2": 631,
    "prov-gigapath": 1135,
    "h-optimus-0": 1135,
    "h-optimus-1": 1135,
    "h0-mini": 86,
    "hibou-b": 86,
    "hibou-l": 304,
    "midnight-12k": 1136,
    "kaiko-s16": 21.7,
    "kaiko-b8": 86,
    "kaiko-l14": 303,
    "dinov3-s": 21.6,
    "dinov3-b": 86,
    "dinov3-l": 303,
    "dinov3-hplus": 840,
    "resnet50": 23.5,
}
# fmt: off
PAPER = [
    "phikon", "uni", "virchow", "virchow2", "prov-gigapath", "h-optimus-0", "resnet50", "vit-tiny",
    "vit-small", "vit-base", "vit-large", "vit-huge", "swin-base", "convnext-base",
    "efficientnet-b0", "efficientnet-b3", "efficientnet-b7", "densenet121", "dinov3-s",
]
LATER = [
    "uni2-h", "h-optimus-1", "h0-mini", "phikon-v2", "hibou-b", "hibou-l", "kaiko-s16", "kaiko-s8",
    "kaiko-b16", "kaiko-b8", "kaiko-l14", "midnight-12k", "dinov2-s", "dinov2-b", "dinov2-l",
    "dinov2-g", "dinov3-b", "dinov3-l", "dinov3-hplus", "efficientnetv2-m",
]
# fmt: on


def _meta(entry):
    with torch.device("meta"):
        return CropNet(entry, random=True).eval()


@pytest.mark.parametrize("backbone_id", backbones())
def test_an_entry_builds_with_its_parameters_and_embedding(backbone_id):
    entry = backbone(backbone_id)
    network = _meta(entry)
    count = sum(p.numel() for p in network.backbone.parameters()) / 1e6
    # 1.2 %: published counts are rounded and hold position embeddings of other sizes.
    assert count == pytest.approx(entry.params_m, rel=0.012)
    assert count == pytest.approx(PUBLISHED.get(backbone_id, entry.params_m), rel=0.012)
    crops = torch.empty(2, 3, 80, 80, device="meta")
    assert network.embed(crops).shape == (2, entry.dim)
    assert network(crops).shape == (2,)
    inner = getattr(network.backbone, "network", network.backbone)
    assert getattr(inner, "num_prefix_tokens", 0) == entry.prefix_tokens
    _check_targets(entry, network)


def _check_targets(entry, network):
    """Each expression hits every block alike, and neither patch embedding nor head."""
    named = dict(network.named_modules())
    adaptable = {k for k, m in named.items() if isinstance(m, nn.Linear | nn.Conv2d)}
    hit = {k for k in named if re.fullmatch(entry.lora_all, k)}
    assert hit
    assert hit <= adaptable
    assert re.fullmatch(entry.lora_targets, next(iter(hit)))
    assert not any("patch_embed" in k or k == "mitosis_head" for k in hit)
    if not entry.lora_attention:
        with pytest.raises(ModelError, match="no attention"):
            entry.targets("attention")
        return
    attention = {k for k in named if re.fullmatch(entry.lora_attention, k)}
    assert attention == {k for k in adaptable if re.search(r"\.attn\.(qkv|proj)$", k)}
    mlp = {k for k in adaptable if re.search(r"\.mlp\.\w+$", k)}
    assert hit == attention | mlp
    assert mlp


def test_the_models_of_the_paper_and_those_after_it_are_there():
    assert set(PAPER + LATER) <= set(backbones())
    assert {"conch", "conch-v1.5"} == set(unsupported())


def test_every_entry_says_where_it_is_from_and_what_is_allowed():
    for entry in backbones().values():
        assert entry.title
        assert entry.licence
        assert entry.source
        assert entry.hub or entry.package or entry.file
        assert bool(entry.hub) == bool(entry.hub_file)
        assert len(entry.mean) == len(entry.std) == 3
        assert entry.loader == "timm"
        assert not any("remote" in f"{getattr(entry, f.name)}" for f in fields(entry)[:-1])
    gated = {key for key, entry in backbones().items() if entry.gated}
    assert {"uni", "uni2-h", "virchow", "virchow2", "prov-gigapath", "h-optimus-1"} <= gated
    free = {key for key, entry in backbones().items() if entry.commercial}
    assert {"midnight-12k", "h-optimus-0", "virchow", "vit-base"} <= free
    assert not free & {"uni", "uni2-h", "virchow2", "prov-gigapath", "phikon", "mitoscope-lite0"}


@pytest.mark.parametrize(
    ("backbone_id", "words"),
    [("conch", "CONCH"), ("conch-v1.5", "trust_remote_code"), ("resnet18", "no backbone")],
)
def test_what_cannot_be_used_says_why(backbone_id, words):
    with pytest.raises(ModelError, match=words):
        backbone(backbone_id)


def test_registers_stay_out_of_the_mean():
    class Tokens(nn.Module):
        def forward(self, images):
            tokens = torch.zeros(1, 5 + 4, 2)
            tokens[0, 0] = 1.0  # class
            tokens[0, 1:5] = 100.0  # registers
            tokens[0, 5:] = torch.tensor([2.0, 4.0])  # patches
            return tokens

    embedding = ClassAndMean(Tokens(), backbone("virchow2").prefix_tokens)(torch.zeros(1))
    assert embedding.tolist() == [[1.0, 1.0, 2.0, 4.0]]


def test_interpolation_is_the_entry_s():
    torch.manual_seed(0)
    entry = replace(backbone("vit-tiny"), arguments={"depth": 1})
    network = CropNet(entry, random=True).eval()
    crops = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        bicubic = network.embed(crops)
        network.interpolation = "bilinear"
        assert entry.interpolation == "bicubic"
        assert not torch.equal(bicubic, network.embed(crops))


def test_a_random_network_needs_no_weights():
    assert isinstance(build_backbone(replace(backbone("vit-tiny"), hub=""), random=True), nn.Module)

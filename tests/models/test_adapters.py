import json
from dataclasses import replace

import pytest
import torch

from core.errors import ModelError
from models import adapters
from models.crop_net import CropNet
from models.registry import backbone

ENTRY = replace(backbone("efficientnet-lite0"), sha256="a" * 64)


def _learn(model, steps=3):
    torch.manual_seed(1)
    images, labels = torch.rand(4, 3, 64, 64), torch.tensor([0.0, 1.0, 0.0, 1.0])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    adapters.freeze_norms(model.modules())
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A base network's weights, what it says with a trained adapter, and the adapter's folder."""
    torch.manual_seed(0)
    base = CropNet(ENTRY, random=True)
    state = {k: v.clone() for k, v in base.state_dict().items()}
    model = _learn(adapters.attach(base, ENTRY.lora_targets, adapters.LoraSettings()))
    folder = tmp_path_factory.mktemp("adapter")
    adapters.save(model, folder, ENTRY, {"name": "test"})
    crops = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        return state, crops, model(crops), folder


def _base(state):
    network = CropNet(ENTRY, random=True)
    network.load_state_dict(state)
    return network.eval()


def test_only_lora_matrices_and_head_learn():
    model = adapters.attach(
        CropNet(ENTRY, random=True), ENTRY.lora_targets, adapters.LoraSettings()
    )
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning
    assert all("lora_" in name or "head" in name for name in learning)
    assert not any("conv_dw" in name or "conv_stem" in name for name in learning)


def test_a_saved_adapter_merges_to_the_same_answers(trained):
    state, crops, expected, folder = trained
    merged = adapters.load_merged(_base(state), folder, ENTRY)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    with torch.inference_mode():
        torch.testing.assert_close(merged(crops), expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(_base(state)(crops), expected, atol=1e-3)


def test_an_adapter_of_another_backbone_is_refused(trained):
    state, _, _, folder = trained
    with pytest.raises(ModelError, match="was made for"):
        adapters.load_merged(_base(state), folder, replace(ENTRY, sha256="b" * 64))


def test_damaged_adapter_weights_are_refused(trained, tmp_path):
    state, _, _, folder = trained
    for name in (adapters.WEIGHTS, adapters.MANIFEST):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = tmp_path / adapters.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(ModelError, match="damaged"):
        adapters.load_merged(_base(state), tmp_path, ENTRY)


def test_the_manifest_names_backbone_targets_and_hash(trained):
    manifest = json.loads((trained[3] / adapters.MANIFEST).read_text("utf-8"))
    assert manifest["backbone"] == "efficientnet-lite0"
    assert manifest["backbone_sha256"] == "a" * 64
    assert manifest["lora"]["rank"] == 16
    assert len(manifest["sha256"]) == 64

"""The head for atypical mitoses: what is saved comes back, and what does not fit is refused."""

import json

import numpy as np
import pytest
import torch

from core.errors import ModelError
from models.atypical import load_atypical, save_half
from models.crop_net import CropNet
from models.device import pick_device
from models.registry import backbone

MANIFEST = {
    "name": "made",
    "task": "atypical",
    "mpp": 0.25,
    "crop_px": 64,
    "quarter_turns": 2,
    "threshold": 0.4,
    "calibration": {"logit_weight": 1.0, "detector_weight": 0.0, "constant": 0.0},
}


@pytest.fixture
def head(tmp_path):
    torch.manual_seed(0)
    entry = backbone("efficientnet-lite0")
    network = CropNet(entry, random=True).eval()
    save_half(network, tmp_path / "head", entry, MANIFEST)
    return network, tmp_path / "head"


def test_half_precision_keeps_the_probabilities(head):
    network, folder = head
    crops = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3)).astype(np.uint8)
    found = load_atypical(folder, device=pick_device("cpu"))
    assert (found.threshold, found.crop_px, found.origin.name) == (0.4, 64, "made")
    x = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        both = (network(x) + network(torch.rot90(x, 1, (-2, -1)))) / 2
    assert found.atypical(crops) == pytest.approx(both.sigmoid().numpy(), abs=0.02)
    assert (folder / "adapter.safetensors").stat().st_size < 8e6


def test_what_does_not_fit_is_refused(head):
    _, folder = head
    weights = folder / "adapter.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged"):
        load_atypical(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"backbone": "nothing"}))
    with pytest.raises(ModelError, match="no backbone"):
        load_atypical(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"task": "mitosis"}, "finds mitoses"),
        ({"backbone": None}, "no backbone"),
        ({"sha256": 3}, "incomplete"),
        ({"calibration": None}, "incomplete"),
    ],
)
def test_a_manifest_of_another_task_or_incomplete_is_refused(head, changed, said):
    path = head[1] / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ModelError, match=said):
        load_atypical(head[1], device=pick_device("cpu"))

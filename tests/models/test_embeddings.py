"""The cache of embeddings: it spares the forward pass, and damage only costs time."""

import numpy as np
import pytest
from tinynet import ENTRY, TinyBackbone, use_tiny_backbone

from core.cancel import Cancelled, CancelToken
from models.crop_net import CropNet
from models.device import pick_device
from models.embeddings import Embedder, EmbeddingCache, crop_keys

CROPS = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def forwards(monkeypatch):
    """How many crops went through the network."""
    use_tiny_backbone(monkeypatch)
    counted = []
    forward = TinyBackbone.forward

    def counting(self, images):
        counted.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(TinyBackbone, "forward", counting)
    return counted


def _embedder(folder, turns=1, cap_bytes=2**20):
    cache = EmbeddingCache(folder, cap_bytes)
    cpu = pick_device("cpu")
    return Embedder(CropNet(ENTRY), ENTRY, cpu, quarter_turns=turns, cache=cache, batch_size=8)


def test_what_is_known_is_not_computed_again(tmp_path, forwards):
    first = _embedder(tmp_path)(CROPS[:12])
    assert sum(forwards) == 12
    again = _embedder(tmp_path)(CROPS)
    assert sum(forwards) == 20
    np.testing.assert_array_equal(again[:12], first)
    plain = Embedder(CropNet(ENTRY), ENTRY, pick_device("cpu"))(CROPS)
    np.testing.assert_allclose(again, plain, atol=1e-6)


def test_the_key_holds_crop_backbone_and_preprocessing(tmp_path, forwards, monkeypatch):
    _embedder(tmp_path)(CROPS)
    _embedder(tmp_path)(CROPS[:, ::-1])
    assert sum(forwards) == 40
    _embedder(tmp_path, turns=2)(CROPS)
    assert sum(forwards) == 80
    monkeypatch.setattr("models.crop_net.build_backbone", lambda e, random=False: TinyBackbone(9))
    _embedder(tmp_path)(CROPS)
    assert sum(forwards) == 100
    assert len(set(crop_keys("a", CROPS)) | set(crop_keys("b", CROPS))) == 40


@pytest.mark.parametrize("damage", ["cut", "flipped", "header", "not numpy", "empty"])
def test_damage_costs_time_only(tmp_path, forwards, damage):
    expected = _embedder(tmp_path)(CROPS)
    (path,) = tmp_path.glob("*/*.npy")
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-3] ^= 0x55
    if damage == "header":  # which NumPy reads as Python
        data[10] ^= 0x55
    path.write_bytes(
        {
            "cut": bytes(data[: len(data) // 2]),
            "flipped": bytes(data),
            "header": bytes(data),
            "not numpy": b"something else altogether",
            "empty": b"",
        }[damage]
    )
    np.testing.assert_array_equal(_embedder(tmp_path)(CROPS), expected)
    assert sum(forwards) == (21 if damage == "flipped" else 40)


def test_the_oldest_files_go_when_there_is_no_room(tmp_path, forwards):
    room = 3 * (20 * (32 + 4 + 4 * ENTRY.dim) + 400)
    embedder = _embedder(tmp_path, cap_bytes=room)
    for k in range(6):
        embedder(np.roll(CROPS, k, axis=2))
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.npy")) <= room
    before = sum(forwards)
    _embedder(tmp_path)(np.roll(CROPS, 5, axis=2))
    assert sum(forwards) == before
    _embedder(tmp_path)(CROPS)
    assert sum(forwards) == before + 20


def test_it_can_be_cancelled_and_says_how_far_it_is(tmp_path, forwards):
    told = []
    _embedder(tmp_path)(CROPS, on_done=told.append)
    assert told == [20]
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        _embedder(tmp_path)(CROPS, token=token)

"""The trainings on tiny made-up tissue: they learn, the seed decides, cancel stops them."""

import numpy as np
import pytest
import torch

from core.cancel import Cancelled, CancelToken
from models.crop_net import CropNet, QuarterTurns
from models.registry import backbone
from models.training.classifier_training import (
    Cells,
    ClassifierRecipe,
    CropSampler,
    cut_tile,
    predict,
    train_classifier,
)
from models.training.data import Frame, balanced_groups, resize_to_mpp
from models.training.detector_training import (
    DetectorRecipe,
    detect_frame,
    focal_loss,
    train_detector,
)


def _frame(seed, slide="S1"):
    """Pink noise with three dark discs, the mitoses."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(200, 240, (192, 192, 3)).astype(np.uint8)
    points = rng.uniform(24, 168, (3, 2)).astype(np.float32)
    ys, xs = np.mgrid[:192, :192]
    for x, y in points:
        rgb[(xs - x) ** 2 + (ys - y) ** 2 < 49] = (40, 20, 80)
    return Frame(f"{slide}-{seed}", slide, 0.5, rgb, points, np.empty((0, 2), np.float32), True)


RECIPE = DetectorRecipe(window_px=64, frame_windows=4, mosaic_windows=0, steps=60, lr=4e-3)


def test_the_detector_learns_and_the_seed_decides():
    frames = [_frame(k) for k in range(4)]
    losses: list[list[float]] = [[], []]
    for run in range(2):
        network = train_detector(
            frames, [], RECIPE, imagenet=None, on_step=lambda _, x, run=run: losses[run].append(x)
        )
    assert losses[0] == losses[1]
    assert np.mean(losses[0][-10:]) < 0.5 * np.mean(losses[0][:10])
    assert detect_frame(network, frames[0].rgb, 0.0).xy_px.max() < 192


def test_a_cancelled_training_stops():
    token = CancelToken()
    with pytest.raises(Cancelled):
        train_detector(
            [_frame(0)],
            [],
            RECIPE,
            imagenet=None,
            token=token,
            on_step=lambda step, _: token.cancel() if step == 1 else None,
        )


def test_the_focal_loss_is_small_for_a_right_map():
    target = torch.zeros(1, 1, 8, 8)
    target[0, 0, 3, 3] = 1
    right, weight = target * 20 - 10, torch.ones_like(target)
    assert focal_loss(right, target, target, weight) < 1e-3
    assert focal_loss(-right, target, target, weight) > 5


def _cells(n=32):
    rng = np.random.default_rng(0)
    mitosis = np.arange(n) % 2 == 0
    tiles = rng.integers(180, 255, (n, 128, 128, 3)).astype(np.uint8)
    tiles[mitosis, 52:76, 52:76] = 30
    stratum = np.where(mitosis, "field mitosis", "field imposter")
    return Cells(tiles, mitosis, stratum, np.array(["S"] * n), np.full(n, np.nan, np.float32))


def test_the_classifier_learns():
    torch.manual_seed(0)
    network, cells = CropNet(backbone("efficientnet-lite0"), random=True), _cells()
    recipe = ClassifierRecipe(
        {"field mitosis": 0.5, "field imposter": 0.5}, steps=40, batch=16, lr=2e-3
    )
    losses: list[float] = []
    train_classifier(network, cells, recipe, input_px=64, on_step=lambda _, x: losses.append(x))
    assert np.mean(losses[-8:]) < 0.6 * np.mean(losses[:8])
    assert predict(network, cells.tiles[:4]).shape == (4,)


def test_a_tile_at_the_corner_is_mirrored_not_black():
    rgb = np.full((200, 200, 3), 90, np.uint8)
    for x, y in ((0, 0), (199, 5), (100, 199), (60, 60)):
        tile = cut_tile(rgb, x, y)
        assert tile.shape == (128, 128, 3)
        assert (tile == 90).all()


def test_the_cell_is_in_the_middle_of_its_tile():
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[150, 140] = 255
    assert cut_tile(rgb, 140, 150)[64, 64, 0] == 255


def test_groups_hold_each_slide_once_and_about_equal_mitoses():
    counts = {"a": 230, "b": 124, "c": 40, "d": 36, "e": 36, "f": 27, "g": 25}
    groups = balanced_groups(counts, 3)
    assert sorted(s for group in groups for s in group) == sorted(counts)
    sizes = sorted(sum(counts[s] for s in group) for group in groups)
    assert sizes == [139, 149, 230]


def test_resampling_keeps_the_mean_colour():
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    half = resize_to_mpp(rgb, 0.25, 0.5)
    assert half.shape == (32, 32, 3)
    assert abs(half.mean() - rgb.mean()) < 1


def test_the_mean_over_quarter_turns_does_not_depend_on_how_the_slide_lay():
    torch.manual_seed(0)
    network = QuarterTurns(CropNet(backbone("efficientnet-lite0"), random=True), 4).eval()
    crops = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        first, turned = network(crops), network(torch.rot90(crops, 1, (-2, -1)))
    torch.testing.assert_close(first, turned, atol=1e-4, rtol=1e-4)


def test_a_mirrored_crop_repeats_itself_beside_the_line():
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None], (128, 128, 3))
    cells = Cells(
        ramp[None].copy(),
        np.array([True]),
        np.array(["field mitosis"]),
        np.array(["S"]),
        np.zeros(1, np.float32),
    )
    recipe = ClassifierRecipe({"field mitosis": 1.0}, mirror_p=1.0, zoom=0.0)
    sampler = CropSampler(cells, recipe, 64)
    tiles = torch.from_numpy(cells.tiles).permute(0, 3, 1, 2).float()
    folded = 0
    for seed in range(12):
        crop = sampler._cut(tiles, np.zeros((1, 2)), np.random.default_rng(seed))[0, 0]
        whole = CropSampler(cells, ClassifierRecipe(recipe.shares, mirror_p=0.0, zoom=0.0), 64)
        plain = whole._cut(tiles, np.zeros((1, 2)), np.random.default_rng(seed))[0, 0]
        torch.testing.assert_close(crop[28:36, 28:36], plain[28:36, 28:36])
        folded += not torch.allclose(crop, plain)
    assert folded >= 3

"""Negatives beside the mitoses of patches: from what a detector proposes there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from app.training.cells import held_back, slide_half
from app.training.patch_points import cells_beside_mitoses, detect_patch
from models.heatmap import STRIDE_PX
from models.training.data import Patch


class Darkness(nn.Module):
    """A detector whose heat is the darkness of a cell, up to 0.1 where it is black."""

    def forward(self, images):
        dark = functional.avg_pool2d(1 - images.mean(1, keepdim=True), STRIDE_PX)
        return torch.logit((0.1 * dark).clamp(1e-4, 1 - 1e-4))


def patch(*offsets_um, side_px=128):
    """A light patch at 0.25 µm/px with soft dark discs, offsets from its middle."""
    ys, xs = np.mgrid[:side_px, :side_px]
    rgb = np.full((side_px, side_px), 255.0)
    for x_um, y_um in offsets_um:
        x, y = side_px / 2 + x_um / 0.25, side_px / 2 + y_um / 0.25
        rgb -= 250 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 7.0**2))
    rgb8 = np.clip(rgb, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    return Patch("a.png", "amibr", "S1", "human breast cancer", 0.25, rgb8, "mitosis", "normal")


def test_points_are_measured_from_the_middle():
    xy_um, _ = detect_patch(Darkness(), patch((0, 0), (9, -4)), 0.5, 0.02)
    inside = xy_um[np.abs(xy_um).max(axis=1) < 16]  # beyond it the patch is mirrored
    order = np.argsort(np.hypot(*inside.T))
    np.testing.assert_allclose(inside[order], [[0, 0], [9, -4]], atol=0.6)


def test_only_what_lies_beside_the_mitosis_is_a_negative():
    cells = cells_beside_mitoses([patch((0, 0), (9, -4))], Darkness(), 0.5)
    assert cells.tiles.shape == (1, 128, 128, 3)
    assert not cells.mitosis.any()
    assert list(cells.stratum) == ["beside hard"]
    assert list(cells.slide) == ["S1"]
    assert cells.tiles[0, 62:66, 62:66].mean() < 60  # the nucleus is in the middle of its tile


@pytest.mark.parametrize("at_um", [(14.5, 0), (0, -14.5)])
def test_a_nucleus_at_the_edge_is_left_out(at_um):
    cells = cells_beside_mitoses([patch((0, 0), at_um), patch((0, 0), (9, 0))], Darkness(), 0.5)
    assert len(cells.tiles) == 1


def test_halves_depend_on_the_name_alone_and_both_are_used():
    halves = [slide_half(f"slide {n}") for n in range(40)]
    assert halves == [slide_half(f"slide {n}") for n in range(40)]
    assert set(halves) == {0, 1}


def test_parts_of_the_held_back_set_are_told_by_slide_and_tissue():
    one = patch((0, 0), (9, -4))
    other = replace(one, dataset="amibr")
    one = replace(one, dataset="atnorm_md", tissue="canine lymphoma")
    halves = [f"half-{half}" for half in (0, 1) if held_back(one, f"half-{half}")]
    assert halves == [f"half-{slide_half(one.slide)}"]
    assert held_back(one, "all")
    assert held_back(one, "canine lymphoma")
    assert not held_back(one, "human melanoma")
    assert not any(held_back(other, part) for part in ("all", *halves, other.tissue))

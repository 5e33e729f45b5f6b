import numpy as np
import pytest
import torch

from models.heatmap import GRID_PX, STRIDE_PX, HeatmapNet, heat_to_points


def _logits(peaks, shape=(24, 24)):
    heat = np.full(shape, -8.0, np.float32)
    for row, col, value in peaks:
        heat[row, col] = value
    return heat


def test_a_peak_is_the_centre_of_its_cell():
    points = heat_to_points(_logits([(5, 9, 2.0)]), 0.1)
    np.testing.assert_allclose(points.xy_px, [[9.5 * STRIDE_PX, 5.5 * STRIDE_PX]], atol=0.1)
    assert points.scores == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_a_peak_leans_towards_its_heavier_neighbour():
    points = heat_to_points(_logits([(5, 9, 2.0), (5, 10, 1.0)]), 0.1)
    assert len(points.scores) == 1
    assert 9.5 * STRIDE_PX < points.xy_px[0, 0] < 10.5 * STRIDE_PX


def test_peaks_below_the_threshold_or_beside_a_higher_one_are_not_points():
    heat = _logits([(3, 3, 3.0), (3, 5, 1.0), (10, 10, -2.0), (20, 20, 1.0)])
    assert len(heat_to_points(heat, 0.5).scores) == 2


def test_an_empty_map_has_no_points():
    assert heat_to_points(_logits([]), 0.5).xy_px.shape == (0, 2)


def test_a_window_on_the_grid_sees_the_same_tissue_alike():
    torch.manual_seed(0)
    network = HeatmapNet()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    network.eval()
    image = torch.rand(1, 3, 320, 320)
    shift = 2 * GRID_PX
    with torch.inference_mode():
        whole = network(image)[0, 0]
        part = network(image[:, :, shift:, shift:])[0, 0]
    cells, margin = shift // STRIDE_PX, 128 // STRIDE_PX
    inner = whole[cells + margin : -margin, cells + margin : -margin]
    torch.testing.assert_close(part[margin:-margin, margin:-margin], inner, atol=5e-3, rtol=0)

"""The benchmarks run and their figures are right on tiny inputs; how fast is not tested."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import BlobClassifier, BlobDetector, blob_slide
from PIL import Image

from app.__main__ import main
from app.benchmarks.field import stitched_field
from app.benchmarks.reading import measure_reading, tiles_below
from app.benchmarks.report import Taken, alternate
from app.benchmarks.scale import fill, measure_scale
from app.benchmarks.speed import Judges, measure_speed
from app.benchmarks.stability import Found, compare, measure_stability
from core.errors import InputError
from core.slides.reader import open_slide
from core.store import open_store
from models.classifier import CropClassifier
from models.crop_net import CropNet
from models.detector import HeatmapDetector
from models.device import Device
from models.heatmap import HeatmapNet
from models.registry import backbone

CPU = Device("cpu", torch.float32, "for tests")


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "blobs.tif"
    blob_slide(path, 1200, 900, count=20)
    return path


def random_models():
    torch.manual_seed(0)
    entry = replace(backbone("efficientnet-lite0"), input_px=32)
    detector = HeatmapDetector(
        HeatmapNet("tf_efficientnet_lite0"),
        {"name": "random", "sha256": "0" * 64, "mpp": 0.5, "threshold": 0.005},
        CPU,
    )
    manifest = {
        "name": "random",
        "mpp": 0.25,
        "crop_px": 32,
        "review_threshold": 0.2,
        "count_threshold": 0.5,
        "calibration": {"logit_weight": 1.0, "detector_weight": 0.0, "constant": 0.0},
    }
    return detector, CropClassifier(CropNet(entry, random=True), manifest, "1" * 64, CPU)


def test_works_alternate_and_medians_are_reported():
    order = []

    def work(name, seconds):
        return lambda: order.append(name) or Taken(seconds.pop(), 0.0)

    taken = alternate({"a": work("a", [9.0, 1.0, 2.0]), "b": work("b", [1.0, 1.0, 7.0])}, 3)
    assert "".join(order) == "abbaab"
    assert (taken["a"].wall_s, taken["b"].wall_s) == (2.0, 1.0)


def test_speed_does_the_same_windows_three_ways(slide_path):
    detector, classifier = random_models()
    row = measure_speed(slide_path, Judges(detector, classifier), repeats=1, threads=2)
    assert row.windows >= 1
    assert row.area_mm2 == pytest.approx(1200 * 900 * 0.25**2 / 1e6)
    assert row.pipeline_to_forward == pytest.approx(row.pipeline_s / row.forward_s)
    assert {"read_s", "detect_s"} <= set(row.recorded)


def test_reading_counts_every_tile_below_the_windows_once(slide_path):
    row = measure_reading(slide_path, window_px=256, repeats=1)
    assert (row.windows, row.tiles) == (4 * 3, 4 * 3)
    moved = measure_reading(slide_path, window_px=256, offset_px=100, repeats=1)
    assert (moved.windows, moved.tiles) == (4 * 3, 5 * 4)


def test_bare_decoding_sees_the_tiles_that_the_reader_shows(slide_path, tmp_path):
    (tile,) = tiles_below(slide_path, [(512, 256)], 256)
    path = tmp_path / "tile.jpg"
    path.write_bytes(tile)
    with open_slide(slide_path, backend="openslide") as slide:
        shown = slide.read_level(0, 512, 256, 256, 256)
    with Image.open(path) as image:
        assert np.abs(np.asarray(image).astype(int) - shown).mean() < 4


def test_stability_of_models_that_are_functions_of_pixels(slide_path):
    grid, turbo, fastslide = measure_stability(slide_path, BlobDetector(), BlobClassifier())
    assert grid.first > 0
    assert grid.matched_share == turbo.matched_share == fastslide.matched_share == 1
    assert grid.worst_gap <= 0.02
    assert grid.over_limit == 0
    assert turbo.worst_gap == turbo.worst_score_gap == 0


def test_comparing_tells_what_is_missing_and_what_moved():
    xy_um = np.array([(0.0, 0.0), (100.0, 0.0), (200.0, 0.0), (300.0, 0.0)])
    scores = np.full(4, 0.5)
    first = Found(xy_um, scores, np.array([0.1, 0.2, 0.3, 0.4]), 0)
    second = Found(xy_um[:3] + 0.5, scores[:3], np.array([0.1, 0.25, 0.3]), 1)
    row = compare("", first, second)
    assert (row.first, row.second, row.matched_share) == (4, 3, 0.75)
    assert row.worst_gap == pytest.approx(0.05)
    assert row.over_limit == 1
    assert row.mitoses == (0, 1)


def test_scale_writes_what_it_says():
    row = measure_scale(largest=50, slides=4, total=100, repeats=1)
    assert (row.slides, row.candidates, row.largest) == (4, 100, 50)


def test_the_largest_slide_is_neither_first_nor_last(tmp_path):
    with open_store(tmp_path / "store.sqlite") as store:
        run_id = fill(store, 30, 3, 60)
        assert store.classified_count(run_id) == 30
        assert store.candidates(run_id, 0, 1)[0].id == 16


def test_a_stitched_field_is_a_slide_that_goes_away(tmp_path):
    folder = tmp_path / "fields" / "atypia14"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 48), (200, 150, 180)).save(folder / "H05_03Ab.webp", lossless=True)
    with stitched_field(tmp_path) as path, open_slide(path) as slide:
        assert (slide.width0, slide.height0) == (256, 192)
        assert slide.require_mpp().x == 0.25
    assert not path.exists()


def test_a_missing_data_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"), stitched_field(tmp_path / "nothing"):
        pass


def test_the_command_prints_json_and_nothing_else(capsys):
    options = ["--largest", "5", "--slides", "2", "--total", "9", "--rounds", "1", "--json"]
    assert main(["benchmark", "scale", *options]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["candidates"] == 9

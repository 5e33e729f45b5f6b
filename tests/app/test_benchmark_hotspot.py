import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.benchmarks.placing import counts_at, random_centres, slide_ground
from app.commands.benchmark_hotspot import compare_places, grid_search, read_points, run
from core.counting.allowed import AllowedCentres
from core.counting.shapes import CountShape
from core.errors import InputError


@pytest.fixture
def points_csv(tmp_path):
    random = np.random.default_rng(5)
    lines = ["x,y,label,filename,slide,split"]
    for name, count in (("dense.svs", 300), ("thin.svs", 3)):
        for x, y in random.integers(0, 30000, (count, 2)):
            lines.append(f"{x},{y},1,{name},1,test")
            lines.append(f"{x},{y + 9},0,{name},1,test")
    path = tmp_path / "points.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_grid_never_beats_the_exact_search(points_csv, capsys):
    result = run(points_csv, repeats=1, as_json=True)
    assert [(row.slide, row.mitoses) for row in result.slides] == [
        ("dense.svs", 300),
        ("dense.svs", 300),
        ("thin.svs", 3),
        ("thin.svs", 3),
    ]
    assert all(row.exact >= row.grid for row in result.slides)
    assert [total.slides for total in result.totals] == [2, 2]
    printed = json.loads(capsys.readouterr().out)
    assert printed["area_mm2"] == 2.37
    assert printed["slides"][0]["exact"] == result.slides[0].exact


def test_the_table_names_what_was_missed(points_csv, capsys):
    run(points_csv, repeats=1)
    out = capsys.readouterr().out
    assert "dense.svs" in out
    assert "the grid misses the maximum on" in out


@pytest.mark.parametrize("kind", ["rectangle", "circle"])
def test_grid_search_finds_a_cluster_to_within_its_bins(kind):
    cluster = np.array([(8001.0, 4003.0), (8030.0, 4050.0), (7990.0, 3970.0), (100.0, 90.0)])
    shape = CountShape(kind, 400.0, 400.0)
    centre = grid_search(cluster, shape, 8.0)
    assert shape.contains(cluster, centre).tolist() == [True, True, True, False]


def test_bad_points(tmp_path):
    path = tmp_path / "p.csv"
    with pytest.raises(InputError, match="cannot be read"):
        read_points(path)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="lacks filename, label"):
        read_points(path)
    path.write_text("x,y,label,filename\n1,b,1,a.svs\n")
    with pytest.raises(InputError, match="line 2"):
        read_points(path)
    path.write_text("x,y,label,filename\n1,2,0,a.svs\n")
    with pytest.raises(InputError, match="no mitoses"):
        read_points(path)


@pytest.mark.real
@pytest.mark.skipif("MITOSCOPE_DATA" not in os.environ, reason="MITOSCOPE_DATA is not set")
def test_exact_search_on_real_slides(capsys):
    data = Path(os.environ["MITOSCOPE_DATA"]) / "points" / "ccmct_odael.csv"
    result = run(data, repeats=1, as_json=True)
    assert sum(row.mitoses for row in result.slides) == 2 * 44880
    assert all(row.exact >= row.grid for row in result.slides)
    assert max(row.exact for row in result.slides) == 303


def write_midog(path, frames):
    """Frames of 8000 x 6000 px, 0.204 µm/px when they are 2 mm², by tumour type."""
    images, labels = [], []
    for number, (tumour, places) in enumerate(frames, start=1):
        image = {"id": number, "file_name": f"{number}.tiff", "width": 8000, "height": 6000}
        images.append(image | {"tumor_type": tumour})
        for x, y, category in places:
            box = [x - 25, y - 25, x + 25, y + 25]
            labels.append({"image_id": number, "bbox": box, "category_id": category})
    path.write_text(json.dumps({"images": images, "annotations": labels}))
    return path


def test_a_random_area_loses_what_lies_together(tmp_path, capsys):
    random = np.random.default_rng(1)
    corner = [(*place, 1) for place in random.integers(100, 900, (40, 2)).tolist()]
    frames = [
        ("human breast cancer", corner),
        ("human breast cancer", [(50, 50, 2)]),
        ("human melanoma", [(4000, 3000, 1)]),
        ("human melanoma", []),  # without any label: not known to be free of mitoses
    ]
    path = write_midog(tmp_path / "midog.json", frames)
    result = compare_places(path, placements=400, as_json=True)
    breast, none, melanoma = result.slides
    assert (breast.exact, breast.grid, breast.mitoses) == (40, 40, 40)
    assert breast.random_mean < 30
    assert 0.1 < breast.random_changed < 1
    assert not breast.grid_changed
    assert (none.exact, none.random_changed) == (0, None)
    assert (melanoma.exact, melanoma.random_mean) == (1, 1.0)  # amid the frame: in every 1 mm²
    by_group = {total.group: total for total in result.totals}
    assert (by_group["human breast cancer"].slides, by_group["human breast cancer"].empty) == (1, 1)
    assert by_group["human melanoma"].random_changed is None
    assert by_group["all"].random_changed is None
    assert by_group["all"].random_lost == pytest.approx((1 - breast.random_mean / 40) / 2)
    assert json.loads(capsys.readouterr().out)["area_mm2"] == 1.0
    compare_places(path, placements=20)
    out = capsys.readouterr().out
    assert "human breast cancer: breast_mm2" in out
    with pytest.raises(InputError, match="does not fit"):
        compare_places(path, area_mm2=2.1, placements=5)
    path.write_text("[]")
    with pytest.raises(InputError, match="no label file"):
        compare_places(path)


def test_whole_slides_are_judged_where_labelled_cells_are(points_csv):
    result = compare_places(points_csv, placements=50)
    dense = next(row for row in result.slides if row.name == "dense.svs")
    assert dense.exact >= dense.grid
    assert dense.exact > dense.random_mean
    assert dense.random_changed is not None
    assert compare_places(points_csv, area_mm2=1.0, placements=5).rules == ()


def test_random_areas_lie_in_allowed_cells_and_count_what_they_hold():
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = mask[2, 0] = True
    allowed = AllowedCentres(mask, 10.0, 20.0, (100.0, 200.0))
    centres = random_centres(allowed, 300, np.random.default_rng(0))
    assert allowed.contains(centres).all()
    assert 100 < np.count_nonzero(centres[:, 0] > 110) < 200
    points = np.random.default_rng(1).uniform(90, 260, (40, 2))
    for kind in ("rectangle", "circle"):
        shape = CountShape(kind, 30.0, 30.0)
        held = [np.count_nonzero(shape.contains(points, tuple(centre))) for centre in centres]
        assert counts_at(points, shape, centres).tolist() == held


def test_too_little_tissue_has_no_ground():
    shape = CountShape.from_name("square", 9.0)
    assert slide_ground("a", "g", np.zeros((1, 2)), np.zeros((1, 2)), shape) is None


def test_a_grid_search_keeps_to_the_allowed_centres():
    cluster = np.array([(8001.0, 4003.0), (8030.0, 4050.0), (100.0, 90.0)])
    allowed = AllowedCentres(np.ones((1, 1), bool), 400.0, 400.0, (0.0, 0.0))
    shape = CountShape("rectangle", 400.0, 400.0)
    centre = grid_search(cluster, shape, 8.0, allowed)
    assert allowed.contains(np.array([centre])).all()
    assert shape.contains(cluster, centre).tolist() == [False, False, True]

import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.commands.benchmark_hotspot import grid_search, read_points, run
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

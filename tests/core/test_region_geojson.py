import json

import pytest
import shapely

from core.errors import RegionError
from core.exchange.geojson import read_regions

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]]}
OTHER = {"type": "Polygon", "coordinates": [[[200, 0], [300, 0], [300, 100], [200, 100], [200, 0]]]}


def feature(geometry, classification=None, **properties):
    if classification is not None:
        properties["classification"] = classification
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    def run(document, **arguments):
        path = tmp_path / "region.geojson"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return read_regions(path, **arguments)

    return run


@pytest.mark.parametrize(
    "document",
    [
        SQUARE,
        feature(SQUARE),
        [feature(SQUARE)],
        {"type": "FeatureCollection", "features": [feature(SQUARE, {"name": "Tumor"})]},
        {"type": "GeometryCollection", "geometries": [SQUARE]},
        {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]},
        feature(SQUARE, "Tumor"),
        feature(SQUARE, {"names": ["Tumor", "A"]}),
        {**feature(SQUARE), "properties": None},
    ],
)
def test_all_forms_of_one_polygon(read, document):
    regions = read(document)
    assert regions.tumour is not None
    assert regions.tumour.equals(shapely.box(0, 0, 100, 100))
    assert regions.excluded is None
    assert regions.notes == ()


@pytest.mark.parametrize(
    "classification",
    [
        {"name": "Ignore*"},
        "Ignore*",
        {"name": "ignore"},
        {"name": "Necrosis"},
        {"names": ["Excluded", "pen"]},
        "Region*",
    ],
)
def test_ignored_classes_are_excluded_regions(read, classification):
    collection = {"type": "FeatureCollection", "features": [feature(SQUARE)]}
    collection["features"].append(feature(OTHER, classification))
    regions = read(collection)
    assert regions.tumour is not None
    assert regions.excluded is not None
    assert regions.excluded.equals(shapely.box(200, 0, 300, 100))


def test_a_name_says_it_where_there_is_no_class(read):
    regions = read([feature(SQUARE), feature(OTHER, name="exclude pen")])
    assert regions.excluded is not None


def test_only_excluded_regions_leave_the_rest_of_the_slide(read):
    regions = read(feature(SQUARE, "Ignore*"))
    assert regions.tumour is None
    assert regions.excluded is not None


def test_holes_stay_holes_and_z_is_dropped(read):
    hole = [[40, 40, 0], [60, 40, 0], [60, 60, 0], [40, 60, 0], [40, 40, 0]]
    ring = [[*point, 0] for point in SQUARE["coordinates"][0]]
    regions = read({"type": "Polygon", "coordinates": [ring, hole]})
    assert regions.tumour is not None
    assert regions.tumour.area == 100 * 100 - 20 * 20


def test_a_self_intersecting_polygon_is_repaired_and_that_is_said(read):
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]]}
    regions = read(bow)
    assert regions.tumour is not None
    assert regions.tumour.is_valid
    assert regions.tumour.area == pytest.approx(5000)
    assert "repaired" in regions.notes[0]


def test_points_and_lines_are_passed_over_and_that_is_said(read):
    regions = read([feature(SQUARE), feature({"type": "Point", "coordinates": [1, 2]})])
    assert "passed over" in regions.notes[0]


def test_qupath_counts_from_the_corner_of_the_bounds(read):
    regions = read(SQUARE, corner0=(1000.0, 500.0))
    assert regions.tumour is not None
    assert regions.tumour.bounds == (1000, 500, 1100, 600)


def test_duplicate_keys_and_a_byte_order_mark_are_tolerated(tmp_path):
    path = tmp_path / "bom.geojson"
    text = '{"type": "Feature", "properties": {"metadata": {}, "metadata": {}}, "geometry": '
    path.write_text("\ufeff" + text + json.dumps(SQUARE) + "}", encoding="utf-8")
    assert read_regions(path).tumour is not None


def test_a_polygon_of_many_points(read):
    circle = shapely.Point(50_000, 50_000).buffer(40_000, quad_segs=50_000)
    regions = read(json.dumps(shapely.geometry.mapping(circle)))
    assert regions.tumour is not None
    assert regions.tumour.area == pytest.approx(circle.area)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "huge.geojson"
    with path.open("wb") as file:
        file.truncate(300 * 2**20)
    with pytest.raises(RegionError, match="too large"):
        read_regions(path)


def test_deep_nesting_is_refused(read):
    with pytest.raises(RegionError):
        read("[" * 100_000 + "]" * 100_000)

"""`mitoscope compare` on a store with two readers."""

import csv
import json

import pytest
import shapely
from blobs import blob_slide

from app.__main__ import main
from app.opening import stored_slide
from core.geometry import Rect0
from core.slides.reader import open_slide
from core.store import NewVerdict, SlideRecord, open_store


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        ada, ben = store.add_reader("Ada"), store.add_reader("Ben")
        for name in ("a.svs", "b.svs", "c.svs"):
            slide = store.add_slide(
                SlideRecord("q", name, name, 9000, 9000, 0.25, 0.25, "typed", "x", "")
            )
            store.give_verdicts(
                slide,
                ada,
                [
                    NewVerdict("mitosis", place0=(100.0, 100.0)),
                    NewVerdict("mitosis", place0=(900.0, 100.0)),
                ],
            )
            if name != "c.svs":
                store.give_verdicts(
                    slide,
                    ben,
                    [
                        NewVerdict("mitosis", place0=(120.0, 100.0)),
                        NewVerdict("imposter", place0=(900.0, 110.0)),
                    ],
                )
    return path


def test_two_readers_are_compared_on_what_both_read(path, tmp_path, capsys):
    assert main(["compare", "--store", str(path), "--out", str(tmp_path / "t"), "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert "c.svs: not read by" in told.err
    (pair,) = result["pairs"]
    assert (pair["both"], pair["only_first"], pair["neither"]) == (2, 2, 0)
    assert pair["f1"] == pytest.approx(2 / 3)
    assert pair["bias"] == -1
    with (tmp_path / "t" / "figures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["disputed"] for row in rows] == ["false", "true"] * 2
    assert (float(rows[0]["x_px"]), rows[1]["Ben"]) == (100.0, "imposter")


def test_the_table_is_for_reading(path, capsys):
    assert main(["compare", "Ada", "consensus", "--store", str(path)]) == 0
    out = capsys.readouterr().out
    assert "Ada, consensus" in out
    assert "7.5 µm" in out


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["Ada", "Eve"], "No slide was read by two"),
        (["--slide", "x.svs"], "no slide 'x.svs'"),
    ],
)
def test_who_did_not_read_cannot_be_compared(path, capsys, arguments, fault):
    assert main(["compare", *arguments, "--store", str(path)]) == 2
    assert fault in capsys.readouterr().err


PLACES0 = [(300.0, 300.0), (500.0, 300.0), (700.0, 300.0), (900.0, 600.0)]


@pytest.fixture
def read_slide(tmp_path):
    """A store with a real slide on which Ada and Ben called the same four mitoses."""
    slide_file = tmp_path / "a.tif"
    blob_slide(slide_file, 1200, 900, count=3)
    path = tmp_path / "real.sqlite"
    with open_store(path) as store, open_slide(slide_file, backend="openslide") as slide:
        slide_id = stored_slide(store, slide).id
        for name in ("Ada", "Ben"):
            verdicts = [NewVerdict("mitosis", place0=place0) for place0 in PLACES0]
            store.give_verdicts(slide_id, store.add_reader(name), verdicts)
    return path


@pytest.fixture
def compared(read_slide, tmp_path, capsys):
    """Compares in regions given as (class, left, top, right, bottom); Ada's count."""

    def run(*boxes):
        features = [
            {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(shapely.box(*sides))),
                "properties": {"classification": {"name": name}},
            }
            for name, *sides in boxes
        ]
        file = tmp_path / "r.geojson"
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        command = ["compare", "--store", str(read_slide), "--region", str(file), "--json"]
        assert main(command) == 0
        counts = json.loads(capsys.readouterr().out)["counts"]["a.tif"]
        assert counts["Ada"] == counts["Ben"]
        return counts["Ada"]

    return run


def test_only_what_lies_in_the_tumour_and_not_in_what_is_excluded_is_compared(compared):
    assert compared(("Tumor", 0, 0, 800, 800)) == 3
    assert compared(("Tumor", 0, 0, 800, 800), ("Ignore*", 400, 200, 600, 400)) == 2
    assert compared(("Ignore*", 400, 200, 600, 400)) == 3


def test_regions_are_counted_from_the_corner_of_the_slides_bounds(compared, monkeypatch):
    bounds = Rect0(400, 200, 800, 700)
    monkeypatch.setattr("core.slides.reader._bounds", lambda _properties, _size: bounds)
    assert compared(("Tumor", 50, 50, 250, 250)) == 1  # (450, 250) to (650, 450)
    assert compared(("Ignore*", 50, 50, 250, 250)) == 2  # one lies outside the bounds


@pytest.mark.parametrize(
    ("box", "gone", "fault"),
    [
        ((0, 0, 5000, 5000), False, "cover all"),
        ((0, 0, 10, 10), True, "only the slide's file tells"),
    ],
)
def test_regions_that_say_nothing_are_refused_in_words(
    read_slide, tmp_path, capsys, box, gone, fault
):
    file = tmp_path / "r.geojson"
    geometry = json.loads(shapely.to_geojson(shapely.box(*box)))
    properties = {"classification": "Ignore*"}
    file.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": properties}))
    if gone:
        (tmp_path / "a.tif").unlink()
    assert main(["compare", "--store", str(read_slide), "--region", str(file)]) == 2
    assert fault in capsys.readouterr().err

"""Files as other programs and people make them: old variants, wrong encodings, damage, traps."""

import json
import re
import sqlite3
from math import pi
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError, UserError
from core.exchange.formats import FORMATS, detect
from core.exchange.marks import Mark, Outline, Saying, SlideFrame, SlideMarks, meaning
from core.geometry import Mpp, Rect0

SLIDE = SlideFrame("slide 7.svs", 8000, 6000, Mpp(0.25, 0.25), Rect0(0, 0, 8000, 6000))
SHIFTED = SlideFrame("s.mrxs", 8000, 6000, Mpp(0.25, 0.25), Rect0(1000, 500, 5000, 4000))
GLASS = SlideFrame(
    "s.ndpi", 8000, 6000, Mpp(0.25, 0.25), Rect0(0, 0, 8000, 6000), (100_000.0, -50_000.0)
)
TEXTS = ("csv", "qupath", "midog", "coco", "grand-challenge", "asap", "imagescope", "ndpa")


def read(id_, path, slide=SLIDE):
    return FORMATS[id_].read(path, slide)


def placed(found):
    return [(mark.x0, mark.y0, mark.label) for mark in found.marks]


def save(folder, content, name="file"):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return path


# QuPath.


def feature(geometry, properties=None, **more):
    return {"type": "Feature", "geometry": geometry, "properties": properties or {}} | more


def point(x, y):
    return {"type": "Point", "coordinates": [x, y]}


def test_old_variants_of_qupath_are_read(tmp_path):
    old = [
        feature(
            point(10, 20),
            {
                "classification": {"name": "Mitosis", "colorRGB": -3140401},
                "measurements": [{"name": "Probability", "value": 0.75}],
            },
            id="PathAnnotationObject",
        ),
        feature(
            point(30, 40), {"object_type": "annotation", "classification": "Mitosis: Atypical"}
        ),
        feature(point(50, 60), {"classification": {"names": ["Mitosis", "Atypical"]}}),
        feature({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}, {"classification": "mf"}),
        feature(point(70, 80), {"measurements": {"Probability": "NaN"}, "isLocked": True}),
    ]
    found = read("qupath", save(tmp_path, old))
    assert placed(found) == [
        (10, 20, "mitosis"),
        (30, 40, "atypical"),
        (50, 60, "atypical"),
        (1, 2, "mitosis"),
        (3, 4, "mitosis"),
        (70, 80, ""),
    ]
    assert [mark.probability for mark in found.marks] == [0.75, None, None, None, None, None]
    assert found.marks[0].uuid == ""


def test_a_key_that_qupath_wrote_twice_is_read(tmp_path):
    text = (
        '{"type":"FeatureCollection","features":[{"type":"Feature","id":'
        '"6423a977-ffff-48db-affc-cd11632010f0","geometry":{"type":"Point","coordinates":[1,2]},'
        '"properties":{"objectType":"annotation","metadata":{"reader":"A"},'
        '"metadata":{"reader":"A","verdict":"imposter"}}}]}'
    )
    (mark,) = read("qupath", save(tmp_path, text)).marks
    assert (mark.verdict, mark.reader) == ("imposter", "A")
    assert mark.uuid == "6423a977-ffff-48db-affc-cd11632010f0"


def test_qupath_counts_from_the_corner_of_the_bounds(tmp_path):
    path = save(tmp_path, feature(point(10, 20)))
    assert placed(read("qupath", path, SHIFTED)) == [(1010, 520, "")]
    FORMATS["qupath"].write(path, SlideMarks(SHIFTED, [Mark(1010, 520)]))
    assert json.loads(path.read_text())["features"][0]["geometry"] == point(10.0, 20.0)
    for ask in (read, lambda _, path, slide: FORMATS["qupath"].write(path, SlideMarks(slide))):
        with pytest.raises(InputError, match="not at hand"):
            ask("qupath", path, SlideFrame("gone.svs", 8000, 6000))


def test_outlines_of_cells_are_no_regions_unless_they_are_figures(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [40, 0], [40, 40], [0, 40], [0, 0]]]}
    found = read(
        "qupath",
        save(
            tmp_path,
            [
                feature(square, {"objectType": "cell", "classification": {"name": "Tumor"}}),
                feature(square, {"classification": {"name": "Tumor"}}, id="PathDetectionObject"),
                feature(square, {"objectType": "detection", "classification": {"name": "Mitosis"}}),
                feature(
                    square, {"objectType": "annotation", "classification": {"name": "Ignore*"}}
                ),
                feature(square, {"objectType": "annotation", "name": "Area 1"}),
                feature({"type": "LineString", "coordinates": [[0, 0], [5, 5]]}),
                feature(None),
            ],
        ),
    )
    assert placed(found) == [(20, 20, "mitosis")]
    assert [(o.kind, o.name) for o in found.outlines] == [("excluded", ""), ("tumour", "Area 1")]
    assert found.notes == (
        "features without a shape passed over: 1",
        "lines passed over: 1",
        "outlines of cells or detections passed over: 2",
    )


def test_geojson_is_as_qupath_documents_it(tmp_path):
    marks = [
        Mark(1, 2, label="mitosis", probability=0.5, uuid="6423a977-ffff-48db-affc-cd11632010f0"),
        Mark(3, 4, verdict="imposter", reader="Zoë", sayings=(Saying("Zoë", "imposter"),)),
        Mark(5, 6, name="Cell", uuid="no UUID"),
        Mark(7, 8),
    ]
    holed = shapely.box(0, 0, 90, 90).difference(shapely.box(30, 30, 60, 60))
    two = shapely.union_all([shapely.box(0, 0, 9, 9), shapely.box(20, 20, 29, 29)])
    outlines = [Outline("tumour", holed, "front"), Outline("excluded", two)]
    path = tmp_path / "a.geojson"
    FORMATS["qupath"].write(path, SlideMarks(SLIDE, marks, outlines))
    document = json.loads(path.read_text(encoding="utf-8"))
    assert set(document) == {"type", "features"}
    assert document["type"] == "FeatureCollection"
    for one in document["features"]:
        check_feature(one)
    back = read("qupath", path)
    assert [(o.kind, o.name) for o in back.outlines] == [("tumour", "front"), ("excluded", "")]
    for outline, was in zip(back.outlines, (holed, two), strict=True):
        assert outline.polygon0.equals(was)


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DEPTHS = {"Point": 0, "MultiPoint": 1, "Polygon": 2, "MultiPolygon": 3}


def check_feature(one):
    """QuPath's schema (`QuPathTypeAdapters.java`, notes on formats in the issue)."""
    assert set(one) <= {"type", "id", "geometry", "properties"}
    assert one["type"] == "Feature"
    assert "id" not in one or UUID.fullmatch(one["id"])
    assert set(one["geometry"]) == {"type", "coordinates"}
    check_places(one["geometry"]["coordinates"], DEPTHS[one["geometry"]["type"]])
    properties = one["properties"]
    assert set(properties) <= {
        "objectType", "name", "color", "classification", "isLocked", "measurements", "metadata",
    }  # fmt: skip
    kinds = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}
    assert properties["objectType"] in kinds
    if "classification" in properties:
        classification = properties["classification"]
        assert isinstance(classification["name"], str)
        assert all(isinstance(c, int) and 0 <= c <= 255 for c in classification["color"])
        assert len(classification["color"]) == 3
    assert properties.get("isLocked", True) is True  # only written if locked
    numbers = properties.get("measurements", {"a": 1.0}).values()
    assert numbers
    assert all(isinstance(value, (int, float)) for value in numbers)
    texts = properties.get("metadata", {"a": ""}).values()
    assert texts
    assert all(isinstance(value, str) for value in texts)


def check_places(places, depth):
    if depth:
        assert places
        for part in places:
            check_places(part, depth - 1)
        if depth == 1 and len(places) > 3:  # a ring is closed
            assert places[0] == places[-1]
    else:
        assert len(places) == 2
        assert all(isinstance(value, (int, float)) for value in places)


# MIDOG and COCO.


def boxes(*annotations, images=({"id": 1, "file_name": "slide 7.svs"},), **more):
    return {
        "images": list(images),
        "annotations": [{"image_id": 1, "id": n} | one for n, one in enumerate(annotations)],
        "categories": [
            {"id": 1, "name": "mitotic figure"},
            {"id": 2, "name": "not mitotic figure"},
        ],
    } | more


def test_midogs_corners_and_cocos_sizes_are_told_apart(tmp_path):
    corners = {"bbox": [4336, 346, 4386, 396], "category_id": 2, "labels": [2, 1, 2]}
    path = save(tmp_path, boxes(corners))
    assert detect(path).id == "midog"
    (mark,) = read("midog", path).marks
    assert (mark.x0, mark.y0, mark.label) == (4361, 371, "imposter")
    assert [said.verdict for said in mark.sayings] == ["imposter", "mitosis", "imposter"]
    path = save(tmp_path, boxes({"bbox": [4336, 346, 50, 50], "category_id": 1}))
    assert detect(path).id == "coco"
    assert placed(read("coco", path)) == [(4361, 371, "mitosis")]
    could_be_both = {"bbox": [10, 10, 60, 65], "category_id": 1}
    with pytest.raises(InputError, match="may be a corner or a size") as caught:
        detect(save(tmp_path, boxes(could_be_both)))
    assert "--format" in caught.value.hint
    assert detect(save(tmp_path, boxes(could_be_both | {"area": 3900}))).id == "coco"
    assert detect(save(tmp_path, boxes(could_be_both, info={"name": "MIDOG++"}))).id == "midog"


def test_the_slide_is_chosen_among_the_images_by_its_name(tmp_path):
    images = [
        {"id": 1, "file_name": "a.tiff"},
        {"id": 2, "file_name": "x\\SLIDE 7.tiff", "width": 8000, "height": 6000},
    ]
    one = {"bbox": [0, 0, 50, 50], "category_id": 1}
    path = save(
        tmp_path, boxes(one, one | {"image_id": 2, "bbox": [100, 0, 150, 50]}, images=images)
    )
    assert placed(read("midog", path)) == [(125, 25, "mitosis")]
    with pytest.raises(InputError, match="lists 2 images, and none is named other"):
        read("midog", path, SlideFrame("other.svs", 8000, 6000))
    images[1] |= {"width": 4000}
    path = save(tmp_path, boxes(one, images=images))
    with pytest.raises(InputError, match="of an image of 4000 × 6000 pixels"):
        read("midog", path)


def test_no_figure_in_midog_is_no_statement(tmp_path):
    assert "does not say" in read("midog", save(tmp_path, boxes())).notes[0]


def test_entries_that_lack_keys_are_left_out_and_counted(tmp_path):
    bad = [{"category_id": 1}, {"bbox": [1, 2]}, {"bbox": ["a", 1, 2, 3]}, {"bbox": None}]
    good = {"bbox": [0, 0, 50, 50], "category_id": 77}
    found = read("midog", save(tmp_path, boxes(*bad, good)))
    assert placed(found) == [(25, 25, "")]
    assert found.notes == ("points without a place passed over: 4",)
    with pytest.raises(InputError, match="no list of annotations"):
        read("midog", save(tmp_path, {"images": []}))


def test_regions_of_coco_are_polygons(tmp_path):
    flat = [0, 0, 100, 0, 100, 100, 0, 100]
    document = boxes({"segmentation": [flat], "category_id": 3, "bbox": [0, 0, 100, 100]})
    document["categories"].append({"id": 3, "name": "necrosis"})
    (outline,) = read("coco", save(tmp_path, document)).outlines
    assert (outline.kind, outline.name, outline.polygon0.area) == ("excluded", "necrosis", 10_000)


# Multiple points.


def challenge(*points):
    return {"type": "Multiple points", "points": list(points), "version": {"major": 1, "minor": 0}}


def test_points_of_grand_challenge_are_millimetres(tmp_path):
    path = save(
        tmp_path,
        challenge(
            {"point": [0.25, 0.5, 0], "name": "mitotic figure", "probability": 0.53},
            {"point": [0.5, 0.25, 0], "name": "non-mitotic figure", "probability": 0.3},
        ),
    )
    assert detect(path).id == "grand-challenge"
    assert placed(read("grand-challenge", path)) == [
        (1000, 2000, "mitosis"),
        (2000, 1000, "imposter"),
    ]
    found = read("grand-challenge", path, SlideFrame("s.tif", 100, 100, None))
    assert placed(found)[0][:2] == (0.25, 0.5)
    assert "no pixel size" in found.notes[0]


def test_the_challenge_gets_two_classes(tmp_path):
    path = tmp_path / "a.json"
    marks = [Mark(0, 0, label="imposter", probability=0.1), Mark(0, 4000, verdict="atypical")]
    notes = FORMATS["grand-challenge"].write(path, SlideMarks(SLIDE, marks))
    document = json.loads(path.read_text())
    assert document["points"][1]["point"] == [0, 1.0, 0]
    assert [one["name"] for one in document["points"]] == ["non-mitotic figure", "mitotic figure"]
    assert document["version"] == {"major": 1, "minor": 0}
    assert notes == ("atypical mitoses, written as mitotic figures: 1",)


# CSV.


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("x,y,label\n10,20,mitosis\n", [(10, 20, "mitosis")]),
        ("X;Y;Class\n10,5;20;hard negative\n", [(10.5, 20, "imposter")]),
        ("10\t20\tMitotic figure\n30\t40\n", [(10, 20, "mitosis"), (30, 40, "")]),
        ("\ufeffx_um,y_um\n25,50\n", [(100, 200, "")]),
        (
            "x,y,label\n1,2,1\n3,4,0\n5,6,2\n",
            [(1, 2, "mitosis"), (3, 4, "imposter"), (5, 6, "imposter")],
        ),
        ("x,y,filename\n1,2,slide 7.svs\n3,4,other.svs\n", [(1, 2, "")]),
        ("x,y\n1,2,surplus,cells\n3\n\n", [(1, 2, "")]),
        ("x,y\n1e400,2\nnan,2\n-1,2\n1,6001\n1,2", [(1, 2, "")]),
    ],
)
def test_tables_of_all_kinds(tmp_path, content, expected):
    path = save(tmp_path, content)
    assert detect(path).id == "csv"
    assert placed(read("csv", path)) == expected


def test_places_off_the_slide_are_named(tmp_path):
    found = read("csv", save(tmp_path, "x,y\n-1,2\n1,6001\n9000,9000\n1,9999\n1,2"))
    assert found.notes == (
        "marks of file off the slide, left out: 4, at (-1, 2), (1, 6001), (9000, 9000), …",
    )


def test_an_id_that_occurs_twice_is_taken_once(tmp_path):
    path = save(tmp_path, "x,y,uuid\n1,2,a\n3,4,a\n5,6,b\n")
    found = read("csv", path)
    assert [mark.uuid for mark in found.marks] == ["a", "", "b"]
    assert found.notes == ("ids that occurred before, not taken again: 1",)


def test_outlines_are_mended_or_left_out(tmp_path):
    def polygon(*places):
        return feature({"type": "Polygon", "coordinates": [[*places]]})

    bow = polygon([0, 0], [40, 40], [40, 0], [0, 40], [0, 0])
    off = polygon([9000, 0], [9900, 0], [9900, 900], [9000, 0])
    line = polygon([0, 0], [5, 5], [0, 0])
    nan = polygon([0, 0], [5, None], [9, 9], [0, 0])
    found = read("qupath", save(tmp_path, [bow, off, line, nan]))
    (outline,) = found.outlines
    assert outline.polygon0.is_valid
    assert outline.polygon0.area == 800
    assert found.notes == (
        "marks of file off the slide, left out: 1, at (9600, 300)",
        "outlines without three corners passed over: 2",
        "self-intersecting outlines mended: 1",
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_tables_and_json_in_other_encodings(tmp_path, encoding):
    path = save(tmp_path, "x,y,class,reader,verdict\n10,20,,Zoë,mitosis\n".encode(encoding))
    assert detect(path).id == "csv"
    (mark,) = read("csv", path).marks
    assert (mark.reader, mark.verdict) == ("Zoë", "mitosis")
    path = save(tmp_path, json.dumps(feature(point(1, 2), {"name": "Zoë"})).encode(encoding))
    assert detect(path).id == "qupath"
    assert read("qupath", path).marks[0].name == "Zoë"


def test_latin_1_is_read_and_noted(tmp_path):
    path = save(tmp_path, "x,y,reader,verdict\n1,2,Zoë,mitosis\n".encode("latin-1"))
    found = read("csv", path)
    assert found.marks[0].reader == "Zoë"
    assert found.notes == ("file is not UTF-8; read as Latin-1",)
    with pytest.raises(InputError, match="says that it is UTF-16, but is not"):
        read("csv", save(tmp_path, b"\xff\xfe\x00\xd8\x41"))
    asap = '<?xml version="1.0" encoding="ISO-8859-1"?><ASAP_Annotations><Annotations><Annotation '
    asap += 'Type="Dot" PartOfGroup="Zelle ë"><Coordinates><Coordinate Order="0" X="1" Y="2"/>'
    asap += "</Coordinates></Annotation></Annotations></ASAP_Annotations>"
    assert read("asap", save(tmp_path, asap.encode("latin-1"))).marks[0].name == "Zelle ë"
    with pytest.raises(InputError, match="not valid XML"):
        read("asap", save(tmp_path, asap.replace(' encoding="ISO-8859-1"', "").encode("latin-1")))


def test_guarded_cells_come_back_and_formulas_never_leave(tmp_path):
    path = tmp_path / "a.csv"
    mark = Mark(1, 2, verdict="mitosis", reader="=HYPERLINK(1)", uuid="-1")
    FORMATS["csv"].write(path, SlideMarks(SLIDE, [mark]))
    assert ",=H" not in path.read_text()
    assert read("csv", path).marks[0] == mark


# SlideRunner.


OLD = """
CREATE TABLE Slides (uid INTEGER PRIMARY KEY, filename TEXT, width INTEGER, height INTEGER);
CREATE TABLE Persons (uid INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY, name TEXT, color TEXT);
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY, slide INTEGER, guid TEXT, lastModified REAL,
    deleted INTEGER DEFAULT 0, type INTEGER, agreedClass INTEGER, description TEXT);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY, coordinateX INTEGER,
    coordinateY INTEGER, slide INTEGER, annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations_label (uid INTEGER PRIMARY KEY, person INTEGER, class INTEGER,
    annoId INTEGER);
INSERT INTO Slides VALUES (1, 'other.svs', NULL, NULL), (2, 'slide 7.svs', NULL, NULL);
INSERT INTO Persons VALUES (1, 'Anna'), (2, 'Bert');
INSERT INTO Classes VALUES (1, 'Mitosis', NULL), (2, 'Non-mitotic cell', NULL), (3, 'Tumor', NULL);
INSERT INTO Annotations (uid, slide, type, agreedClass, deleted) VALUES
    (1, 2, 1, 1, 0), (2, 2, 1, 0, 0), (3, 2, 2, 2, 0), (4, 2, 3, 3, 0), (5, 1, 1, 1, 0),
    (6, 2, 1, 1, 1), (7, 2, 4, 0, 0), (8, 2, 6, 1, 0), (9, 2, 1, 1, 0);
INSERT INTO Annotations_coordinates (coordinateX, coordinateY, annoId, orderIdx) VALUES
    (10, 20, 1, 1), (30, 40, 2, 1), (150, 250, 3, 2), (100, 200, 3, 1), (0, 0, 4, 1),
    (90, 90, 4, 3), (90, 0, 4, 2), (5, 5, 5, 1), (6, 6, 6, 1), (70, 80, 7, 1);
INSERT INTO Annotations_label (person, class, annoId) VALUES
    (1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 2, 2), (2, 2, 3);
"""


def database(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def test_an_old_database_is_read_with_the_labels_of_its_persons(tmp_path):
    path = database(tmp_path / "old.sqlite", OLD)
    assert detect(path).id == "sliderunner"
    found = read("sliderunner", path)
    assert [(m.x0, m.y0, m.verdict, m.label, m.reader) for m in found.marks] == [
        (10, 20, "mitosis", "", ""),
        (30, 40, "", "", ""),
        (125, 225, "imposter", "", "Bert"),
        (70, 80, "", "", ""),
    ]
    assert found.marks[1].sayings == (Saying("Anna", "mitosis"), Saying("Bert", "imposter"))
    assert [(o.kind, o.polygon0.area) for o in found.outlines] == [("tumour", 4050)]
    assert found.notes == (
        "annotations of other kinds passed over: 1",
        "deleted annotations passed over: 1",
        "points without a place passed over: 1",
    )
    with pytest.raises(InputError, match="2 slides, and none is named absent"):
        read("sliderunner", path, SlideFrame("absent.svs", 8000, 6000))


def test_a_written_database_has_sliderunners_tables_and_triggers(tmp_path):
    path = tmp_path / "new.sqlite"
    mark = Mark(10.4, 20.6, label="imposter", verdict="mitosis", reader="Anna", probability=0.25)
    FORMATS["sliderunner"].write(path, SlideMarks(SLIDE, [mark]))
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT filename, directory FROM Slides").fetchall() == [
        ("slide 7.svs", "")
    ]
    place = "SELECT coordinateX, coordinateY, coordinateZ, orderIdx FROM Annotations_coordinates"
    assert connection.execute(place).fetchall() == [(10, 21, 0, 1)]
    insert = "INSERT INTO Annotations (slide, type) VALUES (1, 1)"
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        connection.execute(insert)
    connection.create_function("pycurrent_time", 0, lambda: 7.5)
    connection.create_function("generate_uuid", 0, lambda: "new id")
    connection.create_function("randcolor", 0, lambda: "#123456")
    connection.execute(insert)
    connection.execute("INSERT INTO Classes (name) VALUES ('x')")
    newest = "SELECT guid, lastModified FROM Annotations ORDER BY uid DESC"
    assert connection.execute(newest).fetchone() == ("new id", 7.5)
    connection.execute("UPDATE Annotations_coordinates SET coordinateX=11 WHERE annoId=1")
    first = "SELECT lastModified FROM Annotations WHERE uid=1"
    assert connection.execute(first).fetchone() == (7.5,)
    assert connection.execute("SELECT color FROM Classes WHERE name='x'").fetchone() == ("#123456",)
    connection.close()


def test_databases_of_others_are_refused(tmp_path):
    other = database(tmp_path / "o.sqlite", "CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    with pytest.raises(InputError, match=r"o\.sqlite is a SQLite database, but not SlideRunner's"):
        read("sliderunner", other)
    view = OLD.replace("CREATE TABLE Persons (uid INTEGER PRIMARY KEY, name TEXT);", "").replace(
        "INSERT INTO Persons VALUES (1, 'Anna'), (2, 'Bert');",
        "CREATE VIEW Persons AS SELECT 1 AS uid, 'x' AS name;",
    )
    with pytest.raises(InputError, match="not SlideRunner's"):
        read("sliderunner", database(tmp_path / "v.sqlite", view))
    whole = database(tmp_path / "w.sqlite", OLD).read_bytes()
    with pytest.raises(InputError, match="cannot be read as a SQLite database"):
        read("sliderunner", save(tmp_path, whole[:3000]))
    with pytest.raises(InputError, match="cannot be read as a SQLite database"):
        read("sliderunner", save(tmp_path, "no database at all " * 99))


# XML.


def asap(*annotations, groups=""):
    return (
        f"<ASAP_Annotations><Annotations>{''.join(annotations)}</Annotations>"
        f"<AnnotationGroups>{groups}</AnnotationGroups></ASAP_Annotations>"
    )


def annotation(kind, places, group="None", name="Annotation 0"):
    inner = "".join(f'<Coordinate Order="{n}" X="{x}" Y="{y}"/>' for n, x, y in places)
    kind = f'Type="{kind}"' if kind else ""
    return (
        f'<Annotation Name="{name}" {kind} PartOfGroup="{group}"><Coordinates>{inner}'
        "</Coordinates></Annotation>"
    )


def test_asaps_kinds(tmp_path):
    ring = [(1, 20, 0), (0, 0, 0), (2, "20,0", "20.0")]  # out of order, with a decimal comma
    path = save(
        tmp_path,
        asap(
            annotation("Dot", [(0, 1, 2)], "Mitosis"),
            annotation("Dot", [(0, 3, 4)], name="Non-mitotic figure"),
            annotation("PointSet", [(0, 5, 6), (1, 7, 8)], "mitotic figure"),
            annotation("Polygon", ring, "metastases"),
            annotation("Spline", ring, "Exclusion"),
            annotation("Rectangle", [(0, 100, 100), (1, 140, 120)], "hard negative"),
            annotation("", ring),
            annotation("Measurement", ring[:2]),
            annotation("Dot", []),
        ),
    )
    assert detect(path).id == "asap"
    found = read("asap", path)
    assert placed(found) == [
        (1, 2, "mitosis"),
        (3, 4, "imposter"),
        (5, 6, "mitosis"),
        (7, 8, "mitosis"),
        (120, 110, "imposter"),
    ]
    assert [(o.kind, o.name) for o in found.outlines] == [
        ("tumour", "metastases"),
        ("excluded", "Exclusion"),
        ("tumour", ""),
    ]
    assert found.outlines[0].polygon0.area == 200
    assert found.notes == (
        "Splines were read as polygons through their points",
        "measurements and other kinds passed over: 1",
        "points without a place passed over: 1",
    )


def test_every_group_that_asap_is_told_of_is_declared(tmp_path):
    path = tmp_path / "a.xml"
    holed = shapely.box(0, 0, 90, 90).difference(shapely.box(30, 30, 60, 60))
    marks = [Mark(1, 2, label="mitosis"), Mark(3, 4, name='Zelle "<&>\x07'), Mark(5, 6)]
    notes = FORMATS["asap"].write(path, SlideMarks(SLIDE, marks, [Outline("tumour", holed)]))
    assert notes == ("holes in regions, written as excluded regions: 1",)
    text = path.read_text(encoding="utf-8")
    declared = set(re.findall(r'<Group Name="([^"]*)"', text))
    assert set(re.findall(r'PartOfGroup="([^"]*)"', text)) - {"None"} == declared
    back = read("asap", path)
    assert [mark.name for mark in back.marks] == ["", 'Zelle "<&>\ufffd', ""]
    tumour, hole = back.outlines
    assert (tumour.kind, hole.kind) == ("tumour", "excluded")
    assert tumour.polygon0.difference(hole.polygon0).equals(holed)


def test_imagescopes_kinds_and_colours(tmp_path):
    def region(kind, places, **more):
        names = "".join(f' {key}="{value}"' for key, value in more.items())
        inner = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in places)
        return f'<Region Type="{kind}"{names}><Vertices>{inner}</Vertices></Region>'

    ring = [(0, 0), (20, 0), (20, 20)]
    layer = "".join(
        [
            region(0, ring),
            region(0, ring, NegativeROA=1),
            region(1, [(0, 0), (20, 0), (20, 20), (0, 20)]),
            region(2, [(100, 100), (300, 200)]),
            region(3, [(7, 8), (107, 108)], Text="mitotic figure"),
            region(0, [(1, 2), (3, 4)], GeoShape="Points", Text="mitosis"),
            region(0, [(9, 9)]),
            region(4, [(0, 0), (50, 0)]),
        ]
    )
    path = save(
        tmp_path,
        f'<Annotations MicronsPerPixel="0.25"><Annotation Name="Gland"><Regions>{layer}</Regions>'
        "</Annotation></Annotations>",
    )
    assert detect(path).id == "imagescope"
    found = read("imagescope", path)
    assert placed(found) == [
        (7, 8, "mitosis"),
        (1, 2, "mitosis"),
        (3, 4, "mitosis"),
        (9, 9, ""),
    ]
    assert [(o.kind, o.name) for o in found.outlines] == [
        ("tumour", "Gland"),
        ("excluded", "Gland"),
        ("tumour", "Gland"),
        ("tumour", "Gland"),
    ]
    assert found.outlines[3].polygon0.area == pytest.approx(pi * 100 * 50, rel=0.01)
    FORMATS["imagescope"].write(path, SlideMarks(SLIDE, [Mark(50, 50, label="imposter")]))
    red, green, blue = 0, 110, 200
    assert f'LineColor="{blue << 16 | green << 8 | red}"' in path.read_text()


def view(kind, body, title="1", details="", coordformat="nanometers"):
    return (
        f'<ndpviewstate id="1"><title>{title}</title><details>{details}</details>'
        f"<coordformat>{coordformat}</coordformat><x>0</x><y>0</y>"
        f'<annotation type="{kind}" color="#ff0000">{body}</annotation></ndpviewstate>'
    )


def test_ndpa_counts_nanometres_from_the_centre_of_the_glass(tmp_path):
    at = "<x>350000</x><y>-300000</y>"  # 250 µm right of and 250 µm above the centre of level 0
    ring = "".join(
        f"<point><x>{x}</x><y>{y}</y></point>" for x, y in [(0, 0), (5000, 0), (0, 5000)]
    )
    path = save(
        tmp_path,
        "<annotations>"
        + view("pin", at, "Mitotic figure")
        + view("circle", f"{at}<radius>155</radius>", "Reference_Point_1")
        + view("circle", f"{at}<radius>100000</radius>", "tumour")
        + view("freehand", f"<closed>1</closed><pointlist>{ring}</pointlist>", "necrosis")
        + view("freehand", f"<closed>0</closed><pointlist>{ring}</pointlist>", "path")
        + view("linearmeasure", "<x1>0</x1>")
        + view("pin", at, coordformat="pixels")
        + "<ndpviewstate><title>view</title></ndpviewstate></annotations>",
    )
    assert detect(path).id == "ndpa"
    found = read("ndpa", path, GLASS)
    assert placed(found) == [(5000, 2000, "mitosis"), (5000, 2000, "")]
    assert found.marks[1].name == "Reference_Point_1"
    assert [(o.kind, o.name) for o in found.outlines] == [
        ("tumour", "tumour"),
        ("excluded", "necrosis"),
    ]
    assert found.outlines[0].polygon0.area == pytest.approx(pi * 400**2, rel=0.01)
    assert len(found.notes) == 3
    for ask in (read, lambda _, path, slide: FORMATS["ndpa"].write(path, SlideMarks(slide))):
        with pytest.raises(InputError, match=r"slide 7\.svs does not say where that is"):
            ask("ndpa", path, SLIDE)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><{0}><t>&c;</t></{0}>'
)
EXTERNAL = '<!DOCTYPE {0} [<!ENTITY x SYSTEM "file:///etc/passwd">]><{0}><t>&x;</t></{0}>'
DTD = '<!DOCTYPE {0} SYSTEM "http://127.0.0.1:9/x.dtd"><{0}/>'


@pytest.mark.parametrize("trap", [BOMB, EXTERNAL, DTD, " " * 99_999 + DTD])
@pytest.mark.parametrize(
    ("id_", "root"),
    [("asap", "ASAP_Annotations"), ("imagescope", "Annotations"), ("ndpa", "annotations")],
)
def test_traps_in_xml_are_refused(tmp_path, id_, root, trap):
    path = save(tmp_path, trap.format(root))
    for ask in (lambda: read(id_, path, GLASS), lambda: detect(path)):
        with pytest.raises(InputError, match="declares a document type or entities"):
            ask()


def test_an_entity_that_nobody_declared_is_an_error(tmp_path):
    with pytest.raises(InputError, match="not valid XML"):
        read("asap", save(tmp_path, "<ASAP_Annotations>&x;</ASAP_Annotations>"))


# All of them.


def test_deep_and_absurd_json_is_refused_in_plain_words(tmp_path):
    deep = save(tmp_path, "[" * 200_000 + "]" * 200_000)
    for id_ in ("qupath", "midog", "coco", "grand-challenge"):
        with pytest.raises(InputError):
            read(id_, deep)
    with pytest.raises(InputError):
        detect(deep)
    geometry = {"type": "GeometryCollection", "geometries": []}
    nested = '{"type":"GeometryCollection","geometries":[' * 20_000 + "]}" * 20_000
    with pytest.raises(InputError):
        read("qupath", save(tmp_path, nested))
    assert read("qupath", save(tmp_path, feature(geometry))).marks == []
    huge = json.dumps(feature(point(1, 2))).replace("1, 2", "1" + "0" * 4000 + ", 2")
    assert read("qupath", save(tmp_path, huge)).marks == []


@pytest.mark.parametrize("id_", [*TEXTS, "sliderunner"])
def test_what_is_no_file_is_said_by_its_name(tmp_path, id_):
    for path in (tmp_path / "absent.x", tmp_path, save(tmp_path, b"", "empty.x")):
        with pytest.raises(InputError, match=re.escape(path.name)):
            read(id_, path, GLASS)
    garbage = save(tmp_path, bytes(range(256)) * 40, "garbage.x")
    with pytest.raises(InputError, match="garbage"):
        read(id_, garbage, GLASS)
    with pytest.raises(InputError):
        detect(garbage)


def sample(id_, folder):
    marks = [
        Mark(10, 20, label="mitosis", probability=0.5, uuid="6423a977-ffff-48db-affc-cd11632010f0"),
        Mark(30, 40, verdict="imposter", reader="Zoë", sayings=(Saying("Zoë", "imposter"),)),
    ]
    path = folder / f"{id_}.x"
    region = Outline("tumour", shapely.box(0, 0, 50, 50))
    FORMATS[id_].write(path, SlideMarks(GLASS, marks, [region]))
    return path


@pytest.mark.parametrize("id_", [*TEXTS, "sliderunner"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_read_or_said_but_never_a_fault(id_, data):
    with TemporaryDirectory() as name:
        path = sample(id_, Path(name))
        whole = bytearray(path.read_bytes())
        start = data.draw(st.integers(0, len(whole) - 1))
        end = data.draw(st.integers(start, min(len(whole), start + 400)))
        whole[start:end] = data.draw(st.binary(max_size=12))
        path.write_bytes(bytes(whole))
        for ask in (lambda: read(id_, path, GLASS), lambda: detect(path)):
            try:
                ask()
            except UserError as error:
                assert error.message  # noqa: PT017  any other error is a fault


_KEYS = (
    "type features geometry geometries coordinates properties id classification name names "
    "measurements metadata images annotations categories bbox category_id image_id labels "
    "segmentation points point probability file_name width height info"
)
_KINDS = st.sampled_from(["Feature", "FeatureCollection", "Polygon", "MultiPoint", "Point"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS.split(" ")), inner | _KINDS, max_size=5)
    ),
    max_leaves=25,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(document=_JSON)
def test_any_json_is_read_or_said(document):
    with TemporaryDirectory() as name:
        path = save(Path(name), document)
        for id_ in ("qupath", "midog", "coco", "grand-challenge"):
            try:
                read(id_, path)
            except UserError as error:
                assert error.message  # noqa: PT017
        try:
            detect(path)
        except UserError as error:
            assert error.message  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Mitotic figure", "mitosis"),
        ("mitotic_figures", "mitosis"),
        ("MITOSIS", "mitosis"),
        ("Mitosis: Atypical", "atypical"),
        ("non-mitotic figure", "imposter"),
        ("not mitotic figure", "imposter"),
        ("Hard-negative look-alike", "imposter"),
        ("Impostor", "imposter"),
        ("Lymphocyte", ""),
        ("negative", ""),
        ("", ""),
    ],
)
def test_what_others_call_a_figure(name, word):
    assert meaning(name) == word

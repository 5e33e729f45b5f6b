"""DICOM bulk annotations and structured reports, both ways, on a DICOM slide's header."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
import shapely
from dicomfiles import HEIGHT0, MPP, WIDTH0, write_dicom_slide

from core.errors import InputError
from core.exchange import dicom_ann, dicom_sr
from core.exchange.formats import detect
from core.exchange.marks import Mark, Outline, SlideFrame, SlideMarks
from core.geometry import Mpp

MARKS = [
    Mark(5.25, 6.5, label="mitosis", probability=0.75),
    Mark(2219.5, 2966.75, label="imposter", probability=0.25),
    Mark(1000.125, 30.0, label="imposter", verdict="atypical", reader="Zoë 王"),
    Mark(40.0, 50.0, verdict="mitosis", reader="Ben"),
]
REGIONS = [
    Outline("tumour", shapely.box(10, 10, 500, 600)),
    Outline("count_area", shapely.Polygon([(20, 20), (60, 25), (40, 70)])),
]


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slide" / "base.dcm"
    path.parent.mkdir()
    series = write_dicom_slide(path)
    thumbnail = path.with_name("a-thumbnail.dcm")
    write_dicom_slide(thumbnail, kind="THUMBNAIL", series=series)
    (path.parent / "readme.txt").write_text("no image", encoding="utf-8")
    return SlideFrame("s", WIDTH0, HEIGHT0, Mpp(MPP, MPP), source=thumbnail)


def places(marks):
    return sorted((round(m.x0, 2), round(m.y0, 2), m.called, m.reader) for m in marks)


def test_bulk_annotations_come_back_as_they_went(tmp_path, slide):
    path = tmp_path / "a.dcm"
    assert dicom_ann.write(path, SlideMarks(slide, MARKS, REGIONS)) == ()
    assert detect(path).id == "dicom-ann"
    back = dicom_ann.read(path, slide)
    assert places(back.marks) == places(MARKS)
    assert {m.probability for m in back.marks} == {0.75, 0.25, None}
    assert [m.verdict for m in back.marks if m.reader == "Zoë 王"] == ["atypical"]
    assert [o.kind for o in back.outlines] == ["tumour", "count_area"]
    assert all(o.polygon0.equals(r.polygon0) for o, r in zip(back.outlines, REGIONS, strict=True))
    assert back.notes == ()


def test_millimetres_on_the_slide_are_read_too(tmp_path, slide):
    path, other = tmp_path / "a.dcm", tmp_path / "b.dcm"
    dicom_ann.write(path, SlideMarks(slide, MARKS[:1]))
    document = pydicom.dcmread(path)
    # By the slide's orientation x falls with the row and y with the column; the origin is the
    # centre of the first pixel.
    x_mm, y_mm = 25 - (6.5 - 0.5) * MPP / 1000, 50 - (5.25 - 0.5) * MPP / 1000
    group = document.AnnotationGroupSequence[0]
    group.DoublePointCoordinatesData = np.array([x_mm, y_mm], np.float64).tobytes()
    group.CommonZCoordinateValue = 0.0
    document.AnnotationCoordinateType = "3D"
    del document.PixelOriginInterpretation
    document.save_as(other)
    (mark,) = dicom_ann.read(other, slide).marks
    assert (mark.x0, mark.y0) == pytest.approx((5.25, 6.5), abs=1e-6)


def test_a_report_holds_the_mitoses(tmp_path, slide):
    path = tmp_path / "r.dcm"
    notes = dicom_sr.write(path, SlideMarks(slide, MARKS, REGIONS))
    assert "1 points that are no mitoses were left out" in notes
    assert "2 regions were left out" in notes
    assert detect(path).id == "dicom-sr"
    back = dicom_sr.read(path, slide)
    assert [m.called for m in back.marks] == ["mitosis", "atypical", "mitosis"]
    got = [(m.x0, m.y0) for m in back.marks]
    want = [(m.x0, m.y0) for m in MARKS if m.called != "imposter"]
    assert np.allclose(got, want, atol=0.02)  # 32-bit millimetres, 25 of them from the origin
    assert back.marks[0].probability == pytest.approx(0.75)


def test_a_report_names_its_only_reader(tmp_path, slide):
    path = tmp_path / "r.dcm"
    dicom_sr.write(path, SlideMarks(slide, [MARKS[2]]))
    (mark,) = dicom_sr.read(path, slide).marks
    assert (mark.verdict, mark.reader) == ("atypical", "Zoë 王")


@pytest.mark.parametrize("format_", [dicom_ann, dicom_sr])
def test_other_slides_have_no_dicom_annotations(tmp_path, slide, format_):
    plain = tmp_path / "slide.tif"
    plain.write_bytes(b"II*")
    other = SlideFrame("s", WIDTH0, HEIGHT0, source=plain)
    with pytest.raises(InputError, match="no DICOM slide"):
        format_.write(tmp_path / "a.dcm", SlideMarks(other, MARKS))
    with pytest.raises(InputError, match="not at hand"):
        format_.write(tmp_path / "a.dcm", SlideMarks(SlideFrame("s", 9, 9), MARKS))
    smaller = SlideFrame("s", WIDTH0 // 2, HEIGHT0, source=slide.source)
    with pytest.raises(InputError, match="full-resolution"):
        format_.write(tmp_path / "a.dcm", SlideMarks(smaller, MARKS))
    assert not (tmp_path / "a.dcm").exists()


@pytest.mark.parametrize("format_", [dicom_ann, dicom_sr])
def test_annotations_of_another_slide_are_refused(tmp_path, slide, format_):
    path = tmp_path / "a.dcm"
    format_.write(path, SlideMarks(slide, MARKS))
    elsewhere = tmp_path / "other" / "x.dcm"
    elsewhere.parent.mkdir()
    write_dicom_slide(elsewhere)
    with pytest.raises(InputError, match="another slide"):
        format_.read(path, SlideFrame("o", WIDTH0, HEIGHT0, source=elsewhere))


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"no dicom", "no DICOM file"), (b"", "no DICOM file"), (None, "no file")],
)
def test_what_is_no_dicom_is_refused(tmp_path, slide, content, fault):
    path = tmp_path / "a.dcm"
    if content is not None:
        path.write_bytes(content)
    for format_ in (dicom_ann, dicom_sr):
        with pytest.raises(InputError, match=fault):
            format_.read(path, slide)
    if content is not None:
        path.write_bytes(slide.source.read_bytes())
        with pytest.raises(InputError, match="but not"):
            dicom_ann.read(path, slide)


def test_nothing_is_not_written(tmp_path, slide):
    with pytest.raises(InputError, match="nothing to write"):
        dicom_ann.write(tmp_path / "a.dcm", SlideMarks(slide))
    with pytest.raises(InputError, match="no mitosis"):
        dicom_sr.write(tmp_path / "a.dcm", SlideMarks(slide, [MARKS[1]]))
    with pytest.raises(InputError, match="more than a report"):
        dicom_sr.write(tmp_path / "a.dcm", SlideMarks(slide, MARKS * dicom_sr.MOST))


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("format_", [dicom_ann, dicom_sr])
def test_the_validator_finds_no_error(tmp_path, slide, format_):
    path = tmp_path / "a.dcm"
    format_.write(path, SlideMarks(slide, MARKS))
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (told.stdout + told.stderr).splitlines()
    # dciodvfy asks of coordinates in pixels what is only there for those in millimetres.
    wrong = [line for line in lines if line.startswith("Error") and "CommonZ" not in line]
    assert wrong == []

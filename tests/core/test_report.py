"""What the report of a count says, that a signature keeps it so, and what it must never show."""

import html as html_module
import re
from dataclasses import replace
from datetime import timedelta, timezone
from io import BytesIO

import numpy as np
import pytest
import shapely
from blobs import blob_slide
from desks import PARAMETERS, candidate
from PIL import Image

from core.cancel import Cancelled, CancelToken
from core.errors import InputError, UserError
from core.exchange.csv import RESEARCH_USE
from core.exchange.report.gather import gather
from core.exchange.report.html import html_parts, write_html
from core.exchange.report.model import DRAFT, printable
from core.ports import ModelOrigin
from core.reading.desk import Desk
from core.slides.reader import open_slide
from core.slides.tissue import find_tissue
from core.store import RunSpec, SlideRecord, open_store

PROTOCOL = "breast_mm2"
MITOSES0 = [(700 + 20 * n, 700 + 10 * n) for n in range(5)]
ORIGIN = ModelOrigin("net", "ab" * 32, "cpu", "float32")
TUMOUR0 = shapely.box(100, 100, 2500, 1900)
ZONE = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "Smith-Jane-1970.tif"
    blob_slide(path, 2600, 2000, mpp=1.0, count=3, margin0=150)
    return path


class Reading:
    """A slide read by one reader after another."""

    def __init__(self, store, path):
        self.store, self.path = store, path
        with open_slide(path, backend="openslide") as slide:
            self.tissue = find_tissue(slide)
            identity = slide.identity
        self.slide_id = store.add_slide(
            SlideRecord(
                identity.kind, identity.digest, path.name, 2600, 2000, 1.0, 1.0,
                "openslide.mpp", "generic-tiff", str(path),
            )
        )  # fmt: skip
        parameters = PARAMETERS | {"slide": {"mpp_x": 1.0, "mpp_y": 1.0}}
        run = store.open_run(RunSpec("run", self.slide_id, parameters, ORIGIN, ORIGIN, "0.1.0"))
        rows = [candidate(x, y, 0.91 - n / 100) for n, (x, y) in enumerate(MITOSES0)]
        store.save_candidates(run.id, [*rows, candidate(760, 760, 0.5)])
        self.run_id = store.finish_run(run.id, "done", {}).id

    def desk(self, reader="Ada", *, blinded=False):
        reader_id = self.store.add_reader(reader)
        desk = Desk(self.store, self.slide_id, reader_id, protocol_id=PROTOCOL, blinded=blinded)
        desk.use_run(self.run_id)
        desk.set_tissue(self.tissue)
        return desk

    def signed(self, reader="Ada", *, ticked=True):
        desk = self.read(reader)
        view = desk.draw_region("tumour", TUMOUR0)
        points = view.count.protocol.checklist
        return desk.sign(dict.fromkeys(points, ticked)).count.signed

    def read(self, reader="Ada"):
        desk = self.desk(reader)
        view = desk.view()
        keys = view.figures.key.tolist()
        desk.give(keys[:1], "atypical")
        desk.give(keys[1:5], "mitosis")
        desk.give(keys[5:], "imposter")
        return desk

    def report(self, count, *, pictures=True, **options):
        options = {"zone": ZONE} | options
        if not pictures:
            return gather(self.store, count, None, **options)
        with open_slide(self.path, backend="openslide") as slide:
            return gather(self.store, count, slide, **options)


@pytest.fixture
def reading(tmp_path, slide_file):
    with open_store(tmp_path / "s.sqlite") as store:
        yield Reading(store, slide_file)


def said(report):
    return "\n".join(report.texts())


def rows(report):
    return {row.caption: row.text for part in report.sections for row in part.rows}


def test_a_signed_report_says_everything_that_the_count_rests_on(reading):
    reading.store.set_alias(reading.slide_id, "Case 12 B")
    reading.desk("Bo").give([1, 2], "mitosis")
    signed = reading.signed()
    report = reading.report(signed)
    table = rows(report)
    assert report.signed
    assert (report.slide, report.number, report.footer) == ("Case 12 B", "5", RESEARCH_USE)
    assert report.status.startswith("Signed by Ada, ")
    assert re.search(r"UTC \(local .*, UTC\+05:30\)", table["Signed at"])
    assert table["Mitotic count"] == f"5 in {signed.counted_mm2:.2f} mm²"
    assert table["Of these atypical"] == "1"
    assert "95 % interval (Garwood)" in table
    assert table["Per mm²"] == f"{5 / signed.counted_mm2:.2f}"
    assert table["Planned"].startswith("2.37 mm²")
    assert table["Source"]
    assert table["Rule"]
    assert table["Verified"]
    assert table["Category"]
    assert table["Tumour"] == "1 region"
    assert table["Second reading, Bo"].endswith("2 mitosis")
    assert table["Not counted in the area"] == "imposters 1, unsure 0, deleted 0"
    assert table["Pixel size (level 0)"] == "1 µm"
    assert table["Pixel size from"] == "stated by the slide file"
    assert table["Set by"].startswith("the file, at its first opening, ")
    assert table["SHA-256"] == "ab" * 32
    assert table["Ran on"] == "cpu, float32"
    assert table["Thresholds"] == "detector 0.1, review 0.3, count 0.7"
    assert table["Windows that failed"] == table["Windows out of focus"] == "none"
    assert table["Audit head at printing"] == reading.store.audit_head()
    assert table["Its digest"] in {event.hash for event in reading.store.events(-1)}
    assert table["Program"].startswith("Mitoscope ")
    assert "maximum" in said(report)
    ticks = [tick for part in report.sections for tick in part.ticks]
    assert ticks
    assert all(tick.ticked for tick in ticks)


def test_the_checklist_keeps_the_order_of_the_protocol(reading):
    report = reading.report(reading.signed(ticked=False), pictures=False)
    texts = [tick.text for part in report.sections for tick in part.ticks]
    assert texts == list(reading.desk().view().count.protocol.checklist)
    assert any("not ticked" in text for text in report.warnings)


def test_every_counted_mitosis_has_its_crop_score_and_verdicts(reading):
    bo = reading.desk("Bo")
    bo.give([1], "imposter")
    reading.read().settle([1], "atypical")
    report = reading.report(reading.signed())
    crops = [crop for part in report.sections for crop in part.crops]
    assert [crop.number for crop in crops] == [1, 2, 3, 4, 5]
    assert crops[0].score == "p 0.91"
    assert crops[0].lines == ("atypical · Ada", "imposter · Bo", "atypical · consensus")
    assert [crop.atypical for crop in crops] == [True, False, False, False, False]
    assert crops[1].lines == ("mitosis · Ada",)
    assert all(crop.data[:2] == b"\xff\xd8" for crop in crops)


def test_a_signed_report_stays_the_same_whatever_is_said_later(reading):
    before = reading.report(reading.signed())
    desk = reading.desk("Bo")
    desk.give([1, 2, 3], "imposter")
    desk.place(1200, 1200)
    reading.store.add_region(reading.slide_id, "tumour", shapely.box(0, 0, 9, 9).wkb)
    (signed,) = reading.store.counts(reading.slide_id)
    after = reading.report(signed)
    then, now = rows(before), rows(after)
    assert {name for name in then if then[name] != now[name]} == {"Audit head at printing"}
    assert (before.status, before.warnings) == (after.status, after.warnings)
    for name in ("pictures", "crops", "ticks", "notes"):
        assert [getattr(part, name) for part in before.sections] == [
            getattr(part, name) for part in after.sections
        ]


def test_an_alias_given_later_takes_the_place_of_the_file_name(reading):
    signed = reading.signed()
    reading.store.set_alias(reading.slide_id, "P-7")
    page = "".join(html_parts(reading.report(signed)))
    assert "P-7" in page
    assert "Smith" not in page


def test_nothing_of_the_file_or_the_computer_is_on_the_page(reading):
    reading.store.set_alias(reading.slide_id, "P-7")
    page = "".join(html_parts(reading.report(reading.signed())))
    page = re.sub(r"base64,[^\"]+", "", page)
    folders = {str(reading.path.parent), str(reading.store.path), "sqlite"}
    assert not [leak for leak in (*folders, "Smith", "1970", "/tmp") if leak in page]


def test_a_draft_says_so_and_what_is_missing(reading):
    desk = reading.desk()
    draft = desk.draft({"Looked.": False})
    report = reading.report(draft)
    page = "".join(html_parts(report))
    assert not report.signed
    assert page.count(DRAFT) >= 3  # the title, the badge, the head of each printed page
    assert report.warnings[0] in said(report)
    assert any("No tumour region" in text for text in report.warnings)
    assert any("rest on the model alone" in text for text in report.warnings)
    assert not reading.store.counts(reading.slide_id)
    lines = [crop.lines for part in report.sections for crop in part.crops]
    assert set(lines) == {("by the model, not reviewed",)}


def test_a_reopened_count_says_why(reading):
    reading.signed()
    desk = reading.desk()
    desk.reopen("one more seen")
    report = reading.report(desk.draft(), pictures=False)
    assert any("one more seen" in text for text in report.warnings)


def test_a_blinded_reading_prints_no_score(reading):
    reading.desk("Bo").give([1], "imposter")
    desk = reading.desk(blinded=True)
    desk.give([1, 2], "mitosis")
    report = reading.report(desk.draft(), pictures=False)
    assert rows(report)["1, x 700, y 700"] == "hidden; mitosis · Ada"
    assert "Bo" not in said(report)
    assert rows(report)["Blinded"].startswith("yes")


def test_without_the_slide_the_report_has_no_pictures_and_says_why(reading):
    report = reading.report(reading.signed(), pictures=False, why_no_slide="it is gone.")
    assert not any(part.pictures for part in report.sections)
    assert "No picture of the slide: it is gone." in said(report)
    assert "No pictures: it is gone." in said(report)
    assert rows(report)["1, x 700, y 700"] == "p 0.91; atypical · Ada"
    assert "<img" not in "".join(html_parts(report))


def test_a_count_signed_before_mitoses_were_kept_still_prints(reading):
    signed = reading.signed()
    kept = ("figures", "calibration", "windows", "run_times", "expected", "chances",
            "others", "blinded", "checklist_order")  # fmt: skip
    old = {name: value for name, value in signed.details.items() if name not in kept}
    report = reading.report(replace(signed, details=old))
    assert "before the single mitoses were kept" in said(report)


def test_a_name_that_looks_like_markup_is_only_text(reading):
    wild = "<script>alert('x')</script>\"&\u202egnp.exe"
    reading.store.set_alias(reading.slide_id, wild)
    report = reading.report(reading.signed("<b>Bo</b>"), pictures=False)
    page = "".join(html_parts(report))
    assert not re.search(r"<script|<b>Bo", page)
    assert html_module.escape("<script>alert('x')</script>") in page
    assert "\u202e" not in page
    assert "default-src 'none'" in html_module.unescape(page)


def test_names_of_any_script_stay_as_they_are(reading):
    names = "王小明", "محمد علي", "Дмитрий", "राजेश शर्मा"
    reading.store.set_alias(reading.slide_id, " ".join(names))
    page = "".join(html_parts(reading.report(reading.signed(names[0]), pictures=False)))
    assert all(name in page for name in names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("x\u202ey\u2066z\x00", "xyz"),
        ("\udc80", ""),
        ("क्\u200dष", "क्\u200dष"),
        ("a\u2028b", "a b"),
    ],
)
def test_controls_are_not_printed_and_joiners_are(text, shown):
    assert printable(text) == shown


def test_the_pictures_show_the_tissue_and_what_is_drawn_on_it(reading):
    report = reading.report(reading.signed())
    whole, near = (part.pictures[0] for part in report.sections if part.pictures)
    assert near.large
    shown = np.asarray(Image.open(BytesIO(near.data)))
    assert shown.shape == (near.height_px, near.width_px, 3)
    assert max(near.width_px, near.height_px) <= 1900
    # The outline of the area is nearly black, which no tissue is.
    assert (shown.max(axis=2) < 40).sum() > 500
    assert max(whole.width_px, whole.height_px) <= 1500


def test_pictures_can_be_cancelled(reading):
    token = CancelToken()
    with pytest.raises(Cancelled):
        reading.report(reading.signed(), token=token, progress=lambda done, total: token.cancel())


def test_the_file_is_the_old_one_or_the_whole_new_one(reading, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = reading.report(reading.signed(), pictures=False)
    with monkeypatch.context() as patched:
        patched.setattr("core.exchange.report.html.html_parts", _break_off)
        with pytest.raises(UserError):
            write_html(path, report)
    assert path.read_text() == "old"
    write_html(path, report)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def _break_off(report):
    yield "<!DOCTYPE html>"
    raise OSError(28, "No space left on device")


def test_a_draft_needs_a_count(reading):
    desk = Desk(
        reading.store, reading.slide_id, reading.store.add_reader("Ada"), protocol_id=PROTOCOL
    )
    with pytest.raises(InputError, match="no count to report"):
        desk.draft()


def test_what_must_be_known_before_the_number_is_used_stands_at_the_top(reading):
    signed = reading.signed()
    details = dict(signed.details) | {
        "near_border": True,
        "category": "score 2 (4-7)",
        "reached": ["score 2 (4-7)", "score 3 (>=8)"],
        "better": 9,
        "mpp_note": "The pixel size was not read from the file (typed).",
        "mpp_origin": "typed",
        "calibration": {"reader": "Bo", "at": "2026-01-02T03:04:05+00:00"},
        "windows": {"failed": 2, "failed_in_area": 1, "blurred": 3, "blurred_in_area": 0},
        "protocol": dict(signed.details["protocol"]) | {"verified": False},
    }
    report = reading.report(replace(signed, details=details), pictures=False)
    top = "\n".join(report.warnings)
    assert "Near a border: the interval also reaches score 3 (≥8)." in top
    assert "Another place holds more: 9 against 5." in top
    assert "not read from the file (typed)" in top
    assert "not checked against its source" in top
    table = rows(report)
    assert table["Pixel size from"] == "typed in"
    assert table["Set by"].startswith("Bo, 2026-01-02 03:04:05 UTC (local 2026-01-02 08:34,")
    assert table["Windows that failed"] == "2, of these 1 touch the count area"


@pytest.mark.parametrize(
    ("area", "shape"),
    [
        ({"shape": "circle", "width_um": 1738.0, "height_um": 1738.0}, "circle, 1738 µm across"),
        ({"angle_deg": 30.0}, "rectangle, 1333 × 1000 µm, turned by 30.0°"),
        ({"locked": False}, "rectangle, 1333 × 1000 µm; area unlocked"),
        ({"shape": "tissue", "outline0": "", "plan": "whole"}, "all readable tissue of the tumour"),
        (
            {"shape": "fields", "fields0": ["POLYGON EMPTY"] * 10, "field": "circle",
             "width_um": 550.0},
            "10 fields, each a circle, 550 µm across",
        ),
    ],
)  # fmt: skip
def test_each_shape_of_the_count_area_is_named(reading, area, shape):
    signed = reading.signed()
    plain = {"shape": "rectangle", "width_um": 1333.0, "height_um": 1000.0, "angle_deg": 0.0,
             "locked": True, "fields0": [], "plan": "one"}  # fmt: skip
    details = dict(signed.details) | {"area": dict(signed.details["area"]) | plain | area}
    report = reading.report(replace(signed, details=details), pictures=False)
    assert rows(report)["Shape"] == shape


def test_a_count_of_the_whole_tissue_is_drawn_without_an_outline(reading):
    signed = reading.signed()
    whole = dict(signed.details["area"]) | {"shape": "tissue", "outline0": "", "plan": "whole"}
    report = reading.report(replace(signed, details=dict(signed.details) | {"area": whole}))
    pictures = [picture for part in report.sections for picture in part.pictures]
    assert len(pictures) == 2
    assert "maximum" not in said(report)

"""The report as a PDF: its pages, what stands on each, and names that need other fonts."""

import re
import threading
import unicodedata
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from pypdf import PdfReader

from app.reporting.pdf import fonts, missing_signs, pdf_bytes, write_pdf
from core.errors import UserError
from core.exchange.csv import RESEARCH_USE
from core.exchange.report.model import DRAFT, Crop, Picture, Report, Row, Section, Tick


def jpeg(width, height):
    file = BytesIO()
    Image.new("RGB", (width, height), (220, 150, 190)).save(file, "JPEG")
    return file.getvalue()


def make_report(**changes):
    crops = tuple(
        Crop(n, jpeg(40, 40), "p 0.91", ("mitosis · Ada", "imposter · Bo"), n % 5 == 0)
        for n in range(1, 64)
    )
    report = Report(
        slide="Case 12 B",
        protocol="A rule",
        signed=True,
        status="Signed by Ada, 2026-01-01 10:00:00 UTC",
        number="63",
        area="2.37 mm²",
        rate="26.58 per mm² (95 % interval 20.43 to 34.01)",
        category="score 3 (≥8)",
        warnings=("Near a border.",),
        sections=(
            Section("Result", (Row("Mitotic count", "63", strong=True),), notes=("A maximum.",)),
            Section("Checklist", ticks=(Tick("Only certain figures.", True), Tick("No.", False))),
            Section("Slide", pictures=(Picture(jpeg(300, 200), 300, 200, "The slide."),)),
            Section(
                "Counted mitoses",
                pictures=(Picture(jpeg(300, 900), 300, 900, "The area.", large=True),),
                crops=crops,
                notes=("Each 50 µm.",),
            ),
            Section("Record", tuple(Row(f"Line {n}", "text " * 30) for n in range(60))),
        ),
        footer=RESEARCH_USE,
    )
    return replace(report, **changes)


def texts(data):
    """Of each page, its lines with single blanks: Qt's blanks are read as tabs."""
    pages = (page.extract_text() for page in PdfReader(BytesIO(data)).pages)
    return ["\n".join(" ".join(line.split()) for line in page.splitlines()) for page in pages]


def plain(text):
    """Without blanks, and ligatures as letters."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


@pytest.fixture(scope="module")
def pages(qapp):
    return texts(pdf_bytes(make_report()))


def test_every_page_has_its_number_and_the_research_use_line(pages):
    assert len(pages) > 4
    for number, page in enumerate(pages, start=1):
        assert RESEARCH_USE in page
        assert f"Page {number} of {len(pages)}" in page
        assert DRAFT not in page


def test_every_text_of_the_report_is_on_some_page(pages):
    whole = plain("".join(pages))
    left = [text for text in make_report().texts() if plain(text) not in whole]
    assert left == [make_report().title]  # of the document; its parts are in every head


def test_no_heading_is_the_last_thing_on_a_page(pages):
    titles = {section.title for section in make_report().sections}
    for page in pages:
        lines = [line.strip() for line in page.splitlines() if line.strip()]
        body = [line for line in lines if RESEARCH_USE not in line and "Page " not in line]
        assert body[-1] not in titles


def test_a_draft_is_marked_on_every_page(qapp):
    draft = make_report(signed=False, status="Reading of Ada. Not signed.")
    assert all(DRAFT in page for page in texts(pdf_bytes(draft)))


@pytest.mark.parametrize(("letter", "size"), [(False, (595, 842)), (True, (612, 792))])
def test_the_paper_is_a4_or_letter(qapp, letter, size):
    box = PdfReader(BytesIO(pdf_bytes(make_report(), letter=letter))).pages[0].mediabox
    assert (round(box.width), round(box.height)) == size


def test_the_document_names_report_and_use_and_no_author(qapp):
    about = PdfReader(BytesIO(pdf_bytes(make_report()))).metadata
    assert about.title == f"Mitotic count report: Case 12 B. {RESEARCH_USE}"
    assert not about.author
    assert about.creator == "Mitoscope"


def test_crops_and_pictures_are_in_it(qapp):
    pages = PdfReader(BytesIO(pdf_bytes(make_report()))).pages
    assert sum(len(page.images) for page in pages) == 63 + 2


@pytest.mark.parametrize("name", ["Дмитрий Иванов", "Łukasz Öztürk", "Σωκράτης"])
def test_names_of_other_scripts_print(qapp, name):
    report = make_report(slide=name)
    if missing_signs(report):
        pytest.skip("no font of this computer has these signs")
    assert name in "".join(texts(pdf_bytes(report)))


def test_a_sign_that_no_font_has_is_named(qapp):
    # A place of plane 4, where Unicode will put nothing.
    assert missing_signs(make_report(slide="a\U00040000b")) == "\U00040000"
    assert missing_signs(make_report()) == ""


def test_it_is_made_on_a_thread_of_its_own_as_on_the_first_one(qapp):
    made = []
    worker = threading.Thread(target=lambda: made.append(pdf_bytes(make_report())))
    worker.start()
    worker.join()
    assert texts(made[0]) == texts(pdf_bytes(make_report()))


def test_an_old_file_stays_where_the_new_one_cannot_be_written(qapp, tmp_path):
    folder = tmp_path / "in the way"
    folder.mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_pdf(folder, make_report())
    assert folder.is_dir()
    path = tmp_path / "new" / "report.pdf"
    write_pdf(path, make_report())
    assert path.read_bytes().startswith(b"%PDF")
    assert [p.name for p in path.parent.iterdir()] == ["report.pdf"]


def test_the_application_that_runs_is_used(qapp):
    assert fonts() is qapp

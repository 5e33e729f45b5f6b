"""The report in the desktop and from the command line."""

import threading

import pytest
from desktops import guard_gui_thread
from PySide6.QtWidgets import QFileDialog
from reading_room import LONG_MS, asked, close_room, open_room, other_slide

from app.__main__ import main
from app.panels.sign import sign_as_shown
from app.reporting import making
from app.reporting.reports import Reports, plain_name
from core.errors import StoreError
from core.exchange.report.model import DRAFT
from core.laboratory import Laboratory
from core.slides.synthetic import render_demo_slide
from core.store import open_store


@pytest.fixture
def reports(room):
    reports = Reports(room, lambda: {"Looked.": True})
    yield reports
    assert reports.shutdown()


def made(qtbot, reports, path):
    """Have a report made and wait for it; its text."""
    with qtbot.waitSignal(reports.finished, timeout=LONG_MS) as blocker:
        reports.make(path, reports._room.opened, reports._room.view)
    assert blocker.args == [str(path)]
    return path.read_bytes()


def read_and_sign(qtbot, room):
    asked(qtbot, room, lambda desk: desk.set_all_tissue_is_tumour(True))
    keys = room.view.figures.key.tolist()
    asked(qtbot, room, lambda desk: desk.give(keys, "mitosis"))
    shown = room.view.count
    return asked(qtbot, room, lambda desk: sign_as_shown(desk, shown, {"Looked.": True}))


def test_a_draft_is_made_with_the_ticks_of_the_panel(qtbot, room, reports, tmp_path):
    page = made(qtbot, reports, tmp_path / "draft.html").decode()
    assert DRAFT in page
    assert "Looked." in page
    assert "not ticked" not in page.partition("Checklist")[2].partition("<h2>")[0]


def test_a_signed_count_is_made_on_another_thread(qtbot, room, reports, tmp_path, monkeypatch):
    read_and_sign(qtbot, room)
    offences = guard_gui_thread(monkeypatch)
    threads = []
    write = making.write_html

    def watched(path, report):
        threads.append(threading.current_thread().name)
        write(path, report)

    monkeypatch.setattr(making, "write_html", watched)
    with qtbot.waitSignal(reports.finished, timeout=LONG_MS):
        reports.make(tmp_path / "signed.html", room.opened, room.view)
    assert not offences
    assert threads == ["report"]
    page = (tmp_path / "signed.html").read_text(encoding="utf-8")
    assert DRAFT not in page
    assert "Signed by Ada" in page
    assert made(qtbot, reports, tmp_path / "signed.pdf").startswith(b"%PDF")


def test_a_hidden_name_stays_hidden(qtbot, room, reports, tmp_path):
    room.set_hide_names(True)
    page = made(qtbot, reports, tmp_path / "draft.html").decode()
    assert room.opened.name in page
    assert "Smith" not in page.partition("base64")[0]


def test_signing_offers_the_report_once(qtbot, room, reports):
    offers = []
    reports.offered.connect(offers.append)
    read_and_sign(qtbot, room)
    asked(qtbot, room, lambda desk: desk.refresh())
    assert offers == [False, True]
    asked(qtbot, room, lambda desk: desk.reopen("one more"))
    assert offers == [False, True, False]


def test_the_dialog_proposes_a_name_and_gives_a_suffix(qtbot, room, reports, tmp_path, monkeypatch):
    asked_for = []

    def choose(_parent, _title, start, _filters):
        asked_for.append(start)
        return str(tmp_path / "mine"), "HTML (*.html)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    with qtbot.waitSignal(reports.finished, timeout=LONG_MS):
        reports.ask()
    assert asked_for[0].endswith("Smith-report.pdf")
    assert (tmp_path / "mine.html").exists()


def leave_while_a_place_is_chosen(qtbot, room, tmp_path, monkeypatch):
    """Have the file dialog end only when another slide with a count is open."""

    def choose(*_):
        room.open(other_slide(tmp_path / "Other.tif"))
        qtbot.waitUntil(
            lambda: (
                room.opened is not None
                and room.opened.name == "Other.tif"
                and room.view is not None
                and room.view.count is not None
            ),
            timeout=LONG_MS,
        )
        return str(tmp_path / "r.html"), "HTML (*.html)"

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)


def test_the_signed_count_that_was_asked_for_is_reported_though_its_slide_was_left(
    qtbot, room, reports, tmp_path, monkeypatch
):
    read_and_sign(qtbot, room)
    leave_while_a_place_is_chosen(qtbot, room, tmp_path, monkeypatch)
    with qtbot.waitSignal(reports.finished, timeout=LONG_MS):
        reports.ask()
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Signed by Ada" in page
    assert "Smith.tif" in page
    assert "Other.tif" not in page


def test_a_draft_of_a_slide_that_was_left_is_refused_in_words(
    qtbot, room, reports, tmp_path, monkeypatch
):
    leave_while_a_place_is_chosen(qtbot, room, tmp_path, monkeypatch)
    with qtbot.waitSignal(reports.failed, timeout=LONG_MS) as failure:
        reports.ask()
    assert failure.args[0].message == "No report of Smith.tif was written: the slide was left."
    assert not (tmp_path / "r.html").exists()


def test_a_draft_whose_slide_is_left_before_the_desk_answers_is_refused_in_words(
    qtbot, room, reports, tmp_path
):
    events = []
    room.slide_opened.connect(lambda opened: events.append(opened.name))
    reports.failed.connect(lambda error: events.append(error.message))
    held = threading.Event()
    room.ask(lambda desk: desk.view() if held.wait(LONG_MS) else None)
    reports.make(tmp_path / "r.html", room.opened, room.view)
    room.close_slide()
    room.open(other_slide(tmp_path / "Other.tif"))
    held.set()
    qtbot.waitUntil(lambda: len(events) == 2, timeout=LONG_MS)
    assert any("the slide was left" in said for said in events)
    assert not (tmp_path / "r.html").exists()


def test_a_draft_that_cannot_be_made_is_said_once(qtbot, room, reports, tmp_path, monkeypatch):
    def refuse(_desk, _ticks):
        raise StoreError("The store cannot be read.")

    monkeypatch.setattr("core.reading.desk.Desk.draft", refuse)
    said = []
    reports.failed.connect(lambda error: said.append(error.message))
    reports.make(tmp_path / "r.html", room.opened, room.view)
    qtbot.waitUntil(lambda: bool(said), timeout=LONG_MS)
    room.close_slide()
    asked_last = []
    room.bridge.post(lambda: asked_last.append(1))
    qtbot.waitUntil(lambda: bool(asked_last), timeout=LONG_MS)
    assert said == ["The store cannot be read."]


def test_a_folder_that_cannot_be_written_is_said_in_words(qtbot, room, reports, tmp_path):
    (tmp_path / "file").write_text("")
    with qtbot.waitSignal(reports.failed, timeout=LONG_MS) as blocker:
        reports.make(tmp_path / "file" / "r.html", room.opened, room.view)
    assert "cannot be written" in blocker.args[0].message


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a/b:c.svs", "a-b-c"), ("Case 12.3", "Case 12.3"), ("王小明", "王小明"), ("..", "slide")],
)
def test_a_slides_name_makes_a_plain_file_name(name, plain):
    assert plain_name(name) == plain


# The command.


@pytest.fixture
def store_file(qtbot, tmp_path, slide_file):
    """A store with one slide that Ada signed; its path and the slide's."""
    room = open_room(qtbot, tmp_path, slide_file)
    read_and_sign(qtbot, room)
    close_room(room)
    return tmp_path / "s.sqlite"


def test_the_command_prints_the_signed_count(store_file, slide_file, tmp_path, capsys):
    out = tmp_path / "out" / "r.html"
    assert main(["report", str(slide_file), "--store", str(store_file), "--out", str(out)]) == 0
    assert "signed" in capsys.readouterr().out
    assert "Signed by Ada" in out.read_text(encoding="utf-8")
    pdf = tmp_path / "r.pdf"
    assert main(["report", "--slide-id", "1", "--store", str(store_file), "--out", str(pdf)]) == 0
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_command_prints_a_draft_by_another_protocol(store_file, slide_file, tmp_path, capsys):
    out = tmp_path / "r.html"
    command = ["report", str(slide_file), "--store", str(store_file), "--protocol", "melanoma"]
    assert main([*command, "--out", str(out)]) == 0
    assert "draft" in capsys.readouterr().out
    assert DRAFT in out.read_text(encoding="utf-8")


def test_a_signed_count_prints_without_its_slide(store_file, tmp_path):
    with open_store(store_file) as store:
        store.set_path(1, tmp_path / "gone.tif")
    out = tmp_path / "r.html"
    assert main(["report", "--slide-id", "1", "--store", str(store_file), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "No picture of the slide" in page
    assert str(tmp_path) not in page


def test_another_file_in_its_place_gives_no_pictures(store_file, tmp_path):
    other = render_demo_slide(tmp_path / "gone.tif", side_mm=0.3).path
    with open_store(store_file) as store:
        store.set_path(1, other)
    out = tmp_path / "r.html"
    assert main(["report", "--slide-id", "1", "--store", str(store_file), "--out", str(out)]) == 0
    assert "another file lies where" in out.read_text(encoding="utf-8")


def test_a_laboratory_may_demand_an_alias(store_file, tmp_path, monkeypatch, capsys):
    rules = Laboratory(aliases_required=True)
    monkeypatch.setattr("app.laboratory.laboratory", lambda: rules)
    command = ["report", "--slide-id", "1", "--store", str(store_file)]
    assert main([*command, "--out", str(tmp_path / "r.html")]) == 2
    assert "no alias" in capsys.readouterr().err
    with open_store(store_file) as store:
        store.set_alias(1, "P-7")
    assert main([*command, "--out", str(tmp_path / "r.html")]) == 0
    assert "P-7" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Name one slide"),
        (["--slide-id", "9"], "no slide 9"),
        (["--slide-id", "0"], "value for '--slide-id'"),
        (["--slide-id", str(2**63 - 1)], f"no slide {2**63 - 1}"),
        (["--slide-id", str(2**63)], "value for '--slide-id'"),
        (["--slide-id", "1", "--out", "r.docx"], "neither"),
        (["--slide-id", "1", "--protocol", "nonsense"], "no protocol"),
        (["--slide-id", "1", "--reader", "Zoe"], "no reader 'Zoe'"),
    ],
)
def test_what_cannot_be_is_said_in_words(store_file, capsys, options, message):
    assert main(["report", *options, "--store", str(store_file)]) == 2
    assert message in capsys.readouterr().err


def test_an_alias_that_is_demanded_is_asked_for_before_a_place_for_the_file(
    qtbot, room, reports, monkeypatch
):
    monkeypatch.setattr("app.laboratory.laboratory", lambda: Laboratory(aliases_required=True))
    asked = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: asked.append(1) or ("", ""))
    qtbot.waitUntil(lambda: room.view.count is not None, timeout=LONG_MS)
    with qtbot.waitSignal(reports.failed, timeout=LONG_MS) as failure:
        reports.ask()
    assert "no alias" in failure.args[0].message
    assert not asked

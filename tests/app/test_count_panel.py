"""The count panel on a real room: what it shows, where its buttons lead, signing and reopening."""

import threading
from dataclasses import replace

import pytest
import shapely
from blobs import blob_slide
from desks import add_run, add_slide, candidate
from desktops import guard_gui_thread
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel
from reading_room import LONG_MS, asked, close_room, open_room

from app.bridge import GuiBridge
from app.panels.checklist import Checklist
from app.panels.count import CountPanel
from app.panels.count_parts import SpotList
from app.panels.sign import ReopenDialog, SignDialog
from app.room import Room
from core.counting.protocols import Catalogue, load_protocols
from core.geometry import Mpp
from core.reading.view import SpotView
from core.store import open_store

BREAST = load_protocols()["breast_mm2"].with_area(1.0)
PROTOCOLS = load_protocols() | {BREAST.id: BREAST}


@pytest.fixture(autouse=True)
def one_mm2(monkeypatch):
    """Breast counted in 1 mm², as the laboratory of these tests chose."""
    monkeypatch.setattr("core.counting.protocols._current", Catalogue(PROTOCOLS))


@pytest.fixture
def panel(qtbot, room):
    panel = CountPanel(room, PROTOCOLS)
    qtbot.addWidget(panel)
    panel.resize(300, 1000)
    panel.show()
    return panel


def places(room):
    found = []
    room.go_requested.connect(found.append)
    return found


def review_all(qtbot, room):
    """Everything that blocks this count, done."""
    figures = room.view.figures
    keys = figures.key[figures.in_area & figures.to_review].tolist()
    asked(qtbot, room, lambda desk: desk.give(keys, "mitosis"))
    return asked(qtbot, room, lambda desk: desk.set_all_tissue_is_tumour(True))


def visible(panel, dialog_class):
    found = [d for d in panel.findChildren(dialog_class) if d.isVisible()]
    return found[0] if found else None


def test_it_says_how_many_in_how_many_mm2_by_which_rule(panel):
    number = panel.number
    assert number.number.text() == "5"
    assert number.per_area.text() == "in 1.00 mm²"
    assert number.per_mm2.text() == "5.00 per mm²"
    assert number.interval.text() == "95 % interval 1.62 to 11.67"
    amounts = [number.confirmed, number.unreviewed, number.atypical]
    assert [amount.number.text() for amount in amounts] == ["0", "5", "0"]
    assert number.provisional.text() == "Provisional: 5 of these rest on the model alone."
    assert number.provisional.isVisible()
    assert number.category.text() == "score 2 (4-7)"
    assert "score 1 (≤3)" in number.certainty.near_border.text.text()
    assert "score 3 (≥8)" in number.certainty.near_border.text.text()
    assert "HL7 FHIR" in panel.source.text()
    assert not panel.unverified.isVisible()
    assert panel.place.area_text.text() == "Planned 1 mm², counted 1.00 mm²"
    assert panel.place.area_state.text() == "Placed by Mitoscope: hot spot of all tissue."
    assert [panel.place.spots.item(n).text() for n in range(2)] == [
        "1.   5 mitoses",
        "2.   3 mitoses",
    ]
    assert not panel.place.better.isVisible()


def test_the_numbers_follow_each_verdict(qtbot, room, panel):
    key = int(room.view.figures.key[0])
    asked(qtbot, room, lambda desk: desk.give([key], "atypical"))
    amounts = [panel.number.confirmed, panel.number.unreviewed, panel.number.atypical]
    assert [amount.number.text() for amount in amounts] == ["1", "4", "1"]
    asked(qtbot, room, lambda desk: desk.give([key], "imposter"))
    assert panel.number.number.text() == "4"
    review_all(qtbot, room)
    assert panel.number.provisional.text() == "Each of these was looked at."


def test_the_wheel_over_the_protocol_does_not_change_it(qtbot, panel):
    chosen = []
    panel.protocol.activated.connect(chosen.append)
    panel.protocol.setFocus()
    middle = QPointF(panel.protocol.rect().center())
    turn = QWheelEvent(
        middle,
        panel.protocol.mapToGlobal(middle),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(panel.protocol, turn)
    assert chosen == []


def test_another_protocol_has_its_own_area_source_and_points(qtbot, room, panel):
    panel.protocol.setCurrentIndex(panel.protocol.findData("gist"))
    panel.protocol.activated.emit(panel.protocol.currentIndex())
    qtbot.waitUntil(lambda: room.view.count.protocol.id == "gist", timeout=LONG_MS)
    assert panel.unverified.isVisible()
    assert panel.number.category.isVisible() is False
    assert "are not rescaled" in panel.number.rule.text()
    assert "short" in panel.place.area_text.text()
    assert "All tissue is counted" in panel.place.area_state.text()
    assert not panel.place.spots.isVisible()
    assert len(panel.checklist.boxes) == len(PROTOCOLS["gist"].checklist)


def test_the_value_in_the_protocols_unit_is_shown_only_for_its_own_area(qtbot, room, panel):
    asked(qtbot, room, lambda desk: desk.set_protocol("net_gep"))
    assert not panel.number.value.isVisible()  # 4 of 10 mm² were counted: never rescaled


def test_a_better_place_is_announced_looked_at_and_taken(qtbot, room, panel):
    spot = room.view.count.spots[1]
    asked(qtbot, room, lambda desk: desk.accept_spot(desk.view().count.spots[1].centre0))
    assert panel.number.number.text() == "3"
    assert panel.place.area_state.text().startswith("Accepted by you")
    assert panel.place.better.isVisible()
    assert panel.place.better.text.text() == "A better place: 5 against 3."
    went = places(room)
    panel.place.look_better.click()
    assert (went[0].x0, went[0].y0) == room.view.count.spots[0].centre0
    assert room.view.area.centre0 == pytest.approx(spot.centre0)  # looking moves nothing
    panel.place.accept_better.click()
    qtbot.waitUntil(lambda: panel.number.number.text() == "5", timeout=LONG_MS)
    assert not panel.place.better.isVisible()
    panel.place.follow.click()
    qtbot.waitUntil(lambda: room.view.area.state == "proposed", timeout=LONG_MS)
    assert not panel.place.follow.isVisible()


def test_a_click_on_a_hot_spot_goes_there_and_a_button_counts_there(qtbot, room, panel):
    went = places(room)
    item = panel.place.spots.item(1)
    qtbot.mouseClick(
        panel.place.spots.viewport(), Qt.MouseButton.LeftButton,
        pos=panel.place.spots.visualItemRect(item).center(),
    )  # fmt: skip
    assert (went[0].x0, went[0].y0) == room.view.count.spots[1].centre0
    panel.place.accept_spot.click()
    qtbot.waitUntil(lambda: panel.number.number.text() == "3", timeout=LONG_MS)


def test_a_place_is_counted_at_only_while_it_is_proposed(qtbot, room, panel):
    place, keys = panel.place, room.view.figures.key.tolist()
    assert not place.accept_spot.isEnabled()  # before one is chosen
    place.spots.setCurrentRow(0)
    assert place.accept_spot.isEnabled()
    held = threading.Event()

    def overtake(desk):  # what the click below meets: other places than those on the screen
        assert held.wait(LONG_MS / 1000)
        desk.give(keys[:5], "imposter")
        return desk.settle_spots()

    room.ask(overtake)
    with qtbot.waitSignal(room.failed, timeout=LONG_MS) as failure:
        place.accept_spot.click()
        held.set()
    assert "no longer proposed" in failure.args[0].message
    assert room.view.area.state == "proposed"
    assert place.spots.count() == 1
    assert not place.accept_spot.isEnabled()  # what was chosen is gone


def test_the_chosen_place_stays_chosen_while_it_is_proposed(qtbot):
    shape = shapely.box(0, 0, 1, 1)
    first, second, third = (SpotView((50.0 * n, 50.0), shape, 9 - n) for n in range(3))
    spots = SpotList()
    qtbot.addWidget(spots)
    spots.show_spots((first, second))
    assert spots.spot is None
    spots.setCurrentRow(1)
    more = replace(second, mitoses=10)
    spots.show_spots((more, first, third))
    assert (spots.currentRow(), spots.spot) == (0, more)
    spots.show_spots((first, third))
    assert spots.spot is None


def test_each_blocker_leads_to_its_first_offender(qtbot, room, panel):
    went = places(room)
    texts = {row.blocker.kind: row for row in panel.blockers.rows}
    assert set(texts) == {"tumour", "unreviewed"}
    assert not panel.sign_button.isEnabled()
    with qtbot.waitSignal(panel.tumour_drawing_requested):
        texts["tumour"].button.click()
    texts["unreviewed"].button.click()
    figures = room.view.figures
    most = int(figures.key[figures.probability.argmax()])
    assert room.selection == (most,)
    assert (went[0].x0, went[0].y0) == (700, 700)
    asked(qtbot, room, lambda desk: desk.give([most], "unsure"))
    kinds = [row.blocker.kind for row in panel.blockers.rows]
    assert kinds == ["tumour", "unsure", "unreviewed"]


def test_all_tissue_is_tumour_is_recorded(qtbot, room, panel):
    panel.all_tumour.click()
    qtbot.waitUntil(lambda: room.view.all_tissue_is_tumour, timeout=LONG_MS)
    assert "tumour" not in [row.blocker.kind for row in panel.blockers.rows]
    assert panel.all_tumour.isChecked()


def test_a_piece_of_tissue_is_excluded_and_taken_in_again(qtbot, room, panel):
    item = panel.pieces.item(0)
    item.setCheckState(Qt.CheckState.Checked)
    qtbot.waitUntil(lambda: room.view.pieces[0].excluded, timeout=LONG_MS)
    assert room.view.count is None
    assert "no readable tissue" in panel.trouble.text.text()
    assert not panel.body.isVisible()
    panel.pieces.item(0).setCheckState(Qt.CheckState.Unchecked)
    qtbot.waitUntil(lambda: room.view.count is not None, timeout=LONG_MS)
    assert panel.body.isVisible()


def test_a_click_on_a_piece_goes_there(qtbot, room, panel):
    went = places(room)
    rect = panel.pieces.visualItemRect(panel.pieces.item(0))
    qtbot.mouseClick(panel.pieces.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert len(went) == 1
    assert not room.view.pieces[0].excluded


def test_signing_asks_for_the_name_and_freezes_count_and_ticks(qtbot, room, panel):
    review_all(qtbot, room)
    assert panel.blockers.rows == []
    assert panel.sign_button.isEnabled()
    panel.checklist.boxes[0].click()
    panel.sign_button.click()
    dialog = visible(panel, SignDialog)
    assert not dialog.sign.isEnabled()
    dialog.name.setText("Ben")
    assert not dialog.sign.isEnabled()
    dialog.name.setText(" ada ")
    dialog.sign.click()
    qtbot.waitUntil(lambda: room.view.count.signed is not None, timeout=LONG_MS)
    (count,) = [c for c in room.store.counts(room.opened.slide_id) if c.state == "signed"]
    points = PROTOCOLS["breast_mm2"].checklist
    assert count.mitoses == 6
    assert count.details["checklist"] == {point: point == points[0] for point in points}
    assert panel.signed.text.text().startswith("Signed by Ada")
    assert not panel.sign_button.isVisible()
    assert not panel.checklist.boxes[0].isEnabled()
    assert panel.checklist.ticks == count.details["checklist"]
    assert not panel.pieces.isEnabled()

    panel.reopen_button.click()
    dialog = visible(panel, ReopenDialog)
    assert not dialog.reopen.isEnabled()
    qtbot.keyClicks(dialog.reason, "one more slide")
    qtbot.keyClick(dialog.reason, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: room.view.count.signed is None, timeout=LONG_MS)
    assert panel.sign_button.isVisible()
    assert not panel.signed.isVisible()


def test_the_dialog_repeats_what_is_signed(qtbot, room, panel):
    review_all(qtbot, room)
    asked(qtbot, room, lambda desk: desk.set_mpp(Mpp(0.98, 0.98), "typed"))
    qtbot.waitUntil(lambda: panel.sign_button.isEnabled(), timeout=LONG_MS)
    panel.sign()
    dialog = visible(panel, SignDialog)
    texts = " | ".join(child.text() for child in dialog.findChildren(type(panel.source)))
    for part in ("Ada", "Smith.tif", "6 in 1.00 mm²", "0.98 µm, typed", "score 2 (4-7)"):
        assert part in texts
    assert "not read from the file" in texts
    assert "Not ticked" in texts
    dialog.reject()
    assert room.view.count.signed is None


def test_nothing_is_signed_that_changed_meanwhile(qtbot, room, panel):
    review_all(qtbot, room)
    panel.sign()
    dialog = visible(panel, SignDialog)
    dialog.name.setText("Ada")
    key = int(room.view.figures.key[0])
    room.ask(lambda desk: desk.give([key], "imposter"))
    with qtbot.waitSignal(room.failed, timeout=LONG_MS) as failure:
        dialog.sign.click()
    assert "changed" in failure.args[0].message
    assert all(count.state != "signed" for count in room.store.counts(room.opened.slide_id))


def test_ticks_belong_to_one_count_area(qtbot, room, panel):
    panel.checklist.boxes[0].click()
    asked(qtbot, room, lambda desk: desk.give([int(room.view.figures.key[6])], "imposter"))
    assert panel.checklist.boxes[0].isChecked()
    asked(qtbot, room, lambda desk: desk.accept_spot(desk.view().count.spots[1].centre0))
    assert not panel.checklist.boxes[0].isChecked()


def test_a_tick_that_is_refused_is_taken_back(qtbot, room, panel):
    review_all(qtbot, room)
    asked(qtbot, room, lambda desk: desk.sign({}))
    panel.all_tumour.setEnabled(True)
    with qtbot.waitSignal(room.failed, timeout=LONG_MS):
        panel.all_tumour.click()
    assert panel.all_tumour.isChecked()


def test_the_slides_of_the_case_are_ranked_and_opened(
    qtbot, room, panel, slide_file, tmp_path, monkeypatch
):
    store, slide_id = room.store, room.opened.slide_id
    assert not panel.place.case.isVisible()
    case_id = store.add_case("C")
    other = add_slide(store, "cd")
    add_run(store, other, [candidate(8000 + 50 * n, 8000, 0.9) for n in range(6)], "r2")
    for one in (slide_id, other):
        store.set_case(one, case_id)
    room.close_slide()
    room.open(slide_file)
    qtbot.waitUntil(
        lambda: room.view is not None and room.view.count is not None and room.view.spots_settled,
        timeout=LONG_MS,
    )
    qtbot.waitUntil(lambda: len(panel.place.case.spots) == 2, timeout=LONG_MS)
    rows = [panel.place.case.list.item(n).text() for n in range(2)]
    assert rows == ["up to 6   –   cd.svs", "up to 5   –   Smith.tif"]
    opened = []
    monkeypatch.setattr(room, "open", opened.append)
    for n in (1, 0):
        rect = panel.place.case.list.visualItemRect(panel.place.case.list.item(n))
        qtbot.mouseClick(
            panel.place.case.list.viewport(), Qt.MouseButton.LeftButton, pos=rect.center()
        )
    assert len(opened) == 1  # the slide that is open stays


def test_without_a_slide_nothing_but_the_rule_is_shown(qtbot, tmp_path):
    store = open_store(tmp_path / "s.sqlite")
    room = Room(store, GuiBridge(), "Ada")
    panel = CountPanel(room, PROTOCOLS)
    qtbot.addWidget(panel)
    panel.show()
    panel.sign()
    assert panel.protocol.currentData() == room.protocol_id
    assert not panel.body.isVisible()
    assert not panel.sign_button.isVisible()
    close_room(room)


def test_without_a_run_it_says_so_and_offers_the_analysis(qtbot, tmp_path, slide_file):
    room = open_room(qtbot, tmp_path, slide_file, run=False)
    panel = CountPanel(room, PROTOCOLS)
    qtbot.addWidget(panel)
    panel.show()
    assert "Not analysed yet" in panel.trouble.text.text()
    assert not panel.number.certainty.isVisible()  # nobody looked: nothing is to be expected
    assert panel.number.provisional.text() == "No mitosis in the count area."
    with qtbot.waitSignal(panel.analysis_requested):
        panel.analyse.click()
    assert not panel.calibrate.isVisible()
    with qtbot.waitSignal(room.slide_closing):
        room.close_slide()
    assert not panel.body.isVisible()
    close_room(room)


def test_the_panel_asks_the_store_nothing_on_the_gui_thread(qtbot, room, panel, monkeypatch):
    offences = guard_gui_thread(monkeypatch)
    review_all(qtbot, room)
    panel.sign()
    dialog = visible(panel, SignDialog)
    dialog.name.setText("Ada")
    dialog.sign.click()
    qtbot.waitUntil(lambda: room.view.count.signed is not None, timeout=LONG_MS)
    QApplication.processEvents()
    assert offences == []
    monkeypatch.undo()


def test_a_text_beside_a_box_ticks_it(qtbot):
    checklist = Checklist()
    qtbot.addWidget(checklist)
    checklist.show_points(("Look.", "Count."), 1)
    checklist.show()
    text = checklist.boxes[1].parentWidget().findChild(QLabel)
    qtbot.mouseClick(text, Qt.MouseButton.LeftButton)
    assert checklist.ticks == {"Look.": False, "Count.": True}
    checklist.show_points(("Look.", "Count."), 1)
    assert checklist.ticks["Count."]
    checklist.show_points(("Look.", "Count."), 2)
    assert not checklist.ticks["Count."]


def test_without_a_pixel_size_there_is_no_count_but_a_way_to_set_it(qtbot, tmp_path):
    path = tmp_path / "s.tif"
    blob_slide(path, 900, 700, mpp=None, count=3, margin0=150)
    store = open_store(tmp_path / "s.sqlite")
    room = Room(store, GuiBridge(), "Ada", backend="openslide")
    panel = CountPanel(room, PROTOCOLS)
    qtbot.addWidget(panel)
    panel.show()
    room.open(path)
    qtbot.waitUntil(lambda: room.view is not None, timeout=LONG_MS)
    assert "no pixel size" in panel.trouble.text.text()
    assert not panel.body.isVisible()
    assert not panel.sign_button.isVisible()
    with qtbot.waitSignal(panel.calibration_requested):
        panel.calibrate.click()
    close_room(room)

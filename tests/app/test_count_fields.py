"""Fields in the desktop: chosen, listed and moved; how sure the count is, without a jump."""

from dataclasses import replace

import numpy as np
import pytest
from deskviews import MPP, RoomStub, area, count, desk_view
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent, QPainter
from reading_room import LONG_MS, asked

from app.panels.count import CountPanel
from app.panels.count_certainty import percent
from app.viewer.area_tool import AreaTool
from app.viewer.areas import CountAreaLayer, HotSpotLayer
from app.viewer.fields_shape import FieldsShape
from app.viewer.transform import ViewTransform
from core.counting.protocols import Catalogue, FieldRule, load_protocols
from core.counting.shapes import CountShape
from core.reading.view import SpotView

RATE = replace(
    load_protocols()["breast_mm2"].with_area(1.0),
    fields=FieldRule(4, 0.25, contiguous=True),
    gap_rule="whole numbers only",
)
SETS = replace(
    load_protocols()["uterine_smc"],
    area_mm2=0.5,
    unit_mm2=0.5,
    fields=FieldRule(2, 0.25, contiguous=True),
    sets=2,
)
PROTOCOLS = load_protocols() | {RATE.id: RATE, SETS.id: SETS}


@pytest.fixture(autouse=True)
def small_rules(monkeypatch):
    monkeypatch.setattr("core.counting.protocols._current", Catalogue(PROTOCOLS))


@pytest.fixture
def panel(qtbot, room):
    panel = CountPanel(room, PROTOCOLS)
    qtbot.addWidget(panel)
    panel.resize(320, 1000)
    panel.show()
    return panel


def choose(panel, plan):
    panel.place.plan.setCurrentIndex(panel.place.plan.findData(plan))
    panel.place.plan.activated.emit(panel.place.plan.currentIndex())


def test_the_reader_chooses_what_the_protocol_allows(qtbot, room, panel):
    plan = panel.place.plan
    names = [plan.itemText(n) for n in range(plan.count())]
    assert names == ["One area of 1 mm²", "4 consecutive fields", "The whole tumour"]
    choose(panel, "fields")
    qtbot.waitUntil(lambda: room.view.area.kind == "fields", timeout=LONG_MS)
    assert plan.currentData() == "fields"
    assert panel.place.area_text.text() == "Planned 1 mm², counted 1.00 mm²"
    assert "no such fields hold more than" in panel.number.certainty.details.text()
    choose(panel, "whole")
    qtbot.waitUntil(lambda: room.view.area.kind == "tissue", timeout=LONG_MS)
    assert panel.number.number.text() == "8"
    assert "whole tumour" in panel.place.area_state.text()
    assert not panel.place.follow.isVisible()
    choose(panel, "one")
    qtbot.waitUntil(lambda: room.view.area.kind == "rectangle", timeout=LONG_MS)
    assert room.view.area.state == "proposed"
    asked(qtbot, room, lambda desk: desk.set_protocol("melanoma"))
    assert not plan.isVisible()


def test_sets_are_listed_and_the_highest_is_the_number(qtbot, room, panel):
    asked(qtbot, room, lambda desk: desk.set_protocol("uterine_smc"))
    assert panel.number.number.text() == "5"
    assert "Sets: 5, 3; the highest is the count." in panel.place.area_text.text()
    assert panel.place.spots_title.text() == "Sets of fields"
    assert not panel.place.accept_spot.isVisible()


def test_it_says_how_sure_the_count_is_and_leads_to_what_would_settle_it(qtbot, room, panel):
    sure = panel.number.certainty
    found = room.view.count.statistics
    assert sure.expected.text() == f"{found.expected.mean:.1f} (3 to 7)"
    assert sure.elsewhere.text().endswith("%, near a border")
    assert sure.left.text().startswith("6 figures, ")
    keys = found.settling.rows
    assert f"{len(keys)} verdicts would settle" in sure.settling.text()
    sure.settle.click()
    assert room.selection == keys[:1]  # one key must not give several verdicts unseen
    assert not sure.folded.isVisible()
    sure.fold.click()
    assert sure.folded.isVisible()
    assert "score 2 (4-7)" in sure.chances.text()
    assert "is a maximum" in sure.details.text()
    assert "whole numbers only" in sure.details.text()
    asked(qtbot, room, lambda desk: desk.give(list(keys), "mitosis"))
    assert room.view.count.statistics.settling.settled
    assert sure.settling.text().startswith("Settled")
    assert not sure.settle.isEnabled()


def test_nothing_below_the_number_moves_while_figures_are_read(qtbot, room, panel):
    asked(qtbot, room, lambda desk: desk.accept_spot(desk.view().count.spots[0].centre0))
    tops = {panel.place.mapTo(panel, QPoint()).y()}
    for key, verdict in zip(
        room.view.figures.key[:7].tolist(),
        ["mitosis", "mitosis", "atypical", "mitosis", "imposter", "mitosis", "imposter"],
        strict=True,
    ):
        asked(qtbot, room, lambda desk, key=key, verdict=verdict: desk.give([key], verdict))
        qtbot.wait(5)
        tops.add(panel.place.mapTo(panel, QPoint()).y())
    assert len(tops) == 1


def test_a_blinded_reader_expects_nothing(qtbot, room, panel):
    room.set_reader("Ben", blinded=True)
    qtbot.waitUntil(lambda: room.view.blinded, timeout=LONG_MS)
    assert panel.number.certainty.expected.text() == "–"


def test_shares_never_read_as_certain_unless_they_are():
    texts = [percent(share) for share in (0, 0.004, 0.48, 0.995, 1)]
    assert texts == ["0 %", "< 1 %", "48 %", "> 99 %", "100 %"]


# The viewer.

FIELD = CountShape("circle", 500.0, 500.0)
CENTRES0 = ((2000.0, 2000.0), (4000.0, 2000.0), (2000.0, 5000.0))


def fields_area(centres0=CENTRES0, **changes):
    fields0 = tuple(
        CountShape("circle", 2000.0, 2000.0).polygon_um(at, 24) for at in centres0
    )  # 500 µm at 0.25 µm/px
    return area(
        centres0[0], kind="fields", field_kind="circle", width_um=500.0, height_um=500.0,
        centres0=centres0, fields0=fields0,
        polygon0=fields0[0].union(fields0[1]).union(fields0[2]), **changes,
    )  # fmt: skip


class Surface:
    transform = ViewTransform((3000.0, 3000.0), 20.0, 0.0, 800, 600)

    def update_layers(self):
        """Nothing is painted here."""


def mouse(kind, at, held=Qt.KeyboardModifier.NoModifier):
    left = Qt.MouseButton.LeftButton
    return QMouseEvent(kind, QPointF(*at), QPointF(*at), left, left, held)


def drag(tool, start, end, held=Qt.KeyboardModifier.NoModifier):
    surface = Surface()
    taken = tool.mouse_pressed(mouse(QEvent.Type.MouseButtonPress, start, held), surface)
    tool.mouse_moved(mouse(QEvent.Type.MouseMove, end, held), surface)
    tool.mouse_released(mouse(QEvent.Type.MouseButtonRelease, end, held), surface)
    return taken


@pytest.fixture
def tool():
    room = RoomStub()
    made = AreaTool(room, CountAreaLayer())
    room.show(desk_view(area=fields_area()))
    return made, room


def test_a_drag_moves_the_field_under_the_pointer(tool):
    made, room = tool
    at = Surface.transform.to_screen(*CENTRES0[1])
    assert drag(made, at, (at[0] + 30, at[1] - 10))
    ((name, (index, centre0), _),) = room.asked
    assert (name, index) == ("move_field", 1)
    assert centre0 == pytest.approx((4600.0, 1800.0))
    assert made.draft is None


def test_shift_moves_all_fields_and_a_drag_beside_them_none(tool):
    made, room = tool
    at = Surface.transform.to_screen(*CENTRES0[2])
    assert drag(made, at, (at[0] + 10, at[1] + 20), Qt.KeyboardModifier.ShiftModifier)
    ((name, moved, _),) = room.asked
    assert (name, moved) == ("shift_fields", pytest.approx((200.0, 400.0)))
    assert not drag(made, (5, 5), (50, 50))
    assert len(room.asked) == 1


def test_the_fields_that_are_dragged():
    shape = FieldsShape.of(fields_area(), MPP)
    assert shape.mm2 == pytest.approx(3 * FIELD.area_mm2)
    assert shape.field_at((1000.0, 510.0)) == 1
    assert shape.field_at((750.0, 900.0)) is None
    together = shape.moved(None, 10.0, 5.0)
    assert np.subtract(together.centres_um, shape.centres_um).tolist() == [[10.0, 5.0]] * 3
    assert len(shape.fields0(MPP)) == 3


def test_fields_are_numbered_and_their_own_spot_is_not_outlined_again(qtbot):
    here = fields_area()
    spots = [
        SpotView(at[0], here.polygon0, 9, None, at, here.fields0)
        for at in (CENTRES0, ((9000.0, 9000.0),))
    ]
    view = desk_view(area=here, count=count(spots))
    pictures = []
    for layer in (CountAreaLayer(), HotSpotLayer()):
        layer.set_view(view)
        image = QImage(800, 600, QImage.Format.Format_ARGB32)
        image.fill(0)
        painter = QPainter(image)
        layer.paint(painter, Surface.transform)
        painter.end()
        pictures.append(image)
    x, y = Surface.transform.to_screen(CENTRES0[0][0] - 1000, CENTRES0[0][1])
    assert any(pictures[0].pixelColor(round(x) + dx, round(y)).alpha() for dx in (-1, 0, 1))
    layer = HotSpotLayer()
    layer.set_view(view)
    assert layer._is_area(spots[0], Surface.transform)
    assert not layer._is_area(spots[1], Surface.transform)

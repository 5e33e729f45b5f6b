"""Tools of the viewer: what they send, when, and that nothing is sent before it is finished."""

import pytest
import shapely
from deskviews import MPP, RoomStub, area, desk_view, figures, region
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QInputDialog

from app.viewer.area_shape import CORNERS, AreaShape
from app.viewer.area_tool import AreaTool
from app.viewer.areas import CountAreaLayer
from app.viewer.candidates import CandidateLayer
from app.viewer.edit_tool import RegionEditTool
from app.viewer.layers import RegionLayer
from app.viewer.region_tools import PolygonTool, RectangleTool
from app.viewer.ruler import CalibrateTool, RulerTool
from app.viewer.tools import AddMitosisTool, SelectTool
from app.viewer.transform import ViewTransform
from core.geometry import Mpp, area_mm2

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
PLAIN = Qt.KeyboardModifier.NoModifier
pytestmark = pytest.mark.usefixtures("qapp")


class Surface:
    def __init__(self, transform):
        self.transform = transform
        self.painted = 0

    def update_layers(self):
        self.painted += 1


class Hand:
    """Does with a tool what the canvas does, without a window."""

    def __init__(self, tool, transform=None, modifiers=PLAIN):
        self.tool = tool
        transform = transform or ViewTransform((2000.0, 1500.0), 4.0, 0.0, 800, 600)
        self.surface = Surface(transform)
        self.modifiers = modifiers

    def _mouse(self, kind, x, y, button, buttons):
        at = QPointF(x, y)
        return QMouseEvent(kind, at, at, button, buttons, self.modifiers)

    def press(self, x, y):
        return self.tool.mouse_pressed(
            self._mouse(QEvent.Type.MouseButtonPress, x, y, LEFT, LEFT), self.surface
        )

    def move(self, x, y, buttons=LEFT):
        return self.tool.mouse_moved(
            self._mouse(QEvent.Type.MouseMove, x, y, NONE, buttons), self.surface
        )

    def release(self, x, y):
        return self.tool.mouse_released(
            self._mouse(QEvent.Type.MouseButtonRelease, x, y, LEFT, NONE), self.surface
        )

    def click(self, x, y):
        self.press(x, y)
        self.release(x, y)

    def drag(self, *places):
        self.press(*places[0])
        for place in places[1:]:
            self.move(*place)
        self.release(*places[-1])

    def double_click(self, x, y):
        self.click(x, y)
        self.tool.double_clicked(
            self._mouse(QEvent.Type.MouseButtonDblClick, x, y, LEFT, LEFT), self.surface
        )
        self.release(x, y)

    def key(self, key):
        event = QKeyEvent(QEvent.Type.KeyPress, key, PLAIN)
        wanted = self.tool.wants_key(event)
        taken = self.tool.key_pressed(event, self.surface)
        assert wanted == taken
        return taken

    def slide(self, x, y):
        return self.surface.transform.to_slide(x, y)


def paint(tool, transform):
    image = QImage(800, 600, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.white)
    painter = QPainter(image)
    tool.paint(painter, transform)
    painter.end()
    blank = QImage(image.size(), image.format())
    blank.fill(Qt.GlobalColor.white)
    return image != blank


def room_with(**changes):
    room = RoomStub(desk_view(changes.pop("shown", None), **changes))
    room.begin()
    return room


# Selecting.


@pytest.fixture
def selecting():
    room = RoomStub()
    layer = CandidateLayer()
    room.view_changed.connect(layer.set_view)
    room.selection_changed.connect(layer.set_selection)
    hand = Hand(SelectTool(room, layer))
    room.show(desk_view(figures([hand.slide(*p) for p in ((100, 100), (200, 100), (300, 400))])))
    return room, hand, layer


def test_a_click_selects_and_a_click_on_nothing_lets_go(selecting):
    room, hand, _ = selecting
    assert not hand.press(101, 99)  # the canvas may pan
    hand.release(101, 99)
    assert room.selection == (1,)
    hand.click(500, 500)
    assert room.selection == ()


def test_a_drag_pans_and_selects_nothing(selecting):
    room, hand, _ = selecting
    hand.drag((100, 100), (150, 130))
    assert room.selection == ()


def test_ctrl_adds_and_takes_away(selecting):
    room, hand, _ = selecting
    hand.modifiers = CTRL
    hand.click(100, 100)
    hand.click(200, 100)
    assert room.selection == (2, 1)
    hand.click(200, 100)
    assert room.selection == (1,)


def test_a_band_selects_many_and_escape_drops_it(selecting):
    room, hand, _ = selecting
    hand.modifiers = SHIFT
    hand.drag((50, 50), (250, 150))
    assert room.selection == (1, 2)
    hand.press(250, 350)
    hand.move(350, 450)
    assert paint(hand.tool, hand.surface.transform)
    hand.key(Qt.Key.Key_Escape)
    hand.release(350, 450)
    assert room.selection == (1, 2)


def test_hidden_figures_are_not_selected(selecting):
    room, hand, layer = selecting
    layer.visible = False
    hand.click(100, 100)
    assert room.selection == ()


def test_hovering_repaints_only_when_the_figure_changes(selecting):
    _, hand, _ = selecting
    hand.move(100, 100, NONE)
    hand.move(101, 100, NONE)
    assert hand.surface.painted == 1
    hand.tool.left()
    assert hand.surface.painted == 2


# Adding a mitosis.


@pytest.mark.parametrize(("modifiers", "verdict"), [(PLAIN, "mitosis"), (SHIFT, "atypical")])
def test_a_click_places_a_figure_and_selects_it(modifiers, verdict):
    room = room_with()
    hand = Hand(AddMitosisTool(room), modifiers=modifiers)
    room.next_view = desk_view(figures([(0, 0), hand.slide(120, 80)]))
    hand.click(120, 80)
    ((name, place0, _),) = (room.asked[0],)
    assert name == "place"
    assert place0 == (*hand.slide(120, 80), verdict)
    assert room.selection == (2,)


def test_a_drag_with_the_add_tool_places_nothing():
    room = room_with()
    hand = Hand(AddMitosisTool(room))
    hand.drag((120, 80), (180, 90))
    assert room.asked == []


# Drawing regions.


def drawn(room, kind="tumour"):
    tool = PolygonTool(room)
    tool.kind = kind
    return Hand(tool)


SQUARE = ((100, 100), (300, 100), (300, 300), (100, 300))


@pytest.mark.parametrize("ending", ["enter", "double", "first"])
def test_a_polygon_is_sent_when_it_is_closed(ending):
    room = room_with()
    hand = drawn(room, "excluded")
    for place in SQUARE[:-1]:
        hand.click(*place)
    if ending == "double":
        hand.double_click(*SQUARE[-1])
    else:
        hand.click(*SQUARE[-1])
        assert room.asked == []
        hand.key(Qt.Key.Key_Return) if ending == "enter" else hand.click(102, 101)
    ((name, (kind, polygon0, lineage), _),) = room.asked
    assert (name, kind, lineage) == ("draw_region", "excluded", "")
    assert polygon0.equals(shapely.Polygon([hand.slide(*place) for place in SQUARE]))
    assert hand.tool.points0 == ()


def test_a_polygon_that_crosses_itself_is_refused_and_can_be_mended():
    room = room_with()
    hand = drawn(room)
    for place in ((100, 100), (300, 300), (300, 100), (100, 300)):
        hand.click(*place)
    hand.key(Qt.Key.Key_Enter)
    assert room.asked == []
    assert "crosses itself" in hand.tool.message
    assert paint(hand.tool, hand.surface.transform)
    hand.key(Qt.Key.Key_Backspace)
    hand.key(Qt.Key.Key_Backspace)
    assert hand.tool.message == ""
    hand.click(100, 250)
    hand.key(Qt.Key.Key_Enter)
    assert room.asked[0][1][1].is_valid


@pytest.mark.parametrize("places", [((1, 1), (4, 1), (4, 4)), ((1, 1), (50, 50), (100, 100))])
def test_tiny_and_flat_polygons_are_refused(places):
    room = room_with()
    hand = Hand(PolygonTool(room), ViewTransform((0.0, 0.0), 0.5, 0.0, 800, 600))
    for place in places:
        hand.click(*place)
        hand.move(0, 500, NONE)
    hand.key(Qt.Key.Key_Return)
    assert room.asked == []
    assert hand.tool.message
    assert len(hand.tool.points0) == 3


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 790), st.integers(0, 590)), min_size=3, max_size=8))
def test_only_sound_polygons_are_ever_sent(places):
    room = room_with()
    hand = drawn(room)
    for place in places:
        hand.click(*place)
    hand.key(Qt.Key.Key_Return)
    for _, (_, polygon0, _), _ in room.asked:
        assert polygon0.is_valid
        assert area_mm2(polygon0, MPP) >= 4e-4
    assert room.asked or hand.tool.message or not hand.tool.points0


def test_two_points_are_no_region_and_backspace_goes_back_to_none():
    room = room_with()
    hand = drawn(room)
    hand.click(10, 10)
    hand.click(200, 10)
    hand.key(Qt.Key.Key_Return)
    assert "three points" in hand.tool.message
    hand.key(Qt.Key.Key_Backspace)
    hand.key(Qt.Key.Key_Backspace)
    assert not hand.key(Qt.Key.Key_Backspace)  # the window's own Backspace again


def test_what_the_desk_refuses_stays_for_editing():
    room = room_with()
    room.refuses = "The store is read-only."
    hand = drawn(room)
    for place in SQUARE:
        hand.click(*place)
    hand.key(Qt.Key.Key_Return)
    assert len(hand.tool.points0) == 4
    room.refuses = ""
    hand.key(Qt.Key.Key_Return)
    assert len(room.asked) == 2
    assert hand.tool.points0 == ()


def test_a_failure_of_something_else_does_not_keep_a_stored_drawing():
    room = room_with()
    answers = []
    room.ask = lambda change, done=None: answers.append(
        lambda: (change(room.desk), done(room.view))
    )
    hand = drawn(room)
    for place in SQUARE:
        hand.click(*place)
    hand.key(Qt.Key.Key_Return)
    room.failed.emit(None)
    (answer,) = answers
    answer()
    assert hand.tool.points0 == ()
    hand.click(50, 50)
    answer()  # late: about the drawing before
    assert len(hand.tool.points0) == 1


def test_a_rectangle_follows_a_turned_view():
    room = room_with()
    hand = Hand(RectangleTool(room), ViewTransform((2000.0, 1500.0), 4.0, 30.0, 800, 600))
    hand.drag((100, 100), (250, 220), (300, 200))
    polygon0 = room.asked[0][1][1]
    assert polygon0.area == pytest.approx(200 * 100 * 16)
    assert polygon0.equals_exact(
        shapely.Polygon([hand.slide(*p) for p in ((100, 100), (300, 100), (300, 200), (100, 200))]),
        1e-6,
    )


# Editing regions.

RING = ((1000.0, 1000.0), (2000.0, 1000.0), (2000.0, 2000.0), (1000.0, 2000.0))


def editing(**changes):
    room = RoomStub()
    layer = RegionLayer()
    tool = RegionEditTool(room, layer)
    hand = Hand(tool)
    room.show(desk_view(regions=(region("tumour", shapely.Polygon(RING), **changes),)))
    x, y = hand.surface.transform.to_screen(1500.0, 1500.0)
    hand.click(x, y)
    assert tool.lineage == "r1"
    return room, hand


def corner(hand, index):
    return hand.surface.transform.to_screen(*RING[index])


def test_a_dragged_point_is_sent_as_a_version_of_the_region():
    room, hand = editing()
    x, y = corner(hand, 2)
    newer = region("tumour", shapely.box(1, 1, 2, 2), version=2)
    room.next_view = desk_view(regions=(newer,))
    hand.press(x, y)
    hand.move(x + 50, y + 20)
    assert room.asked == []
    hand.release(x + 50, y + 20)
    ((name, (kind, polygon0, lineage), _),) = room.asked
    assert (name, kind, lineage) == ("draw_region", "tumour", "r1")
    assert polygon0.exterior.coords[2] == pytest.approx((2200.0, 2080.0))
    assert shapely.Polygon(hand.tool.ring0).equals(shapely.box(1, 1, 2, 2))


def test_an_edge_can_be_pulled_into_a_point():
    room, hand = editing()
    x, y = hand.surface.transform.to_screen(1500.0, 1000.0)
    hand.click(x, y)
    assert room.asked == []
    hand.drag((x, y), (x, y - 50))
    assert room.asked[0][1][1].exterior.coords[1] == pytest.approx((1500.0, 800.0))


def test_delete_removes_the_point_under_the_cursor_or_the_region():
    room, hand = editing()
    hand.move(*corner(hand, 0), NONE)
    hand.key(Qt.Key.Key_Delete)
    assert len(room.asked[0][1][1].exterior.coords) == 4
    hand.move(10, 10, NONE)
    room.next_view = desk_view()
    hand.key(Qt.Key.Key_Delete)
    assert room.asked[1][:2] == ("delete_region", ("r1",))
    assert hand.tool.lineage == ""


def test_a_region_pulled_across_itself_is_refused_and_escape_takes_it_back():
    room, hand = editing()
    x, y = corner(hand, 0)
    hand.drag((x, y), hand.surface.transform.to_screen(2500.0, 1700.0))
    assert room.asked == []
    assert "crosses itself" in hand.tool.message
    hand.key(Qt.Key.Key_Escape)
    assert hand.tool.ring0 == RING
    assert hand.tool.message == ""
    hand.key(Qt.Key.Key_Escape)
    assert hand.tool.lineage == ""


def test_holes_stay_when_the_outline_is_edited():
    room = RoomStub()
    hand = Hand(RegionEditTool(room, RegionLayer()))
    holed = shapely.box(1000, 1000, 2000, 2000) - shapely.box(1400, 1400, 1600, 1600)
    room.show(desk_view(regions=(region("excluded", holed),)))
    hand.click(*hand.surface.transform.to_screen(1100.0, 1500.0))
    x, y = hand.surface.transform.to_screen(2000.0, 2000.0)
    hand.drag((x, y), (x + 20, y))
    assert len(room.asked[0][1][1].interiors) == 1


# The count area.

shapes = st.builds(
    AreaShape,
    kind=st.just("rectangle"),
    centre_um=st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)),
    width_um=st.floats(100, 6000),
    height_um=st.floats(100, 6000),
    angle_deg=st.floats(0, 359.9),
)
places_um = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))


@given(shapes, st.integers(0, 3), places_um, st.floats(0.1, 10))
def test_a_locked_area_keeps_its_mm2_and_its_far_corner(shape, corner_index, pointer, mm2):
    there = shape.resized(corner_index, pointer, mm2)
    assert there.mm2 == pytest.approx(mm2, rel=1e-6)
    far = (corner_index + 2) % 4
    assert there.corner_um(far) == pytest.approx(shape.corner_um(far), abs=1e-5)
    assert there.angle_deg == shape.angle_deg


@given(shapes, st.lists(st.tuples(st.integers(0, 4), places_um), max_size=6))
def test_no_row_of_drags_changes_locked_mm2(shape, drags):
    mm2 = shape.mm2
    for part, pointer in drags:
        shape = shape.turned(pointer) if part == 4 else shape.resized(part, pointer, mm2)
    assert shape.mm2 == pytest.approx(mm2, rel=1e-6)
    mpp = Mpp(0.25, 0.5)
    assert area_mm2(shape.polygon0(mpp), mpp) == pytest.approx(mm2, rel=1e-6)


@given(shapes, st.integers(0, 3), st.floats(100, 3000), st.floats(100, 3000))
def test_an_unlocked_corner_follows_the_pointer(shape, corner_index, width, height):
    far = shape.corner_um((corner_index + 2) % 4)
    wanted = AreaShape("rectangle", far, 2 * width, 2 * height, shape.angle_deg)
    pointer = wanted.corner_um(corner_index)
    there = shape.resized(corner_index, pointer, None)
    assert there.corner_um(corner_index) == pytest.approx(pointer, abs=1e-5)
    assert (there.width_um, there.height_um) == pytest.approx((width, height))


@given(shapes, places_um)
def test_the_knob_looks_at_the_pointer(shape, pointer):
    there = shape.turned(pointer)
    up = [a - b for a, b in zip(there.top_um(), there.centre_um, strict=True)]
    to = [a - b for a, b in zip(pointer, there.centre_um, strict=True)]
    assert up[0] * to[1] - up[1] * to[0] == pytest.approx(0, abs=1e-3 * max(map(abs, (*to, 1))))
    assert up[0] * to[0] + up[1] * to[1] >= 0


def test_a_locked_circle_keeps_its_size():
    circle = AreaShape("circle", (0.0, 0.0), 1000.0, 1000.0)
    assert circle.resized(2, (900.0, 900.0), 0.785) == circle
    assert circle.resized(2, (900.0, 700.0), None).width_um == pytest.approx(1800.0)
    assert circle.turned((5.0, 5.0)) == circle


def placing(**changes):
    room = RoomStub()
    layer = CountAreaLayer()
    tool = AreaTool(room, layer)
    transform = ViewTransform((2000.0, 1500.0), 20.0, 0.0, 800, 600)
    room.show(desk_view(area=area((2000.0, 1500.0), **changes)))
    return room, Hand(tool, transform), layer


def test_a_drag_inside_moves_the_area_and_sends_it_once():
    room, hand, layer = placing()
    hand.press(400, 300)
    hand.move(420, 300)
    hand.move(450, 320)
    assert layer.hidden
    assert room.asked == []
    assert paint(hand.tool, hand.surface.transform)
    hand.release(450, 320)
    ((name, (centre0,), kwargs),) = room.asked
    assert name == "move_area"
    assert centre0 == pytest.approx((3000.0, 1900.0))
    assert kwargs["angle_deg"] == 0
    assert not kwargs["unlocked"]
    assert hand.tool.draft is None
    assert not layer.hidden


def test_a_drag_outside_is_left_to_the_canvas():
    room, hand, _ = placing()
    assert not hand.press(5, 5)
    assert not hand.move(50, 50)
    hand.release(50, 50)
    assert room.asked == []


@pytest.mark.parametrize("index", range(4))
def test_a_corner_changes_the_sides_within_the_locked_mm2(index):
    room, hand, _ = placing()
    shape = AreaShape.of(room.view.area, MPP)
    x, y = hand.surface.transform.to_screen(*(part / 0.25 for part in shape.corner_um(index)))
    hand.drag((x, y), (x + 30 * CORNERS[index][0], y))
    sent = room.asked[0][2]
    assert sent["width_um"] > shape.width_um
    assert sent["width_um"] * sent["height_um"] == pytest.approx(2.37e6)


def test_the_knob_turns():
    room, hand, _ = placing()
    top = hand.surface.transform.to_screen(2000.0, 1500.0 - 2 * room.view.area.height_um)
    hand.drag((400, top[1] - 26), (600, 300))
    assert room.asked[0][2]["angle_deg"] == pytest.approx(90.0)


def test_a_click_on_the_area_sends_nothing():
    room, hand, layer = placing()
    hand.click(400, 300)
    assert room.asked == []
    assert not layer.hidden


def test_a_refused_place_puts_the_area_back():
    room, hand, layer = placing()
    room.refuses = "This count is signed."
    hand.drag((400, 300), (450, 320))
    assert hand.tool.draft is None
    assert not layer.hidden


@pytest.mark.parametrize(
    "changes", [{"area": None}, {"area": None, "mpp": None}, {"area": area(kind="tissue")}]
)
def test_where_there_is_no_area_to_move_it_says_why(changes):
    room = RoomStub()
    hand = Hand(AreaTool(room, CountAreaLayer()))
    room.show(desk_view(**changes))
    hand.drag((400, 300), (450, 320))
    assert room.asked == []
    assert hand.tool.message


# Measuring.


@pytest.mark.parametrize(
    ("mpp", "text"),
    [(MPP, "100.0 µm"), (Mpp(2.5, 2.5), "1.000 mm"), (None, "400 px"), (Mpp(0.5, 9), "200.0 µm")],
)
@pytest.mark.parametrize("by_clicks", [False, True])
def test_the_ruler_measures(mpp, text, by_clicks):
    room = room_with(mpp=mpp)
    hand = Hand(RulerTool(room))
    if by_clicks:
        hand.click(100, 100)
        hand.move(150, 100, NONE)
        hand.click(200, 100)
    else:
        hand.drag((100, 100), (200, 100))
    hand.move(500, 500, NONE)
    assert hand.tool.text() == text
    assert paint(hand.tool, hand.surface.transform)
    hand.key(Qt.Key.Key_Escape)
    assert not paint(hand.tool, hand.surface.transform)
    assert room.asked == []


def test_two_points_and_a_length_set_the_pixel_size(qtbot):
    room = room_with(mpp=None)
    hand = Hand(CalibrateTool(room))
    dialogs = []
    hand.tool.asked.connect(dialogs.append)
    hand.click(100, 100)
    hand.click(350, 100)
    (dialog,) = dialogs
    assert isinstance(dialog, QInputDialog)
    dialog.setDoubleValue(230.0)
    dialog.accept()
    ((name, (mpp, origin), _),) = room.asked
    assert (name, origin) == ("set_mpp", "two points and a length")
    assert (mpp.x, mpp.y) == pytest.approx((0.23, 0.23))
    assert hand.tool.line0 is None


@pytest.mark.parametrize("how", ["reject", "close", "escape"])
def test_a_calibration_without_a_length_sets_nothing(how):
    room = room_with(mpp=None)
    hand = Hand(CalibrateTool(room))
    dialogs = []
    hand.tool.asked.connect(dialogs.append)
    hand.drag((100, 100), (350, 100))
    if how == "escape":
        hand.tool.cancelled()
    else:
        getattr(dialogs[0], how)()
    assert room.asked == []
    assert hand.tool.line0 is None


def test_points_too_close_do_not_calibrate():
    room = room_with(mpp=None)
    hand = Hand(CalibrateTool(room), ViewTransform((0.0, 0.0), 1.0, 0.0, 800, 600))
    hand.drag((100, 100), (120, 100))
    assert hand.tool.message
    assert room.asked == []


# Cancelling.


@pytest.mark.parametrize("how", ["escape", "cancelled", "closing"])
@pytest.mark.parametrize("make", ["polygon", "rectangle", "edit", "area", "ruler", "calibrate"])
def test_a_cancelled_tool_sends_nothing(make, how):
    room = RoomStub()
    tool = {
        "polygon": lambda: PolygonTool(room),
        "rectangle": lambda: RectangleTool(room),
        "edit": lambda: RegionEditTool(room, RegionLayer()),
        "area": lambda: AreaTool(room, CountAreaLayer()),
        "ruler": lambda: RulerTool(room),
        "calibrate": lambda: CalibrateTool(room),
    }[make]()
    hand = Hand(tool)
    room.show(desk_view(area=area(), regions=(region("tumour", shapely.Polygon(RING)),)))
    x, y = hand.surface.transform.to_screen(1500.0, 1500.0)
    if make == "edit":
        hand.click(x, y)
        x, y = corner(hand, 1)
    if make == "polygon":
        hand.click(x, y)
        hand.click(x + 90, y)
    hand.press(x, y)
    hand.move(x + 50, y + 60)
    assert tool.busy()
    {
        "escape": lambda: hand.key(Qt.Key.Key_Escape),
        "cancelled": tool.cancelled,
        "closing": lambda: room.slide_closing.emit(None),
    }[how]()
    hand.release(x + 50, y + 60)
    if how != "escape":
        assert not tool.busy()
    assert room.asked == []

"""The tool that moves, turns and resizes the count area; the place is sent on release."""

from dataclasses import dataclass

from PySide6.QtCore import QObject, QPointF, Qt, Slot
from PySide6.QtGui import QMouseEvent, QPainter, QPen

from app.room import Room
from app.theme import CASING, MARKS
from app.viewer.area_shape import CORNERS, AreaShape, PointUm
from app.viewer.areas import CountAreaLayer, paint_area, paint_fields
from app.viewer.fields_shape import FieldsShape
from app.viewer.handles import nearest, paint_handle
from app.viewer.layer import Surface
from app.viewer.outlines import path_of
from app.viewer.tools import CLICK_PX, BaseTool
from app.viewer.transform import ViewTransform
from core.geometry import Mpp
from core.reading.view import AreaView, DeskView

KNOB_PX = 26.0
_KNOB, _INSIDE = 4, 5
# The first field; the others follow.
_FIELD = 10


@dataclass(frozen=True, slots=True)
class _Grip:
    """What is held: a corner by its number, the knob, the inside or a field; how it all began."""

    part: int
    start_um: PointUm
    shape: AreaShape | FieldsShape

    @property
    def field(self) -> int | None:
        """The field that is held; None for all of them."""
        return self.part - _FIELD if self.part >= _FIELD else None


class AreaTool(BaseTool):
    """A drag inside moves the count area, the knob turns it, corners change its sides.

    The mm² stay the protocol's unless `unlocked`. A drag elsewhere pans. Of fields the one under
    the pointer is moved, with Shift all of them.

    Args:
        room: what is open, and its desk.
        layer: of the count area; it is left out while the tool paints it.
        parent: of the object.

    Attributes:
        unlocked: whether corners change the mm²; follows the area that is shown.
    """

    cursor = Qt.CursorShape.OpenHandCursor

    def __init__(self, room: Room, layer: CountAreaLayer, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self._layer = layer
        self._area: AreaView | None = None
        self._grip: _Grip | None = None
        self._draft: AreaShape | FieldsShape | None = None
        self._lit: int | None = None
        self._waiting = False
        self.unlocked = False
        room.view_changed.connect(self._take_view)

    @property
    def draft(self) -> AreaShape | FieldsShape | None:
        """The area as it is dragged, until it is on disk."""
        return self._draft

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Take hold of a handle or of the inside."""
        super().mouse_pressed(event, canvas)
        if self._pressed is None or self._waiting:
            return False
        shape = self._shown()
        mpp = self._mpp()
        if shape is None or mpp is None:
            self.message = self._why_not()
            canvas.update_layers()
            return False
        self.message = ""
        part = self._part_at(self._pressed, shape, mpp, canvas.transform)
        if part is None:
            return False
        if part >= _FIELD and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            part = _INSIDE
        self._grip = _Grip(part, _um(self._pressed, mpp, canvas.transform), shape)
        return True

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Drag what is held."""
        self._surface = canvas
        mpp, grip, at = self._mpp(), self._grip, event.position()
        if grip is None or mpp is None:
            shape = self._shown()
            if shape is not None and mpp is not None:
                lit = self._part_at(at, shape, mpp, canvas.transform)
                if lit != self._lit:
                    self._lit = lit
                    canvas.update_layers()
            return False
        if self._pressed is not None and (at - self._pressed).manhattanLength() < CLICK_PX:
            return True
        self._pressed = None
        self._draft = self._dragged(grip, _um(at, mpp, canvas.transform))
        self._layer.hidden = True
        canvas.update_layers()
        return True

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Send the place, if the area was dragged."""
        grip, self._grip = self._grip, None
        if grip is None:
            return False
        if self._draft is not None and self._draft != grip.shape:
            self._send(self._draft, grip)
        else:
            self._forget()
        canvas.update_layers()
        return True

    def busy(self) -> bool:
        """While it is dragged."""
        return self._draft is not None or self._grip is not None or super().busy()

    def cancelled(self) -> None:
        """Put the area back."""
        self._grip = None
        self._waiting = False
        self._forget()
        super().cancelled()

    def answer_failed(self) -> None:
        """The desk refused: put the area back."""
        if self._waiting:
            self.cancelled()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the handles, and the area itself while it is dragged."""
        super().paint(painter, transform)
        shape, mpp = self._shown(), self._mpp()
        if shape is None or mpp is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(shape, FieldsShape):
            if self._draft is not None:
                _paint_draft(painter, shape, mpp, transform)
            return
        if self._draft is not None:
            path = path_of(shape.polygon0(mpp), transform)
            paint_area(painter, path, _text(shape), transform, proposed=False)
        places = _handles(shape, mpp, transform)
        colour = MARKS.count_area
        if shape.kind == "rectangle":
            top = transform.to_screen(*_px0(shape.top_um(), mpp))
            for pen in (QPen(CASING, 3.5), QPen(colour, 1.25)):
                painter.setPen(pen)
                painter.drawLine(QPointF(*top), QPointF(*places[_KNOB]))
            paint_handle(painter, QPointF(*places[_KNOB]), colour, lit=self._lit == _KNOB)
        if shape.kind == "rectangle" or self.unlocked:
            for corner in range(len(CORNERS)):
                at = QPointF(*places[corner])
                paint_handle(painter, at, colour, round_=False, lit=self._lit == corner)

    def _dragged(self, grip: _Grip, at_um: PointUm) -> AreaShape | FieldsShape:
        dx, dy = at_um[0] - grip.start_um[0], at_um[1] - grip.start_um[1]
        if isinstance(grip.shape, FieldsShape):
            return grip.shape.moved(grip.field, dx, dy)
        if grip.part == _INSIDE:
            return grip.shape.moved(dx, dy)
        if grip.part == _KNOB:
            return grip.shape.turned(at_um)
        held = self._area.planned_mm2 if self._area is not None and not self.unlocked else None
        corner = grip.shape.corner_um(grip.part)
        return grip.shape.resized(grip.part, (corner[0] + dx, corner[1] + dy), held)

    def _send(self, shape: AreaShape | FieldsShape, grip: _Grip) -> None:
        mpp = self._mpp()
        assert mpp is not None
        if isinstance(shape, FieldsShape):
            self._send_fields(shape, grip, mpp)
            return
        centre0, unlocked = shape.centre0(mpp), self.unlocked
        self._waiting = True
        self._room.ask(
            lambda desk: desk.move_area(
                centre0,
                angle_deg=shape.angle_deg,
                width_um=shape.width_um,
                height_um=shape.height_um,
                kind=shape.kind,
                unlocked=unlocked,
            ),
            self._sent,
        )

    def _send_fields(self, shape: FieldsShape, grip: _Grip, mpp: Mpp) -> None:
        assert isinstance(grip.shape, FieldsShape)  # what was taken hold of
        index = grip.field
        before, after = grip.shape.centres_um[index or 0], shape.centres_um[index or 0]
        dx0, dy0 = (after[0] - before[0]) / mpp.x, (after[1] - before[1]) / mpp.y
        self._waiting = True
        if index is None:
            self._room.ask(lambda desk: desk.shift_fields(dx0, dy0), self._sent)
        else:
            centre0 = _px0(after, mpp)
            self._room.ask(lambda desk: desk.move_field(index, centre0), self._sent)

    def _sent(self, _view: DeskView) -> None:
        if self._waiting:
            self._waiting = False
            self._forget()
            self.refresh()

    def _forget(self) -> None:
        self._draft = None
        self._layer.hidden = False

    @Slot(object)
    def _take_view(self, view: DeskView) -> None:
        changed, self._area = view.area != self._area, view.area
        if changed:
            self.unlocked = view.area is not None and not view.area.locked

    def _shown(self) -> AreaShape | FieldsShape | None:
        mpp = self._mpp()
        if self._draft is not None or self._area is None or mpp is None:
            return self._draft
        if self._area.centres0:
            return FieldsShape.of(self._area, mpp)
        return AreaShape.of(self._area, mpp)

    def _mpp(self) -> Mpp | None:
        return self._room.view.mpp if self._room.view is not None else None

    def _why_not(self) -> str:
        if self._room.view is None:
            return ""
        if self._mpp() is None:
            return self.tr("A count area has mm²: set the slide's pixel size first.")
        if self._area is None:
            return self.tr("There is no count area yet: the tissue is still being found.")
        return self.tr("All the tissue is counted: there is no count area to move.")

    def _part_at(
        self, at: QPointF, shape: AreaShape | FieldsShape, mpp: Mpp, transform: ViewTransform
    ) -> int | None:
        if isinstance(shape, FieldsShape):
            field = shape.field_at(_um(at, mpp, transform))
            return None if field is None else _FIELD + field
        places = _handles(shape, mpp, transform)
        part = nearest(at, places)
        if shape.kind == "circle" and (part == _KNOB or not self.unlocked):
            part = None
        if part is None and shape.holds(_um(at, mpp, transform)):
            return _INSIDE
        return part


def _handles(shape: AreaShape, mpp: Mpp, transform: ViewTransform) -> list[tuple[float, float]]:
    """Places of the four corners and of the knob on the screen."""
    places = [transform.to_screen(*_px0(shape.corner_um(n), mpp)) for n in range(len(CORNERS))]
    top = QPointF(*transform.to_screen(*_px0(shape.top_um(), mpp)))
    middle = QPointF(*transform.to_screen(*_px0(shape.centre_um, mpp)))
    up = top - middle
    length = max((up.x() ** 2 + up.y() ** 2) ** 0.5, 1e-9)
    knob = top + up * (KNOB_PX / length)
    return [*places, (knob.x(), knob.y())]


def _paint_draft(painter: QPainter, shape: FieldsShape, mpp: Mpp, transform: ViewTransform) -> None:
    paths = [path_of(field0, transform) for field0 in shape.fields0(mpp)]
    for path in paths:
        paint_area(painter, path, "", transform, proposed=False)
    paint_fields(painter, paths, lined=shape.kind == "rectangle")


def _um(at: QPointF, mpp: Mpp, transform: ViewTransform) -> PointUm:
    x0, y0 = transform.to_slide(at.x(), at.y())
    return x0 * mpp.x, y0 * mpp.y


def _px0(point_um: PointUm, mpp: Mpp) -> tuple[float, float]:
    return point_um[0] / mpp.x, point_um[1] / mpp.y


def _text(shape: AreaShape) -> str:
    text = f"{shape.mm2:.2f} mm² · {shape.width_um:.0f} × {shape.height_um:.0f} µm"
    return f"{text} · {shape.angle_deg:.0f}°" if round(shape.angle_deg) % 360 else text

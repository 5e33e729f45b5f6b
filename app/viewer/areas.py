"""Layers of the count area: its outline, the hot spots beside it, and its high-power fields."""

from math import inf, log

import shapely
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen
from shapely import affinity

from app.theme import CASING, LABEL_TEXT, MARKS, SHADE
from app.viewer.labels import label_font, paint_label
from app.viewer.outlines import Style, path_of, stroke
from app.viewer.pancache import PanCache
from app.viewer.transform import ViewTransform
from core.geometry import Mpp, to_px0, to_um
from core.reading.view import AreaView, DeskView, SpotView

#: Areas of 1.2 to 3 mm² are ten fields in the sources of the protocols; others are counted in
#: fields of 0.2 mm², the WHO's high-power field (50 of them are 10 mm²).
TEN_FIELDS_MM2 = (1.2, 3.0)
WHO_FIELD_MM2 = 0.2
_BADGE_PX = 9.0
# Of a badge with its words.
_BADGE_WIDTH_PX = 110.0


class CountAreaLayer:
    """The count area, with its mm², and what is outside shaded where the reader wants it so.

    Attributes:
        shade_outside: whether what is outside is darkened.
        hidden: whether a tool paints the area instead, while it is being changed.
    """

    name = "count_area"

    def __init__(self) -> None:
        self.visible = True
        self.shade_outside = False
        self.hidden = False
        self._area: AreaView | None = None
        self._sets: tuple[int, ...] = ()
        self._path: PanCache[QPainterPath] = PanCache()
        self._fields: PanCache[list[QPainterPath]] = PanCache()

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's count area."""
        area = view.area if view is not None else None
        self._sets = view.count.sets if view is not None and view.count is not None else ()
        if area is not self._area:
            self._area = area
            self._path.clear()
            self._fields.clear()

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the outline and its label."""
        area = self._area
        if area is None or self.hidden:
            return
        held = self._path.at(transform, 1.0, lambda wide: path_of(area.polygon0, wide))
        path = held.value.translated(held.dx, held.dy)
        if self.shade_outside:
            outside = QPainterPath()
            outside.addRect(QRectF(0, 0, transform.width_px, transform.height_px))
            painter.fillPath(outside.subtracted(path), SHADE)
        self._paint_other_sets(painter, area, transform)
        proposed = area.state == "proposed"
        apart = bool(area.fields0)
        paint_area(painter, path, area_text(area), transform, proposed, apart=apart)
        if area.fields0:
            build = lambda wide: [path_of(one, wide) for one in area.fields0]  # noqa: E731
            fields = self._fields.at(transform, 1.0, build)
            moved = [one.translated(fields.dx, fields.dy) for one in fields.value]
            paint_fields(painter, moved, lined=area.field_kind == "rectangle")

    def _paint_other_sets(
        self, painter: QPainter, area: AreaView, transform: ViewTransform
    ) -> None:
        """The sets of fields that hold fewer, thin and broken, each with its count."""
        for number, (one, mitoses) in enumerate(zip(area.sets, self._sets, strict=False), start=1):
            if one.centres0 == area.centres0:
                continue
            path = path_of(one.polygon0, transform)
            if path.isEmpty():
                continue
            stroke(painter, path, Style(MARKS.count_area, 1.5, dashed=True))
            text = QCoreApplication.translate("layers", "set {number}: {count}")
            corner = min(_corners(path), key=lambda at: (round(at.y()), at.x()))
            paint_label(painter, corner, text.format(number=number, count=mitoses))


def paint_fields(painter: QPainter, paths: list[QPainterPath], *, lined: bool) -> None:
    """Paint the numbers of fields, and the thin borders between those that lie side by side.

    Args:
        painter: in logical pixels.
        paths: of the fields in their order.
        lined: whether borders are painted.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(label_font(painter))
    for number, path in enumerate(paths, start=1):
        if path.isEmpty():
            continue
        if lined:
            stroke(painter, path, Style(MARKS.count_area, 1.0, cased=False))
        box = path.boundingRect()
        if box.width() > 40:
            # In the upper left of the field: in a round one on its border, not in its corner.
            inset = 3.0 if lined else 0.13 * box.width()
            paint_label(painter, box.topLeft() + QPointF(inset, inset), str(number), above=False)


def paint_area(
    painter: QPainter,
    path: QPainterPath,
    text: str,
    transform: ViewTransform,
    proposed: bool,
    *,
    apart: bool = False,
) -> None:
    """Paint a count area's outline with its label above its topmost corner in the view.

    Args:
        painter: in logical pixels.
        path: of the outline.
        text: of the label.
        transform: of the view.
        proposed: by the program, not yet accepted: the line is broken.
        apart: whether it has several parts.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    short = path.boundingRect().width() + path.boundingRect().height() < 20_000
    stroke(painter, path, Style(MARKS.count_area, 2.0, dashed=proposed and short))
    box = path.boundingRect()
    # Only while the upper edge is in view: inside the area the label would lie on the tissue.
    if 0 <= box.top() <= transform.height_px and text:
        corner = min(_corners(path), key=lambda at: (round(at.y()), at.x()))
        if apart:  # on the upper left of all parts: hot spots are named on the upper right
            corner = min(_corners(path), key=lambda at: at.x() + at.y()) - QPointF(0, 4)
        x = min(max(corner.x() - 1, 4.0), transform.width_px - 90.0)
        paint_label(painter, QPointF(x, max(corner.y() - 4, 22.0)), text)


def area_text(area: AreaView) -> str:
    """The mm² of a count area: counted, and planned where that differs."""
    if abs(area.counted_mm2 - area.planned_mm2) < 0.005:
        return f"{area.planned_mm2:.2f} mm²"
    text = QCoreApplication.translate("layers", "{counted} of {planned} mm²")
    return text.format(counted=f"{area.counted_mm2:.2f}", planned=f"{area.planned_mm2:.2f}")


class HotSpotLayer:
    """The best places for the count area, numbered from the best on."""

    name = "hot_spots"

    def __init__(self) -> None:
        self.visible = True
        self._spots: tuple[SpotView, ...] = ()
        self._area: AreaView | None = None

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's hot spots."""
        self._spots = view.count.spots if view is not None and view.count is not None else ()
        self._area = view.area if view is not None else None

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint outlines, and a badge with the rank and the mitoses at the first corner."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for rank, spot in enumerate(self._spots, start=1):
            path = path_of(spot.polygon0, transform)
            if path.isEmpty():
                continue
            here = self._is_area(spot, transform)
            if not here:
                stroke(painter, path, Style(MARKS.hot_spot, 1.5))
            corner = max(_corners(path), key=lambda at: at.x() - at.y())
            if 0 <= corner.x() <= transform.width_px:  # its words stay in the view
                corner.setX(min(corner.x(), transform.width_px - _BADGE_WIDTH_PX))
            self._badge(painter, corner, str(rank), str(spot.mitoses))

    def _is_area(self, spot: SpotView, transform: ViewTransform) -> bool:
        if self._area is None:
            return False
        at = self._area.centres0[0] if self._area.centres0 else self._area.centre0
        if any(one.centres0[0] == spot.centre0 for one in self._area.sets):
            return True
        x, y = (a - b for a, b in zip(spot.centre0, at, strict=True))
        return max(abs(x), abs(y)) < transform.px0_per_px

    def _badge(self, painter: QPainter, corner: QPointF, rank: str, mitoses: str) -> None:
        text = QCoreApplication.translate("layers", "{count} mitoses").format(count=mitoses)
        box = paint_label(painter, corner + QPointF(_BADGE_PX + 2, -3), text)
        middle = QPointF(corner.x(), box.center().y())
        painter.setPen(QPen(CASING, 1.5))
        painter.setBrush(MARKS.hot_spot)
        painter.drawEllipse(middle, _BADGE_PX, _BADGE_PX)
        painter.setPen(LABEL_TEXT)
        painter.setFont(label_font(painter))
        square = QRectF(middle.x() - _BADGE_PX, middle.y() - _BADGE_PX, *(2 * _BADGE_PX,) * 2)
        painter.drawText(square, Qt.AlignmentFlag.AlignCenter, rank)
        painter.setBrush(Qt.BrushStyle.NoBrush)


class FieldLayer:
    """Contiguous high-power fields inside the count area, numbered."""

    name = "fields"

    def __init__(self) -> None:
        self.visible = False
        self._area: AreaView | None = None
        self._fields0: list[shapely.Polygon] = []

    def set_view(self, view: DeskView | None) -> None:
        """Show the fields of a view's count area."""
        area = view.area if view is not None else None
        if area is self._area:
            return
        self._area = area
        mpp = view.mpp if view is not None else None
        self._fields0 = fields_of(area, mpp) if area is not None and mpp is not None else []

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint thin borders and, where there is room, numbers."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(label_font(painter))
        for number, field0 in enumerate(self._fields0, start=1):
            path = path_of(field0, transform)
            if path.isEmpty():
                continue
            stroke(painter, path, Style(MARKS.count_area, 1.0, cased=False))
            corner = min(_corners(path), key=lambda at: at.x() + at.y())
            if path.boundingRect().width() > 40:
                paint_label(painter, corner + QPointF(3, 3), str(number), above=False)


def fields_of(area: AreaView, mpp: Mpp) -> list[shapely.Polygon]:
    """The count area cut into fields of equal size, row after row from the top left.

    A circle is covered with square fields, cut at its border.

    Args:
        area: the count area; all tissue has no fields, and fields are painted with their area.
        mpp: µm per level-0 pixel.

    Returns:
        Polygons in level-0 pixels.
    """
    if area.kind in ("tissue", "fields"):
        return []
    low, high = TEN_FIELDS_MM2
    planned = area.planned_mm2
    count = 10 if low <= planned < high else max(1, round(planned / WHO_FIELD_MM2))
    width, height = area.width_um, area.height_um
    rows = _rows(count, width / height)
    boxes = []
    top = 0.0
    for columns in rows:
        bottom = top + height * columns / count
        for column in range(columns):
            left, right = width * column / columns, width * (column + 1) / columns
            boxes.append(
                shapely.box(
                    left - width / 2, top - height / 2, right - width / 2, bottom - height / 2
                )
            )
        top = bottom
    x, y = area.centre0[0] * mpp.x, area.centre0[1] * mpp.y
    placed = [
        affinity.translate(affinity.rotate(box, area.angle_deg, origin=(0, 0)), x, y)
        for box in boxes
    ]
    if area.kind == "circle":
        whole = to_um(area.polygon0, mpp)
        placed = [part for box in placed if (part := box.intersection(whole)).area > 0]
    return [to_px0(box, mpp) for box in placed]


def _rows(count: int, aspect: float) -> list[int]:
    """Fields in each row, so that fields of equal size are as square as can be.

    A row of k of n fields is k/n of the height.
    """
    best, best_odd = [count], inf
    for number in range(1, count + 1):
        base, more = divmod(count, number)
        middle = (number - more) // 2
        rows = [base + (middle <= row < middle + more) for row in range(number)]
        odd = sum(k * abs(log(aspect / k / (k / count))) for k in rows) / count
        if odd < best_odd - 1e-9:
            best, best_odd = rows, odd
    return best


def _corners(path: QPainterPath) -> list[QPointF]:
    return [QPointF(path.elementAt(i).x, path.elementAt(i).y) for i in range(path.elementCount())]

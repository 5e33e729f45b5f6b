"""Editing a region: drag a point, pull a new one out of an edge, remove points or the region."""

from math import hypot

import numpy as np
import shapely
from PySide6.QtCore import QObject, QPointF, Qt, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter

from app.room import Room
from app.viewer.handles import CATCH_PX, nearest, paint_handle
from app.viewer.layer import Surface
from app.viewer.layers import RegionLayer, drawn_regions
from app.viewer.region_tools import DrawingTool, paint_outline, region_colour
from app.viewer.tools import CLICK_PX
from app.viewer.transform import ViewTransform
from core.reading.view import DeskView
from core.store.records import RegionRecord

#: A shorter edge has no handle: it would lie under those of its ends.
MIN_EDGE_PX = 36.0
_REMOVING = (Qt.Key.Key_Backspace, Qt.Key.Key_Delete)


class RegionEditTool(DrawingTool):
    """A click picks a region; its points can be dragged, its edges pulled, a drag elsewhere pans.

    Delete removes the point under the cursor, or the region when there is none; Escape takes back
    what is not yet right, then lets go of the region. Each drag is sent when the button comes up.

    Args:
        room: what is open, and its desk.
        layer: of regions; it leaves out the one that is edited here.
        parent: of the object.
    """

    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(self, room: Room, layer: RegionLayer, parent: QObject | None = None) -> None:
        super().__init__(room, parent)
        self._layer = layer
        self._region: RegionRecord | None = None
        self._ring0: list[tuple[float, float]] = []
        self._holes: list[list[tuple[float, float]]] = []
        self._held: int | None = None
        self._lit: int | None = None
        self._changed = False
        self._pulled = False
        room.view_changed.connect(self._take_view)

    @property
    def lineage(self) -> str:
        """Of the region that is edited; empty for none."""
        return self._region.lineage if self._region is not None else ""

    @property
    def ring0(self) -> tuple[tuple[float, float], ...]:
        """The outline as it stands here, level-0 pixels, without the closing point."""
        return tuple(self._ring0)

    def edit(self, region: RegionRecord | None) -> None:
        """Begin to edit a region, or let go of it."""
        self._drawing += 1
        self._region = region
        self._held = self._lit = None
        self._changed = self._waiting = self._pulled = False
        self.message = ""
        self._ring0, self._holes = [], []
        if region is not None:
            polygon0 = shapely.from_wkb(region.wkb)
            self.kind = "tumour" if region.kind == "tumour" else "excluded"
            if isinstance(polygon0, shapely.Polygon):
                self._ring0 = list(polygon0.exterior.coords)[:-1]
                self._holes = [list(ring.coords) for ring in polygon0.interiors]
            else:
                self.message = self.tr(
                    "This region is in several parts, whose points cannot be moved."
                    " Delete removes it."
                )
        self._layer.hide(self.lineage if self._ring0 else "")
        self.refresh()

    def pick(
        self, x: float, y: float, transform: ViewTransform, *, edge_only: bool = False
    ) -> RegionRecord | None:
        """The region at a place of the screen: the one with the nearest edge, else the smallest.

        Args:
            x: of the place, logical pixels.
            y: likewise.
            transform: of the view.
            edge_only: whether the place must be on an edge.
        """
        view = self._room.view
        if view is None:
            return None
        point = shapely.Point(transform.to_slide(x, y))
        best, best_rank = None, (2, 0.0)
        for region in drawn_regions(view):
            polygon0 = shapely.from_wkb(region.wkb)
            edge_px = polygon0.boundary.distance(point) / transform.px0_per_px
            if edge_px <= CATCH_PX:
                rank = (0, edge_px)
            elif not edge_only and polygon0.contains(point):
                rank = (1, polygon0.area)
            else:
                continue
            if rank < best_rank:
                best, best_rank = region, rank
        return best

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Take hold of a point, or of the middle of an edge, which becomes a point."""
        super().mouse_pressed(event, canvas)
        if self._pressed is None or self._waiting or not self._ring0:
            return False
        points = _screen(self._ring0, canvas.transform)
        self._held = nearest(self._pressed, points)
        if self._held is None:
            middles = _middles(points)
            edge = nearest(self._pressed, list(middles.values()))
            if edge is None:
                return False
            self._held = list(middles)[edge] + 1
            self._pulled = True
            at = canvas.transform.to_slide(self._pressed.x(), self._pressed.y())
            self._ring0.insert(self._held, at)
        self._lit = self._held
        canvas.update_layers()
        return True

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Drag the point that is held."""
        self._surface = canvas
        at = event.position()
        if self._held is None:
            lit = nearest(at, _screen(self._ring0, canvas.transform))
            if lit != self._lit:
                self._lit = lit
                canvas.update_layers()
            return False
        if self._pressed is not None and (at - self._pressed).manhattanLength() < CLICK_PX:
            return True
        self._pressed = None
        self._ring0[self._held] = canvas.transform.to_slide(at.x(), at.y())
        self._changed = True
        self.message = ""
        canvas.update_layers()
        return True

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """Send what was dragged; a click elsewhere picks another region."""
        click = self.clicked(event)
        if self._held is not None:
            if click and self._pulled:
                del self._ring0[self._held]
            self._held, self._pulled = None, False
            self._send_if_changed()
            canvas.update_layers()
            return True
        if click and not self._waiting and not self._changed:
            self.edit(self.pick(event.position().x(), event.position().y(), canvas.transform))
        return False

    def key_pressed(self, event: QKeyEvent, canvas: Surface) -> bool:
        """Delete removes a point or the region."""
        self._surface = canvas
        if event.key() not in _REMOVING or self._region is None or self._waiting:
            return super().key_pressed(event, canvas)
        if self._lit is None:
            self._delete()
        elif len(self._ring0) <= 3:
            self.message = self.tr("A region needs three points or more.")
        else:
            del self._ring0[self._lit]
            self._lit, self._changed = None, True
            self._send_if_changed()
        canvas.update_layers()
        return True

    def wants_key(self, event: QKeyEvent) -> bool:
        """While a region is edited, the keys that remove points."""
        mine = event.key() in _REMOVING
        return (mine and self._region is not None) or super().wants_key(event)

    def busy(self) -> bool:
        """While a region is edited."""
        return self._region is not None or super().busy()

    def escaped(self) -> None:
        """Take back what was not sent; when there is nothing, let go of the region."""
        self.edit(self._region if self._changed and not self._waiting else None)

    def cancelled(self) -> None:
        """Let go of the region."""
        self._pressed = None
        self.edit(None)

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint the outline with its points and the middles of its edges."""
        super().paint(painter, transform)
        if not self._ring0:
            return
        colour = region_colour(self.kind)
        points = _screen(self._ring0, transform)
        paint_outline(painter, [QPointF(*point) for point in points], colour, closed=True)
        for place in _middles(points).values():
            paint_handle(painter, QPointF(*place), colour, small=True)
        for number, place in enumerate(points):
            paint_handle(painter, QPointF(*place), colour, lit=number == self._lit)

    def _send_if_changed(self) -> None:
        if self._changed:
            self.send(shapely.Polygon(self._ring0, self._holes), self.lineage)

    def _delete(self) -> None:
        lineage, drawing = self.lineage, self._drawing
        self._waiting = True
        self._room.ask(
            lambda desk: desk.delete_region(lineage), lambda view: self.stored(view, drawing)
        )

    def stored(self, view: DeskView, drawing: int) -> None:
        """Go on with the version that is now on disk."""
        if drawing == self._drawing:
            self._waiting = self._changed = False
            self._take_view(view)

    @Slot(object)
    def _take_view(self, view: DeskView) -> None:
        if self._region is None or self._changed or self._waiting or self._held is not None:
            return
        known = {region.lineage: region for region in view.regions}
        now = known.get(self.lineage)
        if now is None or now.version != self._region.version:
            self.edit(now)


def _screen(
    ring0: list[tuple[float, float]], transform: ViewTransform
) -> list[tuple[float, float]]:
    if not ring0:
        return []
    return [(x, y) for x, y in transform.points_to_screen(np.array(ring0)).tolist()]


def _middles(points: list[tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Middles of the edges that are long enough to take a handle, by the edge's number."""
    ends = zip(points, points[1:] + points[:1], strict=True)
    return {
        number: ((x + u) / 2, (y + v) / 2)
        for number, ((x, y), (u, v)) in enumerate(ends)
        if hypot(u - x, v - y) > MIN_EDGE_PX
    }

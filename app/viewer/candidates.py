"""The layer of candidates and hand-placed points: marks, selection, hover, and what lies where."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPixmap

from app.texts import percent
from app.viewer.labels import paint_label
from app.viewer.marks import MarkKind, mark_kinds, mark_radius_px, reach_px
from app.viewer.pancache import PanCache
from app.viewer.stamps import StampBook, pixels_of, scatter
from app.viewer.transform import ViewTransform
from core.reading.view import DeskView, Figures

#: More visible marks than these are shown as a picture of dots, kept while panning.
MAX_STAMPED = 3000
#: Of the dots in one square of this side, the most important one is drawn.
THIN_PX = 4
#: How far from a mark's middle a click still finds it, where the mark is a dot.
MIN_CATCH_PX = 7.0


class _Shown(NamedTuple):
    """Figures that have a mark, the least important first; columns of one length."""

    points0: NDArray[np.float64]
    keys: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    disputed: NDArray[np.bool_]


_NOTHING = _Shown(
    np.empty((0, 2)), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.bool_)
)


class CandidateLayer:
    """Candidates and hand-placed points, by their state."""

    name = "candidates"

    def __init__(self) -> None:
        self.visible = True
        self._view: DeskView | None = None
        self._shown = _NOTHING
        self._selected = np.empty(0, np.int64)
        self._hovered: int | None = None
        self._stamps = StampBook()
        self._picture: PanCache[QImage] = PanCache()

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's figures, none for None."""
        old, self._view = self._view, view
        if view is None:
            self._shown, self._hovered = _NOTHING, None
            self._picture.clear()
            return
        if old is not None and _look(old) == _look(view) and old.figures is view.figures:
            return
        kinds = mark_kinds(
            view.figures, view.review_threshold, view.count_threshold, blinded=view.blinded
        )
        self._shown = _shown(view.figures, kinds)
        self._picture.clear()

    def set_selection(self, keys: tuple[int, ...]) -> None:
        """Show these figures as selected."""
        self._selected = np.asarray(keys, dtype=np.int64)

    def set_hovered(self, key: int | None) -> bool:
        """Show a figure's small label; whether that changes anything."""
        changed = key != self._hovered
        self._hovered = key
        return changed

    def figure_at(self, x: float, y: float, transform: ViewTransform) -> int | None:
        """The key of the figure whose mark is at a place of the screen, the nearest one."""
        reach = max(self.radius_px(transform) * 1.15, MIN_CATCH_PX) * transform.px0_per_px
        away = self._shown.points0 - transform.to_slide(x, y)
        distance = np.hypot(away[:, 0], away[:, 1])
        if not len(distance) or distance.min() > reach:
            return None
        return int(self._shown.keys[distance.argmin()])

    def figures_in(self, box: QRectF, transform: ViewTransform) -> tuple[int, ...]:
        """Keys of the figures whose middle lies in a rectangle of the screen, by place."""
        at = transform.points_to_screen(self._shown.points0)
        inside = (at[:, 0] >= box.left()) & (at[:, 0] <= box.right())
        inside &= (at[:, 1] >= box.top()) & (at[:, 1] <= box.bottom())
        order = np.lexsort((at[inside, 0], at[inside, 1]))
        return tuple(self._shown.keys[inside][order].tolist())

    def radius_px(self, transform: ViewTransform) -> float:
        """Inner radius of a mark on the screen, logical pixels."""
        return mark_radius_px(self._view.mpp if self._view is not None else None, transform)

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint marks, or the picture of dots where there are too many of them."""
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        rows = self._rows_in(transform)
        radius = self.radius_px(transform)
        if len(rows) > MAX_STAMPED:
            dpr = painter.device().devicePixelRatioF()
            held = self._picture.at(transform, dpr, lambda wide: self._dots(wide, dpr))
            painter.drawImage(_whole(held.dx, held.dy, dpr), held.value)
            chosen = rows[np.isin(self._shown.keys[rows], self._selected)]
            self._halos(painter, transform, chosen[:MAX_STAMPED], radius)
        else:
            self._halos(painter, transform, rows, radius)
            self._marks(painter, transform, rows, radius)
        self._hover_label(painter, transform, radius)

    def _rows_in(self, transform: ViewTransform) -> NDArray[np.int64]:
        rect = transform.visible_rect0()
        grow = reach_px(self.radius_px(transform)) * transform.px0_per_px
        x, y = self._shown.points0[:, 0], self._shown.points0[:, 1]
        inside = (x >= rect.x0 - grow) & (x <= rect.x1 + grow)
        inside &= (y >= rect.y0 - grow) & (y <= rect.y1 + grow)
        return np.flatnonzero(inside)

    def _marks(
        self,
        painter: QPainter,
        transform: ViewTransform,
        rows: NDArray[np.int64],
        radius: float,
    ) -> None:
        dpr = painter.device().devicePixelRatioF()
        places = transform.points_to_screen(self._shown.points0[rows])
        kinds = self._shown.kinds[rows]
        for kind in MarkKind:
            stamp, middle = self._stamps.mark(kind, radius, dpr) if kind else (QPixmap(), QPointF())
            mx, my = middle.x(), middle.y()
            draw = painter.drawPixmap
            for x, y in places[kinds == kind].tolist() if kind else ():
                draw(QPointF(x - mx, y - my), stamp)

    def _halos(
        self,
        painter: QPainter,
        transform: ViewTransform,
        rows: NDArray[np.int64],
        radius: float,
    ) -> None:
        dpr = painter.device().devicePixelRatioF()
        chosen = rows[np.isin(self._shown.keys[rows], self._selected)]
        for which, (stamp, middle) in (
            (rows[self._shown.disputed[rows]], self._stamps.disputed(radius, dpr)),
            (chosen, self._stamps.selected(radius, dpr)),
        ):
            for x, y in transform.points_to_screen(self._shown.points0[which]).tolist():
                painter.drawPixmap(QPointF(x, y) - middle, stamp)

    def _dots(self, wide: ViewTransform, dpr: float) -> QImage:
        """All marks of a view as dots, thinned where they would cover each other."""
        rect = wide.visible_rect0()
        points, kinds = self._shown.points0, self._shown.kinds
        inside = (points[:, 0] >= rect.x0) & (points[:, 0] <= rect.x1)
        rows = np.flatnonzero(inside & (points[:, 1] >= rect.y0) & (points[:, 1] <= rect.y1))
        # Squares of the slide, not of the screen: the choice does not change while panning.
        squares = np.floor(points[rows] / (THIN_PX * wide.px0_per_px)).astype(np.int64)
        squares -= squares.min(axis=0)
        columns, lines = (squares.max(axis=0) + 1).tolist()
        most_important = np.full(columns * lines, -1)
        # Of rows in one square the last one stays, and a later row matters more.
        most_important[squares[:, 1] * columns + squares[:, 0]] = rows
        rows = most_important[most_important >= 0]
        size = (round(wide.width_px * dpr), round(wide.height_px * dpr))
        image = QImage(*size, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        pixels = pixels_of(image)
        places = np.round(wide.points_to_screen(points[rows]) * dpr - 0.5).astype(np.int64)
        for kind in MarkKind:
            of_kind = kinds[rows] == kind
            if kind and of_kind.any():
                at = places[of_kind]
                scatter(pixels, self._stamps.dot(kind, dpr), at[:, 0], at[:, 1])
        image.setDevicePixelRatio(dpr)
        return image

    def _hover_label(self, painter: QPainter, transform: ViewTransform, radius: float) -> None:
        if self._hovered is None or self._view is None:
            return
        row = self._view.figures.row(self._hovered)
        if row is None:
            return
        text = hover_text(self._view, row)
        if text:
            place = float(self._view.figures.x0[row]), float(self._view.figures.y0[row])
            x, y = transform.to_screen(*place)
            aside = max(radius, 4.0) * 0.8 + 6
            paint_label(painter, QPointF(x + aside, y - aside), text)


def hover_text(view: DeskView, row: int) -> str:
    """What the label beside a figure says: verdict and probability, no score when blinded."""
    words = (
        "",
        QCoreApplication.translate("layers", "mitosis"),
        QCoreApplication.translate("layers", "atypical mitosis"),
        QCoreApplication.translate("layers", "imposter"),
        QCoreApplication.translate("layers", "unsure"),
        "",
    )
    parts = [words[view.figures.verdict[row]]]
    probability = float(view.figures.probability[row])
    if not view.blinded:
        if np.isfinite(probability):
            parts.append(percent(probability))
        else:
            parts.append(QCoreApplication.translate("layers", "placed by hand"))
        if view.figures.disputed[row]:
            parts.append(QCoreApplication.translate("layers", "readers differ"))
    return " · ".join(part for part in parts if part)


def _look(view: DeskView) -> tuple[str, str, bool]:
    # As text, for NaN is never equal to itself.
    return repr(view.review_threshold), repr(view.count_threshold), view.blinded


def _shown(figures: Figures, kinds: NDArray[np.uint8]) -> _Shown:
    rows = np.flatnonzero(kinds != MarkKind.HIDDEN)
    rows = rows[np.argsort(kinds[rows], kind="stable")]
    points = np.column_stack((figures.x0[rows], figures.y0[rows]))
    return _Shown(points, figures.key[rows], kinds[rows], figures.disputed[rows])


def _whole(x: float, y: float, dpr: float) -> QPointF:
    """The nearest place on a whole device pixel, where a pixmap is drawn fast and sharp."""
    return QPointF(round(x * dpr) / dpr, round(y * dpr) / dpr)

"""The view of a slide: which part is shown, and the painting of its tiles."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QWidget

from app.bridge import GuiBridge
from app.viewer.colour import ColourSettings
from app.viewer.layer import ASSUMED_UM_PER_PX
from app.viewer.painting import Frame, make_frame, paint_pieces, plan_pieces
from app.viewer.tiles import TileSource
from app.viewer.transform import UM_PER_PX_AT_1X, ViewTransform, fitted
from core.geometry import Mpp, Rect0
from core.slides.tilegrid import TileKey

if TYPE_CHECKING:
    from app.room import OpenedSlide, Place0

#: Tiles are painted with smooth edges once the view has rested this long.
SMOOTH_AFTER_MS = 80
#: Up to this many device pixels a pan keeps smooth edges: 3.4 ms a frame at 0.7×, against 1.8.
SMOOTH_PAN_PX = 3_000_000
#: Tiles that arrive together are painted together.
GATHER_MS = 8
#: A level-0 pixel fills at most this many logical pixels.
LARGEST_PX = 16.0
#: The whole slide fills at least this part of the view.
SMALLEST_PART = 0.25
_STEP = 1.5


class SlideView(QWidget):
    """Shows a slide at any scale and turn; never reads or decodes itself.

    Args:
        bridge: takes what is a bug in a reader thread.
        parent: owner.
        threads: reader threads; default one less than there are processors, 1 to 4.

    Signals:
        transform_changed: the `ViewTransform` that is shown from now on.
        colour_changed: the `ColourSettings` in use.
        slide_changed: the `OpenedSlide`, or None.
        mpp_changed: the `Mpp`, or None.
        coarse_arrived: part of the coarsest level is there or looks new.
        failed: the `UserError` of the first tile that cannot be read.
    """

    transform_changed = Signal(object)
    colour_changed = Signal(object)
    slide_changed = Signal(object)
    mpp_changed = Signal(object)
    coarse_arrived = Signal()
    failed = Signal(object)

    def __init__(
        self, bridge: GuiBridge, parent: QWidget | None = None, *, threads: int | None = None
    ) -> None:
        super().__init__(parent)
        self._bridge, self._n_threads = bridge, threads
        self._opened: OpenedSlide | None = None
        self._source: TileSource | None = None
        self._colour = ColourSettings()
        self._mpp: Mpp | None = None
        self._view = ViewTransform(
            (0.0, 0.0), 1.0, 0.0, max(1, self.width()), max(1, self.height())
        )
        self._fits = True  # the view follows the window's size until the reader moves it
        self._stale = True  # the tiles of this view have not been asked for
        self._smooth = True
        self._dirty = QRect()
        self._rest = QTimer(self, singleShot=True, interval=SMOOTH_AFTER_MS)
        self._rest.timeout.connect(self._rested)
        self._gather = QTimer(self, singleShot=True, interval=GATHER_MS)
        self._gather.timeout.connect(self._paint_arrived)
        # Every pixel is painted, so Qt need not clear them first.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(QSize(64, 64))

    @property
    def opened(self) -> "OpenedSlide | None":
        """The slide that is shown."""
        return self._opened

    @property
    def source(self) -> TileSource | None:
        """Its tiles."""
        return self._source

    @property
    def transform(self) -> ViewTransform:
        """Where the canvas looks."""
        return self._view

    @property
    def colour(self) -> ColourSettings:
        """How the slide looks."""
        return self._colour

    @property
    def mpp(self) -> Mpp | None:
        """µm per level-0 pixel, None if unknown."""
        return self._mpp

    def set_slide(self, opened: "OpenedSlide | None") -> None:
        """Show another slide, or none; returns when no thread reads the former any more."""
        if self._source is not None:
            self._source.close()
            self._source.deleteLater()
            self._source = None
        self._opened, self._dirty = opened, QRect()
        self._gather.stop()
        self._rest.stop()
        self._smooth = True
        self.set_mpp(opened.slide.mpp if opened is not None else None)
        if opened is not None:
            self._source = TileSource(
                opened, self._bridge, self._colour, threads=self._n_threads, parent=self
            )
            self._source.arrived.connect(self._tile_arrived)
            self._source.failed.connect(self.failed)
        self._view = ViewTransform((0.0, 0.0), 1.0, 0.0, self._view.width_px, self._view.height_px)
        self.slide_changed.emit(opened)
        self.fit()

    def set_mpp(self, mpp: Mpp | None) -> None:
        """Use another pixel size, such as a reader's calibration."""
        if mpp != self._mpp:
            self._mpp = mpp
            self.mpp_changed.emit(mpp)
            self.update()

    def set_transform(self, view: ViewTransform) -> None:
        """Look elsewhere, within what makes sense for the slide and this widget's size."""
        self._fits = False
        self._show(view)

    def set_colour(self, colour: ColourSettings) -> None:
        """Change how the slide looks; the tiles follow one by one, from the middle."""
        self._colour = colour
        if self._source is not None:
            self._source.set_colour(colour)
        self.colour_changed.emit(colour)

    def magnification(self) -> float:
        """40 where a logical pixel shows 0.25 µm; by the objective where the µm are unknown."""
        return UM_PER_PX_AT_1X / (self._view.px0_per_px * self._um_per_px0())

    def is_sharp(self) -> bool:
        """Whether all that is seen is there as sharp as it gets."""
        return self._source is not None and self._source.is_sharp(*self._wanted())

    @Slot(object)
    def go_to(self, place: "Place0") -> None:
        """Bring a place to the middle, at its magnification if it names one."""
        scale = self._view.px0_per_px
        if place.magnification is not None:
            scale = UM_PER_PX_AT_1X / (place.magnification * self._um_per_px0())
        view = self._view
        self.set_transform(
            ViewTransform(
                (place.x0, place.y0), scale, view.angle_deg, view.width_px, view.height_px
            )
        )

    @Slot(float)
    def set_magnification(self, magnification: float) -> None:
        """Zoom about the middle."""
        if magnification > 0:
            self.zoom(magnification / self.magnification())

    @Slot()
    def zoom_in(self) -> None:
        """One step closer."""
        self.zoom(_STEP)

    @Slot()
    def zoom_out(self) -> None:
        """One step away."""
        self.zoom(1 / _STEP)

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Closer by `factor` about a point of the view, else about its middle."""
        at = QRectF(self.rect()).center() if at is None else at
        nearest, farthest = self._scales()
        scale = min(max(self._view.px0_per_px / factor, nearest), farthest)
        self.set_transform(self._view.zoomed_at(at.x(), at.y(), self._view.px0_per_px / scale))

    @Slot()
    def fit(self) -> None:
        """Show the whole slide."""
        if self._opened is not None:
            view = self._view
            bounds = self._opened.slide.bounds
            self._show(fitted(bounds, view.width_px, view.height_px, view.angle_deg))
        self._fits = True
        self.update()

    @Slot(float, float)
    def pan_by(self, dx: float, dy: float) -> None:
        """Move the view over the slide by logical pixels; positive is right and down."""
        self.set_transform(self._view.panned(-dx, -dy))

    @Slot(float)
    def rotate(self, deg: float) -> None:
        """Turn the slide clockwise about the middle."""
        self.set_transform(self._view.rotated(deg))

    def paint_coarse(self, painter: QPainter, target: QRectF) -> None:
        """Paint the whole slide, as far as its coarsest level is there, into a rectangle."""
        if self._source is None or self._opened is None:
            return
        grid, bounds = self._source.grid, self._opened.slide.bounds
        scale_x, scale_y = target.width() / bounds.width0, target.height() / bounds.height0
        painter.save()
        painter.setClipRect(target)
        painter.fillRect(target, QColor(*self._opened.slide.background))
        painter.translate(target.topLeft())
        painter.scale(scale_x, scale_y)
        painter.translate(-bounds.x0, -bounds.y0)
        for key in grid.all_tiles(grid.coarsest):
            if (image := self._source.find(key)) is not None:
                rect0 = grid.rect0(key)
                painter.drawImage(QRectF(rect0.x0, rect0.y0, rect0.width0, rect0.height0), image)
        painter.restore()

    # --- painting ---------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """See `QWidget`."""
        painter = QPainter(self)
        around = self.palette().color(QPalette.ColorRole.Window)
        if self._source is None or self._opened is None:
            painter.fillRect(event.rect(), around)
            return
        if self._stale:
            self._stale = False
            self._source.want(*self._wanted())
        frame = make_frame(self._view, self.devicePixelRatioF(), event.rect())
        if self._view.angle_deg or not frame.place(self._opened.slide.bounds).contains(frame.clip):
            painter.fillRect(event.rect(), around)
        self._paint_tiles(painter, frame, self._source)
        self.paint_above(painter)

    def paint_above(self, painter: QPainter) -> None:
        """Paint over the tiles; the painter counts in logical pixels."""

    def _paint_tiles(self, painter: QPainter, frame: Frame, source: TileSource) -> None:
        assert self._opened is not None
        ratio, view, slide = self.devicePixelRatioF(), self._view, self._opened.slide
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        if view.angle_deg:
            painter.translate(view.width_px * ratio / 2, view.height_px * ratio / 2)
            painter.rotate(view.angle_deg)
        ground = frame.place(slide.bounds).intersected(frame.clip)
        painter.setClipRect(ground, Qt.ClipOperation.IntersectClip)
        painter.fillRect(ground, QColor(*slide.background))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._smooth)
        paint_pieces(painter, plan_pieces(source.grid, source.find, frame))
        level = source.grid.level_for(frame.px0_per_px)
        for key in source.grid.tiles_in(frame.visible0, level):
            if source.unreadable(key):
                place = frame.place(source.grid.rect0(key)).intersected(frame.clip)
                painter.fillRect(place, Qt.BrushStyle.BDiagPattern)
        painter.restore()

    def _wanted(self) -> tuple[Rect0, float]:
        return self._view.visible_rect0(), self._view.px0_per_px / self.devicePixelRatioF()

    @Slot(object)
    def _tile_arrived(self, key: TileKey) -> None:
        if self._source is None:
            return
        if key.level == self._source.grid.coarsest:
            self.coarse_arrived.emit()
        if self._view.angle_deg:
            self._dirty = self.rect()
        else:
            place = make_frame(self._view, 1.0).place(self._source.grid.rect0(key))
            self._dirty = self._dirty.united(place.adjusted(-2, -2, 2, 2) & self.rect())
        if not self._gather.isActive():
            self._gather.start()

    @Slot()
    def _paint_arrived(self) -> None:
        if not self._dirty.isEmpty():
            self.update(self._dirty)
        self._dirty = QRect()

    @Slot()
    def _rested(self) -> None:
        self._smooth = True
        self.update()

    # --- the view ---------------------------------------------------------------------------

    def _show(self, view: ViewTransform) -> None:
        view = self._clamped(view.resized(max(1, self.width()), max(1, self.height())))
        if view == self._view:
            return
        pans = (view.px0_per_px, view.angle_deg) == (self._view.px0_per_px, self._view.angle_deg)
        pixels = view.width_px * view.height_px * self.devicePixelRatioF() ** 2
        if not pans or pixels > SMOOTH_PAN_PX:
            self._smooth = False
        if not self._smooth and self._opened is not None:
            self._rest.start()
        self._view, self._stale = view, True
        self.update()
        self.transform_changed.emit(view)

    def _clamped(self, view: ViewTransform) -> ViewTransform:
        if self._opened is None:
            return view
        nearest, farthest = self._scales()
        bounds = self._opened.slide.bounds
        return ViewTransform(
            (
                min(max(view.centre0[0], bounds.x0), bounds.x1),
                min(max(view.centre0[1], bounds.y0), bounds.y1),
            ),
            min(max(view.px0_per_px, nearest), farthest),
            view.angle_deg,
            view.width_px,
            view.height_px,
        )

    def _scales(self) -> tuple[float, float]:
        """Least and most level-0 pixels per logical pixel."""
        nearest = 1 / LARGEST_PX
        if self._opened is None:
            return nearest, 1e6
        whole = fitted(self._opened.slide.bounds, max(1, self.width()), max(1, self.height()))
        return nearest, max(nearest, whole.px0_per_px / SMALLEST_PART)

    def _um_per_px0(self) -> float:
        if self._mpp is not None:
            return self._mpp.mean
        objective = self._opened.slide.objective if self._opened is not None else None
        return UM_PER_PX_AT_1X / objective if objective else ASSUMED_UM_PER_PX

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See `QWidget`."""
        if self._fits and self._opened is not None:
            size = event.size()
            self._view = self._view.resized(max(1, size.width()), max(1, size.height()))
            self.fit()
        else:
            self._show(self._view)
        self._stale = True

    def event(self, event: QEvent) -> bool:
        """See `QWidget`."""
        kind = event.type()
        if kind == QEvent.Type.DevicePixelRatioChange:
            self._stale = True
            self.update()
        return super().event(event)

"""Which tiles are painted where: a pure function of the view and of what is loaded."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import floor

from PySide6.QtCore import QRect, QRectF
from PySide6.QtGui import QImage, QPainter

from app.viewer.transform import ViewTransform
from core.geometry import Rect0
from core.slides.tilegrid import TileGrid, TileKey

# Tiles blown up more than this are cut to the view: painters count in 16 bits.
_CUT_ABOVE = 2.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A picture and its place.

    Attributes:
        key: of the tile.
        image: its picture.
        target: whole device pixels of the frame, so that neighbours share their edges.
        source: the part of the picture that goes there; None for all of it.
    """

    key: TileKey
    image: QImage
    target: QRect
    source: QRectF | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Device pixels along the slide's axes.

    Without a turn the origin is the view's top left corner; with one it is the middle of the
    view, about which the painter is turned.

    Attributes:
        centre0: level-0 pixels in the middle of the view.
        px0_per_px: level-0 pixels per device pixel.
        left, top: of the view from the middle, device pixels; 0 with a turn.
        clip: what is to be painted, device pixels.
        visible0: the same on the slide.
    """

    centre0: tuple[float, float]
    px0_per_px: float
    left: float
    top: float
    clip: QRect
    visible0: Rect0

    def place(self, rect0: Rect0) -> QRect:
        """Where a rectangle lies; all edges are rounded alike, so that no seams show."""
        left, right = (self._snap(x, 0) for x in (rect0.x0, rect0.x1))
        top, bottom = (self._snap(y, 1) for y in (rect0.y0, rect0.y1))
        return QRect(left, top, right - left, bottom - top)

    def _snap(self, value0: float, axis: int) -> int:
        origin = self.top if axis else self.left
        return floor((value0 - self.centre0[axis]) / self.px0_per_px - origin + 0.5)


def make_frame(view: ViewTransform, ratio: float, dirty: QRect | None = None) -> Frame:
    """The frame of a view.

    Args:
        view: what is looked at.
        ratio: device pixels per logical pixel.
        dirty: the part to paint, logical pixels; None for all, and without effect with a turn.
    """
    scale = view.px0_per_px / ratio
    if view.angle_deg:
        seen = view.visible_rect0()
        half = [floor(side / scale / 2) + 1 for side in (seen.width0, seen.height0)]
        clip = QRect(-half[0], -half[1], 2 * half[0], 2 * half[1])
        return Frame(view.centre0, scale, 0.0, 0.0, clip, seen)
    left, top = -view.width_px * ratio / 2, -view.height_px * ratio / 2
    part = QRectF(0, 0, view.width_px, view.height_px) if dirty is None else QRectF(dirty)
    clip = QRectF(
        part.x() * ratio, part.y() * ratio, part.width() * ratio, part.height() * ratio
    ).toAlignedRect()
    visible0 = Rect0(
        view.centre0[0] + (clip.x() + left) * scale,
        view.centre0[1] + (clip.y() + top) * scale,
        clip.width() * scale,
        clip.height() * scale,
    )
    return Frame(view.centre0, scale, left, top, clip, visible0)


def plan_pieces(
    grid: TileGrid, find: Callable[[TileKey], QImage | None], frame: Frame
) -> list[Piece]:
    """What to paint, from the coarsest to the sharp.

    Where a sharp tile is missing, the nearest coarser one that is loaded shows through, and above
    it the next finer ones, which are there after zooming out.

    Args:
        grid: of the slide.
        find: the picture of a tile, or None.
        frame: what is looked at.
    """
    level = grid.level_for(frame.px0_per_px)
    sharp, missing = _loaded(grid.tiles_in(frame.visible0, level), find)
    groups = [sharp]
    if missing and level > 0:
        groups.append(_loaded(_around(grid, missing, level - 1, frame.visible0), find)[0])
    for coarser in range(level + 1, len(grid.levels)):
        if not missing:
            break
        found, missing = _loaded(_around(grid, missing, coarser, frame.visible0), find)
        groups.append(found)
    return [
        _piece(key, image, frame.place(grid.rect0(key)), frame.clip)
        for group in reversed(groups)
        for key, image in group
    ]


def paint_pieces(painter: QPainter, pieces: Iterable[Piece]) -> None:
    """Paint them in order; the painter counts in device pixels of the frame."""
    for piece in pieces:
        if piece.source is None:
            painter.drawImage(piece.target, piece.image)
        else:
            painter.drawImage(QRectF(piece.target), piece.image, piece.source)


def _loaded(
    keys: Iterable[TileKey], find: Callable[[TileKey], QImage | None]
) -> tuple[list[tuple[TileKey, QImage]], list[TileKey]]:
    found, missing = [], []
    for key in keys:
        if (image := find(key)) is None:
            missing.append(key)
        else:
            found.append((key, image))
    return found, missing


def _around(
    grid: TileGrid, keys: Iterable[TileKey], level: int, visible0: Rect0
) -> dict[TileKey, None]:
    """The tiles of another level that share visible ground with some of these."""
    tiles: dict[TileKey, None] = {}
    for key in keys:
        rect0 = grid.rect0(key)
        x0, y0 = max(rect0.x0, visible0.x0), max(rect0.y0, visible0.y0)
        x1, y1 = min(rect0.x1, visible0.x1), min(rect0.y1, visible0.y1)
        tiles |= dict.fromkeys(grid.tiles_in(Rect0(x0, y0, x1 - x0, y1 - y0), level))
    return tiles


def _piece(key: TileKey, image: QImage, target: QRect, clip: QRect) -> Piece:
    scale_x, scale_y = target.width() / image.width(), target.height() / image.height()
    if max(scale_x, scale_y) <= _CUT_ABOVE or clip.contains(target):
        return Piece(key, image, target)
    part = target.intersected(clip.adjusted(-1, -1, 1, 1))
    source = QRectF(
        (part.x() - target.x()) / scale_x,
        (part.y() - target.y()) / scale_y,
        part.width() / scale_x,
        part.height() / scale_y,
    )
    return Piece(key, image, part, source)

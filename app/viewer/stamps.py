"""Marks painted once per kind, size and screen, then stamped; and many dots stamped with numpy."""

from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage, QPainter, QPixmap

from app.viewer.marks import MarkKind, paint_disputed, paint_mark, paint_selected, reach_px

#: Stamps kept before all are dropped: a zoom passes through many sizes.
MAX_STAMPS = 256

Ints = NDArray[np.int64]


class StampBook:
    """Stamps of marks, halos and rings; lives in the GUI thread, for QPixmap's sake."""

    def __init__(self) -> None:
        self._stamps: dict[tuple[str, int, float], tuple[QPixmap, QPointF]] = {}
        self._dots: dict[tuple[MarkKind, float], NDArray[np.uint32]] = {}

    def mark(self, kind: MarkKind, radius_px: float, dpr: float) -> tuple[QPixmap, QPointF]:
        """A stamp of a mark and where its middle is in it, logical pixels."""
        return self._stamp(kind.name, partial(paint_mark, kind=kind), radius_px, dpr)

    def selected(self, radius_px: float, dpr: float) -> tuple[QPixmap, QPointF]:
        """The halo of a selected figure."""
        return self._stamp("selected", paint_selected, radius_px, dpr)

    def disputed(self, radius_px: float, dpr: float) -> tuple[QPixmap, QPointF]:
        """The ring of a disputed figure."""
        return self._stamp("disputed", paint_disputed, radius_px, dpr)

    def dot(self, kind: MarkKind, dpr: float) -> NDArray[np.uint32]:
        """A dot as pixels.

        Returns:
            (n, n) uint32 premultiplied ARGB, n odd, device pixels.
        """
        found = self._dots.get((kind, dpr))
        if found is None:
            side = 2 * ceil(6 * dpr) + 1
            image = _painted(partial(paint_mark, kind=kind), 0.0, side, dpr)
            found = self._dots[kind, dpr] = pixels_of(image).copy()
        return found

    def _stamp(
        self, name: str, paint: Callable[..., None], radius_px: float, dpr: float
    ) -> tuple[QPixmap, QPointF]:
        # Whole pixels: a zoom would otherwise paint a stamp for every step of it.
        radius = round(radius_px)
        key = (name, radius, dpr)
        found = self._stamps.get(key)
        if found is None:
            if len(self._stamps) >= MAX_STAMPS:
                self._stamps.clear()
            side = 2 * ceil(reach_px(radius) * dpr) + 1
            pixmap = QPixmap.fromImage(_painted(paint, float(radius), side, dpr))
            found = self._stamps[key] = (pixmap, QPointF(side / dpr / 2, side / dpr / 2))
        return found


def pixels_of(image: QImage) -> NDArray[np.uint32]:
    """A 32-bit image's pixels, (h, w) uint32, sharing its memory: keep the image alive."""
    rows = np.frombuffer(image.bits(), dtype=np.uint32)
    return rows.reshape(image.height(), image.bytesPerLine() // 4)[:, : image.width()]


def scatter(
    picture: NDArray[np.uint32], stamp: NDArray[np.uint32], columns: Ints, rows: Ints
) -> None:
    """Stamp dots into a picture; those whose middle is outside are left out.

    Args:
        picture: (h, w) uint32 premultiplied ARGB, C-contiguous, changed in place.
        stamp: (n, n) likewise, n odd.
        columns: (N,) int64, middles of the dots, pixels.
        rows: (N,) likewise.
    """
    height, width = picture.shape
    half = stamp.shape[0] // 2
    inside = (columns >= half) & (columns < width - half) & (rows >= half) & (rows < height - half)
    middles = rows[inside] * width + columns[inside]
    flat = picture.reshape(-1)
    alpha = stamp >> 24
    for row, column in sorted(np.argwhere(alpha), key=lambda at: alpha[tuple(at)]):
        flat[middles + (row - half) * width + (column - half)] = stamp[row, column]


def _painted(paint: Callable[..., None], radius_px: float, side: int, dpr: float) -> QImage:
    image = QImage(side, side, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    image.setDevicePixelRatio(dpr)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(side / dpr / 2, side / dpr / 2)
    paint(painter, radius_px=radius_px)
    painter.end()
    return image

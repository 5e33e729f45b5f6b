"""What a figure looks like: its kind of mark, and the mark's drawing around the nucleus.

The kinds differ in shape and in lightness as well as in hue. No mark covers the nucleus: they are
open rings, and become dots only where a nucleus is a few screen pixels wide.
"""

from enum import IntEnum
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from app.theme import CASING, MARKS
from app.viewer.layer import ASSUMED_UM_PER_PX
from app.viewer.transform import ViewTransform
from core.geometry import Mpp
from core.reading.view import ATYPICAL, DELETED, IMPOSTER, MITOSIS, UNSURE, Figures

#: Inner radius of a mark: a metaphase plate with its clear zone fits inside.
MARK_RADIUS_UM = 12.0
#: Below this radius on the screen a mark is a dot.
DOT_BELOW_PX = 5.0


class MarkKind(IntEnum):
    """Kinds of marks; a later one lies above an earlier one."""

    HIDDEN = 0
    FAINT = 1
    IMPOSTER = 2
    CANDIDATE = 3
    LIKELY = 4
    UNSURE = 5
    ATYPICAL = 6
    MITOSIS = 7


_OF_VERDICT = {
    MITOSIS: MarkKind.MITOSIS,
    ATYPICAL: MarkKind.ATYPICAL,
    IMPOSTER: MarkKind.IMPOSTER,
    UNSURE: MarkKind.UNSURE,
    DELETED: MarkKind.HIDDEN,
}
_COLOUR = {
    MarkKind.FAINT: MARKS.candidate,
    MarkKind.IMPOSTER: MARKS.imposter.darker(165),
    MarkKind.CANDIDATE: MARKS.candidate,
    MarkKind.LIKELY: MARKS.candidate,
    MarkKind.UNSURE: MARKS.unsure,
    MarkKind.ATYPICAL: MARKS.atypical,
    MarkKind.MITOSIS: MARKS.mitosis,
}
_DOT_RADIUS_PX = {
    MarkKind.FAINT: 1.2,
    MarkKind.IMPOSTER: 2.2,
    MarkKind.CANDIDATE: 2.2,
    MarkKind.LIKELY: 3.2,
    MarkKind.UNSURE: 3.2,
    MarkKind.ATYPICAL: 4.2,
    MarkKind.MITOSIS: 4.0,
}
_FAINT_ALPHA = 130


def mark_kinds(
    figures: Figures, review_threshold: float, count_threshold: float, *, blinded: bool
) -> NDArray[np.uint8]:
    """The kind of mark of every figure.

    Args:
        figures: all figures of the slide.
        review_threshold: below it an unreviewed candidate is faint; NaN for none.
        count_threshold: at or above it one is likely; NaN for none.
        blinded: unreviewed candidates then all look alike.

    Returns:
        (N,) uint8, values of `MarkKind`.
    """
    kinds = np.full(len(figures), MarkKind.CANDIDATE, dtype=np.uint8)
    if not blinded:
        kinds[figures.probability >= count_threshold] = MarkKind.LIKELY
        kinds[figures.probability < review_threshold] = MarkKind.FAINT
    for verdict, kind in _OF_VERDICT.items():
        kinds[figures.verdict == verdict] = kind
    return kinds


def mark_radius_px(mpp: Mpp | None, transform: ViewTransform) -> float:
    """Inner radius of a mark on the screen, logical pixels."""
    um_per_px0 = mpp.mean if mpp is not None else ASSUMED_UM_PER_PX
    return MARK_RADIUS_UM / um_per_px0 / transform.px0_per_px


def reach_px(radius_px: float) -> float:
    """How far a mark of this radius and its halo reach from the centre, logical pixels."""
    return max(radius_px * 1.42, 6.0) + 12.0


def paint_mark(painter: QPainter, kind: MarkKind, radius_px: float) -> None:
    """Paint a mark around the painter's origin.

    Args:
        painter: antialiased; its pen and brush are changed.
        kind: anything but hidden.
        radius_px: inner radius, logical pixels; dots are painted where it is too small.
    """
    if radius_px < DOT_BELOW_PX:
        _paint_dot(painter, kind)
        return
    colour = QColor(_COLOUR[kind])
    width = _stroke_px(kind, radius_px)
    path = _ring(kind, radius_px + width / 2 + 1)
    casing = QColor(CASING)
    if kind is MarkKind.FAINT:
        colour.setAlpha(_FAINT_ALPHA)
        casing.setAlpha(_FAINT_ALPHA // 2)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen_colour, pen_width in ((casing, width + 2), (colour, width)):
        pen = QPen(pen_colour, pen_width)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        painter.strokePath(path, pen)


def paint_selected(painter: QPainter, radius_px: float) -> None:
    """Paint the halo of a selected figure around the painter's origin."""
    radius = max(radius_px, 4.0) * (1.0 if radius_px < DOT_BELOW_PX else 1.12) + 6
    for colour, width in ((MARKS.count_area, 5.0), (MARKS.selected, 3.0)):
        painter.strokePath(_circle(radius), QPen(colour, width))


def paint_disputed(painter: QPainter, radius_px: float) -> None:
    """Paint the second ring of a figure that readers differ on."""
    radius = max(radius_px * 1.08, 3.0) + 3.5
    painter.strokePath(_circle(radius), QPen(CASING, 3.5))
    pen = QPen(MARKS.excluded, 1.5, Qt.PenStyle.CustomDashLine)
    pen.setDashPattern([2.0, 2.0])
    painter.strokePath(_circle(radius), pen)


def _stroke_px(kind: MarkKind, radius_px: float) -> float:
    growth = min(radius_px / 48, 1.0)
    if kind in (MarkKind.MITOSIS, MarkKind.ATYPICAL):
        return 1.9 + 1.1 * growth
    if kind in (MarkKind.LIKELY, MarkKind.UNSURE):
        return 1.6 + 0.8 * growth
    return 1.2 + 0.6 * growth


def _paint_dot(painter: QPainter, kind: MarkKind) -> None:
    radius, colour = _DOT_RADIUS_PX[kind], QColor(_COLOUR[kind])
    painter.setPen(QPen(CASING, 1))
    painter.setBrush(colour)
    if kind is MarkKind.FAINT:
        colour.setAlpha(_FAINT_ALPHA)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(), radius, radius)
    elif kind is MarkKind.CANDIDATE:
        painter.drawEllipse(QPointF(), radius, radius)
    elif kind is MarkKind.ATYPICAL:
        painter.drawPath(_diamond(radius))
    elif kind is MarkKind.UNSURE:
        painter.drawRect(QRectF(-radius, -radius, 2 * radius, 2 * radius))
    elif kind is MarkKind.IMPOSTER:
        for colour_, width in ((CASING, 2.6), (colour, 1.4)):
            painter.strokePath(_cross(0.0, radius), QPen(colour_, width))
    else:
        painter.drawEllipse(QPointF(), radius, radius)


def _ring(kind: MarkKind, radius: float) -> QPainterPath:
    if kind is MarkKind.MITOSIS:
        return _circle(radius)
    if kind is MarkKind.ATYPICAL:
        return _diamond(radius * 1.4)
    if kind is MarkKind.UNSURE:
        path = QPainterPath()
        path.addRoundedRect(QRectF(-radius, -radius, 2 * radius, 2 * radius), 3, 3)
        return path
    if kind is MarkKind.IMPOSTER:
        return _cross(radius, radius + max(4.0, radius * 0.34))
    sweep = {MarkKind.LIKELY: 62.0, MarkKind.CANDIDATE: 40.0, MarkKind.FAINT: 16.0}[kind]
    path = QPainterPath()
    box = QRectF(-radius, -radius, 2 * radius, 2 * radius)
    for middle in (45.0, 135.0, 225.0, 315.0):
        path.arcMoveTo(box, middle - sweep / 2)
        path.arcTo(box, middle - sweep / 2, sweep)
    return path


def _circle(radius: float) -> QPainterPath:
    path = QPainterPath()
    path.addEllipse(QPointF(), radius, radius)
    return path


def _diamond(radius: float) -> QPainterPath:
    path = QPainterPath()
    path.moveTo(0, -radius)
    for x, y in ((radius, 0.0), (0.0, radius), (-radius, 0.0)):
        path.lineTo(x, y)
    path.closeSubpath()
    return path


def _cross(inner: float, outer: float) -> QPainterPath:
    """Four diagonal ticks: a cross with an open middle."""
    path = QPainterPath()
    for turn in range(4):
        angle = pi / 4 + turn * pi / 2
        path.moveTo(inner * cos(angle), inner * sin(angle))
        path.lineTo(outer * cos(angle), outer * sin(angle))
    return path

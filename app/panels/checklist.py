"""The points of a protocol that a reader confirms before signing."""

from collections.abc import Hashable, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from app.panels.count_parts import label


class Checklist(QWidget):
    """Points with boxes to tick; the ticks belong to one count area and go with it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[str, ...] = ()
        self._about: Hashable = None
        self.boxes: list[QCheckBox] = []
        self._rows: list[QWidget] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(5)

    @property
    def ticks(self) -> dict[str, bool]:
        """Every point and whether it is ticked."""
        return {point: box.isChecked() for point, box in zip(self._points, self.boxes, strict=True)}

    def show_points(
        self,
        points: Sequence[str],
        about: Hashable,
        signed: Mapping[str, bool] | None = None,
    ) -> None:
        """Show a protocol's points.

        Args:
            points: of the protocol.
            about: what the ticks speak of (slide, reader, count area); of another, none is ticked.
            signed: the ticks that a signed count holds, which then cannot be changed.
        """
        if tuple(points) != self._points:
            self._build(tuple(points))
            self._about = None
        if about != self._about:
            self._about = about
            for box in self.boxes:
                box.setChecked(False)
        for point, box in zip(self._points, self.boxes, strict=True):
            box.setEnabled(signed is None)
            if signed is not None:
                box.setChecked(signed.get(point, False))

    def _build(self, points: tuple[str, ...]) -> None:
        for row in self._rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._points, self.boxes, self._rows = points, [], []
        for point in points:
            box = QCheckBox()
            box.setAccessibleName(point)
            text = label(point)
            row = _Row(box)
            line = QHBoxLayout(row)
            line.setContentsMargins(0, 0, 0, 0)
            line.addWidget(box, 0, Qt.AlignmentFlag.AlignTop)
            line.addWidget(text, 1)
            self._column.addWidget(row)
            self.boxes.append(box)
            self._rows.append(row)


class _Row(QWidget):
    """A box with a text beside it that wraps, which a check box's own does not."""

    def __init__(self, box: QCheckBox) -> None:
        super().__init__()
        self._box = box

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(
            event.position().toPoint()
        ):
            self._box.click()

"""A panel whose content scrolls downwards where the panel is too low for it."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget


def fill_scrolled(panel: QWidget, content: QWidget) -> QScrollArea:
    """Let `content` fill an empty panel, as wide as it and scrolling downwards; what scrolls."""
    area = QScrollArea(widgetResizable=True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    layout = QVBoxLayout(panel)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(area)
    return area

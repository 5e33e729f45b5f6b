"""A list to choose from that the wheel passes over."""

from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox


class Choice(QComboBox):
    """A combo box whose choice the wheel does not change.

    A reader who scrolls a panel with the mouse over the protocol would otherwise count by another
    rule without noticing.
    """

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to what can be scrolled."""
        event.ignore()

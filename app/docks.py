"""The docks around the viewer, and where they lie until the reader moves them."""

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget, QWidget

#: Of the dock layout; raised when docks come or go, so that an old layout is not restored.
VERSION = 3
_LEFT, _RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
_LEFT_PX, _RIGHT_PX = 244, 404
_MIN_SIDE_PX = 200


class Docks:
    """The docks of a window by name.

    Args:
        window: that they belong to.
        panels: name → (title, panel); `slides`, `analysis`, `layers`, `picture`, `overview`,
            `gallery`, `count`, `readers` and `adapt` have their places, others go to the right.
    """

    def __init__(self, window: QMainWindow, panels: dict[str, tuple[str, QWidget]]) -> None:
        self._window = window
        self._sized = False
        self.docks: dict[str, QDockWidget] = {}
        window.setDockOptions(
            QMainWindow.DockOption.AnimatedDocks
            | QMainWindow.DockOption.AllowTabbedDocks
            | QMainWindow.DockOption.AllowNestedDocks
        )
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        for name, (title, panel) in panels.items():
            dock = QDockWidget(title, window)
            dock.setObjectName(name)
            panel.setMinimumWidth(_MIN_SIDE_PX)
            dock.setWidget(panel)
            self.docks[name] = dock
        self.lay_out()

    def lay_out(self) -> None:
        """Put every dock where it lies at first."""
        columns = ((_LEFT, (("slides", "analysis"), ("overview",), ("layers", "picture"))),
                   (_RIGHT, (("gallery",), ("count", "readers", "adapt"))))  # fmt: skip
        for dock in self.docks.values():
            self._window.removeDockWidget(dock)
            dock.setFloating(False)
        for area, groups in columns:
            for group in groups:
                present = [self.docks[name] for name in group if name in self.docks]
                for place, dock in enumerate(present):
                    self._window.addDockWidget(area, dock)
                    if place:
                        self._window.tabifyDockWidget(present[0], dock)
                    # Tabs name their docks already; a second title would only take room.
                    dock.setTitleBarWidget(QWidget() if len(present) > 1 else None)
                    dock.show()
                if present:
                    present[0].raise_()
        self._size()

    def shown(self) -> None:
        """Give the docks their sizes, unless they lie as before; the slides are in front.

        To be called when the window is shown: Qt squeezes what was sized in a smaller window.
        """
        if not self._sized:
            self._sized = True
            self._size()
        if not self.docks["slides"].isHidden():  # no slide is open yet: here one is chosen
            self.docks["slides"].raise_()

    def _size(self) -> None:
        sizes = {"slides": _LEFT_PX, "gallery": _RIGHT_PX}
        wide = [name for name in sizes if name in self.docks]
        self._window.resizeDocks(
            [self.docks[name] for name in wide],
            [sizes[name] for name in wide],
            Qt.Orientation.Horizontal,
        )
        heights = {"slides": 46, "overview": 21, "layers": 33, "gallery": 54, "count": 46}
        high = [name for name in heights if name in self.docks]
        self._window.resizeDocks(
            [self.docks[name] for name in high],
            [10 * heights[name] for name in high],
            Qt.Orientation.Vertical,
        )

    def show(self, name: str) -> None:
        """Bring a dock to the front."""
        self.docks[name].show()
        self.docks[name].raise_()

    def save(self) -> tuple[str, str]:
        """Geometry of the window and layout of the docks, base64."""
        return (
            _text(self._window.saveGeometry()),
            _text(self._window.saveState(VERSION)),
        )

    def restore(self, geometry: str, layout: str) -> None:
        """Lay out as before, as far as it fits this version and screen."""
        if geometry:
            self._window.restoreGeometry(QByteArray.fromBase64(geometry.encode()))
        if layout:
            state = QByteArray.fromBase64(layout.encode())
            self._sized = self._window.restoreState(state, VERSION)


def _text(data: QByteArray) -> str:
    return bytes(data.toBase64().data()).decode()

"""From panel to panel without a mouse."""

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QApplication, QWidget

from app.docks import Docks
from app.shortcuts import WindowActions

#: The panes in the order of F6; the viewer has no name.
_ORDER = (
    *("", "gallery", "count", "readers", "adapt"),
    *("slides", "analysis", "layers", "picture"),
)


class Panes(QObject):
    """Moves the focus round viewer, gallery and panels; inside a panel Tab then walks its parts.

    Args:
        canvas, grid: viewer and gallery, in which Tab goes to the next figure to review.
        docks: the others, in their order; one behind others is brought to the front.
        actions: whose Tab key rests while the reader walks through a panel.
    """

    def __init__(
        self, canvas: QWidget, grid: QWidget, docks: Docks, actions: WindowActions
    ) -> None:
        super().__init__(canvas)
        self._canvas, self._grid, self._docks, self._actions = canvas, grid, docks, actions
        actions["panel.next"].triggered.connect(self.next)
        actions["panel.previous"].triggered.connect(self.previous)

    @Slot()
    def next(self) -> None:
        """Go on to the next pane."""
        self._step(1)

    @Slot()
    def previous(self) -> None:
        """Go back to the pane before."""
        self._step(-1)

    def _step(self, by: int) -> None:
        panels = {n: d.widget() for n, d in self._docks.docks.items() if not d.isHidden()}
        panes = [name for name in _ORDER if not name or name in panels]
        focus = QApplication.focusWidget()
        held = [n for n, w in panels.items() if focus is not None and w.isAncestorOf(focus)]
        here = panes.index(held[0]) if held and held[0] in panes else 0
        name = panes[(here + by) % len(panes)]
        if not name:
            self._actions.walk_in(None)
            self._canvas.setFocus()
            return
        self._docks.show(name)
        self._actions.walk_in(None if name == "gallery" else panels[name])
        part = self._grid if name == "gallery" else _first_part(panels[name])
        part.setFocus(Qt.FocusReason.TabFocusReason)


def _first_part(panel: QWidget) -> QWidget:
    """The first part of a panel that takes the focus by Tab, in Tab's order."""
    part = panel.nextInFocusChain()
    while part is not None and part is not panel:
        tabs = part.focusPolicy() & Qt.FocusPolicy.TabFocus
        if tabs and part.isEnabled() and part.isVisibleTo(panel) and panel.isAncestorOf(part):
            return part
        part = part.nextInFocusChain()
    return panel

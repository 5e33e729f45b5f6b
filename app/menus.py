"""The menus: every action has its place, with its key beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu

from app.shortcuts import WindowActions

_MENUS: tuple[tuple[str, str], ...] = (
    ("&Edit", "edit.undo edit.redo | verdict.mitosis verdict.atypical verdict.imposter "
     "verdict.unsure verdict.clear | figure.join field.done | count.sign"),
    ("&Go", "nav.next nav.previous nav.next_unreviewed | slide.next slide.previous | view.goto"),
    ("&View", "view.fit view.zoom_in view.zoom_out | view.mag_2_5 view.mag_5 view.mag_10 "
     "view.mag_20 view.mag_40 | view.rotate_cw view.rotate_ccw | slide.label view.full_screen"),
    ("&Layers", "layer.figures layer.area layer.fields layer.spots layer.regions layer.tissue "
     "layer.density layer.viewed"),
    ("&Tools", "tool.select tool.add_mitosis | tool.polygon tool.rectangle tool.edit | "
     "tool.area | tool.ruler tool.calibrate"),
)  # fmt: skip


def _tr(text: str) -> str:
    return QCoreApplication.translate("Menus", text)


class Menus(QObject):
    """The menu bar of a window.

    Args:
        window: that it belongs to.
        actions: by id.
        docks: shown and hidden under Window.

    Signals:
        recent_chosen: path of a recent slide.
    """

    recent_chosen = Signal(str)

    def __init__(
        self, window: QMainWindow, actions: WindowActions, docks: Mapping[str, QDockWidget]
    ) -> None:
        super().__init__(window)
        bar = window.menuBar()
        self.file = bar.addMenu(_tr("&File"))
        self.file.addAction(actions["file.open"])
        self.recent = self.file.addMenu(_tr("Open recent"))
        self.recent.triggered.connect(self._recent_chosen)
        self.file.addSeparator()
        self.file.addAction(actions["analysis.start"])
        self.file.addAction(actions["file.report"])
        self.file.addSeparator()
        self.file.addAction(actions["file.export"])
        self.file.addAction(actions["file.import"])
        self.file.addSeparator()
        self.settings = self._own(self.file, _tr("Settings…"), QAction.MenuRole.PreferencesRole)
        self.quit = self._own(self.file, _tr("Quit"), QAction.MenuRole.QuitRole)
        self.quit.setShortcut("Ctrl+Q")
        for title, ids in _MENUS:
            menu = bar.addMenu(_tr(title))
            for id_ in ids.split():
                if id_ == "|":
                    menu.addSeparator()
                else:
                    menu.addAction(actions[id_])
        window_menu = bar.addMenu(_tr("&Window"))
        for dock in docks.values():
            window_menu.addAction(dock.toggleViewAction())
        window_menu.addSeparator()
        window_menu.addAction(actions["panel.next"])
        window_menu.addAction(actions["panel.previous"])
        window_menu.addSeparator()
        self.reset_layout = window_menu.addAction(_tr("Usual layout"))
        help_menu = bar.addMenu(_tr("&Help"))
        help_menu.addAction(actions["help.keys"])
        no_role = QAction.MenuRole.NoRole
        self.workflow = self._own(help_menu, _tr("Daily workflow"), no_role)
        self.welcome = self._own(help_menu, _tr("Welcome and licences…"), no_role)
        self.about = self._own(help_menu, _tr("About Mitoscope"), QAction.MenuRole.AboutRole)

    def show_recent(self, paths: Sequence[str], *, hidden: bool) -> None:
        """List recent slides.

        Args:
            paths: newest first.
            hidden: whether file names are hidden; then there is no list.
        """
        self.recent.clear()
        self.recent.setEnabled(bool(paths) and not hidden)
        if hidden:
            return
        for path in paths:
            action = self.recent.addAction(Path(path).name)
            action.setData(path)
            action.setToolTip(path)

    @Slot(QAction)
    def _recent_chosen(self, action: QAction) -> None:
        self.recent_chosen.emit(action.data())

    def _own(self, menu: QMenu, text: str, role: QAction.MenuRole) -> QAction:
        action = menu.addAction(text)
        action.setMenuRole(role)
        return action

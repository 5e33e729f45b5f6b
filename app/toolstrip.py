"""The strip above the viewer: the tools, and what the one in hand can be told."""

from functools import partial

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QRadioButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.room import Room
from app.shortcuts import WindowActions
from app.viewer.toolbox import Toolbox
from core.reading.view import DeskView

_TOOLS = ("select", "add_mitosis", "polygon", "rectangle", "edit", "area", "ruler")
_DRAWING = ("polygon", "rectangle")


class ToolStrip(QWidget):
    """Buttons of the tools; beside them the choices of the tool in hand.

    Args:
        room: whose desk takes the count area back.
        toolbox: the tools.
        actions: by id, for the buttons.
        parent: of the widget.
    """

    def __init__(
        self, room: Room, toolbox: Toolbox, actions: WindowActions, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._room, self._toolbox = room, toolbox
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 3, 6, 3)
        column.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(2)
        column.addLayout(row)
        shorts = {
            "select": self.tr("Select"),
            "add_mitosis": self.tr("Mitosis"),
            "polygon": self.tr("Region"),
            "rectangle": self.tr("Rectangle"),
            "edit": self.tr("Edit region"),
            "area": self.tr("Count area"),
            "ruler": self.tr("Ruler"),
        }
        for name in _TOOLS:
            action = actions[f"tool.{name}"]
            button = QToolButton()
            button.setDefaultAction(action)
            button.setText(shorts[name])
            # The action's own text is longer, and a change of the action would bring it back.
            action.changed.connect(partial(button.setText, shorts[name]))
            row.addWidget(button)
        row.addStretch(1)
        # A row of their own: beside the tools they would not fit a narrow viewer.
        self.choices = QWidget()
        column.addWidget(self.choices)
        self._make_choices(QHBoxLayout(self.choices))
        toolbox.tool_changed.connect(self._show_choices)
        room.view_changed.connect(self._show_view)
        self._show_choices(toolbox.name)

    def _make_choices(self, row: QHBoxLayout) -> None:
        row.setContentsMargins(6, 0, 0, 2)
        self.what = QLabel(self.tr("Draws"))
        self.what.setProperty("faint", True)
        self.tumour = QRadioButton(self.tr("tumour"))
        self.excluded = QRadioButton(self.tr("excluded"))
        self._kinds = QButtonGroup(self)
        for kind, button in (("tumour", self.tumour), ("excluded", self.excluded)):
            self._kinds.addButton(button)
            button.clicked.connect(partial(self._kind_chosen, kind))
        self.tumour.setChecked(True)
        self.unlocked = QCheckBox(self.tr("other size than the protocol's"))
        self.unlocked.toggled.connect(self._unlocked)
        self.follow = QToolButton(text=self.tr("Back to the proposal"))
        self.follow.clicked.connect(self._follow)
        self.fields = QLabel(self.tr("drag a field, or with Shift all of them"))
        self.fields.setProperty("faint", True)
        choices: tuple[QWidget, ...] = (
            self.what, self.tumour, self.excluded, self.unlocked, self.fields, self.follow,
        )  # fmt: skip
        for widget in choices:
            row.addWidget(widget)
        row.addStretch(1)

    @Slot(str)
    def _show_choices(self, name: str) -> None:
        for widget in (self.what, self.tumour, self.excluded):
            widget.setVisible(name in _DRAWING)
        view = self._room.view
        fields = view is not None and view.area is not None and bool(view.area.fields0)
        self.unlocked.setVisible(name == "area" and not fields)
        self.fields.setVisible(name == "area" and fields)
        self.follow.setVisible(name == "area")
        self.choices.setVisible(name == "area" or name in _DRAWING)

    @Slot(object)
    def _show_view(self, view: DeskView) -> None:
        self.follow.setEnabled(view.area is not None and view.area.state == "accepted")
        self._show_choices(self._toolbox.name)
        if view.area is not None:
            with QSignalBlocker(self.unlocked):
                self.unlocked.setChecked(self._toolbox.area.unlocked or not view.area.locked)

    def _kind_chosen(self, kind: str, _checked: bool = False) -> None:
        self._toolbox.set_region_kind(kind)  # type: ignore[arg-type]

    @Slot(bool)
    def _unlocked(self, unlocked: bool) -> None:
        self._toolbox.area.unlocked = unlocked

    @Slot()
    def _follow(self) -> None:
        self._room.ask(lambda desk: desk.use_proposal())

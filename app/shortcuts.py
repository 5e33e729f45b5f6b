"""The QActions of a window: keys that follow the keymap and leave text fields alone."""

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QKeySequenceEdit,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.actions import ACTIONS, Context, Keymap

_CONTEXTS = {
    "window": Qt.ShortcutContext.WindowShortcut,
    "gallery": Qt.ShortcutContext.WidgetWithChildrenShortcut,
    "viewer": Qt.ShortcutContext.WidgetWithChildrenShortcut,
}


_TAB = QKeySequence(Qt.Key.Key_Tab)


class WindowActions(QObject):
    """The QActions of a window, one for each of `ACTIONS`, with the keys of the keymap.

    While a text field has the focus, only keys with Ctrl, Alt or Meta and function keys work, and
    of those not undo and redo, which belong to the field then.

    Args:
        keymap: whose keys.
        window: gets the actions that work everywhere in it.
    """

    def __init__(self, keymap: Keymap, window: QWidget) -> None:
        super().__init__(window)
        self.keymap = keymap
        self._actions: dict[str, QAction] = {}
        self._walked: QWidget | None = None
        for spec in ACTIONS:
            action = QAction(spec.title(), self)
            action.setObjectName(spec.id)
            action.setAutoRepeat(spec.repeats)
            action.setCheckable(spec.checkable)
            action.setShortcutContext(_CONTEXTS[spec.context])
            self._actions[spec.id] = action
            if spec.context == "window":
                window.addAction(action)
        keymap.changed.connect(self._renew)
        # PySide's stubs know instance() as a QCoreApplication only.
        QApplication.instance().focusChanged.connect(self._focus_moved)  # type: ignore[union-attr]
        self._typing = is_text_field(QApplication.focusWidget())
        self._renew()

    def __getitem__(self, id_: str) -> QAction:
        return self._actions[id_]

    def add_to(self, widget: QWidget, context: Context) -> None:
        """Let the actions of a context work while `widget` or a child of it has the focus."""
        for spec in ACTIONS:
            if spec.context == context:
                widget.addAction(self._actions[spec.id])

    def walk_in(self, panel: QWidget | None) -> None:
        """Leave Tab to a panel until the focus leaves it; None takes Tab back."""
        self._walked = panel
        self._renew()

    @Slot()
    def _renew(self) -> None:
        for spec in ACTIONS:
            sequences = self.keymap.sequences(spec.id)
            if self._typing:
                sequences = [
                    s for s in sequences if not _types(s) and not spec.id.startswith("edit.")
                ]
            elif self._walked is not None:
                sequences = [s for s in sequences if s != _TAB]
            self._actions[spec.id].setShortcuts(sequences)

    @Slot(QWidget, QWidget)
    def _focus_moved(self, old: QWidget | None, new: QWidget | None) -> None:
        if self._walked is not None and new is not None and not self._walked.isAncestorOf(new):
            self.walk_in(None)
        typing = is_text_field(new)
        if typing != self._typing:
            self._typing = typing
            self._renew()


def is_text_field(widget: QWidget | None) -> bool:
    """Whether keys pressed in a widget are text."""
    if isinstance(widget, QComboBox):
        return widget.isEditable()
    if isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit):
        return not widget.isReadOnly()
    return isinstance(widget, QAbstractSpinBox | QKeySequenceEdit)


def _types(sequence: QKeySequence) -> bool:
    """Whether a key means something to a text field: a sign, Tab, Return, an arrow."""
    chord = sequence[0]
    held = chord.keyboardModifiers() & (
        Qt.KeyboardModifier.ControlModifier
        | Qt.KeyboardModifier.AltModifier
        | Qt.KeyboardModifier.MetaModifier
    )
    is_function_key = Qt.Key.Key_F1 <= chord.key() <= Qt.Key.Key_F35
    return not held and not is_function_key

"""The sheet of all keys, on the screen and on paper, and the dialog that changes them."""

from html import escape

from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence, QTextDocument
from PySide6.QtPrintSupport import QPrintDialog, QPrinter
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QPushButton,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.actions import ACTIONS, BY_ID, ActionSpec, Keymap
from app.theme import LIGHT, Theme, theme_in_use

_NATIVE = QKeySequence.SequenceFormat.NativeText
_PORTABLE = QKeySequence.SequenceFormat.PortableText
_ID = Qt.ItemDataRole.UserRole


def groups() -> dict[str, list[ActionSpec]]:
    """The actions under their headings, in the order of the sheet."""
    found: dict[str, list[ActionSpec]] = {}
    for spec in ACTIONS:
        found.setdefault(spec.heading(), []).append(spec)
    return found


def sheet_html(keymap: Keymap, theme: Theme) -> str:
    """The keys of all actions that have one, in two columns."""
    columns: list[list[str]] = [[], []]
    heights = [0, 0]
    for heading, specs in groups().items():
        rows = [_row(keymap, spec, theme) for spec in specs if keymap.keys(spec.id)]
        if rows:
            column = heights.index(min(heights))
            columns[column].append(_table(heading, rows, theme))
            heights[column] += len(rows) + 2
    cells = "".join(f'<td width="50%">{"".join(parts)}</td>' for parts in columns)
    held = QCoreApplication.translate(
        "KeySheet", "Held down, Space moves the slide with any tool. Esc ends what a tool began."
    )
    return (
        f'<body style="color:{theme.text}"><table width="100%" cellspacing="10"><tr>{cells}</tr>'
        f'</table><p style="margin:4px 12px; color:{theme.faint}">{escape(held)}</p></body>'
    )


def _table(heading: str, rows: list[str], theme: Theme) -> str:
    return (
        f'<p style="margin:10px 0 3px 0; color:{theme.faint}"><b>{escape(heading)}</b></p>'
        f'<table width="100%" cellspacing="0" cellpadding="2">{"".join(rows)}</table>'
    )


def _row(keymap: Keymap, spec: ActionSpec, theme: Theme) -> str:
    names = [sequence.toString(_NATIVE) for sequence in keymap.sequences(spec.id)]
    caps = " &nbsp;".join(
        f'<span style="background-color:{theme.raised}; white-space:pre"><b>'
        f"&nbsp;{escape(name).replace(' ', '&nbsp;')}&nbsp;</b></span>"
        for name in names
    )
    return f'<tr><td>{escape(spec.title())}</td><td align="right" width="40%">{caps}</td></tr>'


class KeySheet(QDialog):
    """All keys at a glance; follows the keymap while it is open.

    Args:
        keymap: whose keys.
        parent: the window.
    """

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("All keys"))
        self._keymap = keymap
        self.text = QTextBrowser()
        self.text.setFrameShape(QTextBrowser.Shape.NoFrame)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        role = QDialogButtonBox.ButtonRole.ActionRole
        printing = buttons.addButton(self.tr("Print…"), role)
        printing.clicked.connect(self._choose_printer)
        changing = buttons.addButton(self.tr("Change keys…"), role)
        changing.clicked.connect(self.change)
        # Else Return would print, where the platform puts that button first.
        for button in (printing, changing):
            button.setAutoDefault(False)
        buttons.button(QDialogButtonBox.StandardButton.Close).setDefault(True)
        box = QVBoxLayout(self)
        box.addWidget(self.text)
        box.addWidget(buttons)
        keymap.changed.connect(self._show)
        self._show()
        self.resize(QSize(780, 686))

    @Slot()
    def change(self) -> None:
        """Let the reader give actions other keys."""
        KeyEditor(self._keymap, self).exec()

    def print_on(self, printer: QPrinter) -> None:
        """Print the sheet, dark on white whatever the theme."""
        document = QTextDocument()
        title = QCoreApplication.translate("KeySheet", "Mitoscope: all keys")
        document.setHtml(f"<h3>{escape(title)}</h3>{sheet_html(self._keymap, LIGHT)}")
        document.print_(printer)

    @Slot()
    def _show(self) -> None:
        self.text.setHtml(sheet_html(self._keymap, theme_in_use()))

    @Slot()
    def _choose_printer(self) -> None:
        printer = QPrinter(QPrinter.PrinterMode.HighResolution)
        if QPrintDialog(printer, self).exec() == QDialog.DialogCode.Accepted:
            self.print_on(printer)


class KeyField(QKeySequenceEdit):
    """Takes the key that is pressed; Escape, which ends what tools do, leaves the field instead.

    Signals:
        left: Escape was pressed.
    """

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """See `QWidget`."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class KeyEditor(QDialog):
    """Gives actions other keys; a key that does something already is taken only on a second press.

    Changes hold at once.

    Args:
        keymap: changed in place.
        parent: of the dialog.
    """

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Change keys"))
        self._keymap = keymap
        self.tree = QTreeWidget()
        self.tree.setColumnCount(2)
        self.tree.setHeaderLabels([self.tr("What it does"), self.tr("Keys")])
        self.tree.setRootIsDecorated(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.edit = KeyField()
        self.edit.left.connect(self.tree.setFocus)
        self.edit.setMaximumSequenceLength(1)
        self.edit.setClearButtonEnabled(True)
        self.use = QPushButton(self.tr("Use this key"))
        self.add = QPushButton(self.tr("Add it"))
        self.none = QPushButton(self.tr("No key"))
        self.default = QPushButton(self.tr("Default"))
        self.take = QPushButton(self.tr("Take it from there"))
        self.note = QLabel()
        self.note.setWordWrap(True)
        self._lay_out()
        self._items: dict[str, QTreeWidgetItem] = {}
        self._fill()
        self.tree.currentItemChanged.connect(self._chosen)
        self.edit.keySequenceChanged.connect(self._typed)
        self.use.clicked.connect(self._use)
        self.add.clicked.connect(self._add)
        self.take.clicked.connect(self._take)
        self.none.clicked.connect(self._clear)
        self.default.clicked.connect(self._reset)
        keymap.changed.connect(self._show)
        self._show()
        self.choose(ACTIONS[0].id)
        self.resize(QSize(560, 620))

    def choose(self, id_: str) -> None:
        """Select an action."""
        self.tree.setCurrentItem(self._items[id_])

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.addWidget(self.edit, 1)
        for button in (self.use, self.add, self.none, self.default):
            row.addWidget(button)
        warning = QHBoxLayout()
        warning.addStrut(self.take.sizeHint().height())
        warning.addWidget(self.note, 1)
        warning.addWidget(self.take)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        reset = buttons.addButton(self.tr("All defaults"), QDialogButtonBox.ButtonRole.ResetRole)
        reset.clicked.connect(self._reset_all)
        # Return and Enter are keys to be typed here, not a press of some button.
        own = (self.use, self.add, self.none, self.default, self.take)
        for button in (*own, *buttons.findChildren(QPushButton)):
            button.setAutoDefault(False)
        box = QVBoxLayout(self)
        box.addWidget(self.tree, 1)
        box.addLayout(row)
        box.addLayout(warning)
        box.addWidget(buttons)

    def _fill(self) -> None:
        for heading, specs in groups().items():
            top = QTreeWidgetItem([heading])
            top.setFlags(Qt.ItemFlag.ItemIsEnabled)
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            self.tree.addTopLevelItem(top)
            for spec in specs:
                item = QTreeWidgetItem([spec.title(), ""])
                item.setData(0, _ID, spec.id)
                top.addChild(item)
                self._items[spec.id] = item
        self.tree.expandAll()

    @property
    def _id(self) -> str:
        item = self.tree.currentItem()
        return (item.data(0, _ID) if item is not None else "") or ""

    @property
    def _key(self) -> str:
        return self.edit.keySequence().toString(_PORTABLE)

    @Slot()
    def _show(self) -> None:
        for id_, item in self._items.items():
            item.setText(1, "   ".join(s.toString(_NATIVE) for s in self._keymap.sequences(id_)))
            font = item.font(1)
            font.setBold(id_ in self._keymap.overrides())
            item.setFont(1, font)
        self._typed()

    @Slot(QTreeWidgetItem, QTreeWidgetItem)
    def _chosen(self, item: QTreeWidgetItem | None, old: QTreeWidgetItem | None) -> None:
        self.edit.clear()
        self._typed()

    @Slot()
    def _typed(self) -> None:
        """Name the conflicts of the key typed."""
        id_, key = self._id, self._key
        others = self._keymap.conflicts(id_, key) if id_ and key else ()
        names = ", ".join(spec.title() for spec in others)
        ready = bool(id_ and key) and key not in self._keymap.keys(id_)
        self.use.setEnabled(ready and not others)
        self.add.setEnabled(ready and not others)
        self.none.setEnabled(bool(id_) and bool(self._keymap.keys(id_)))
        self.default.setEnabled(id_ in self._keymap.overrides())
        self.take.setVisible(bool(others))
        text = self.tr("{0} is the key of: {1}.")
        shown = self.edit.keySequence().toString(_NATIVE)
        self.note.setText(text.format(shown, names) if others else "")

    @Slot()
    def _use(self) -> None:
        self._set([self._key])

    @Slot()
    def _add(self) -> None:
        self._set([*self._keymap.keys(self._id), self._key])

    @Slot()
    def _take(self) -> None:
        self._set([self._key])

    @Slot()
    def _clear(self) -> None:
        self._set([])

    @Slot()
    def _reset(self) -> None:
        self._keymap.reset(self._id)

    @Slot()
    def _reset_all(self) -> None:
        self._keymap.reset()

    def _set(self, keys: list[str]) -> None:
        if self._id in BY_ID:
            self._keymap.set_keys(self._id, keys)
            self.edit.clear()

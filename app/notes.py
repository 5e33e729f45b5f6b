"""Notes above the viewer: what went wrong in plain words, and what the slide still needs."""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.errors import PixelSizeError, UserError
from core.slides.pixelsize import check_mpp


class Note(QFrame):
    """One note: a text, perhaps something to press, and a cross that takes it away.

    Args:
        kind: `warning`, `error` or `good`, which gives its ground.
        text: in plain words.
        parent: of the widget.
    """

    def __init__(self, kind: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("note", kind)
        self.label = QLabel(text, wordWrap=True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.close_button = QToolButton(text="✕", toolTip=self.tr("Take away"))
        self.close_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.close_button.clicked.connect(self.hide)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(10, 5, 5, 5)
        self.row.addWidget(self.label, 1)
        self.row.addWidget(self.close_button)


class PixelSizeNote(Note):
    """Asks for the pixel size of a slide that does not say it.

    Signals:
        typed: µm per level-0 pixel, a float.
        calibrate_requested: no payload: two points and a length instead.
    """

    typed = Signal(float)
    calibrate_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("warning", "", parent)
        self._text = self.tr("Pixel size unknown: nothing can be measured before it is set.")
        self.label.setText(self._text)
        self.field = QLineEdit(placeholderText=self.tr("µm per pixel, e.g. 0.25"))
        self.field.setFixedWidth(170)
        self.field.returnPressed.connect(self._take)
        self.set_button = QPushButton(self.tr("Set"))
        self.set_button.clicked.connect(self._take)
        self.measure_button = QPushButton(self.tr("Measure…"))
        self.measure_button.clicked.connect(self.calibrate_requested)
        for place, widget in enumerate((self.field, self.set_button, self.measure_button), 1):
            self.row.insertWidget(place, widget)

    @Slot()
    def _take(self) -> None:
        try:
            mpp = check_mpp(float(self.field.text().replace(",", ".")))
        except ValueError:
            self.label.setText(self.tr("That is no number. ") + self._text)
        except PixelSizeError as error:
            self.label.setText(f"{error.message} {error.hint}")
        else:
            self.typed.emit(mpp.x)


class NoteBar(QWidget):
    """The notes, the newest below; takes no room without any."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        self._error: Note | None = None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    @Slot(object)
    def show_error(self, error: UserError) -> None:
        """Say what went wrong; a newer error takes the place of an older one."""
        self.clear_error()
        self._error = self.add(Note("error", f"{error.message} {error.hint}".strip()))

    @Slot()
    def clear_error(self) -> None:
        """Take the error away."""
        if self._error is not None:
            self.remove(self._error)
            self._error = None

    @property
    def error_text(self) -> str:
        """What the error says; empty without one."""
        shown = self._error is not None and not self._error.isHidden()
        return self._error.label.text() if self._error is not None and shown else ""

    def add(self, note: Note) -> Note:
        """Show a note."""
        self._column.addWidget(note)
        note.show()
        return note

    def remove(self, note: Note) -> None:
        """Take a note away for good."""
        note.hide()
        self._column.removeWidget(note)
        note.deleteLater()

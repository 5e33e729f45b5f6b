"""Small parts of which the count panel is made."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from core.reading.view import Blocker, PieceView, SpotView

ROWS = 6  # that a list shows before it scrolls
ROW_MARGIN = 10


def label(text: str = "", *, faint: bool = False, strong: bool = False) -> QLabel:
    """A wrapping label in plain text, in the theme's tones."""
    made = QLabel(text, wordWrap=True)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if faint or strong:
        made.setProperty("faint" if faint else "strong", True)
    return made


def line() -> QFrame:
    """A thin line between groups."""
    made = QFrame()
    made.setAutoFillBackground(True)
    made.setBackgroundRole(QPalette.ColorRole.Mid)
    made.setFixedHeight(1)
    return made


class Amount(QWidget):
    """A number with a caption below and a dot in the colour of its marks."""

    def __init__(self, caption: str, colour: QColor) -> None:
        super().__init__()
        self.number = QLabel()
        font = self.number.font()
        font.setPointSizeF(font.pointSizeF() * 1.35)
        self.number.setFont(font)
        text = QLabel(f'<span style="color:{colour.name()}">●</span> {caption}')
        text.setProperty("faint", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.number)
        column.addWidget(text)

    def show_number(self, number: int) -> None:
        """Show another number."""
        self.number.setText(str(number))


class Note(QFrame):
    """A coloured frame with a sentence and buttons for what can be done about it.

    Args:
        tone: `warning`, `error` or `good`.
        buttons: below the sentence.
    """

    def __init__(self, tone: str, *buttons: QPushButton) -> None:
        super().__init__()
        self.setProperty("note", tone)
        self.text = label()
        column = QVBoxLayout(self)
        column.setContentsMargins(9, 7, 9, 7)
        column.addWidget(self.text)
        if buttons:
            row = QHBoxLayout()
            for button in buttons:
                row.addWidget(button)
            row.addStretch(1)
            column.addLayout(row)

    def show_text(self, text: str) -> None:
        """Show a sentence; an empty one hides the note."""
        self.text.setText(text)
        self.setVisible(bool(text))


class FitList(QListWidget):
    """A list as high as its rows, up to `ROWS`."""

    def __init__(self) -> None:
        super().__init__()
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)

    def add_row(self, text: str, lines: int = 1) -> None:
        """Add a row of some lines, high enough for a box to tick."""
        item = QListWidgetItem(text)
        item.setToolTip(text if lines > 1 else "")
        item.setSizeHint(QSize(0, lines * self.fontMetrics().lineSpacing() + ROW_MARGIN))
        self.addItem(item)

    def sizeHint(self) -> QSize:
        """As high as the rows."""
        rows = min(self.count(), ROWS)
        height = sum(self.sizeHintForRow(row) for row in range(rows))
        return QSize(super().sizeHint().width(), height + 2 * self.frameWidth() + 2)

    def minimumSizeHint(self) -> QSize:
        """The same: the list never shrinks below its rows."""
        return QSize(80, self.sizeHint().height())


class SpotList(FitList):
    """The best places for the count area.

    Signals:
        chosen: a `SpotView` to look at.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[SpotView, ...] = ()
        self.itemClicked.connect(self._choose)
        self.itemActivated.connect(self._choose)

    def show_spots(self, spots: tuple[SpotView, ...]) -> None:
        """Show other places; the chosen one stays chosen while it is among them."""
        if spots == self._shown and self.count():
            return
        chosen = None if self.spot is None else self.spot.centre0
        self.clear()
        self._shown = spots
        for number, spot in enumerate(spots, start=1):
            mitoses = (
                self.tr("1 mitosis")
                if spot.mitoses == 1
                else self.tr("{0} mitoses").format(spot.mitoses)
            )
            self.add_row(f"{number}.   {mitoses}")
            if spot.centre0 == chosen:
                self.setCurrentRow(number - 1)
        self.updateGeometry()

    @property
    def spot(self) -> SpotView | None:
        """The place that is chosen; None while none is."""
        return self._shown[self.currentRow()] if self.currentRow() >= 0 else None

    @Slot(QListWidgetItem)
    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self._shown[self.row(item)])


class PieceList(FitList):
    """The pieces of tissue; those ticked are excluded.

    Signals:
        chosen: index of a piece to look at.
        exclusion_requested: index of a piece, and whether to exclude it.
    """

    chosen = Signal(int)
    exclusion_requested = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[PieceView, ...] = ()
        self.itemClicked.connect(self._clicked)
        self.itemActivated.connect(self._choose)
        self.itemChanged.connect(self._ticked)

    def show_pieces(self, pieces: tuple[PieceView, ...]) -> None:
        """Show other pieces, or the same with others excluded."""
        same = len(pieces) == len(self._shown) and all(
            new.polygon0 is old.polygon0 for new, old in zip(pieces, self._shown, strict=True)
        )
        self._shown = pieces
        blocked = self.blockSignals(True)
        if not same:
            self.clear()
            for piece in pieces:
                self.add_row(f"{piece.index + 1}.   {piece.mm2:.2f} mm²")
            self.updateGeometry()
        for piece in pieces:
            item = self.item(piece.index)
            item.setCheckState(Qt.CheckState.Checked if piece.excluded else Qt.CheckState.Unchecked)
            font = item.font()
            font.setStrikeOut(piece.excluded)
            item.setFont(font)
        self.blockSignals(blocked)

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        # A click on the box has already asked for the exclusion; then there is nowhere to go.
        piece = self._shown[self.row(item)]
        if (item.checkState() == Qt.CheckState.Checked) == piece.excluded:
            self._choose(item)

    @Slot(QListWidgetItem)
    def _choose(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self.row(item))

    @Slot(QListWidgetItem)
    def _ticked(self, item: QListWidgetItem) -> None:
        excluded = item.checkState() == Qt.CheckState.Checked
        if excluded != self._shown[self.row(item)].excluded:
            self.exclusion_requested.emit(self.row(item), excluded)


class BlockerRow(QWidget):
    """A thing that stands before the signature, and a button that leads to it.

    Signals:
        pressed: the `Blocker`.
    """

    pressed = Signal(object)

    def __init__(self, blocker: Blocker, action: str) -> None:
        super().__init__()
        self.blocker = blocker
        self.text = label(blocker.text)
        self.button = QPushButton(action)
        self.button.clicked.connect(self._press)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 2, 0, 2)
        row.addWidget(self.text, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignTop)

    def show_blocker(self, blocker: Blocker) -> None:
        """Show another one of the same kind."""
        self.blocker = blocker
        self.text.setText(blocker.text)

    @Slot()
    def _press(self) -> None:
        self.pressed.emit(self.blocker)


class BlockerList(QWidget):
    """What stands before the signature, each with a button.

    Signals:
        pressed: the `Blocker` whose button was pressed.
    """

    pressed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[BlockerRow] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)

    def show_blockers(self, blockers: Sequence[Blocker]) -> None:
        """Show other ones; of the same kinds the rows stay, as after each verdict."""
        if [row.blocker.kind for row in self.rows] == [blocker.kind for blocker in blockers]:
            for row, blocker in zip(self.rows, blockers, strict=True):
                row.show_blocker(blocker)
            return
        for row in self.rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [BlockerRow(blocker, self._action(blocker)) for blocker in blockers]
        for row in self.rows:
            row.pressed.connect(self.pressed)
            self._column.addWidget(row)

    def _action(self, blocker: Blocker) -> str:
        actions = {
            "tumour": self.tr("Draw it"),
            "mpp": self.tr("Set it"),
            "run": self.tr("Go on"),
            "blur": self.tr("Look"),
        }
        return actions.get(blocker.kind, self.tr("Show"))

"""The gallery: crops of the figures, what is shown of them and in what order, and their review."""

from dataclasses import replace

import numpy as np
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.actions import Keymap
from app.crops import CropLoader
from app.panels.choice import Choice
from app.panels.gallery_filter import (
    STATES,
    GalleryFilter,
    Sort,
    State,
    above,
    at_position,
    position_of,
    state_masks,
)
from app.panels.gallery_grid import GalleryGrid
from app.panels.gallery_model import FigureList
from app.reviewing import Reviewer
from app.room import OpenedSlide, Room
from app.texts import percent
from app.viewer.colour import ColourSettings
from core.reading.view import NONE

#: Sides of a crop that can be chosen, µm.
SIDES_UM = (32, 64, 96)
#: Steps of the threshold slider.
STEPS = 1000
#: The buttons of states stand in rows that begin with these, each as wide as its words need.
ROW_STARTS = (0, 4)


class GalleryPanel(QWidget):
    """Crops of a slide's figures with their states, to sort, filter and review.

    Args:
        room: what is open and selected.
        figures: the list that the review keys walk through too.
        reviewer: joins figures.
        keymap: whose verdict keys are named at the foot.
        side_um: side of a crop at the start.

    Signals:
        side_changed: the side of a crop in µm that the reader chose.
    """

    side_changed = Signal(float)

    def __init__(
        self,
        room: Room,
        figures: FigureList,
        reviewer: Reviewer,
        keymap: Keymap,
        *,
        side_um: float = 64.0,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._room, self._list, self._keymap = room, figures, keymap
        self.loader = CropLoader(room.bridge, parent=self)
        self.grid = GalleryGrid(room, figures, self.loader, self)
        self.grid.set_side_um(side_um)
        self._mpp: object = None
        self._build(side_um)
        self.join.clicked.connect(reviewer.join)
        room.slide_opened.connect(self._opened)
        room.slide_closing.connect(self._closing)
        room.view_changed.connect(self._viewed)
        room.selection_changed.connect(self._show_selection)
        keymap.changed.connect(self._keys_changed)
        figures.order_changed.connect(self._show)
        figures.states_changed.connect(self._show)
        if room.opened is not None:
            self._opened(room.opened)
        self._show()
        self._show_selection(room.selection)

    @Slot(object)
    def set_colour(self, colour: ColourSettings) -> None:
        """Show the crops in the colours of the viewer."""
        self.grid.set_colour(colour)

    def shutdown(self) -> None:
        """End the thread that reads crops."""
        self.loader.shutdown()

    # The parts.

    def _build(self, side_um: float) -> None:
        self.header = QLabel()
        self.header.setProperty("strong", True)
        self.shown = QLabel()
        self.shown.setProperty("faint", True)
        head = QHBoxLayout()
        head.addWidget(self.header)
        head.addStretch()
        head.addWidget(self.shown)
        box = QVBoxLayout(self)
        box.setContentsMargins(8, 6, 8, 6)
        box.setSpacing(5)
        box.addLayout(head)
        self.controls = QWidget()
        controls = QVBoxLayout(self.controls)
        controls.setContentsMargins(0, 0, 0, 0)
        controls.setSpacing(5)
        controls.addLayout(self._choices(side_um))
        controls.addLayout(self._states())
        controls.addWidget(self._threshold_row())
        box.addWidget(self.controls)
        box.addWidget(self.grid, 1)
        box.addLayout(self._foot())

    def _choices(self, side_um: float) -> QHBoxLayout:
        self.sort = Choice()
        for sort, text in (
            ("probability", self.tr("Most probable first")),
            ("uncertainty", self.tr("Least certain first")),
            ("teaching", self.tr("Teaches most first")),
            ("place", self.tr("By place")),
        ):
            self.sort.addItem(text, sort)
        at = self.sort.findData("teaching")
        hint = self.tr(
            "What an adapter would learn most from: uncertain figures, unlike each other"
        )
        self.sort.setItemData(at, hint, Qt.ItemDataRole.ToolTipRole)
        self.sort.activated.connect(self._sorted)
        self.side = Choice()
        for side in sorted({*SIDES_UM, round(side_um)}):
            self.side.addItem(self.tr("{} µm").format(side), float(side))
        self.side.setCurrentIndex(self.side.findData(float(round(side_um))))
        self.side.setToolTip(self.tr("How much tissue a crop shows"))
        self.side.activated.connect(self._resized)
        self.in_area = QCheckBox(self.tr("Count area only"))
        self.in_area.toggled.connect(self._area_toggled)
        row = QHBoxLayout()
        row.addWidget(self.sort)
        row.addWidget(self.side)
        row.addStretch()
        row.addWidget(self.in_area)
        return row

    def _states(self) -> QVBoxLayout:
        self._state_texts: dict[State, str] = {
            "unreviewed": self.tr("Unreviewed"),
            "mitosis": self.tr("Mitoses"),
            "atypical": self.tr("Atypical"),
            "imposter": self.tr("Imposters"),
            "unsure": self.tr("Unsure"),
            "disputed": self.tr("Disputed"),
            "hand-placed": self.tr("Hand-placed"),
        }
        self.states: dict[State, QToolButton] = {}
        rows = QVBoxLayout()
        rows.setSpacing(3)
        for at, state in enumerate(STATES):
            button = QToolButton()
            button.setProperty("chip", True)
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setToolTip(self._state_hint(state))
            button.toggled.connect(self._state_toggled)
            self.states[state] = button
            if at in ROW_STARTS:
                row = QHBoxLayout()
                row.setSpacing(3)
                rows.addLayout(row)
            row.addWidget(button)
        return rows

    def _state_hint(self, state: State) -> str:
        hint = self.tr("Show these only; none pressed shows all")
        if state == "atypical":
            return self.tr("Atypical by verdict, or by the model where there is none.\n") + hint
        return hint

    def _threshold_row(self) -> QWidget:
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, STEPS)
        self.threshold.setToolTip(self.tr("Show candidates of at least this probability"))
        self.threshold.valueChanged.connect(self._slid)
        self.counted = QLabel()
        self.threshold_row = QWidget()
        row = QVBoxLayout(self.threshold_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.counted)
        row.addWidget(self.threshold)
        return self.threshold_row

    def _foot(self) -> QHBoxLayout:
        self.selected = QLabel()
        self.selected.setProperty("faint", True)
        self.join = QPushButton(self.tr("Join as one figure"))
        self.again = QPushButton()
        self.again.setToolTip(self.tr("Leave out what no longer fits the filter"))
        self.again.clicked.connect(self._list_again)
        self.selected.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        # The row keeps its height, so that nothing above it moves when a button comes.
        row.addStrut(self.join.sizeHint().height())
        row.addWidget(self.selected, 1)
        row.addWidget(self.again)
        row.addWidget(self.join)
        return row

    # What the room says.

    @Slot(object)
    def _opened(self, opened: OpenedSlide) -> None:
        self.loader.open(opened.slide, opened.token)

    @Slot(object)
    def _closing(self, opened: OpenedSlide) -> None:
        self.loader.let_go()
        self._list.set_view(None)

    @Slot(object)
    def _viewed(self, view: object) -> None:
        self._list.set_view(self._room.view)

    @Slot()
    def _show(self) -> None:
        """Say what is shown, with the numbers of the arrays at hand."""
        view, wanted = self._list.view, self._list.filter
        self.controls.setVisible(view is not None)
        if view is None:
            for label in (self.header, self.shown, self.counted):
                label.clear()
            self._show_outdated()
            return
        if view.mpp != self._mpp:
            self._mpp = view.mpp
            self.loader.forget()
        waiting, needed = self._list.to_review()
        self.header.setText(self.tr("{} of {} to review").format(waiting, needed))
        self.shown.setText(
            self.tr("{} of {} shown").format(len(self._list.keys), len(view.figures))
        )
        self.sort.setCurrentIndex(self.sort.findData(wanted.sort))
        self.sort.setEnabled(not view.blinded)
        self.in_area.setEnabled(view.area is not None or wanted.in_area)
        self.threshold_row.setVisible(not view.blinded and not np.isnan(view.review_threshold))
        self.threshold.blockSignals(True)
        self.threshold.setValue(round(position_of(wanted.threshold) * STEPS))
        self.threshold.blockSignals(False)
        over = above(view.figures, wanted.threshold)
        self.counted.setText(
            self.tr("{} and more: {} above, {} in the count area").format(
                percent(wanted.threshold), over.slide, over.area
            )
        )
        for state, mask in state_masks(view.figures).items():
            text = f"{self._state_texts[state]} {np.count_nonzero(mask)}"
            self.states[state].setText(text)
        self._show_outdated()

    def _show_outdated(self) -> None:
        outdated = self._list.outdated()
        self.again.setVisible(outdated > 0)
        self.again.setText(self.tr("Put %n away", "", outdated))

    @Slot(object)
    def _show_selection(self, keys: tuple[int, ...]) -> None:
        self.join.setVisible(len(keys) > 1)
        self.selected.setText(
            self.tr("%n selected", "", len(keys)) if len(keys) > 1 else self._hint()
        )

    @Slot()
    def _keys_changed(self) -> None:
        self._show_selection(self._room.selection)

    def _hint(self) -> str:
        """The verdict keys in a line."""
        words = {
            "verdict.mitosis": self.tr("mitosis"),
            "verdict.atypical": self.tr("atypical"),
            "verdict.imposter": self.tr("imposter"),
            "verdict.unsure": self.tr("unsure"),
        }
        shown = ((self._keymap.shown(id_), word) for id_, word in words.items())
        return "   ".join(f"{key} {word}" for key, word in shown if key)

    # What the reader sets.

    def _filter(self, wanted: GalleryFilter) -> None:
        self._list.set_filter(wanted)
        self.grid.show_start()

    @Slot(int)
    def _sorted(self, at: int) -> None:
        sort: Sort = self.sort.itemData(at)
        self._filter(replace(self._list.filter, sort=sort))
        view, rows = self._list.view, self._list.rows
        if view is None:
            return
        # An order is chosen to read in it: from its first figure that waits, not where one was.
        waiting = rows[view.figures.verdict[rows] == NONE]
        if waiting.size:
            self._room.select((int(view.figures.key[waiting[0]]),))

    @Slot(int)
    def _resized(self, at: int) -> None:
        side_um = self.side.itemData(at)
        self.grid.set_side_um(side_um)
        self.side_changed.emit(side_um)

    @Slot(bool)
    def _area_toggled(self, on: bool) -> None:
        self._filter(replace(self._list.filter, in_area=on))

    @Slot(bool)
    def _state_toggled(self, on: bool) -> None:
        states = frozenset(state for state, button in self.states.items() if button.isChecked())
        self._filter(replace(self._list.filter, states=states))

    @Slot(int)
    def _slid(self, value: int) -> None:
        self._filter(replace(self._list.filter, threshold=at_position(value / STEPS)))

    @Slot()
    def _list_again(self) -> None:
        self._filter(self._list.filter)

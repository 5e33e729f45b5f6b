"""The count panel: how many mitoses, in how many mm², by which rule, and what is left to do."""

from collections.abc import Mapping

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.panels.checklist import Checklist
from app.panels.choice import Choice
from app.panels.count_certainty import signs
from app.panels.count_number import CountNumber
from app.panels.count_parts import BlockerList, Note, PieceList, label, line
from app.panels.count_place import AREA_MAGNIFICATION, CountPlace
from app.panels.scrolled import fill_scrolled
from app.panels.sign import ReopenDialog, SignDialog, sign_as_shown
from app.room import Room
from core.counting.protocols import Protocol
from core.reading.view import AreaView, Blocker, CountView, DeskView
from core.store.records import CountRecord

# At this magnification an unreadable window fills most of the viewer.
WINDOW_MAGNIFICATION = 10.0


class CountPanel(QWidget):
    """Shows the count of the open slide and takes it to its signature.

    Signals:
        tumour_drawing_requested: no payload: the reader wants to draw a tumour region.
        calibration_requested: no payload: the reader wants to set the pixel size.
        analysis_requested: no payload: the reader wants the analysis to start or go on.
    """

    tumour_drawing_requested = Signal()
    calibration_requested = Signal()
    analysis_requested = Signal()

    def __init__(
        self, room: Room, protocols: Mapping[str, Protocol], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._room = room
        self._make_rule(protocols)
        self.number = CountNumber()
        self.number.certainty.figures_requested.connect(self._show_figures)
        self.place = CountPlace(room)
        self._make_tissue()
        self._make_signature()
        self._lay_out()
        room.view_changed.connect(self._show_view)
        room.slide_opened.connect(self._renew)
        room.slide_closing.connect(self._show_nothing)
        room.failed.connect(self._renew)  # what was ticked and refused must not stay ticked
        self._renew()

    # The parts.

    def _make_rule(self, protocols: Mapping[str, Protocol]) -> None:
        self.protocol = Choice()
        for protocol in protocols.values():
            self.protocol.addItem(protocol.name, protocol.id)
        self.protocol.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.protocol.setMinimumContentsLength(10)
        self.protocol.activated.connect(self._protocol_chosen)
        self.unverified = Note("warning")
        self.source = label(faint=True)
        self.calibrate = QPushButton(self.tr("Set the pixel size"))
        self.calibrate.clicked.connect(self.calibration_requested)
        self.analyse = QPushButton(self.tr("Analyse"))
        self.analyse.clicked.connect(self.analysis_requested)
        self.trouble = Note("warning", self.calibrate, self.analyse)

    def _make_tissue(self) -> None:
        self.tissue_title = label(self.tr("Tissue"), strong=True)
        self.all_tumour = QCheckBox(self.tr("All tissue is tumour"))
        self.all_tumour.clicked.connect(self._all_tumour_clicked)
        self.pieces_hint = label(self.tr("Ticked pieces are excluded."), faint=True)
        self.pieces = PieceList()
        self.pieces.chosen.connect(self._look_at_piece)
        self.pieces.exclusion_requested.connect(self._exclude_piece)

    def _make_signature(self) -> None:
        self.checklist_title = label(self.tr("Before signing"), strong=True)
        self.checklist = Checklist()
        self.blockers = BlockerList()
        self.blockers.pressed.connect(self._lead_to)
        self.acknowledge = QPushButton(self.tr("I have seen what is out of focus"))
        self.acknowledge.clicked.connect(self._acknowledge_blur)
        self.signed = Note("good")
        self.sign_button = QPushButton(self.tr("Sign…"))
        self.sign_button.clicked.connect(self.sign)
        self.reopen_button = QPushButton(self.tr("Reopen…"))
        self.reopen_button.clicked.connect(self.reopen)

    def _lay_out(self) -> None:
        widget: QWidget
        self.body = QWidget()  # what needs a count
        body = QVBoxLayout(self.body)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(8)
        body.addWidget(self.number)
        body.addWidget(line())
        body.addWidget(self.place)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 8, 10, 10)
        column.setSpacing(8)
        for widget in (self.protocol, self.source, self.unverified, line(), self.trouble):
            column.addWidget(widget)
        column.addWidget(self.body)
        self.tissue_line = line()
        for widget in (self.tissue_line, self.tissue_title, self.all_tumour):
            column.addWidget(widget)
        column.addWidget(self.pieces)
        column.addWidget(self.pieces_hint)
        self.sign_line = line()
        for widget in (self.sign_line, self.checklist_title, self.checklist, self.blockers):
            column.addWidget(widget)
        for widget in (self.acknowledge, self.signed, self.sign_button, self.reopen_button):
            column.addWidget(widget)
        column.addStretch(1)
        fill_scrolled(self, inner)

    # What is shown.

    @Slot()
    def _renew(self) -> None:
        view = self._room.view
        if view is None:
            self._show_nothing()
        else:
            self._show_view(view)

    @Slot()
    def _show_nothing(self) -> None:
        self._show_protocol(self._room.protocol_id)
        for widget in self._of_slide():
            widget.hide()
        self.trouble.hide()

    def _of_slide(self) -> tuple[QWidget, ...]:
        """What is shown of an open slide only."""
        return (
            self.body, self.tissue_line, self.tissue_title, self.all_tumour, self.pieces,
            self.pieces_hint, self.sign_line, self.checklist_title, self.checklist, self.blockers,
            self.acknowledge, self.signed, self.sign_button, self.reopen_button,
            self.unverified, self.source,
        )  # fmt: skip

    @Slot(object)
    def _show_view(self, view: DeskView) -> None:
        count, area = view.count, view.area
        signed = None if count is None else count.signed
        self._show_protocol(self._room.protocol_id if count is None else count.protocol.id)
        self.source.setVisible(count is not None)
        self.unverified.setVisible(count is not None and not count.protocol.verified)
        self.trouble.show_text(self._trouble(view))
        self.calibrate.setVisible(view.mpp is None)
        self.analyse.setVisible(count is not None and view.run is None)
        self.body.setVisible(count is not None)
        if count is not None and area is not None:
            self._show_count(area, count, analysed=view.run is not None)
        self.place.case.show_view(view)
        self._show_tissue(view, locked=signed is not None)
        self._show_signature(view)

    def _trouble(self, view: DeskView) -> str:
        if view.mpp is None:
            return self.tr("The slide has no pixel size: there are no mm² and no count.")
        if not view.pieces and view.area is None:
            return self.tr("Looking for tissue…")
        if view.count is None:
            return self.tr("There is no readable tissue of the tumour in the count area.")
        if view.run is None:
            return self.tr("Not analysed yet: only what was placed by hand is counted.")
        return ""

    def _show_count(self, area: AreaView, count: CountView, *, analysed: bool) -> None:
        self.source.setText(signs(self.tr("Source: {0}").format(count.protocol.source)))
        self.unverified.text.setText(signs(count.protocol.doubt))
        self.number.show_count(area, count, analysed=analysed)
        self.place.show_count(area, count)

    def _show_tissue(self, view: DeskView, *, locked: bool) -> None:
        drawn = any(region.kind == "tumour" for region in view.regions)
        known = bool(view.pieces)
        for widget in (self.tissue_line, self.tissue_title):
            widget.setVisible(known)
        self.all_tumour.setVisible(known and not drawn)
        self.all_tumour.setChecked(view.all_tissue_is_tumour)
        self.all_tumour.setEnabled(not locked)
        self.pieces.show_pieces(view.pieces)
        self.pieces.setEnabled(not locked)
        self.pieces.setVisible(known)
        self.pieces_hint.setVisible(known)

    def _show_signature(self, view: DeskView) -> None:
        count, area = view.count, view.area
        signed = None if count is None else count.signed
        shown = count is not None and area is not None
        for widget in (self.sign_line, self.checklist_title, self.checklist):
            widget.setVisible(shown)
        self.blockers.setVisible(shown and signed is None)
        self.sign_button.setVisible(shown and signed is None)
        self.reopen_button.setVisible(signed is not None)
        blocked = () if count is None or signed is not None else count.blockers
        self.blockers.show_blockers(blocked)
        # While hot spots are searched, a count area that follows them may yet move.
        ready = shown and not blocked and view.spots_settled
        self.sign_button.setEnabled(ready)
        self.sign_button.setDefault(ready)
        self.acknowledge.setVisible(any(blocker.kind == "blur" for blocker in blocked))
        self.signed.show_text("" if signed is None else self._signed_text(signed))
        if count is not None and area is not None:
            ticked = None if signed is None else signed.details.get("checklist", {})
            about = (view.slide_id, view.reader.id, count.protocol.id, area.polygon0.wkb)
            self.checklist.show_points(count.protocol.checklist, about, ticked)

    def _signed_text(self, signed: CountRecord) -> str:
        reader = signed.details.get("reader", "")
        when = "" if signed.created_at is None else f"{signed.created_at:%Y-%m-%d %H:%M} UTC"
        return self.tr("Signed by {0}, {1}: {2} in {3} mm².").format(
            reader, when, signed.mitoses, f"{signed.counted_mm2:.2f}"
        )

    def _show_protocol(self, protocol_id: str) -> None:
        with QSignalBlocker(self.protocol):
            self.protocol.setCurrentIndex(self.protocol.findData(protocol_id))
        self.protocol.setToolTip(self.protocol.currentText())

    # What the reader asks for.

    @Slot(int)
    def _protocol_chosen(self, _index: int) -> None:
        self._room.set_protocol(self.protocol.currentData())

    @Slot(object)
    def _show_figures(self, keys: tuple[int, ...]) -> None:
        self._room.select(keys, go=True)

    @Slot(bool)
    def _all_tumour_clicked(self, value: bool) -> None:
        self._room.ask(lambda desk: desk.set_all_tissue_is_tumour(value))

    @Slot(int)
    def _look_at_piece(self, index: int) -> None:
        view = self._room.view
        if view is not None and index < len(view.pieces):
            point = view.pieces[index].polygon0.representative_point()
            self._room.go_to(point.x, point.y, AREA_MAGNIFICATION)

    @Slot(int, bool)
    def _exclude_piece(self, index: int, excluded: bool) -> None:
        self._room.ask(lambda desk: desk.exclude_piece(index, excluded))

    @Slot()
    def _acknowledge_blur(self) -> None:
        self._room.ask(lambda desk: desk.acknowledge_blur())

    @Slot(object)
    def _lead_to(self, blocker: Blocker) -> None:
        if blocker.kind == "tumour":
            self.tumour_drawing_requested.emit()
        elif blocker.kind == "mpp":
            self.calibration_requested.emit()
        elif blocker.kind == "run":
            self.analysis_requested.emit()
        elif blocker.keys:
            self._room.select(blocker.keys[:1], go=True)
        elif blocker.place0 is not None:
            self._room.go_to(*blocker.place0, WINDOW_MAGNIFICATION)
        elif self._room.view is not None and self._room.view.area is not None:
            self._room.go_to(*self._room.view.area.centre0, AREA_MAGNIFICATION)

    @Slot()
    def sign(self) -> None:
        """Ask the reader to confirm, then sign; nothing happens while something is in the way."""
        view, opened = self._room.view, self._room.opened
        if view is None or opened is None or not self.sign_button.isEnabled():
            return
        assert view.count is not None  # else the button is not enabled
        ticks = self.checklist.ticks
        dialog = SignDialog(view, opened.name, ticks, self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        shown = view.count

        def sign() -> None:
            self._room.ask(lambda desk: sign_as_shown(desk, shown, ticks))

        dialog.accepted.connect(sign)
        self._room.slide_closing.connect(dialog.reject)
        dialog.open()

    @Slot()
    def reopen(self) -> None:
        """Ask why, then take the signature back."""
        dialog = ReopenDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

        def reopen() -> None:
            reason = dialog.text
            self._room.ask(lambda desk: desk.reopen(reason))

        dialog.accepted.connect(reopen)
        self._room.slide_closing.connect(dialog.reject)
        dialog.open()

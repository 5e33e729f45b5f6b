"""Where the count is taken: the count area, its alternatives, and better places."""

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Slot
from PySide6.QtWidgets import QComboBox, QPushButton, QVBoxLayout, QWidget

from app.panels.case_list import CaseSlides
from app.panels.choice import Choice
from app.panels.count_number import differs
from app.panels.count_parts import Note, SpotList, label
from app.room import Room
from core.counting.protocols import Protocol
from core.reading.view import SPOTS_OF_ALL, AreaView, CountView, Plan, SpotView

# At this magnification a count area fills most of the viewer.
AREA_MAGNIFICATION = 5.0


class CountPlace(QWidget):
    """Shows where mitoses are counted, and moves the count area to another place.

    Args:
        room: what is open, and its desk.
        parent: of the widget.
    """

    def __init__(self, room: Room, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._room = room
        self._better: SpotView | None = None
        self.plan = Choice()
        self.plan.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.plan.setMinimumContentsLength(10)
        self.plan.setToolTip(self.tr("What is counted"))
        self.plan.activated.connect(self._plan_chosen)
        self.area_text, self.area_state = label(), label(faint=True)
        self.follow = QPushButton(self.tr("Follow the best place again"))
        self.follow.clicked.connect(self._use_proposal)
        self.look_better = QPushButton(self.tr("Look"))
        self.look_better.clicked.connect(self._look_at_better)
        self.accept_better = QPushButton(self.tr("Count there"))
        self.accept_better.clicked.connect(self._accept_better)
        self.better = Note("warning", self.look_better, self.accept_better)
        self.spots_title = label(strong=True)
        self.spots = SpotList()
        self.spots.chosen.connect(self._look_at)
        self.spots.currentRowChanged.connect(self._spot_chosen)
        self.case = CaseSlides(room)
        self.accept_spot = QPushButton(self.tr("Count at the chosen place"))
        self.accept_spot.setEnabled(False)
        self.accept_spot.clicked.connect(self._accept_spot)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        parts: tuple[QWidget, ...] = (
            self.plan, self.area_text, self.area_state, self.follow, self.better,
            self.spots_title, self.spots, self.accept_spot, self.case,
        )  # fmt: skip
        for part in parts:
            column.addWidget(part)

    def show_count(self, area: AreaView, count: CountView) -> None:
        """Show where a count is taken."""
        planned, counted = f"{area.planned_mm2:.4g}", f"{area.counted_mm2:.2f}"
        text = self.tr("Planned {0} mm², counted {1} mm²").format(planned, counted)
        if differs(area):
            off = area.counted_mm2 - area.planned_mm2
            more = self.tr(" ({0} mm² more)") if off > 0 else self.tr(" ({0} mm² short)")
            text += more.format(f"{abs(off):.2f}")
        if count.sets:
            numbers = ", ".join(map(str, count.sets))
            text += "\n" + self.tr("Sets: {0}; the highest is the count.").format(numbers)
        self.area_text.setText(text)
        self._show_plan(count)
        self._show_place(area, count)

    def _show_plan(self, count: CountView) -> None:
        names = plan_names(count.protocol)
        shown = [(names[plan], plan) for plan in count.plans]
        with QSignalBlocker(self.plan):
            if shown != [
                (self.plan.itemText(n), self.plan.itemData(n)) for n in range(self.plan.count())
            ]:
                self.plan.clear()
                for name, plan in shown:
                    self.plan.addItem(name, plan)
            self.plan.setCurrentIndex(self.plan.findData(count.plan))
        self.plan.setVisible(len(shown) > 1)
        self.plan.setEnabled(count.signed is None)

    def _show_place(self, area: AreaView, count: CountView) -> None:
        free = count.signed is None
        if count.plan == "whole":
            state = self.tr("The whole tumour is counted, less what is excluded.")
        elif area.kind == "tissue":
            state = (
                self.tr("All tissue is counted: it is smaller than the planned area.")
                if count.spots_name == SPOTS_OF_ALL
                else self.tr("All of the tumour is counted: it is smaller than the planned area.")
            )
        elif area.state == "accepted":
            state = self.tr("Accepted by you; it stays where it is.")
        else:
            state = self.tr("Placed by Mitoscope: {0}.").format(count.spots_name)
        if not area.locked:
            state += " " + self.tr("Its area is unlocked.")
        self.area_state.setText(state)
        self.follow.setVisible(free and area.state == "accepted" and count.plan == count.plans[0])
        better = self._better = count.better
        self.better.show_text(
            self.tr("A better place: {0} against {1}.").format(better.mitoses, count.tally.mitoses)
            if better is not None and free
            else ""
        )
        title = count.spots_name[:1].upper() + count.spots_name[1:]
        if count.sets:
            title = self.tr("Sets of fields")
        self.spots_title.setText(
            title
            if len(count.spots) == 1 or count.sets
            else self.tr("{0} and alternatives").format(title)
        )
        self.spots.show_spots(count.spots)
        for widget in (self.spots_title, self.spots):
            widget.setVisible(bool(count.spots))
        self.accept_spot.setVisible(bool(count.spots) and free and not count.sets)

    @Slot(int)
    def _plan_chosen(self, _index: int) -> None:
        plan = self.plan.currentData()
        self._room.ask(lambda desk: desk.use_plan(plan))

    @Slot()
    def _use_proposal(self) -> None:
        self._room.ask(lambda desk: desk.use_proposal())

    @Slot()
    def _look_at_better(self) -> None:
        if self._better is not None:
            self._look_at(self._better)

    @Slot()
    def _accept_better(self) -> None:
        self._accept(self._better)

    @Slot(object)
    def _look_at(self, spot: SpotView) -> None:
        self._room.go_to(*spot.centre0, AREA_MAGNIFICATION)

    @Slot(int)
    def _spot_chosen(self, row: int) -> None:
        self.accept_spot.setEnabled(row >= 0)

    @Slot()
    def _accept_spot(self) -> None:
        self._accept(self.spots.spot)

    def _accept(self, spot: SpotView | None) -> None:
        if spot is not None:
            self._look_at(spot)
            self._room.ask(lambda desk: desk.accept_spot(spot.centre0))


def plan_names(protocol: Protocol) -> dict[Plan, str]:
    """What can be counted, in words."""

    def said(text: str) -> str:
        return QCoreApplication.translate("count", text)

    rule = protocol.fields
    fields = ""
    if rule is not None:
        kind = said("{0} consecutive fields") if rule.contiguous else said("{0} fields anywhere")
        fields = kind.format(rule.count)
        if protocol.sets > 1:
            fields = said("{0} sets of {1}").format(protocol.sets, fields)
    one = said("One area of {0} mm²").format(f"{protocol.area_mm2:.4g}")
    return {"one": one, "fields": fields, "whole": said("The whole tumour")}

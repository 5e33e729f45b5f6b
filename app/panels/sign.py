"""The dialogs that sign a count and that take a signature back."""

from collections.abc import Mapping

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from app.panels.count_certainty import signs
from app.panels.count_parts import Note, label
from app.panels.count_place import plan_names
from core.errors import InputError
from core.exchange.csv import RESEARCH_USE
from core.reading.desk import Desk
from core.reading.signing import stated_pixel_size
from core.reading.view import AreaView, CountView, DeskView


def sign_as_shown(desk: Desk, shown: CountView, ticks: Mapping[str, bool]) -> DeskView:
    """Sign a count, if it is still the one that the reader saw; runs on the desk thread.

    Raises:
        InputError: it changed meanwhile, in another window for instance, or cannot be signed.
    """
    desk.refresh()
    now = desk.settle_spots().count
    if now is None or (now.tally, now.interval) != (shown.tally, shown.interval):
        raise InputError("The count changed while you signed.", "Look at it again, then sign.")
    return desk.sign(ticks)


class SignDialog(QDialog):
    """Repeats what is signed, and asks the reader to type their name again.

    This confirms who reads; it does not prove it.

    Args:
        view: with a count area and a count.
        slide: the slide's name as shown.
        ticks: the protocol's points, and whether they are ticked.
        parent: the window.
    """

    def __init__(
        self, view: DeskView, slide: str, ticks: Mapping[str, bool], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Sign the count"))
        self.setMinimumWidth(440)
        self._name = view.reader.name
        self.name = QLineEdit()
        self.name.setPlaceholderText(self.tr("Type {0} to confirm").format(self._name))
        self.name.textChanged.connect(self._name_changed)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.sign = self.buttons.addButton(self.tr("Sign"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.sign.setEnabled(False)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        assert view.area is not None  # the panel offers to sign only then
        assert view.count is not None
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.setHorizontalSpacing(14)
        for caption, text in self._rows(view, view.area, view.count, slide):
            value = label(text)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addRow(label(caption, faint=True), value)
        column = QVBoxLayout(self)
        column.setSpacing(12)
        column.addLayout(form)
        for text in self._warnings(view, view.count, ticks):
            note = Note("warning")
            note.show_text(text)
            column.addWidget(note)
        column.addWidget(label(self.tr("Your name, once more:")))
        column.addWidget(self.name)
        column.addWidget(label(RESEARCH_USE, faint=True))
        column.addWidget(self.buttons)

    def _rows(
        self, view: DeskView, area: AreaView, count: CountView, slide: str
    ) -> list[tuple[str, str]]:
        mpp, interval, tally = view.mpp, count.interval, count.tally
        assert mpp is not None  # an area needs it
        size = f"{mpp.x:.4g}" if mpp.x == mpp.y else f"{mpp.x:.4g} × {mpp.y:.4g}"
        # `openslide.mpp` and its like say nothing to a reader; what is odd is said as a warning.
        stated = stated_pixel_size(view.mpp_origin)
        origin = view.mpp_origin if stated else self.tr("as the file says")
        what = plan_names(count.protocol)[count.plan]
        if area.kind == "tissue" and count.plan != "whole":
            what = self.tr("All the tissue")
        category = signs(count.category.category or count.category.reason)
        return [
            (self.tr("Reader"), view.reader.name),
            (self.tr("Slide"), slide),
            (
                self.tr("Mitotic count"),
                self.tr("{0} in {1} mm², {2} of them atypical").format(
                    tally.mitoses, f"{area.counted_mm2:.2f}", tally.atypical
                ),
            ),
            (
                self.tr("Per mm²"),
                self.tr("{0} (95 %: {1} to {2})").format(
                    f"{interval.per_mm2:.2f}",
                    f"{interval.low_per_mm2:.2f}",
                    f"{interval.high_per_mm2:.2f}",
                ),
            ),
            (self.tr("Category"), category),
            (self.tr("Protocol"), count.protocol.name),
            (
                self.tr("Count area"),
                self.tr("{0}; {1} mm² planned, {2} mm² counted").format(
                    what,
                    f"{area.planned_mm2:.4g}",
                    f"{area.counted_mm2:.2f}",
                ),
            ),
            (
                self.tr("Pixel size"),
                self.tr("{0} µm, {1}").format(size, origin),
            ),
        ]

    def _warnings(self, view: DeskView, count: CountView, ticks: Mapping[str, bool]) -> list[str]:
        found = []
        if not count.protocol.verified:
            found.append(self.tr("This protocol was not checked against its source."))
        if stated := stated_pixel_size(view.mpp_origin):
            found.append(stated)
        if count.better is not None:
            found.append(
                self.tr("Another place holds more: {0} against {1}.").format(
                    count.better.mitoses, count.tally.mitoses
                )
            )
        if count.tally.unreviewed:
            found.append(
                self.tr("{0} of the mitoses have no verdict of yours.").format(
                    count.tally.unreviewed
                )
            )
        left = [point for point, ticked in ticks.items() if not ticked]
        if left:
            found.append(self.tr("Not ticked: {0}").format(" ".join(left)))
        return found

    @Slot(str)
    def _name_changed(self, text: str) -> None:
        self.sign.setEnabled(text.strip().casefold() == self._name.strip().casefold())
        self.sign.setDefault(self.sign.isEnabled())


class ReopenDialog(QDialog):
    """Asks why a signed count is opened again; the signed version stays in the store."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Reopen the count"))
        self.setMinimumWidth(380)
        self.reason = QLineEdit()
        self.reason.textChanged.connect(self._changed)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.reopen = self.buttons.addButton(
            self.tr("Reopen"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.reopen.setEnabled(False)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(label(self.tr("The signed count stays on record. Why reopen it?")))
        column.addWidget(self.reason)
        column.addWidget(self.buttons)

    @property
    def text(self) -> str:
        """The reason."""
        return self.reason.text().strip()

    @Slot()
    def _changed(self) -> None:
        self.reopen.setEnabled(bool(self.text))
        self.reopen.setDefault(self.reopen.isEnabled())

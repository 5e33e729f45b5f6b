"""Deleting cases, and bringing them back; nothing that was said of their slides is lost."""

from PySide6.QtCore import QObject, QPoint, Signal, Slot
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from app.room import Room
from core.errors import StoreError
from core.store import CaseRecord


class CaseKeeper(QObject):
    """The menu of a case in the list of slides.

    Signals:
        changed: no payload: a case was deleted or brought back.
        failed: a `UserError`.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, room: Room, parent: QWidget) -> None:
        super().__init__(parent)
        self._room = room
        self._widget = parent
        self._at: tuple[int, str] | None = None

    def show_menu(self, where: QPoint, case_id: int | None, name: str) -> None:
        """Offer what can be done with a case, and with those that were deleted.

        Args:
            where: on the screen.
            case_id: the case below the cursor; None where there is none.
            name: of that case.
        """
        self._at = None if case_id is None else (case_id, name)
        menu = QMenu(self._widget)
        delete = menu.addAction(self.tr("Delete this case…"))
        delete.setEnabled(case_id is not None)
        delete.triggered.connect(self._ask_reason)
        menu.addAction(self.tr("Bring back a deleted case…")).triggered.connect(self._ask_which)
        menu.exec(where)

    @Slot()
    def _ask_reason(self) -> None:
        if self._at is None:
            return
        case_id, name = self._at
        reason, good = QInputDialog.getText(
            self._widget,
            self.tr("Delete a case"),
            self.tr(
                "{0} and its slides leave the list. Verdicts, counts and the audit trail stay, and "
                "the case can be brought back.\nWhy is it deleted?"
            ).format(name),
        )
        if good:
            self.delete(case_id, reason)

    def delete(self, case_id: int, reason: str) -> None:
        """Take a case off the list."""
        store, reader = self._room.store, self._room.reader_name
        self._room.desk_thread.submit(
            lambda: store.delete_case(case_id, reader, reason), self._done, self.failed.emit
        )

    @Slot()
    def _ask_which(self) -> None:
        self._room.io.submit(self._room.store.deleted_cases, self._choose, self.failed.emit)

    def _choose(self, cases: list[CaseRecord]) -> None:
        if not cases:
            self.failed.emit(StoreError(self.tr("No case was deleted.")))
            return
        names = [f"{case.name} ({case.id})" for case in cases]
        name, good = QInputDialog.getItem(
            self._widget,
            self.tr("Bring back a case"),
            self.tr("Deleted cases"),
            names,
            editable=False,
        )
        if good:
            self.restore(cases[names.index(name)].id)

    def restore(self, case_id: int) -> None:
        """Put a deleted case on the list again."""
        store, reader = self._room.store, self._room.reader_name
        self._room.desk_thread.submit(
            lambda: store.restore_case(case_id, reader), self._done, self.failed.emit
        )

    def _done(self, _nothing: None) -> None:
        self.changed.emit()

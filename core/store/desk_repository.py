"""The store's functions for a reader's desk: actions, cases, and where a reader left a slide."""

from collections.abc import Iterator
from pathlib import Path

from core.store import case_queries, desk_queries, slide_queries
from core.store.base import PAGE, paged
from core.store.desk_records import (
    AcknowledgementRecord,
    ActionRecord,
    CaseRecord,
    NewAction,
    SlideState,
    ViewedArea,
    ViewState,
)
from core.store.records import StoredSlide
from core.store.run_repository import RunStore


class DeskStore(RunStore):
    """What the desktop keeps of reading and of cases; part of `Store`."""

    def act(self, slide_id: int, reader_id: int, action: NewAction) -> ActionRecord:
        """Append all that a reader decided in one go: one transaction, one step of undo.

        Raises:
            StoreError: nothing in it, or what it takes back was taken back already.
        """
        return self.write(lambda c: desk_queries.act(c, slide_id, reader_id, action))

    def actions(
        self, slide_id: int, reader_id: int, after_id: int = 0, limit: int = PAGE
    ) -> list[ActionRecord]:
        """A page of a reader's actions on a slide, oldest first."""
        return self._read(lambda c: desk_queries.actions(c, slide_id, reader_id, after_id, limit))

    def iter_actions(self, slide_id: int, reader_id: int) -> Iterator[ActionRecord]:
        """All actions of a reader on a slide, oldest first."""
        return paged(lambda after_id: self.actions(slide_id, reader_id, after_id))

    def acknowledgements(self, slide_id: int) -> list[AcknowledgementRecord]:
        """What readers took note of on a slide, oldest first."""
        return self._read(lambda c: desk_queries.acknowledgements(c, slide_id))

    # Cases and slide files.

    def add_case(self, name: str) -> int:
        """Add a case or find one by name."""
        return self.write(lambda c: case_queries.add_case(c, name))

    def cases(self) -> list[CaseRecord]:
        """All cases by name, without those that were deleted."""
        return self._read(case_queries.cases)

    def delete_case(self, case_id: int, reader: str, reason: str) -> None:
        """Take a case and its slides off the lists; a tombstone and all that was said stay.

        Raises:
            StoreError: there is no such case, no reason, or one of its slides is being analysed.
        """
        self.write(lambda c: case_queries.delete_case(c, case_id, reader, reason))

    def restore_case(self, case_id: int, reader: str) -> None:
        """Bring a deleted case back.

        Raises:
            StoreError: it is not deleted, or another case has its name by now.
        """
        self.write(lambda c: case_queries.restore_case(c, case_id, reader))

    def deleted_cases(self) -> list[CaseRecord]:
        """The cases that were deleted, last one first, under the names that they had."""
        return self._read(case_queries.deleted_cases)

    def case_slides(self, case_id: int) -> list[StoredSlide]:
        """The slides of a case in order of their names."""
        return self._read(lambda c: slide_queries.slides_of_case(c, case_id))

    def set_case(self, slide_id: int, case_id: int | None, reader: str = "") -> None:
        """Put a slide into a case, or into none."""
        self.write(
            lambda c: case_queries.update_slide(c, slide_id, "case set", reader, case_id=case_id)
        )

    def set_alias(self, slide_id: int, alias: str | None, reader: str = "") -> None:
        """Name a slide for exports and logs; None or nothing for its file's name."""
        name = slide_queries.plain_text((alias or "").strip()) or None
        self.write(
            lambda c: case_queries.update_slide(c, slide_id, "alias set", reader, alias=name)
        )

    def set_path(self, slide_id: int, path: Path, reader: str = "") -> None:
        """Note where a slide's file lies now; that it is the same file is the caller's to check."""
        values = {
            "path": slide_queries.plain_text(str(path)),
            "name": slide_queries.plain_text(path.name),
        }
        self.write(
            lambda c: case_queries.update_slide(c, slide_id, "slide relocated", reader, **values)
        )

    def note_opened(self, slide_id: int) -> None:
        """Note that a slide is opened now, for the list of recent ones."""
        self.write(lambda c: case_queries.note_opened(c, slide_id))

    def recent_slides(self, limit: int = 10) -> list[StoredSlide]:
        """The slides opened last, the newest first."""
        return self._read(lambda c: slide_queries.recent_slides(c, limit))

    def slide_states(
        self, reader_id: int, after_id: int = 0, limit: int = PAGE
    ) -> list[SlideState]:
        """A page of slides with how far this reader is with each, in order of their ids."""
        return self._read(lambda c: case_queries.slide_states(c, reader_id, after_id, limit))

    # Where a reader left a slide.

    def save_view_state(self, slide_id: int, reader_id: int, state: ViewState) -> None:
        """Remember where a reader left a slide."""
        self.write(lambda c: desk_queries.save_view_state(c, slide_id, reader_id, state))

    def view_state(self, slide_id: int, reader_id: int) -> ViewState | None:
        """Where a reader left a slide, if anywhere."""
        return self._read(lambda c: desk_queries.view_state(c, slide_id, reader_id))

    def save_viewed_area(self, slide_id: int, reader_id: int, area: ViewedArea) -> None:
        """Remember what a reader saw of a slide at reading magnification."""
        self.write(lambda c: desk_queries.save_viewed_area(c, slide_id, reader_id, area))

    def viewed_area(self, slide_id: int, reader_id: int) -> ViewedArea | None:
        """What a reader saw of a slide, if anything."""
        return self._read(lambda c: desk_queries.viewed_area(c, slide_id, reader_id))

"""An open store's connections: one writer thread, short reads, an orderly end."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine

from core.errors import StoreError
from core.store import lease
from core.store.engine import explain, plain_errors
from core.store.records import (
    RunRecord,
)
from core.store.writer import FIRST, Writer

T = TypeVar("T")

PAGE = 1000  # rows of one short read


class StoreBase:
    """An open store; made by `core.store.open_store`, closed by `close` or as a context manager.

    Attributes:
        path: of the file.
        read_only: whether it can only be read; every write then raises `StoreError`.
        journal_mode: `wal` or `delete`.
        journal_note: why it is not WAL; empty when it is.
    """

    def __init__(
        self,
        path: Path,
        reading: Engine,
        writer: Writer | None,
        holder: lease.Holder,
        *,
        journal_mode: str,
        journal_note: str,
        on_close: Callable[[], None],
    ) -> None:
        self.path = path
        self.read_only = writer is None
        self.journal_mode = journal_mode
        self.journal_note = journal_note
        self._reading = reading
        self._writer = writer
        self._holder = holder
        self._on_close = on_close
        self._leased: dict[int, RunRecord] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is queued, give leases back, close the file; safe to call twice.

        Raises:
            StoreError: a run's window could not be written, and nobody was told yet.
        """
        if self._closed:
            return
        self._closed = True
        self._on_close()

    # Reading and writing, for whatever has no function of its own (the scale benchmark).

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A short reading connection: one consistent view of the store."""
        if self._closed:
            raise StoreError(f"The store {self.path} is closed.")
        with plain_errors(self.path), self._reading.connect() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], priority: int = FIRST) -> T:
        """Run `work` in one transaction on the writer thread; returns when it is on disk."""
        return self._writing().write(work, priority)

    @property
    def holds_leases(self) -> bool:
        """Whether a run that this store opened is not finished yet."""
        return bool(self._leased)

    def flush(self, run_id: int | None = None) -> None:
        """Wait until all that was saved is on disk.

        Args:
            run_id: the run whose failed write is raised, until it ends or is opened again; None: of
                any run, once.
        """
        if self._writer is not None:
            self._writer.flush(run_id)

    def _writing(self) -> Writer:
        if self._writer is None:
            error = explain(self.path, sqlite3.SQLITE_READONLY)
            assert error is not None
            raise error
        return self._writer

    def _read(self, query: Callable[[Connection], T]) -> T:
        with self.reading() as connection:
            return query(connection)


def paged(page: Callable[[int], Sequence[Any]]) -> Iterator[Any]:
    """All rows of a query that gives pages of records with ids after the one it is handed."""
    after_id = 0
    while rows := page(after_id):
        yield from rows
        after_id = rows[-1].id

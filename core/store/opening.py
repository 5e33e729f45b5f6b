"""Opening a store: which file it is, whether it is whole, what version, who has it open."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, update

from core.errors import StoreError
from core.store import lease
from core.store.columns import utc_text
from core.store.engine import (
    choose_journal_mode,
    connect,
    explain,
    plain_errors,
    read_engine,
    set_journal_mode,
    write_engine,
)
from core.store.migrations import LADDER, Step, check_version, migrate
from core.store.repository import Store
from core.store.schema import SessionRow
from core.store.writer import LATER, Writer

# A file of this size is checked in well under a second, so it is checked at every opening.
ALWAYS_CHECKED_BYTES = 16 * 1024 * 1024


def open_store(path: Path, *, read_only: bool = False, ladder: Sequence[Step] = LADDER) -> Store:
    """Open a store, made and migrated as needed.

    A file without write permission opens for reading; its writes raise `StoreError`.

    Args:
        path: of the store; missing folders are made.
        read_only: ask for no more than reading.
        ladder: of migrations; tests inject their own.

    Raises:
        StoreError: the file is damaged, of a newer version, another program's, in use for too
            long, or cannot be made. It is never deleted or replaced.
    """
    path = Path(path).absolute()
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a store.", "Name a file with --store.")
    if read_only or not _writable(path):
        return _open_read_only(path, len(ladder))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {path.parent} cannot be made: {error.strerror}.",
            "Choose another place with --store.",
        ) from error
    holder = lease.Holder()
    with plain_errors(path), closing(connect(path)) as connection:
        _check_whole(connection, path, len(ladder), holder)
        wanted, note = choose_journal_mode(path)
        mode = set_journal_mode(connection, wanted)
        if mode != wanted:
            note = f"SQLite kept the journal mode {mode} where {wanted} was asked for."
        migrate(connection, path, ladder)
        _begin_session(connection, holder)
    holder.begin()
    return _assemble(path, holder, mode, note)


def _writable(path: Path) -> bool:
    """Whether SQLite can write: it needs the file and, for its journal, the folder."""
    return not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _assemble(path: Path, holder: lease.Holder, mode: str, note: str) -> Store:
    reading, writing = read_engine(path), write_engine(path)
    store: Store

    def beat_work(connection: Connection) -> None:
        lease.beat(connection, holder)

    writer = Writer(writing, path, lambda: beat_work if store.holds_leases else None, lease.BEAT_S)

    def end_session(connection: Connection) -> None:
        lease.give_back(connection, holder)
        connection.execute(
            update(SessionRow)
            .where(SessionRow.token == holder.token)
            .values(closed_at=datetime.now(UTC), clean=True)
        )

    def close() -> None:
        try:
            writer.flush()
        finally:
            try:
                writer.write(end_session, LATER)
            finally:
                writer.close()
                reading.dispose()
                writing.dispose()
                holder.end()

    store = Store(
        path, reading, writer, holder, journal_mode=mode, journal_note=note, on_close=close
    )
    return store


def _check_whole(
    connection: sqlite3.Connection, path: Path, newest: int, holder: lease.Holder
) -> None:
    """Look for damage before anything is written, at length only where there is a reason."""
    version = check_version(connection, path, newest)
    if version == 0:
        return
    unclean = [
        token
        for token, pid in connection.execute(
            "SELECT token, pid FROM sessions WHERE closed_at IS NULL AND host = ?", (holder.host,)
        )
        if not lease.holder_lives(token, holder.host, pid)
    ]
    if unclean or path.stat().st_size <= ALWAYS_CHECKED_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            damaged = explain(path, sqlite3.SQLITE_CORRUPT, str(found).replace("\n", " "))
            assert damaged is not None
            raise damaged
    for token in unclean:
        connection.execute(
            "UPDATE sessions SET closed_at = ?, clean = 0 WHERE token = ?",
            (utc_text(datetime.now(UTC)), token),
        )


def _begin_session(connection: sqlite3.Connection, holder: lease.Holder) -> None:
    connection.execute(
        "INSERT INTO sessions (token, host, pid, opened_at) VALUES (?, ?, ?, ?)",
        (holder.token, holder.host, holder.pid, utc_text(datetime.now(UTC))),
    )


def _open_read_only(path: Path, newest: int) -> Store:
    if not path.exists():
        raise StoreError(f"The store {path} does not exist.", "Check its path.")
    with plain_errors(path):
        immutable = _needs_immutable(path)
        with closing(connect(path, read_only=True, immutable=immutable)) as connection:
            version = check_version(connection, path, newest)
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if version < newest:
        raise StoreError(
            f"The store {path} is read-only and of an older version ({version} of {newest}).",
            "Copy it to a folder in which you may write, and open the copy.",
        )
    reading = read_engine(path, read_only=True, immutable=immutable)
    note = "The store is read-only."
    return Store(
        path,
        reading,
        None,
        lease.Holder(),
        journal_mode=mode,
        journal_note=note,
        on_close=reading.dispose,
    )


def _needs_immutable(path: Path) -> bool:
    """Whether a store can only be read without locks: its folder cannot hold the WAL's index.

    A store with unmerged writes in its WAL is not read that way, since they would not be seen.
    """
    try:
        with closing(connect(path, read_only=True)) as connection:
            connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        wal = path.with_name(f"{path.name}-wal")
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if wal.exists() and wal.stat().st_size > 0:
            raise
        return True
    return False

"""Connections to the store's SQLite file: pragmas, transactions, and plain words for its errors.

One engine writes (a single connection, used by the writer's thread only, `BEGIN IMMEDIATE`), one
reads (short connections, `query_only`). SQLAlchemy's pysqlite default lets DDL escape a
transaction and `autocommit=False` would silently disable `foreign_keys`, so BEGIN is ours.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from core.errors import StoreError
from core.store.host import network_filesystem

APPLICATION_ID = 0x4D69746F  # "Mito": tells our stores from other programs' SQLite files
BUSY_TIMEOUT_MS = 5000
CACHE_KIB = 16 * 1024

# Primary result codes of https://www.sqlite.org/rescode.html with what they mean for a reader.
_MEANING: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_PERM: ("cannot be opened", "Check that you may read and write it."),
    sqlite3.SQLITE_BUSY: (
        "is in use by another process",
        "Close the other window or command, or wait until it has finished, and try again.",
    ),
    sqlite3.SQLITE_LOCKED: (
        "is in use by another process",
        "Close the other window or command, or wait until it has finished, and try again.",
    ),
    sqlite3.SQLITE_READONLY: (
        "is read-only, so nothing can be written to it",
        "Copy it to a folder in which you may write, or choose another one with --store.",
    ),
    sqlite3.SQLITE_IOERR: (
        "could not be read or written by the operating system",
        "Check the disk, its free space, and the network share if it lies on one.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "It was left as it is. Restore a backup (the files named *.backup-* beside it), "
        "or choose another one with --store.",
    ),
    sqlite3.SQLITE_FULL: (
        "could not be written, because the disk is full",
        "Free some space and run the same command again: what was saved is kept.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that its folder exists and that you may write there.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not a Mitoscope store, or is damaged",
        "It was left as it is. Choose another file with --store, or restore a backup.",
    ),
}


def explain(path: Path, code: int, detail: str = "") -> StoreError | None:
    """The reader's words for an SQLite result code; None for codes that only a bug can cause."""
    meaning = _MEANING.get(code & 0xFF)
    if meaning is None:
        return None
    what, hint = meaning
    return StoreError(f"The store {path} {what}{f' ({detail})' if detail else ''}.", hint)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn the world's SQLite failures into `StoreError`; let bugs (constraints, SQL) through."""
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        plain = None if code is None else explain(path, code)
        if plain is None:
            raise
        raise plain from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        plain = None if code is None else explain(path, code)
        if plain is None:
            raise
        raise plain from error


def choose_journal_mode(path: Path) -> tuple[str, str]:
    """The journal mode for a store and, if it is not WAL, why."""
    kind = network_filesystem(path.parent)
    if kind:
        return "delete", f"The store lies on a network share ({kind}), where WAL is unsafe."
    return "wal", ""


def set_journal_mode(connection: sqlite3.Connection, mode: str) -> str:
    """Switch the journal mode if it is another one; returns the mode that holds.

    The switch needs the file for itself and does not use the busy handler, so it is retried.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        (current,) = connection.execute("PRAGMA journal_mode").fetchone()
        if current == mode:
            return str(current)
        try:
            (current,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        return str(current)


def connect(path: Path, *, read_only: bool = False, immutable: bool = False) -> sqlite3.Connection:
    """A bare connection with the store's pragmas, in autocommit: the caller begins and commits.

    Args:
        path: of the store.
        read_only: open the file without the right to write.
        immutable: promise that nobody writes it (a read-only disk, where no lock can be taken).
    """
    # Three slashes before a root or a drive, four before a Windows share: SQLite knows no host.
    place = path.absolute().as_posix()
    place = quote(os.fsencode(place if place.startswith("/") else f"/{place}"), safe="/:")
    query = "?mode=ro" if read_only else "?mode=rwc"
    uri = f"file://{place}{query}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # SQLite ignores pragmas that it cannot obey: a store without foreign keys would be a bug.
        if connection.execute("PRAGMA foreign_keys").fetchone() != (1,):
            raise RuntimeError("SQLite did not switch foreign keys on")
    except BaseException:
        connection.close()
        raise
    return connection


def write_engine(path: Path) -> Engine:
    """The engine of the one writing connection."""
    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=StaticPool)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def read_engine(path: Path, *, read_only: bool = False, immutable: bool = False) -> Engine:
    """The engine of the short reading connections, from any thread."""

    def creator() -> sqlite3.Connection:
        connection = connect(path, read_only=read_only, immutable=immutable)
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine(
        "sqlite://", creator=creator, poolclass=QueuePool, pool_size=4, max_overflow=-1
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")

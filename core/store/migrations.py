"""The ladder of store versions (`PRAGMA user_version`), and backups before it is climbed.

A step is a plain function of a bare connection that lifts a store by one version. A new store
climbs from 0, so creation and migration are one path. Each step is one transaction; the version
changes inside it, so a store is never between two versions.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from core.errors import StoreError
from core.store.v1 import STATEMENTS as V1_STATEMENTS

log = logging.getLogger(__name__)

Step = Callable[[sqlite3.Connection], None]

APPLICATION_ID = 0x4D69746F  # "Mito": tells our stores from other programs' SQLite files
KEPT_BACKUPS = 5


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in V1_STATEMENTS:
        connection.execute(statement)


# Step n lifts version n to n + 1. Never edit one that was released: add the next.
LADDER: tuple[Step, ...] = (_create,)


def store_version(connection: sqlite3.Connection) -> int:
    """The version that a store's file carries; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The store's version, if this program can use it.

    Raises:
        StoreError: the file is another program's database, or of a newer Mitoscope.
    """
    version = store_version(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (application_id or tables or version):
        raise StoreError(
            f"{path} is a database of another program.",
            "It was left as it is. Choose another file with --store.",
        )
    if version > newest:
        raise StoreError(
            f"The store {path} has version {version}, but this Mitoscope knows only {newest}.",
            "It was left as it is. Update Mitoscope, or choose another file with --store.",
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, ladder: Sequence[Step] = LADDER) -> None:
    """Lift a store to the newest version, backed up first if it holds anything.

    Args:
        connection: bare, in autocommit, outside a transaction.
        path: of the store.
        ladder: the steps; tests inject their own.

    Raises:
        StoreError: wrong or newer file; SQLite's own errors pass to the caller.
    """
    version = check_version(connection, path, len(ladder))
    if version == len(ladder):
        return
    if version > 0:
        back_up(connection, path, f"v{version}")
    # A step may rebuild a table that others refer to; this pragma is ignored in a transaction.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        while _climb(connection, ladder):
            pass
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _climb(connection: sqlite3.Connection, ladder: Sequence[Step]) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = store_version(connection)  # another process may have climbed meanwhile
        if version >= len(ladder):
            connection.execute("ROLLBACK")
            return False
        ladder[version](connection)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"step {version} leaves broken references: {broken[:3]}")
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def back_up(connection: sqlite3.Connection, path: Path, tag: str) -> Path:
    """Copy a store in use, through SQLite's backup interface, to a file beside it.

    The newest `KEPT_BACKUPS` are kept.

    Args:
        connection: to the store.
        path: of the store.
        tag: what stands in the backup's name, for instance `v1`.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = path.with_name(f"{path.name}.backup-{moment}-{tag}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    for old in backups(path)[:-KEPT_BACKUPS]:
        log.info("old backup removed: %s", old)
        old.unlink(missing_ok=True)
    return target


def backups(path: Path) -> list[Path]:
    """The backups beside a store, oldest first."""
    prefix = f"{path.name}.backup-"
    names = (entry for entry in path.parent.iterdir() if entry.name.startswith(prefix))
    return sorted(entry for entry in names if not entry.name.endswith(".partial"))

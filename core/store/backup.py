"""Backups of a store, made through SQLite's backup interface, and the way back to one.

A backup lies beside its store and is a whole store itself. One is made before every migration, and
one a day; a damaged store is set aside under another name, never deleted.
"""

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.errors import StoreError
from core.store import lease
from core.store.engine import APPLICATION_ID, connect, plain_errors

log = logging.getLogger(__name__)

DAILY = "day"
#: How many backups of a kind are kept: a week of days, and a few of every version left behind.
KEPT_DAILY, KEPT_BACKUPS = 7, 5
#: A store that is opened at about the same time every morning is backed up every morning.
DAILY_EVERY = timedelta(hours=20)
_MOMENT = "%Y%m%dT%H%M%S%fZ"
#: What SQLite keeps beside a store in use.
_COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a store.

    Attributes:
        path: of the copy.
        made_at: when, UTC.
        tag: `day`, or the version that was left: `v1`.
    """

    path: Path
    made_at: datetime
    tag: str


def back_up(connection: sqlite3.Connection, path: Path, tag: str) -> Path:
    """Copy a store in use to a file beside it; the oldest ones of the tag's kind are removed.

    Args:
        connection: to the store.
        path: of the store.
        tag: what stands in the backup's name, for instance `v1`.
    """
    moment = datetime.now(UTC).strftime(_MOMENT)
    target = path.with_name(f"{path.name}.backup-{moment}-{tag}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
        _sync(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    daily = tag == DAILY
    kind = [backup for backup in backups(path) if (backup.tag == DAILY) == daily]
    for old in kind[: -(KEPT_DAILY if daily else KEPT_BACKUPS)]:
        log.info("old backup removed: %s", old.path.name)
        old.path.unlink(missing_ok=True)
    return target


def backups(path: Path) -> list[Backup]:
    """The backups beside a store, oldest first."""
    prefix = f"{path.name}.backup-"
    found = []
    for entry in path.parent.iterdir():
        moment, _, tag = entry.name.removeprefix(prefix).partition("-")
        if not entry.name.startswith(prefix) or entry.name.endswith(".partial"):
            continue
        try:
            made_at = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
        except ValueError:
            continue  # a file of somebody else's that is only called alike
        found.append(Backup(entry, made_at, tag))
    return sorted(found, key=lambda backup: (backup.made_at, backup.tag))


def back_up_daily(path: Path) -> Path | None:
    """Copy the store unless there is a copy of today; reads beside whoever writes.

    Returns:
        The backup, or None where none was due.

    Raises:
        StoreError: the store is damaged, or the disk is full. Older backups stay.
    """
    days = [backup for backup in backups(path) if backup.tag == DAILY]
    if days and datetime.now(UTC) - days[-1].made_at < DAILY_EVERY:
        return None
    with plain_errors(path), closing(connect(path, read_only=True)) as connection:
        # A damaged store must not push its good copies out.
        _check(connection, path)
        return back_up(connection, path, DAILY)


def restore(path: Path, backup: Path, newest: int) -> Path | None:
    """Put a backup in the place of a store, which is set aside under another name.

    Args:
        path: of the store; it may be damaged or gone.
        backup: a whole store.
        newest: version that this program knows.

    Returns:
        Where the present file was set aside; None if there was none.

    Raises:
        StoreError: the backup is no store, damaged, or newer; or the store is in use.
    """
    if not backup.is_file():
        raise StoreError(f"There is no backup {backup}.")
    with plain_errors(backup), closing(connect(backup, read_only=True, immutable=True)) as source:
        _check(source, backup)
        (version,) = source.execute("PRAGMA user_version").fetchone()
        (application,) = source.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise StoreError(f"{backup} is no store of Mitoscope.")
    if version > newest:
        raise StoreError(f"The backup {backup.name} is of a newer Mitoscope.", "Update Mitoscope.")
    _refuse_in_use(path)
    partial = path.with_name(f"{path.name}.restored.partial")
    try:
        shutil.copyfile(backup, partial)
        _sync(partial)
        aside = set_aside(path)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"The backup cannot be put in place: {error.strerror or error}.",
            "Free some space or check your rights; store and backup were left as they are.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return aside


def set_aside(path: Path) -> Path | None:
    """Give a store, and what SQLite keeps beside it, another name; None if it is not there."""
    if not path.exists():
        return None
    moment = datetime.now(UTC).strftime(_MOMENT)
    aside = path.with_name(f"{path.name}.set-aside-{moment}")
    for ending in _COMPANIONS:
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + ending))
    path.replace(aside)
    return aside


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise StoreError(f"The store {path} is damaged ({found.splitlines()[0]}).")


def _refuse_in_use(path: Path) -> None:
    """Raise where a living process has the store open, as far as its sessions can be read."""
    if not path.exists():
        return
    try:
        with closing(connect(path, read_only=True)) as connection:
            sessions = connection.execute(
                "SELECT token, host, pid FROM sessions WHERE closed_at IS NULL"
            ).fetchall()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise StoreError(f"The store {path} is in use.", "Close Mitoscope first.") from error
        return  # damaged: that is why it is replaced
    for token, host, pid in sessions:
        if lease.holder_lives(token, host, pid):
            raise StoreError(
                f"The store {path} is open in another window (process {pid}).", "Close it first."
            )


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())

"""The way back from a store that cannot be opened: its newest backup."""

from pathlib import Path

from PySide6.QtCore import QCoreApplication

from core.store import Store, open_store
from core.store.backup import Backup, backups, restore
from core.store.migrations import LADDER


def newest_backup(path: Path) -> Backup | None:
    """The newest backup beside a store; None where there is none."""
    path = path.absolute()
    known = backups(path) if path.parent.is_dir() else []
    return known[-1] if known else None


def restored(path: Path, backup: Backup) -> tuple[Store, str]:
    """Put a backup in the place of a store, and open it.

    Returns:
        The store, and where the file that was there is kept, in words.

    Raises:
        StoreError: the backup is damaged too, or the store is open elsewhere.
    """
    path = path.absolute()
    aside = restore(path, backup.path, len(LADDER))
    store = open_store(path)
    store.note_restored(backup.path.name, "" if aside is None else aside.name)
    note = QCoreApplication.translate(
        "Desktop", "A backup was restored; the damaged file is kept as {0}."
    )
    return store, note.format("" if aside is None else aside.name)

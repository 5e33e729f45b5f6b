"""Stores: made, migrated from every version there was, backed up, restored; and the audit trail."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.selftest.bench import Bench, Check, expect
from core.store import NewVerdict, SlideRecord, open_store
from core.store.backup import back_up_daily, backups, restore
from core.store.engine import connect
from core.store.migrations import LADDER

_AT = "2026-01-02T03:04:05.000000+00:00"
_SLIDE = SlideRecord("quickhash-1", "ab", "切片 Ä.svs", 80, 60, 0.25, 0.25, "typed", "aperio")


def _folder(bench: Bench, name: str) -> Path:
    folder = bench.folder / name
    folder.mkdir()
    return folder


def _made(bench: Bench) -> str:
    """A new store keeps a slide, a reader and a verdict over closing and opening again."""
    path = _folder(bench, "made") / "store.sqlite"
    with open_store(path) as store:
        slide_id, reader_id = store.add_slide(_SLIDE), store.add_reader("Ångström 小川")
        store.give_verdicts(slide_id, reader_id, [NewVerdict("mitosis", place0=(5.0, 6.0))])
        mode = store.journal_mode
    with open_store(path) as store:
        said = [verdict.value for verdict in store.iter_verdicts(slide_id)]
        names = [store.slide(slide_id).name, *(reader.name for reader in store.readers())]
        wrong = store.verify_events()
    expect(said == ["mitosis"], f"the verdict is now {said}")
    expect(names == [_SLIDE.name, "Ångström 小川"], f"the names are now {names}")
    expect(not wrong, f"audit trail: {'; '.join(wrong)}")
    return f"version {len(LADDER)}, journal {mode}"


def _migrated(version: int) -> Callable[[Bench], str]:
    def lift(bench: Bench) -> str:
        """A store of an old version is lifted with all it holds, after a backup."""
        path = _folder(bench, f"version {version}") / "store.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            LADDER[0](connection)
            _fill_version_1(connection)
            for step in LADDER[1:version]:
                step(connection)
            connection.execute(f"PRAGMA user_version = {version}")
        with open_store(path) as store:
            said = [verdict.value for verdict in store.iter_verdicts(1)]
            store.give_verdicts(1, 1, [NewVerdict("imposter", point_id=1)])
            wrong = store.verify_events()
        expect(said == ["mitosis", "cleared"], f"its verdicts are now {said}")
        expect(not wrong, f"audit trail: {'; '.join(wrong)}")
        tags = [backup.tag for backup in backups(path)]
        expect(tags == [f"v{version}"], f"its backups are {tags}")
        return f"lifted to version {len(LADDER)}; {backups(path)[0].path.name} lies beside it"

    return lift


def _fill_version_1(connection: sqlite3.Connection) -> None:
    for table, values in (
        ("slides", (1, "quickhash-1", "ab", "a.svs", "", None, 80, 60, "x", _AT)),
        ("readers", (1, "Anna", _AT)),
        ("calibrations", (1, 1, 0.25, 0.25, "typed", 1, _AT)),
        ("points", (1, 1, 5.0, 6.0, 1, _AT)),
        ("verdicts", (1, 1, 1, 1, None, "mitosis", 0, 0, "first", "key", "", None, _AT)),
        ("verdicts", (2, 1, 1, 1, None, "cleared", 0, 0, "second", "undo", "", 1, _AT)),
    ):
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)


def _restored(bench: Bench) -> str:
    """The daily backup brings back what was there when it was made, and nothing later."""
    path = _folder(bench, "restored") / "store.sqlite"
    with open_store(path) as store:
        store.add_reader("before")
        backup = back_up_daily(path)
        store.add_reader("after")
    assert backup is not None  # the first of its day
    aside = restore(path, backup, len(LADDER))
    with open_store(path) as store:
        store.note_restored(backup.name, aside.name if aside else "")
        names = [reader.name for reader in store.readers()]
        wrong = store.verify_events()
    expect(names == ["before"], f"the restored store has the readers {names}")
    expect(aside is not None and aside.is_file(), "the store that was replaced is gone")
    expect(not wrong, f"audit trail: {'; '.join(wrong)}")
    return f"{backup.name} put back; the other file is kept"


def _audited(bench: Bench) -> str:
    """A whole trail is found whole, and one that was changed behind the program is found out."""
    path = _folder(bench, "audited") / "store.sqlite"
    with open_store(path) as store:
        slide_id, reader_id = store.add_slide(_SLIDE), store.add_reader("Anna")
        store.give_verdicts(slide_id, reader_id, [NewVerdict("mitosis", place0=(5.0, 6.0))])
        wrong, head = store.verify_events(), store.audit_head()
        lines = len(list(store.iter_events()))
    expect(not wrong, f"a whole trail is said to be broken: {'; '.join(wrong)}")
    forged = path.with_name("forged.sqlite")
    shutil.copyfile(path, forged)
    with closing(connect(forged)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS tr_events_no_update")
        connection.execute("UPDATE events SET reader = 'Berta' WHERE id = 1")
    with open_store(forged) as store:
        found = store.verify_events(head)
    expect(any("altered" in line for line in found), f"a forged line was not found out: {found}")
    return f"{lines} lines verified; a forged one was found out"


CHECKS = (
    Check("store made", _made),
    *(Check(f"store migrated from {version}", _migrated(version)) for version in (1, 2)),
    Check("store backed up and restored", _restored),
    Check("audit trail", _audited),
)

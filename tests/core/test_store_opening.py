"""Opening, migrating, damage, full and read-only disks, crashes, and two processes on one store."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine

import core
from core.errors import StoreError
from core.ports import ModelOrigin
from core.store import (
    Candidate,
    CandidateRow,
    NewVerdict,
    RunSpec,
    SlideRecord,
    WindowResult,
    engine,
    open_store,
    opening,
)
from core.store.backup import KEPT_BACKUPS, back_up, backups
from core.store.migrations import LADDER
from core.store.schema import Base, append_only_triggers
from core.store.writer import FIRST, LATER, Writer

SLIDE = SlideRecord("quickhash-1", "ab", "a.svs", 80, 60, 0.25, 0.25, "typed", "x")
ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def spec(slide_id, key="key"):
    return RunSpec(key, slide_id, {}, ORIGIN, ORIGIN, "0.1.0")


def window(n):
    points = [CandidateRow(n, i, 0.5) for i in range(20)]
    return WindowResult(n, 0, "done", "cpu", "float32", candidates=points)


def child(code, *arguments):
    """Python beside this one, with the same packages, that waits for us where it reads stdin."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(Path(core.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def schema_of(connection):
    """Tables with columns, keys and references, indexes and triggers, in comparable form."""
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    facts = {
        table: [
            sorted(connection.execute(f"PRAGMA {fact}({table})").fetchall())
            for fact in ("table_info", "foreign_key_list")
        ]
        for table in tables
    }
    texts = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return facts, {row[:3]: " ".join((row[3] or "").split()) for row in texts}


def test_the_ladder_leads_to_the_models(path):
    open_store(path).close()
    fresh = create_engine("sqlite://")
    with fresh.connect() as connection:
        Base.metadata.create_all(connection)
        for trigger in append_only_triggers():
            connection.exec_driver_sql(trigger)
        raw = connection.connection.dbapi_connection
        with contextlib.closing(sqlite3.connect(path)) as climbed:
            assert schema_of(climbed) == schema_of(raw)
    fresh.dispose()


def test_pragmas_hold(path):
    with open_store(path) as store:
        assert (store.journal_mode, store.journal_note) == ("wal", "")

        def pragmas(connection):
            names = ("foreign_keys", "synchronous", "busy_timeout", "journal_mode")
            return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        assert store.write(pragmas) == [1, 2, 5000, "wal"]
        with store.reading() as connection:
            assert pragmas(connection) == [1, 2, 5000, "wal"]


def test_a_network_share_has_no_wal_and_says_why(path, monkeypatch):
    open_store(path).close()
    monkeypatch.setattr(engine, "network_filesystem", lambda folder: "nfs4")
    with open_store(path) as store:
        assert store.journal_mode == "delete"
        assert "network share (nfs4)" in store.journal_note
        store.add_slide(SLIDE)


def test_ddl_is_part_of_the_transaction(path):
    with open_store(path) as store:

        def work(connection):
            connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
            raise KeyError

        with pytest.raises(KeyError):
            store.write(work)
        with store.reading() as connection:
            query = "SELECT count(*) FROM sqlite_master WHERE name = 'half'"
            assert connection.exec_driver_sql(query).scalar() == 0


def add_column(connection):
    connection.execute("ALTER TABLE readers ADD COLUMN initials TEXT")


def fail(connection):
    connection.execute("CREATE TABLE half (id INTEGER)")
    raise KeyError


def fill_version_1(path):
    """A store as version 1 left it: a slide, a reader, a point, and a verdict that was undone."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        LADDER[0](connection)
        connection.execute("PRAGMA user_version = 1")
        at = "2026-01-02T03:04:05.000000+00:00"
        for table, values in (
            ("slides", (1, "quickhash-1", "ab", "a.svs", "", None, 80, 60, "x", at)),
            ("readers", (1, "Anna", at)),
            ("calibrations", (1, 1, 0.25, 0.25, "typed", 1, at)),
            ("points", (1, 1, 5.0, 6.0, 1, at)),
            ("verdicts", (1, 1, 1, 1, None, "mitosis", 0, 0, "first", "key", "", None, at)),
            ("verdicts", (2, 1, 1, 1, None, "cleared", 0, 0, "second", "undo", "", 1, at)),
        ):
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)


def test_a_store_of_version_1_is_lifted_with_all_it_holds(path):
    fill_version_1(path)
    with open_store(path) as store:
        assert store.slide(1).mpp.x == 0.25
        first, second = store.iter_verdicts(1)
        assert (first.value, first.action_id, second.value, second.undoes_id) == (
            "mitosis",
            1,
            "cleared",
            1,
        )
        assert [(a.id, a.undoes_id) for a in store.actions(1, 1)] == [(1, None), (2, 1)]
        store.give_verdicts(1, 1, [NewVerdict("imposter", point_id=1)])
    assert [backup.tag for backup in backups(path)] == ["v1"]


def test_a_lifted_store_is_built_like_a_new_one(path, tmp_path):
    fill_version_1(path)
    open_store(path).close()
    new = tmp_path / "new.sqlite"
    open_store(new).close()

    def build(file):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))

    assert build(path) == build(new)


def test_migration_backs_up_first_and_keeps_the_rows(path):
    with open_store(path) as store:
        store.add_reader("Ada")
    open_store(path, ladder=(*LADDER, add_column)).close()
    (backup,) = backups(path)
    assert backup.tag == f"v{len(LADDER)}"
    columns = []
    for file in (path, backup.path):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT name FROM readers").fetchall() == [("Ada",)]
            columns.append(len(connection.execute("PRAGMA table_info(readers)").fetchall()))
    assert columns == [4, 3]
    open_store(path, ladder=(*LADDER, add_column)).close()
    assert backups(path) == [backup]


def test_a_step_that_fails_leaves_the_last_whole_version(path):
    open_store(path).close()
    with pytest.raises(KeyError):
        open_store(path, ladder=(*LADDER, add_column, fail))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(LADDER) + 1,)
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert ("half",) not in tables
    open_store(path, ladder=(*LADDER, add_column)).close()


def test_a_step_that_breaks_references_is_rolled_back(path):
    def orphan(connection):
        connection.execute(
            "INSERT INTO points (slide_id, x0, y0, hand_placed, created_at) VALUES (9, 0, 0, 0, '')"
        )

    open_store(path).close()
    with pytest.raises(RuntimeError, match="broken references"):
        open_store(path, ladder=(*LADDER, orphan))
    with open_store(path) as store:
        assert list(store.iter_points(9)) == []


def test_the_newest_backups_are_kept(path):
    open_store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        made = [back_up(connection, path, "test") for _ in range(KEPT_BACKUPS + 2)]
    assert [backup.path for backup in backups(path)] == made[2:]


def test_a_store_of_a_newer_version_is_left_alone(path):
    newer = len(LADDER) + 1
    open_store(path, ladder=(*LADDER, add_column)).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"has version {newer}, but this Mitoscope knows only"):
        open_store(path)
    with pytest.raises(StoreError, match=f"has version {newer}"):
        open_store(path, read_only=True)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_alone(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_store(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    with open_store(path) as store:
        assert store.add_slide(SLIDE) == 1


def filled(path, rows=3000):
    with open_store(path) as store:
        run = store.open_run(spec(store.add_slide(SLIDE)))
        store.save_candidates(run.id, [Candidate(n, n, 0.5, 0.5, "imposter") for n in range(rows)])
        store.finish_run(run.id, "done", {})
    return run.id


def text(data):
    return b"just some text, and rather a lot of it\n" * 100


def cut(data):
    return data[: len(data) // 2]


def scratched(data):
    middle = len(data) // 2
    return data[:middle] + b"\xff" * 9000 + data[middle + 9000 :]


def headless(data):
    return b"\0" * 100 + data[100:]


@pytest.mark.parametrize("damage", [text, cut, scratched, headless])
def test_a_damaged_store_is_named_and_left_as_it_is(path, damage):
    filled(path)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"damaged") as caught:
        open_store(path)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == before


def test_a_large_store_is_checked_after_an_unclean_end_only(path, monkeypatch):
    monkeypatch.setattr(opening, "ALWAYS_CHECKED_BYTES", 0)
    run_id = filled(path, rows=12000)
    path.write_bytes(scratched(path.read_bytes()))
    with open_store(path) as store, pytest.raises(StoreError, match="damaged"):
        list(store.iter_candidates(run_id))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE sessions SET closed_at = NULL")
        connection.commit()
    with pytest.raises(StoreError, match="damaged"):
        open_store(path)


def test_folders_and_impossible_places_are_plain_errors(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        open_store(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(tmp_path / "file" / "store.sqlite")
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "none.sqlite", read_only=True)


def test_a_read_only_store_can_be_read_and_says_why_not_more(path):
    run_id = filled(path, rows=5)
    before = path.read_bytes()
    with open_store(path, read_only=True) as store:
        assert store.read_only
        assert len(store.candidates(run_id)) == 5
        store.flush()
        for write in (
            lambda: store.add_slide(SLIDE),
            lambda: store.open_run(spec(1)),
            lambda: store.save_window(run_id, window(0)),
            lambda: store.give_verdicts(1, 1, [NewVerdict("mitosis", place0=(1, 1))]),
        ):
            with pytest.raises(StoreError, match="is read-only"):
                write()
    assert path.read_bytes() == before


READ_ONLY_READER = """
import os, sys
from pathlib import Path
from core.errors import StoreError
from core.store import SlideRecord, open_store

open_store(Path(sys.argv[2])).close()  # imports everything before rights are dropped
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with open_store(Path(sys.argv[1])) as store:
    assert store.read_only
    print(len(store.candidates(1)))
    try:
        store.add_slide(SlideRecord("q", "1", "b", 1, 1, None, None, "", ""))
    except StoreError as error:
        print(error.message)
"""


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_store_without_write_permission_opens_for_reading(folder_mode):
    with tempfile.TemporaryDirectory() as name:  # pytest's own is closed to other users
        folder = Path(name)
        path = folder / "store.sqlite"
        filled(path, rows=5)
        path.chmod(0o444)
        folder.chmod(folder_mode)
        process = child(READ_ONLY_READER, path, folder.parent / f"{folder.name}.warm")
        out, _ = process.communicate(timeout=60)
        folder.chmod(stat.S_IRWXU)
        for rest in folder.parent.glob(f"{folder.name}.warm*"):
            rest.unlink()
        assert process.returncode == 0
        count, message = out.splitlines()
        assert count == "5"
        assert "is read-only" in message


def test_a_full_disk_loses_nothing_and_the_run_goes_on_later(path):
    with open_store(path) as store:
        run = store.open_run(spec(store.add_slide(SLIDE)))
        store.save_window(run.id, window(0))
        store.flush()

        def limit(pages):
            store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())

        limit(1)  # SQLite raises it to the present size: no page more
        rows = [Candidate(1, 1, 0.5, 0.5, "imposter")] * 9000
        with pytest.raises(StoreError, match="disk is full"):
            store.save_candidates(run.id, rows)
        assert store.classified_count(run.id) == 0
        with pytest.raises(StoreError, match="disk is full"):  # noqa: PT012  (at any of them)
            for n in range(1, 2000):
                store.save_window(run.id, window(n))
        with contextlib.suppress(StoreError):  # another that was queued behind the first
            store.flush()
        limit(2**30)
        store.finish_run(run.id, "failed", {})
        store.open_run(spec(run.slide_id))
        saved = store.finished_windows(run.id)
        assert (0, 0) in saved
        assert sum(1 for _ in store.iter_window_points(run.id)) == 20 * len(saved)
        store.save_window(run.id, window(5000))
        store.finish_run(run.id, "done", {})
        assert (5000, 0) in store.finished_windows(run.id)


def test_a_busy_store_says_so_and_keeps_what_waits(path, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 20)
    with open_store(path) as store, contextlib.closing(sqlite3.connect(path)) as other:
        slide_id = store.add_slide(SLIDE)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="in use by another process"):
            store.add_reader("Ada")
        assert store.slide(slide_id).name == "a.svs"  # WAL: reading goes on
        other.rollback()
        assert store.add_reader("Ada") == 1


def test_verdicts_go_before_windows(path):
    open_store(path).close()
    order, started, gate = [], threading.Event(), threading.Event()
    writing = engine.write_engine(path)
    writer = Writer(writing, path, lambda: None, 60.0)
    writer.post(1, lambda c: (started.set(), gate.wait(30))[0])
    assert started.wait(30)
    for n in range(3):
        writer.post(1, lambda c, n=n: order.append(f"window {n}"))
    threads = [
        threading.Thread(target=writer.write, args=(lambda c: order.append("later"), LATER)),
        threading.Thread(target=writer.write, args=(lambda c: order.append("verdict"), FIRST)),
    ]
    for thread, waiting in zip(threads, (4, 5), strict=True):
        thread.start()
        while writer._tasks.qsize() < waiting:
            time.sleep(0.001)
    gate.set()
    for thread in threads:
        thread.join()
    writer.close()
    writing.dispose()
    assert order == ["verdict", "window 0", "window 1", "window 2", "later"]


KILLED = """
import sys
from pathlib import Path
from core.ports import ModelOrigin
from core.store import CandidateRow, NewVerdict, RunSpec, SlideRecord, WindowResult, open_store

store = open_store(Path(sys.argv[1]))
origin = ModelOrigin("m", "00" * 32, "cpu", "float32")
slide_id = store.add_slide(SlideRecord("quickhash-1", "ab", "a", 80, 60, None, None, "", ""))
reader = store.add_reader("Ada")
run = store.open_run(RunSpec("key", slide_id, {}, origin, origin, "0.1.0"))
for n in range(10**6):
    points = [CandidateRow(n, i, 0.5) for i in range(20)]
    store.save_window(run.id, WindowResult(n, 0, "done", "cpu", "float32", candidates=points))
    store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(n, 1))])
    print("verdict", n, flush=True)
    if n % 5 == 4:
        store.flush()
        print("window", n, flush=True)
"""


def test_sigkill_half_way_loses_nothing_acknowledged(path):
    process = child(KILLED, path)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(40)]
    process.send_signal(signal.SIGKILL) if os.name == "posix" else process.kill()
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    told = [line.split() for line in lines if line.endswith("\n")]
    verdicts = {int(n) for what, n in told if what == "verdict"}
    windows = max(int(n) for what, n in told if what == "window")
    with open_store(path) as store:
        given = {int(point.x0) for point in store.iter_points(1)}
        assert verdicts <= given
        assert len(list(store.iter_verdicts(1))) == len(given)
        run = store.open_run(spec(1))  # its lease is free at once: the process is dead
        saved = store.finished_windows(run.id)
        assert {(n, 0) for n in range(windows + 1)} <= saved
        assert sum(1 for _ in store.iter_window_points(run.id)) == 20 * len(saved)
        assert store.verify_events() == []
    with contextlib.closing(sqlite3.connect(path)) as connection:
        ends = connection.execute("SELECT closed_at IS NOT NULL, clean FROM sessions").fetchall()
        assert ends == [(1, 0), (1, 1)]


HOLDER = """
import sys
from pathlib import Path
from core.ports import ModelOrigin
from core.store import RunSpec, SlideRecord, open_store

store = open_store(Path(sys.argv[1]))
origin = ModelOrigin("m", "00" * 32, "cpu", "float32")
slide_id = store.add_slide(SlideRecord("quickhash-1", "ab", "a", 80, 60, None, None, "", ""))
store.open_run(RunSpec("key", slide_id, {}, origin, origin, "0.1.0"))
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_living_process_keeps_its_run_and_a_dead_one_loses_it_at_once(path):
    process = child(HOLDER, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with open_store(path) as store:
        with pytest.raises(StoreError, match=f"pid {process.pid}"):
            store.open_run(spec(1))
        assert store.open_run(spec(1, "another")).state == "running"
        process.kill()
        process.communicate()
        assert store.open_run(spec(1)).state == "running"


OPENER = """
import sys
from pathlib import Path
from core.store import open_store

sys.stdin.readline()
with open_store(Path(sys.argv[1])) as store:
    for n in range(20):
        store.add_reader(f"{sys.argv[2]} {n}")
"""


def test_several_processes_make_and_fill_one_store(path):
    crowd = [child(OPENER, path, name) for name in "ABC"]
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in crowd:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with open_store(path) as store:
        assert len(store.readers()) == 60
        assert store.verify_events() == []


def test_a_store_of_version_2_keeps_its_scores(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        LADDER[0](connection)
        LADDER[1](connection)
        connection.execute("PRAGMA user_version = 2")
        at = "2026-01-02T03:04:05.000000+00:00"
        connection.execute("INSERT INTO cases (id, name, added_at) VALUES (1, 'K7', ?)", (at,))
    with open_store(path) as store:
        assert [case.name for case in store.cases()] == ["K7"]
        assert store.audit_head() == "0" * 64
    assert [backup.tag for backup in backups(path)] == ["v2"]

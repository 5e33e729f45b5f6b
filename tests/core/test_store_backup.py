"""Backups of a store, and the way back to one."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import StoreError
from core.store import open_store
from core.store.backup import KEPT_DAILY, back_up, back_up_daily, backups, restore
from core.store.migrations import LADDER

NEWEST = len(LADDER)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "Stäbe 染色.sqlite"
    with open_store(path) as store:
        store.add_reader("Ada")
    return path


def names(path):
    with open_store(path) as store:
        return [reader.name for reader in store.readers()]


def damage(path):
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 2000] = b"\xff" * 2000
    path.write_bytes(data)


def test_a_store_is_copied_once_a_day_beside_whoever_writes(path):
    with open_store(path) as store:
        made = back_up_daily(path)
        store.add_reader("Ben")
        assert back_up_daily(path) is None
    assert [backup.path for backup in backups(path)] == [made]
    old = datetime.now(UTC) - timedelta(days=1)
    made.rename(path.with_name(f"{path.name}.backup-{old:%Y%m%dT%H%M%S%fZ}-day"))
    assert back_up_daily(path) is not None


def test_days_and_migrations_are_kept_apart(path):
    with closing(sqlite3.connect(path)) as connection:
        first = back_up(connection, path, "v1")
        for _ in range(KEPT_DAILY + 2):
            back_up(connection, path, "day")
    kept = [backup.tag for backup in backups(path)]
    assert kept == ["v1"] + ["day"] * KEPT_DAILY
    assert first.exists()


def test_a_damaged_store_makes_no_backup_and_is_replaced_but_kept(path):
    made = back_up_daily(path)
    with open_store(path) as store:
        store.add_reader("Ben")
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        open_store(path)
    bad = path.read_bytes()
    aside = restore(path, made, NEWEST)
    assert aside.read_bytes() == bad
    assert names(path) == ["Ada"]


def test_a_damaged_backup_changes_nothing(path):
    made = back_up_daily(path)
    damage(made)
    before = path.read_bytes()
    with pytest.raises(StoreError):
        restore(path, made, NEWEST)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if "set-aside" in entry.name] == []


def test_a_damaged_store_is_not_backed_up(path):
    damage(path)
    with pytest.raises(StoreError):
        back_up_daily(path)
    assert backups(path) == []


def test_an_open_store_is_not_replaced(path):
    made = back_up_daily(path)
    with open_store(path), pytest.raises(StoreError, match="open in another window"):
        restore(path, made, NEWEST)


def test_what_is_no_store_is_not_put_in_place(path, tmp_path):
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")
    with pytest.raises(StoreError, match="no store of Mitoscope"):
        restore(path, other, NEWEST)
    with pytest.raises(StoreError, match="newer"):
        restore(path, back_up_daily(path), NEWEST - 1)
    with pytest.raises(StoreError, match="no backup"):
        restore(path, tmp_path / "none", NEWEST)


def test_a_store_that_is_gone_comes_back(path):
    made = back_up_daily(path)
    path.unlink()
    assert restore(path, made, NEWEST) is None
    assert names(path) == ["Ada"]

"""`mitoscope audit` and `mitoscope store`: the trail and the backups from the command line."""

import csv
import json
import sqlite3
from contextlib import closing

import pytest

from app.__main__ import main
from app.restoring import newest_backup, restored
from core.store import open_store
from core.store.backup import back_up_daily


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        store.add_reader("=Ada")
        store.add_reader("Ben")
    return path


def head(path, capsys):
    assert main(["audit", "head", str(path)]) == 0
    return capsys.readouterr().out.strip()


def test_a_whole_trail_is_said_to_be_whole(path, capsys):
    digest = head(path, capsys)
    assert main(["audit", "verify", str(path), "--head", digest.upper()]) == 0
    assert "whole and holds the digest" in capsys.readouterr().out


def test_a_cut_end_is_found_with_the_digest_and_fails_the_command(path, capsys):
    digest = head(path, capsys)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER tr_events_no_delete")
        connection.execute("DELETE FROM events WHERE id = (SELECT max(id) FROM events)")
    assert main(["audit", "verify", str(path)]) == 0
    capsys.readouterr()
    assert main(["audit", "verify", str(path), "--head", digest, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] is False
    assert "cut off" in told["findings"][0]


def test_a_mistyped_digest_is_no_finding(path, capsys):
    assert main(["audit", "verify", str(path), "--head", "abc"]) == 2
    assert "no digest" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["audit", "verify"], ["store", "check"], ["store", "backup"]])
def test_a_store_that_is_not_there_is_not_made(tmp_path, capsys, command):
    path = tmp_path / "none.sqlite"
    assert main([*command, str(path)]) == 2
    assert not path.exists()
    assert "no store" in capsys.readouterr().err


def test_the_trail_is_exported_as_csv_and_as_lines(path, tmp_path, capsys):
    table, lines = tmp_path / "trail.csv", tmp_path / "trail.jsonl"
    assert main(["audit", "export", str(path), "--out", str(table)]) == 0
    assert main(["audit", "export", str(path), "--out", str(lines)]) == 0
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert [row["hash"] for row in rows] == [event["hash"] for event in told]
    assert [event["reader"] for event in told] == ["=Ada", "Ben"]
    assert rows[0]["reader"] == "'=Ada"
    assert main(["audit", "export", str(path), "--out", str(tmp_path / "trail.doc")]) == 2


def test_a_backup_is_made_listed_and_put_in_place_of_a_damaged_store(path, capsys):
    assert main(["store", "backup", str(path)]) == 0
    name = capsys.readouterr().out.strip()
    assert main(["store", "backups", str(path)]) == 0
    assert name in capsys.readouterr().out
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    assert main(["store", "check", str(path)]) == 2
    assert main(["store", "restore", str(path), "--yes"]) == 0
    assert "is kept as" in capsys.readouterr().out
    assert main(["store", "check", str(path)]) == 0
    with open_store(path) as store:
        assert store.events()[-1].kind == "store restored"
        assert [reader.name for reader in store.readers()] == ["=Ada", "Ben"]


def test_the_desktop_goes_back_to_the_newest_backup_and_says_where_the_damaged_file_is(path):
    assert newest_backup(path) is None
    back_up_daily(path)
    backup = newest_backup(path)
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    store, note = restored(path, backup)
    with store:
        assert [reader.name for reader in store.readers()] == ["=Ada", "Ben"]
    kept = min((e.name for e in path.parent.iterdir() if "set-aside" in e.name), key=len)
    assert kept in note

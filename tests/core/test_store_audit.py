"""The audit trail under random operations and tampering; the digest that a report carries."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.geometry import Mpp
from core.store import CountRecord, NewVerdict, SlideRecord, open_store

SLIDE = SlideRecord("q", "ab", "a.svs", 900, 700, 0.25, 0.25, "typed", "x", "")


def count(slide_id, reader_id, state="signed", lineage=""):
    return CountRecord(
        slide_id=slide_id,
        run_id=None,
        region_id=None,
        reader_id=reader_id,
        lineage=lineage,
        version=0,
        state=state,
        protocol="vet_std",
        mitoses=7,
        planned_mm2=2.37,
        counted_mm2=2.37,
        details={"interval": {"low": 2.8, "high": 14.4}, "category": None},
        app_version="1",
    )


def tamper(path, script):
    with closing(sqlite3.connect(path)) as connection:
        for table in ("events", "counts"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER IF EXISTS tr_{table}_no_{verb}")
        connection.executescript(script)


def verify(path, head=""):
    with open_store(path, read_only=True) as store:
        return store.verify_events(head)


OPERATIONS = {
    "reader": lambda store, n: store.add_reader(f"R{n}"),
    "mpp": lambda store, n: store.set_mpp(1, Mpp(0.2 + n / 100, 0.2 + n / 100), "typed"),
    "verdict": lambda store, n: store.give_verdicts(
        1, 1, [NewVerdict("mitosis", place0=(float(n), 5.0))]
    ),
    "count": lambda store, n: store.add_count(count(1, 1)),
    "case": lambda store, n: store.add_case(f"C{n}"),
    "delete": lambda store, n: store.delete_case(store.add_case(f"D{n}"), "Ada", "why"),
    "alias": lambda store, n: store.set_alias(1, f"S{n}"),
}
BREAKS = {
    "altered": "UPDATE events SET new = new || ' ' WHERE id = {n}",
    "missing": "DELETE FROM events WHERE id = {n}",
    "reordered": (
        "UPDATE events SET id = -1 WHERE id = {n}; UPDATE events SET id = {n} WHERE id = {m}; "
        "UPDATE events SET id = {m} WHERE id = -1"
    ),
    "reader": "UPDATE events SET reader = 'Eve' WHERE id = {n}",
}


@settings(max_examples=25, deadline=None)
@given(
    operations=st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=2, max_size=12),
    fault=st.sampled_from(sorted(BREAKS)),
    data=st.data(),
)
def test_whatever_is_done_the_trail_is_whole_until_somebody_touches_it(operations, fault, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        with open_store(path) as store:
            store.add_slide(SLIDE)
            store.add_reader("Ada")
            for n, name in enumerate(operations):
                OPERATIONS[name](store, n)
            assert store.verify_events(store.audit_head()) == []
            last = store.events()[-1].id
        # The last line may only be altered: that the end is gone, a digest alone can show.
        n = data.draw(st.integers(1, last - 1))
        m = data.draw(st.integers(1, last).filter(lambda other: other != n))
        tamper(path, BREAKS[fault].format(n=n, m=m))
        assert verify(path)


def test_a_cut_end_is_seen_only_with_the_digest(tmp_path):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        for name in ("Ada", "Ben", "Cleo"):
            store.add_reader(name)
        printed = store.audit_head()
    tamper(path, "DELETE FROM events WHERE id = 3")
    assert verify(path) == []
    assert verify(path, printed) == [
        "the digest is not in the trail: its end was cut off, or it was written anew"
    ]


def test_a_trail_written_anew_is_seen_only_with_the_digest(tmp_path):
    path, other = tmp_path / "s.sqlite", tmp_path / "other.sqlite"
    with open_store(path) as store:
        store.add_reader("Ada")
        printed = store.audit_head()
    with open_store(other) as store:
        store.add_reader("Eve")
    assert verify(other) == []
    assert verify(other, printed)


def test_a_digest_printed_earlier_still_holds_when_the_trail_has_gone_on(tmp_path):
    with open_store(tmp_path / "s.sqlite") as store:
        store.add_reader("Ada")
        printed = store.audit_head()
        store.add_reader("Ben")
        assert store.verify_events(printed) == []
        assert store.verify_events("0" * 64) == []


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ("UPDATE counts SET mitoses = 3 WHERE id = 1", "count 1 was altered"),
        ("UPDATE counts SET details = '{}' WHERE id = 1", "count 1 was altered"),
        ("DELETE FROM counts WHERE id = 2", "count 2 is missing"),
        (
            "INSERT INTO counts SELECT 9, slide_id, run_id, region_id, reader_id, 'x', version, "
            "state, protocol, mitoses, planned_mm2, counted_mm2, details, app_version, created_at "
            "FROM counts WHERE id = 1",
            "count 9 is not in the trail",
        ),
    ],
)
def test_a_signed_count_changed_behind_the_trail_is_found(tmp_path, script, finding):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        slide_id, reader = store.add_slide(SLIDE), store.add_reader("Ada")
        signed = store.add_count(count(slide_id, reader))
        store.add_count(count(slide_id, reader, "reopened", signed.lineage), "a figure was missed")
        assert store.verify_events() == []
    tamper(path, script)
    assert verify(path) == [finding]

"""A window that cannot be written is its run's failure, and nobody else's."""

import pytest

from core.errors import StoreError
from core.ports import ModelOrigin
from core.store import (
    CandidateRow,
    NewVerdict,
    RunSpec,
    SlideRecord,
    WindowResult,
    open_store,
    run_queries,
)
from core.store.writer import LATER

SLIDE = SlideRecord("quickhash-1", "ab", "a.svs", 800, 600, 0.25, 0.25, "tiff", "aperio")
ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def spec(slide_id, key="key"):
    return RunSpec(key, slide_id, {}, ORIGIN, ORIGIN, "0.1.0")


def window(col):
    points = [CandidateRow(col * 100, 0, 0.5)]
    return WindowResult(col, 0, "done", "cpu", "float32", candidates=points)


@pytest.fixture
def broken(store, monkeypatch):
    """A run of which window 2 cannot be written, asked for."""
    save = run_queries.save_window

    def save_window(connection, run, result):
        if result.col == 2:
            raise StoreError("The disk is full.")
        save(connection, run, result)

    monkeypatch.setattr(run_queries, "save_window", save_window)
    run = store.open_run(spec(store.add_slide(SLIDE)))
    for col in range(3):
        store.save_window(run.id, window(col))
    store.write(lambda c: None, LATER)  # all that was queued before is done
    return run


def test_a_reader_is_not_refused_for_the_failed_write_of_a_run(store, broken):
    ada = store.add_reader("Ada")
    store.give_verdicts(broken.slide_id, ada, [NewVerdict("mitosis", place0=(40, 30))])
    assert [verdict.value for verdict in store.iter_verdicts(broken.slide_id)] == ["mitosis"]
    other = store.open_run(spec(broken.slide_id, "other"))
    store.save_window(other.id, window(0))
    assert store.finished_windows(other.id) == {(0, 0)}
    assert store.finish_run(other.id, "done", {}).state == "done"
    with pytest.raises(StoreError, match="disk is full"):  # it is still the first run's
        store.save_window(broken.id, window(3))


def test_a_run_with_a_failed_write_is_never_done(store, broken):
    for call in (
        lambda: store.save_window(broken.id, window(3)),
        lambda: store.flush(broken.id),
        lambda: list(store.iter_window_points(broken.id)),
        lambda: store.finish_run(broken.id, "done", {}),
        lambda: store.finish_run(broken.id, "done", {}),
    ):
        with pytest.raises(StoreError, match="disk is full"):
            call()
    assert store.run(broken.id).state == "running"
    assert store.finish_run(broken.id, "failed", {}, "The disk is full.").state == "failed"
    assert store.finished_windows(broken.id) == {(0, 0), (1, 0)}
    store.flush()  # nothing is left to tell


def test_a_run_goes_on_after_a_failed_write(store, broken, monkeypatch):
    monkeypatch.undo()
    resumed = store.open_run(spec(broken.slide_id))
    assert resumed.id == broken.id
    assert store.finished_windows(resumed.id) == {(0, 0), (1, 0)}
    store.save_window(resumed.id, window(2))
    assert store.finish_run(resumed.id, "done", {}).state == "done"
    assert len(store.windows(resumed.id)) == 3


def test_a_cancelled_run_ends_and_tells_of_the_failed_write(store, broken):
    with pytest.raises(StoreError, match="disk is full"):
        store.finish_run(broken.id, "cancelled", {})
    assert store.run(broken.id).state == "cancelled"
    assert not store.holds_leases


def test_closing_tells_of_a_failed_write_that_nobody_was_told_of(tmp_path, monkeypatch):
    def fail(connection, run, result):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(run_queries, "save_window", fail)
    store = open_store(tmp_path / "store.sqlite")
    run = store.open_run(spec(store.add_slide(SLIDE)))
    store.save_window(run.id, window(0))
    with pytest.raises(StoreError, match="disk is full"):
        store.close()

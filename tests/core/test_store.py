"""The store's functions: slides, regions, runs, windows, candidates, verdicts, counts, events."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from core.errors import StoreError
from core.geometry import Mpp
from core.ports import ModelOrigin
from core.store import (
    Candidate,
    CandidateRow,
    CountRecord,
    NewAcknowledgement,
    NewAction,
    NewVerdict,
    RunSpec,
    SlideRecord,
    WindowResult,
    lease,
    open_store,
)
from core.store.host import filesystem_of, process_alive
from core.store.schema import APPEND_ONLY

SLIDE = SlideRecord(
    "quickhash-1", "ab", "Schnitt ü 🔬 1.svs", 800, 600, 0.25, 0.25, "tiff", "aperio"
)
DETECTOR = ModelOrigin("detector-1", "0d" * 32, "cpu", "float32")
CLASSIFIER = ModelOrigin("classifier-1", "0c" * 32, "cpu", "float32")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder with ü # ? 100%" / "store.sqlite"


@pytest.fixture
def store(path):
    with open_store(path) as opened:
        yield opened


def spec(slide_id, key="key", **more):
    return RunSpec(key, slide_id, {"b": 1, "a": [2]}, DETECTOR, CLASSIFIER, "0.1.0", **more)


def window(col, row, *scores, **more):
    points = [CandidateRow(col * 100 + n, row * 100, score) for n, score in enumerate(scores)]
    return WindowResult(col, row, "done", "cpu", "float32", candidates=points, **more)


def test_a_slide_is_known_by_its_content(store):
    slide_id = store.add_slide(SLIDE)
    moved = SlideRecord(
        "quickhash-1", "ab", "new.svs", 800, 600, 0.25, 0.25, "tiff", "aperio", "/x/new.svs"
    )
    assert store.add_slide(moved) == slide_id
    other = SlideRecord("quickhash-1", "cd", "new.svs", 800, 600, None, None, "", "aperio")
    other_id = store.add_slide(other)
    assert other_id != slide_id
    first, second = store.slides()
    assert (first.name, first.path, first.mpp) == ("new.svs", "/x/new.svs", Mpp(0.25, 0.25))
    assert (second.id, second.mpp, second.mpp_origin) == (other_id, None, "")
    assert store.slide(other_id) == second
    assert store.slides(after_id=slide_id) == [second]
    with pytest.raises(StoreError, match="no slide 99"):
        store.slide(99)


def test_a_new_pixel_size_is_a_new_version(store):
    slide_id = store.add_slide(SLIDE)
    store.add_slide(SLIDE)
    assert len(store.calibrations(slide_id)) == 1
    reader = store.add_reader("Ada")
    store.set_mpp(slide_id, Mpp(0.5, 0.4), "typed", reader)
    store.set_mpp(slide_id, Mpp(0.5, 0.4), "typed", reader)
    old, new = store.calibrations(slide_id)
    assert (old.mpp, old.origin, old.reader_id) == (Mpp(0.25, 0.25), "tiff", None)
    assert (new.mpp, new.origin, new.reader_id) == (Mpp(0.5, 0.4), "typed", reader)
    assert store.slide(slide_id).mpp == Mpp(0.5, 0.4)


def test_file_names_of_undecodable_bytes_are_kept(store):
    name = os.fsdecode(b"a\xff.svs")
    slide_id = store.add_slide(SlideRecord("q", "1", name, 1, 1, None, None, "", ""))
    assert store.slide(slide_id).name.isprintable()


def test_regions_are_versions_with_tombstones(store):
    slide_id = store.add_slide(SLIDE)
    first = store.add_region(slide_id, "tumour", b"polygon 1", properties={"name": "T"})
    assert store.add_region(slide_id, "tumour", b"polygon 1", properties={"name": "T"}) == first
    store.add_region(slide_id, "excluded", b"polygon 2")
    tumour, excluded = store.regions(slide_id)
    assert (tumour.version, tumour.properties, excluded.kind) == (1, {"name": "T"}, "excluded")
    store.add_region(slide_id, "tumour", b"polygon 3", lineage=tumour.lineage)
    assert [(r.wkb, r.version) for r in store.regions(slide_id)] == [
        (b"polygon 2", 1),
        (b"polygon 3", 2),
    ]
    store.add_region(slide_id, "tumour", None, lineage=tumour.lineage)
    assert [region.wkb for region in store.regions(slide_id)] == [b"polygon 2"]
    with pytest.raises(StoreError, match="no region"):
        store.add_region(slide_id, "tumour", b"x", lineage="unknown")


def test_windows_come_back_by_place_whatever_their_order_in_time(store):
    run = store.open_run(spec(store.add_slide(SLIDE)))
    store.save_window(run.id, window(1, 1, 0.4))
    store.save_window(run.id, window(0, 0))
    store.save_window(run.id, window(2, 0, 0.2, 0.9, blurred=True))
    store.save_window(
        run.id, WindowResult(0, 1, "failed", "cpu", "float32", message="damaged tile")
    )
    assert store.finished_windows(run.id) == {(1, 1), (0, 0), (2, 0), (0, 1)}
    points = [(p.x0, p.y0, p.detector_score) for p in store.iter_window_points(run.id)]
    assert points == [(200, 0, 0.2), (201, 0, 0.9), (100, 100, 0.4)]
    blurred, failed = store.notable_windows(run.id)
    assert (blurred.col, blurred.row, blurred.blurred) == (2, 0, True)
    assert (failed.col, failed.row, failed.message) == (0, 1, "damaged tile")
    assert [(w.col, w.row) for w in store.windows(run.id)] == [(0, 0), (2, 0), (0, 1), (1, 1)]


def test_window_points_come_through_many_pages(store):
    run = store.open_run(spec(store.add_slide(SLIDE)))
    for n in range(600):
        store.save_window(run.id, window(n % 30, n // 30, *([0.5] * (n % 3))))
    assert sum(1 for _ in store.iter_window_points(run.id)) == 600


def test_a_window_done_again_replaces_the_earlier_one(store):
    run = store.open_run(spec(store.add_slide(SLIDE)))
    store.save_window(run.id, window(0, 0, 0.1, 0.2))
    store.save_window(run.id, window(0, 0, 0.3))
    assert [point.detector_score for point in store.iter_window_points(run.id)] == [0.3]


def test_a_window_is_written_whole_or_not_at_all(store):
    run = store.open_run(spec(store.add_slide(SLIDE)))
    bad = [CandidateRow(1, 1, 0.5), CandidateRow(None, 1, 0.5)]
    store.save_window(run.id, WindowResult(0, 0, "done", "cpu", "float32", candidates=bad))
    with pytest.raises(TypeError):
        store.flush()
    store.flush()  # raised once, not again
    with pytest.raises(TypeError):  # but not all of the run is on disk
        store.finished_windows(run.id)
    store.finish_run(run.id, "failed", {})
    assert store.finished_windows(run.id) == set()


def test_the_same_key_resumes_and_then_returns_the_run(path):
    with open_store(path) as store:
        slide_id = store.add_slide(SLIDE)
        run = store.open_run(spec(slide_id))
        assert (run.state, run.attempt, run.parameters) == ("running", 1, {"b": 1, "a": [2]})
        assert (run.detector, run.classifier) == (DETECTOR, CLASSIFIER)
        store.save_window(run.id, window(0, 0, 0.5))
        store.finish_run(run.id, "cancelled", {"read_s": 1.0})
        assert store.run(run.id).state == "cancelled"
    with open_store(path) as store:
        resumed = store.open_run(spec(slide_id))
        assert (resumed.id, resumed.state) == (run.id, "running")
        assert store.finished_windows(run.id) == {(0, 0)}
        done = store.finish_run(run.id, "done", {"read_s": 0.5, "post_s": 2.0})
        assert done.times == {"read_s": 1.5, "post_s": 2.0}
        assert done.finished_at is not None
        assert store.open_run(spec(slide_id)) == done
        with pytest.raises(StoreError, match="finished"):
            store.save_window(run.id, window(1, 0))


def test_again_makes_another_run_with_its_own_windows(store):
    slide_id = store.add_slide(SLIDE)
    first = store.open_run(spec(slide_id))
    store.save_window(first.id, window(0, 0, 0.5))
    store.finish_run(first.id, "done", {})
    second = store.open_run(spec(slide_id), again=True)
    assert (second.attempt, store.finished_windows(second.id)) == (2, set())
    assert store.finished_windows(first.id) == {(0, 0)}
    assert store.open_run(spec(slide_id)).id == second.id
    assert [run.id for run in store.runs(slide_id)] == [first.id, second.id]


def test_runs_of_two_classifiers_share_a_detection_set(store):
    slide_id = store.add_slide(SLIDE)
    region = store.add_region(slide_id, "tumour", b"polygon")
    first = store.open_run(spec(slide_id, "one", detection_key="d", region_ids=[region]))
    store.save_window(first.id, window(0, 0, 0.5))
    store.save_candidates(first.id, [Candidate(1, 2, 0.5, 0.9, "mitosis")])
    store.finish_run(first.id, "done", {})
    second = store.open_run(spec(slide_id, "two", detection_key="d", region_ids=[region]))
    assert second.detection_set_id == first.detection_set_id
    assert store.finished_windows(second.id) == {(0, 0)}
    ((candidate_id, *place),) = store.unscored(second.id)
    assert place == [1, 2, 0.5]
    store.save_scores(second.id, [(candidate_id, 0.1, "imposter")])
    assert store.unscored(second.id) == []
    assert [c.label for c in store.candidates(first.id)] == ["mitosis"]
    assert [c.label for c in store.candidates(second.id)] == ["imposter"]


def test_candidates_are_paged_by_key_and_keep_their_order(store):
    run = store.open_run(spec(store.add_slide(SLIDE)))
    rows = [Candidate(n, n, 0.5, (n * 37 % 101) / 101, "imposter") for n in range(6000)]
    store.save_candidates(run.id, rows[:2500])
    assert store.classified_count(run.id) == 2500
    store.save_candidates(run.id, rows[2500:])
    first = store.candidates(run.id, limit=10)
    assert [row.x0 for row in first] == list(range(10))
    assert store.candidates(run.id, after_id=first[-1].id, limit=1)[0].x0 == 10
    everything = list(store.iter_candidates(run.id))
    assert [row.x0 for row in everything] == list(range(6000))
    ranked, after = [], None
    while page := store.candidates_by_probability(run.id, after, limit=999):
        ranked += page
        after = (page[-1].probability, page[-1].id)
    assert ranked == sorted(everything, key=lambda row: (-row.probability, -row.id))


def test_verdicts_need_a_target_of_their_slide(store):
    slide_id, reader = store.add_slide(SLIDE), store.add_reader(" Ada ")
    assert store.add_reader("Ada") == reader
    assert [person.name for person in store.readers()] == ["Ada"]
    other = store.add_slide(SlideRecord("q", "2", "b", 1, 1, None, None, "", ""))
    run = store.open_run(spec(slide_id))
    store.save_candidates(run.id, [Candidate(7, 8, 0.5, 0.9, "mitosis")])
    (candidate,) = store.candidates(run.id)
    for wrong in (
        NewVerdict("mitosis", candidate_id=candidate.id),
        NewVerdict("unsure", point_id=1),
    ):
        with pytest.raises(StoreError, match=f"Slide {other} has no"):
            store.give_verdicts(other, reader, [wrong])
    with pytest.raises(ValueError, match="one candidate, one point or one place"):
        store.give_verdicts(slide_id, reader, [NewVerdict("mitosis")])
    with pytest.raises(StoreError, match="nothing to do"):
        store.give_verdicts(slide_id, reader, [])
    with pytest.raises(StoreError, match="needs a name"):
        store.add_reader("  ")
    assert list(store.iter_points(slide_id)) == []


def test_verdicts_belong_to_a_point_of_the_slide(store):
    slide_id, reader = store.add_slide(SLIDE), store.add_reader("Ada")
    run = store.open_run(spec(slide_id))
    store.save_candidates(run.id, [Candidate(7, 8, 0.5, 0.9, "mitosis")])
    (candidate,) = store.candidates(run.id)
    for value in ("unsure", "mitosis"):
        store.give_verdicts(
            slide_id, reader, [NewVerdict(value, candidate_id=candidate.id)], run_id=run.id
        )
    store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", True, place0=(1.5, 2.5))])
    of_candidate, placed = store.iter_points(slide_id)
    assert (of_candidate.x0, of_candidate.y0, of_candidate.hand_placed) == (7, 8, False)
    assert (placed.x0, placed.y0, placed.hand_placed) == (1.5, 2.5, True)
    assert store.candidates(run.id)[0].point_id == of_candidate.id
    assert [(v.point_id, v.value, v.reader) for v in store.iter_verdicts(slide_id)] == [
        (of_candidate.id, "unsure", "Ada"),
        (of_candidate.id, "mitosis", "Ada"),
        (placed.id, "mitosis", "Ada"),
    ]


def test_one_action_is_one_transaction(store):
    slide_id, reader = store.add_slide(SLIDE), store.add_reader("Ada")
    good, bad = NewVerdict("mitosis", place0=(1, 1)), NewVerdict("imposter", True, place0=(2, 2))
    with pytest.raises(IntegrityError):
        store.give_verdicts(slide_id, reader, [good, bad])
    assert list(store.iter_points(slide_id)) == []
    assert list(store.iter_verdicts(slide_id)) == []


def test_counts_are_versions(store):
    slide_id = store.add_slide(SLIDE)
    first = store.add_count(CountRecord(slide_id, "breast", "accepted", 14, 2.37, 2.3, "0.1.0"))
    again = CountRecord(
        slide_id, "breast", "signed", 15, 2.37, 2.3, "0.1.0", {"k": 1}, lineage=first.lineage
    )
    second = store.add_count(again)
    assert (first.version, second.version) == (1, 2)
    assert store.counts(slide_id) == [second]


@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id + 1", "DELETE FROM {}"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_readers_decided_cannot_be_changed(path, table, verb):
    with open_store(path) as store:
        slide_id, reader = store.add_slide(SLIDE), store.add_reader("Ada")
        store.add_region(slide_id, "tumour", b"polygon")
        store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))])
        store.act(slide_id, reader, NewAction("", acknowledgements=[NewAcknowledgement("blur")]))
        store.add_count(CountRecord(slide_id, "breast", "accepted", 1, 2.37, 2.37, "0.1.0"))
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(verb.format(table))


def test_references_hold(store):
    with pytest.raises(IntegrityError):
        store.open_run(spec(slide_id=99))


def test_every_action_leaves_a_line_in_the_trail(store):
    slide_id, reader = store.add_slide(SLIDE), store.add_reader("Ada")
    run = store.open_run(spec(slide_id))
    store.finish_run(run.id, "done", {})
    store.give_verdicts(slide_id, reader, [NewVerdict("mitosis", place0=(1, 2))], reason="why")
    assert [(event.kind, event.reader) for event in store.events()] == [
        ("slide added", ""),
        ("calibration set", ""),
        ("reader added", "Ada"),
        ("run started", ""),
        ("run done", ""),
        ("verdicts given", "Ada"),
    ]
    assert store.events()[-1].reason == "why"
    assert store.verify_events() == []


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [
        ("UPDATE events SET reason = 'x' WHERE id = 2", "event 2 was altered"),
        ("DELETE FROM events WHERE id = 2", "event 2 is missing"),
        ("UPDATE events SET id = 9 WHERE id = 2", "event 2 is missing"),
        (
            "UPDATE events SET previous = (SELECT hash FROM events WHERE id = 3) WHERE id = 2",
            "event 2 does not follow",
        ),
        (
            "UPDATE events SET id = -1 WHERE id = 2; UPDATE events SET id = 2 WHERE id = 3; "
            "UPDATE events SET id = 3 WHERE id = -1",
            "event 2 does not follow",
        ),
    ],
)
def test_a_tampered_trail_is_found(path, tamper, finding):
    with open_store(path) as store:
        for name in ("Ada", "Ben", "Cleo", "Dora"):
            store.add_reader(name)
    with closing(sqlite3.connect(path)) as connection:
        for trigger in ("tr_events_no_update", "tr_events_no_delete"):
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.executescript(tamper)
    with open_store(path) as store:
        assert any(line.startswith(finding) for line in store.verify_events())


def test_a_closed_store_says_so(path):
    store = open_store(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.slides()
    with pytest.raises(StoreError, match="closed"):
        store.add_reader("Ada")


def test_closing_gives_the_lease_back(path):
    with open_store(path) as store:
        slide_id = store.add_slide(SLIDE)
        run = store.open_run(spec(slide_id))
        with (
            open_store(path) as other,
            pytest.raises(StoreError, match=r"Another process .* is analysing"),
        ):
            other.open_run(spec(slide_id))
    with open_store(path) as store:
        assert store.open_run(spec(slide_id)).id == run.id


def test_a_lost_lease_stops_writing(path, monkeypatch):
    with open_store(path) as asleep, open_store(path) as other:
        slide_id = asleep.add_slide(SLIDE)
        run = asleep.open_run(spec(slide_id))
        monkeypatch.setattr(lease, "EXPIRED_S", -1.0)
        assert other.open_run(spec(slide_id)).id == run.id
        asleep.save_window(run.id, window(0, 0, 0.5))
        with pytest.raises(StoreError, match="taken over"):
            asleep.flush()
        other.save_window(run.id, window(1, 0, 0.5))
        assert other.finished_windows(run.id) == {(1, 0)}


def test_a_lease_of_another_host_holds_until_it_expires(path):
    with open_store(path) as gone, open_store(path) as here:
        slide_id = here.add_slide(SLIDE)
        run = gone.open_run(spec(slide_id))
        here.write(lambda c: c.exec_driver_sql("UPDATE leases SET host = 'elsewhere', pid = 1"))
        with pytest.raises(StoreError, match="pid 1 on elsewhere"):
            here.open_run(spec(slide_id))
        here.write(lambda c: c.exec_driver_sql("UPDATE leases SET heartbeat_s = 0"))
        assert here.open_run(spec(slide_id)).id == run.id


def test_leases_are_kept_alive(path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    with open_store(path) as store:
        store.open_run(spec(store.add_slide(SLIDE)))
        store.write(lambda c: c.exec_driver_sql("UPDATE leases SET heartbeat_s = 0"))
        beaten = 0.0
        while not beaten:
            with store.reading() as connection:
                query = "SELECT heartbeat_s FROM leases"
                beaten = connection.exec_driver_sql(query).scalar_one()


def test_process_liveness():
    assert process_alive(os.getpid())
    assert not process_alive(2**22 + 1)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ada", "ext4"),
        ("/mnt/share/a", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share", "nfs4"),
    ],
)
def test_the_longest_mount_point_above_decides(folder, kind):
    mounts = [("/", "overlay"), ("/", "ext4"), ("/mnt/share", "nfs4")]
    assert filesystem_of(Path(folder), mounts) == kind

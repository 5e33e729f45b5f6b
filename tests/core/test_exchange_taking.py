"""Files taken in at the desk and exported again: verdicts, hand-placed points, regions, undo."""

import numpy as np
import pytest
import shapely
from desks import MPP, SIDE0, add_run, add_slide, all_tissue, candidate

from core.errors import InputError, PixelSizeError
from core.exchange.gathering import Choice, frame_of, gather
from core.exchange.marks import Mark, Outline, Saying, SlideFrame, SlideMarks
from core.reading.desk import Desk
from core.store import open_store

FRAME = SlideFrame("ab.svs", SIDE0, SIDE0)
CANDIDATES = [candidate(1000, 1000, 0.9), candidate(2000, 1000, 0.4), candidate(3000, 1000, 0.1)]


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def slide_id(store):
    found = add_slide(store)
    add_run(store, found, CANDIDATES)
    return found


@pytest.fixture
def desk(store, slide_id):
    return sit_down(store, slide_id, "Ada")


def sit_down(store, slide_id, name, **how):
    desk = Desk(store, slide_id, store.add_reader(name), protocol_id="vet_std", **how)
    desk.use_run(store.runs(slide_id)[-1].id)
    return desk


def file_of(*marks, outlines=()):
    return SlideMarks(FRAME, marks, outlines)


def gathered(store, slide_id, **choice):
    stored = store.slide(slide_id)
    return gather(store, stored, frame_of(stored), Choice(**choice))


def words(store, slide_id, **choice):
    marks = gathered(store, slide_id, **choice).marks
    return {(mark.x0, mark.y0): mark.verdict for mark in marks if mark.verdict}


def test_marks_near_a_figure_are_its_verdict_and_others_are_placed(store, slide_id, desk):
    near = 7.5 / MPP
    taken = desk.take_in(
        file_of(
            Mark(1000 + near, 1000, label="mitosis"),
            Mark(2000, 1000 + 2 * near, label="atypical"),
            Mark(3000, 1000, label="imposter"),
        )
    )
    assert (taken.matched, taken.placed) == (2, 1)
    assert words(store, slide_id) == {
        (1000, 1000): "mitosis",
        (2000, 1000 + 2 * near): "atypical",
        (3000, 1000): "imposter",
    }
    assert {verdict.method for verdict in store.iter_verdicts(slide_id)} == {"import"}


def test_one_undo_takes_the_whole_file_back(store, slide_id, desk):
    box = Outline("tumour", shapely.box(0, 0, 5000, 5000), "invasive front")
    desk.take_in(
        file_of(*(Mark(n * 500.0, 7000, label="mitosis") for n in range(9)), outlines=[box])
    )
    view = desk.undo()
    assert words(store, slide_id) == {}
    assert view.regions == ()
    view = desk.redo()
    assert len(words(store, slide_id)) == 9
    assert view.regions[0].properties == {"name": "invasive front"}


def test_a_file_taken_in_twice_changes_nothing(store, slide_id, desk):
    rng = np.random.default_rng(7)
    # So dense that marks compete for figures.
    places = rng.uniform(900, 3100, (300, 2))
    box = Outline("excluded", shapely.box(10, 10, 90, 90))
    file = file_of(*(Mark(x, y, label="mitosis") for x, y in places), outlines=[box])
    desk.take_in(file)
    again = desk.take_in(file)
    assert again.text == "301 known already"
    assert len(words(store, slide_id)) == 300


def test_labels_alone_do_not_count_where_a_file_holds_verdicts(desk):
    taken = desk.take_in(
        file_of(Mark(10, 10, label="mitosis"), Mark(90, 90, label="mitosis", verdict="imposter"))
    )
    assert (taken.placed, taken.matched) == (1, 0)
    assert taken.notes == ("marks left out, without a verdict: 1",)


def test_of_several_persons_the_one_with_the_readers_name_counts(store, slide_id, desk):
    both = (Saying("Ada", "imposter"), Saying("Bob", "mitosis"))
    file = file_of(
        Mark(1000, 1000, sayings=both),
        Mark(9000, 9000, verdict="mitosis", sayings=(Saying("Bob", "mitosis"),)),
    )
    desk.take_in(file)
    assert words(store, slide_id) == {(1000, 1000): "imposter"}
    taken = sit_down(store, slide_id, "Cid").take_in(file)  # who is not in the file
    assert words(store, slide_id, reader="Cid") == {(9000, 9000): "mitosis"}
    assert taken.notes == ("marks left out, on which their readers differ: 1",)


def test_votes_without_names_leave_the_label_of_their_data_set(store, slide_id, desk):
    votes = (Saying("", "mitosis"), Saying("", "imposter"), Saying("", "mitosis"))
    desk.take_in(file_of(Mark(500, 500, label="mitosis", sayings=votes)))
    assert words(store, slide_id) == {(500, 500): "mitosis"}


def test_points_without_a_class_are_mitoses_only_if_asked_for(store, slide_id, desk):
    file = file_of(Mark(500, 500), Mark(900, 900, name="Cell"), Mark(700, 700, label="imposter"))
    labels = desk.take_in(file)
    assert set(labels.notes) == {
        "marks left out, of unknown class: 1",
        "marks left out, of unknown class (Cell): 1",
    }
    mitoses = desk.take_in(file, "mitoses")
    assert mitoses.notes == ("marks left out, called imposter: 1",)
    assert words(store, slide_id) == {
        (500, 500): "mitosis",
        (900, 900): "mitosis",
        (700, 700): "imposter",
    }


def test_nothing_to_take_in_is_said_and_changes_nothing(store, slide_id, desk):
    with pytest.raises(InputError, match="holds nothing to take in") as caught:
        desk.take_in(file_of(Mark(1, 1, name="Cell")))
    assert "unknown class (Cell)" in caught.value.hint
    assert store.actions(slide_id, 1) == []


def test_without_a_pixel_size_no_figure_is_taken_in(store):
    slide_id = add_slide(store, "cd", mpp=None)
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    with pytest.raises(PixelSizeError):
        desk.take_in(file_of(Mark(1, 1, label="mitosis")))
    taken = desk.take_in(file_of(outlines=[Outline("tumour", shapely.box(0, 0, 9, 9))]))
    assert taken.text == "1 region drawn"


def test_a_signed_count_refuses_the_whole_file(store, slide_id, desk):
    desk.set_tissue(all_tissue())
    desk.set_all_tissue_is_tumour(True)
    area = desk.move_area((2000, 2000)).area
    view = desk.view()
    desk.give(view.figures.key.tolist(), "imposter")
    desk.sign({})
    inside = Mark(*area.centre0, label="mitosis")
    with pytest.raises(InputError, match="signed"):
        desk.take_in(file_of(Mark(39_000, 39_000, label="mitosis"), inside))
    assert (39_000, 39_000) not in words(store, slide_id)
    desk.take_in(file_of(Mark(39_000, 39_000, label="mitosis")))


def test_a_blinded_reader_gives_a_verdict_of_a_point_that_they_do_not_see(store, slide_id, desk):
    desk.place(8000, 8000)
    blinded = sit_down(store, slide_id, "Bob", blinded=True)
    taken = blinded.take_in(file_of(Mark(8004, 8000, label="imposter")))
    assert (taken.matched, taken.placed) == (1, 0)
    assert len(list(store.iter_points(slide_id))) == 1


# What leaves.


def test_candidates_leave_without_verdicts_and_verdicts_without_scores(store, slide_id, desk):
    desk.give([store.candidates(1)[0].id], "atypical")
    desk.place(8000, 8000)
    candidates = gathered(store, slide_id, what="candidates").marks
    assert [(mark.label, mark.probability) for mark in candidates] == [
        ("mitosis", 0.9),
        ("imposter", 0.4),
        ("imposter", 0.1),
    ]
    assert not any(mark.verdict or mark.reader or mark.sayings for mark in candidates)
    verdicts = gathered(store, slide_id, what="verdicts").marks
    assert [(mark.verdict, mark.probability, mark.label) for mark in verdicts] == [
        ("atypical", None, ""),
        ("mitosis", None, ""),
    ]
    everything = gathered(store, slide_id).marks
    assert [(mark.label, mark.verdict) for mark in everything] == [
        ("mitosis", "atypical"),
        ("imposter", ""),
        ("imposter", ""),
        ("", "mitosis"),
    ]
    assert {mark.uuid for mark in verdicts} < {mark.uuid for mark in everything}


def test_one_readers_export_tells_nothing_of_the_others(store, slide_id, desk):
    keys = [row.id for row in store.candidates(1)]
    bob = sit_down(store, slide_id, "Bob")
    desk.give(keys[:2], "mitosis")
    bob.give(keys[1:], "imposter")
    assert words(store, slide_id, reader="Ada") == {
        (1000, 1000): "mitosis",
        (2000, 1000): "mitosis",
    }
    said = [mark.sayings for mark in gathered(store, slide_id, reader="Ada").marks]
    assert {saying.reader for sayings in said for saying in sayings} == {"Ada"}
    # All readers: where they differ nothing counts, and each of them is named.
    assert words(store, slide_id) == {(1000, 1000): "mitosis", (3000, 1000): "imposter"}
    disputed = gathered(store, slide_id, what="verdicts").marks[1]
    assert disputed.sayings == (Saying("Ada", "mitosis"), Saying("Bob", "imposter"))
    bob.refresh()
    bob.settle([keys[1]], "atypical")
    assert words(store, slide_id, reader="consensus") == {(2000, 1000): "atypical"}
    with pytest.raises(InputError, match="no reader Eve"):
        gathered(store, slide_id, reader="Eve")


def test_deleted_figures_stay_and_the_alias_stands_for_the_name(store, slide_id, desk):
    desk.give([store.candidates(1)[0].id], "deleted")
    store.set_alias(slide_id, "case 7")
    marks = gathered(store, slide_id)
    assert len(marks.marks) == 2
    assert marks.notes == ("deleted figures left out: 1",)
    assert marks.slide.name == "case 7"


def test_a_run_that_is_not_there_is_named(store, slide_id):
    with pytest.raises(InputError, match="no run 77"):
        gathered(store, slide_id, run=77)
    empty = add_slide(store, "ef")
    with pytest.raises(InputError, match="was not analysed"):
        gathered(store, empty, what="candidates")
    assert gathered(store, empty).marks == []

"""Undo and redo of all that a reader does on a slide, across restarts and a killed process."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import shapely
from desks import MPP, add_run, add_slide, all_tissue, candidate
from hypothesis import given, settings
from hypothesis import strategies as st

import core
from core.geometry import Mpp
from core.reading.desk import Desk
from core.reading.view import NONE
from core.store import open_store

PLACES = [(20_000 + 100 * n, 20_000, p) for n, p in enumerate((0.9, 0.5, 0.4, 0.2, 0.1))]

rows = st.lists(st.integers(0, len(PLACES) - 1), min_size=1, max_size=3, unique=True)
verdicts = st.sampled_from(["mitosis", "atypical", "imposter", "unsure", "deleted"])
acts = st.one_of(
    st.tuples(st.just("give"), rows, verdicts),
    st.tuples(st.just("clear"), rows),
    st.tuples(st.just("join"), st.just([1, 2])),
    st.tuples(st.just("settle"), rows, verdicts),
    st.tuples(st.just("place"), st.integers(0, 3), verdicts),
    st.tuples(st.just("draw"), st.sampled_from(["tumour", "excluded"]), st.integers(1, 3)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("piece"), st.booleans()),
    st.tuples(st.just("move"), st.integers(0, 3)),
    st.tuples(st.just("free")),
    st.tuples(st.just("mpp"), st.sampled_from([MPP, 0.3])),
    st.tuples(st.just("tumour"), st.booleans()),
    st.tuples(st.just("blur")),
)
moves = st.one_of(acts, st.just(("undo",)), st.just(("redo",)), st.just(("restart",)))


def do(desk, name, *rest):
    """One act of the strategy above."""
    keys = [int(key) for key in desk.view().figures.key if key > 0]
    if name in ("give", "settle"):
        getattr(desk, name)([keys[n] for n in rest[0]], rest[1])
    elif name == "clear":
        desk.clear([keys[n] for n in rest[0]])
    elif name == "join":
        desk.join([keys[n] for n in rest[0]])
    elif name == "place":
        desk.place(5000 + 40 * rest[0], 5000, rest[1])
    elif name == "draw":
        desk.draw_region(rest[0], shapely.box(0, 0, 9000 * rest[1], 9000))
    elif name == "delete":
        for region in desk.view().regions[:1]:
            desk.delete_region(region.lineage)
    elif name == "piece":
        desk.exclude_piece(0, rest[0])
    elif name == "move":
        desk.move_area((20_000 + 100 * rest[0], 20_000))
    elif name == "free":
        desk.use_proposal()
    elif name == "mpp":
        desk.set_mpp(Mpp(rest[0], rest[0]), "typed")
    elif name == "tumour":
        desk.set_all_tissue_is_tumour(rest[0])
    elif name == "blur":
        desk.acknowledge_blur()


def standing(view):
    """All that undo and redo must restore."""
    figures = view.figures
    said = figures.verdict != NONE
    columns = (figures.key[said], figures.x0[said], figures.y0[said], figures.verdict[said])
    area = view.area
    accepted = area is not None and area.state == "accepted"
    return (
        sorted(zip(*(column.tolist() for column in columns), strict=True)),
        sorted((region.kind, region.wkb) for region in view.regions),
        [round(side) for side in area.centre0] if accepted else None,
        (view.mpp, view.mpp_origin),
        view.all_tissue_is_tumour,
        view.blur_acknowledged,
    )


class Reading:
    """A reader at work on a store in a file, beside a plain stack of what stood."""

    def __init__(self, path):
        self.path = path
        self.store = open_store(path)
        self.slide_id = add_slide(self.store)
        self.reader_id = self.store.add_reader("Ada")
        self.run_id = add_run(self.store, self.slide_id, [candidate(*row) for row in PLACES])
        self.desk = self.sit_down()
        self.stack = [standing(self.desk.view())]
        self.at = 0

    def sit_down(self):
        desk = Desk(self.store, self.slide_id, self.reader_id, protocol_id="vet_std")
        desk.use_run(self.run_id)
        desk.set_tissue(all_tissue())
        return desk

    def step(self, name, *rest):
        if name == "restart":
            self.store.close()
            self.store = open_store(self.path)
            self.desk = self.sit_down()
        elif name == "undo":
            self.desk.undo()
            self.at = max(0, self.at - 1)
        elif name == "redo":
            self.desk.redo()
            self.at = min(len(self.stack) - 1, self.at + 1)
        else:
            before = len(list(self.store.iter_actions(self.slide_id, self.reader_id)))
            do(self.desk, name, *rest)
            if len(list(self.store.iter_actions(self.slide_id, self.reader_id))) > before:
                self.stack[self.at + 1 :] = [standing(self.desk.view())]
                self.at += 1

    def check(self):
        view = self.desk.view()
        assert standing(view) == self.stack[self.at]
        assert bool(view.undo_text) == (self.at > 0)
        assert bool(view.redo_text) == (self.at + 1 < len(self.stack))


@given(st.lists(moves, min_size=3, max_size=16))
@settings(max_examples=15, deadline=None)
def test_undo_and_redo_are_a_stack_of_all_that_stands(work):
    with tempfile.TemporaryDirectory() as folder:
        reading = Reading(Path(folder) / "store.sqlite")
        try:
            for step in work:
                reading.step(*step)
                reading.check()
            reading.step("restart")
            reading.check()
            assert reading.store.verify_events() == []
        finally:
            reading.store.close()


@pytest.mark.parametrize(
    "work",
    [
        [("give", [0], "mitosis"), ("clear", [0])],
        [("give", [0], "mitosis"), ("give", [0], "imposter"), ("give", [0, 1], "unsure")],
        [("settle", [0], "mitosis"), ("settle", [0], "imposter")],
        [("move", 0), ("move", 1), ("free",), ("move", 2)],
        [("mpp", 0.3), ("mpp", MPP), ("mpp", 0.3)],
        [("draw", "tumour", 1), ("delete",), ("draw", "tumour", 2)],
        [("tumour", True), ("tumour", False), ("tumour", True)],
        [("piece", True), ("piece", False)],
    ],
)
def test_what_was_changed_twice_is_undone_twice_and_done_again(tmp_path, work):
    reading = Reading(tmp_path / "store.sqlite")
    for step in [
        *work,
        *[("undo",)] * len(work),
        *[("redo",)] * len(work),
        ("undo",),
        ("restart",),
    ]:
        reading.step(*step)
        reading.check()
    reading.store.close()


def test_undo_names_what_it_takes_back_and_outlives_the_program(tmp_path):
    reading = Reading(tmp_path / "store.sqlite")
    keys = reading.desk.view().figures.key.tolist()
    reading.desk.give(keys[:1], "mitosis")
    view = reading.desk.give(keys[:2], "imposter")
    assert view.undo_text == "imposter, 2 figures"
    reading.step("restart")
    view = reading.desk.undo()
    assert (view.undo_text, view.redo_text) == ("mitosis", "imposter, 2 figures")
    first, second, third = reading.store.iter_actions(reading.slide_id, reading.reader_id)
    assert (first.undoes_id, second.undoes_id, third.undoes_id) == (None, None, second.id)
    undone = [v for v in reading.store.iter_verdicts(reading.slide_id) if v.action_id == third.id]
    assert [(v.value, v.method) for v in undone] == [("cleared", "undo"), ("mitosis", "undo")]
    reading.store.close()


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from desks import add_run, add_slide, candidate
from core.reading.desk import Desk
from core.store import open_store

store = open_store(Path(sys.argv[2]))
slide_id = add_slide(store)
run_id = add_run(store, slide_id, [candidate(500 * n, 500, 0.5) for n in range(400)])
desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
keys = desk.use_run(run_id).figures.key.tolist()
for n, key in enumerate(keys):
    view = desk.give([key], "imposter")
    if n % 5 == 4:
        view = desk.undo()
    code = view.figures.verdict[view.figures.row(key)]
    print(key, code, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_loses_no_verdict_that_it_showed(tmp_path):
    path = tmp_path / "store.sqlite"
    support = Path(__file__).parents[1] / "support"
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(support), str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(core.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    shown = [process.stdout.readline() for _ in range(23)]
    process.kill()
    shown += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    with open_store(path) as store:
        (slide,) = store.slides()
        (run,) = store.runs(slide.id)
        desk = Desk(store, slide.id, store.add_reader("Ada"), protocol_id="vet_std")
        figures = desk.use_run(run.id).figures
        known = [line.split() for line in shown if line.endswith("\n")]
        for key, code in known:
            assert figures.verdict[figures.row(int(key))] == int(code), key
        assert len(known) >= 23
        # At most the one that was under way is there beyond what was shown.
        assert (figures.verdict != NONE).sum() - sum(code != "0" for _, code in known) in (0, 1)
        assert store.verify_events() == []

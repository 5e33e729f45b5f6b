"""Review by real key events: a real room on a real store and a real slide."""

import sqlite3

import numpy as np
import pytest
from blobs import blob_slide
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.actions import Keymap
from app.bridge import GuiBridge
from app.opening import stored_slide
from app.panels.gallery import GalleryPanel
from app.panels.gallery_model import FigureList
from app.reviewing import Reviewer
from app.room import Room
from app.shortcuts import WindowActions
from core.ports import ModelOrigin
from core.reading.view import NONE, VERDICTS
from core.slides.reader import open_slide
from core.store import Candidate, RunSpec, open_store

KEYS = {"M": Qt.Key.Key_M, "A": Qt.Key.Key_A, "X": Qt.Key.Key_X, "Q": Qt.Key.Key_Q}
MODEL = ModelOrigin("m", "0" * 64, "cpu", "float32")
N = 24


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "blobs.tif"
    blob_slide(path, 1400, 1000, count=6)
    return path


class Window(QWidget):
    """The gallery and its keys, as in the window."""

    def __init__(self, store_path):
        super().__init__()
        self.store = open_store(store_path)
        self.room = Room(self.store, GuiBridge(), "Ada", backend="openslide")
        self.list = FigureList()
        self.reviewer = Reviewer(self.room, self.list)
        keymap = Keymap()
        self.panel = GalleryPanel(self.room, self.list, self.reviewer, keymap)
        actions = WindowActions(keymap, self)
        actions.add_to(self.panel.grid, "gallery")
        self.reviewer.connect_to(actions)
        QVBoxLayout(self).addWidget(self.panel)
        self.failures = []
        self.room.failed.connect(self.failures.append)
        self.room.bridge.bug.connect(self.failures.append)
        self.resize(420, 700)

    def end(self):
        self.panel.shutdown()
        assert self.room.shutdown()
        self.store.close()
        assert self.failures == []


@pytest.fixture
def store_path(tmp_path, slide_file):
    path = tmp_path / "s.sqlite"
    rng = np.random.default_rng(1)
    with open_store(path) as store, open_slide(slide_file) as slide:
        slide_id = stored_slide(store, slide).id
        parameters = {"classifier": {"review_threshold": 0.3, "count_threshold": 0.7}}
        run = store.open_run(RunSpec("r", slide_id, parameters, MODEL, MODEL, "0.1"))
        points = rng.uniform((250, 250), (1150, 750), (N, 2)).tolist()
        rows = [Candidate(x, y, 0.5, p, "imposter") for (x, y), p in zip(points, P, strict=True)]
        store.save_candidates(run.id, rows)
        store.finish_run(run.id, "done", {})
    return path


#: Two thirds are above the review threshold.
P = np.linspace(0.95, 0.02, N).round(3).tolist()
ABOVE = sum(p >= 0.3 for p in P)


@pytest.fixture
def open_window(qtbot, store_path, slide_file):
    windows = []

    def make():
        window = Window(store_path)
        windows.append(window)
        qtbot.addWidget(window)
        window.show()
        window.activateWindow()
        window.panel.grid.setFocus()
        window.room.open(slide_file)
        qtbot.waitUntil(
            lambda: window.room.view is not None and bool(window.room.view.pieces), timeout=20_000
        )
        assert len(window.room.view.figures) == N
        qtbot.waitUntil(window.panel.grid.hasFocus)
        return window

    yield make
    for window in windows:
        if window.room.opened is not None:
            window.end()


def press(qtbot, window, *keys):
    for key in keys:
        qtbot.keyClick(window, KEYS.get(key, key))


def idle(qtbot, window):
    qtbot.waitUntil(lambda: not window.reviewer.busy, timeout=20_000)


def verdicts(window):
    figures = window.room.view.figures
    return {int(k): VERDICTS[v] for k, v in zip(figures.key, figures.verdict, strict=True)}


def on_disk(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]


def test_each_verdict_is_on_disk_before_the_next_crop_shows(open_window, qtbot, store_path):
    window = open_window()
    press(qtbot, window, Qt.Key.Key_J)
    first = window.room.selection[0]
    seen = []
    window.room.selection_changed.connect(lambda keys: seen.append(on_disk(store_path)))
    press(qtbot, window, "M", "A", "X", "Q")
    idle(qtbot, window)
    assert seen == [1, 2, 3, 4]
    given = [verdicts(window)[int(key)] for key in window.list.keys[:4]]
    assert int(window.list.keys[0]) == first
    assert given == ["mitosis", "atypical", "imposter", "unsure"]


def test_a_burst_of_keys_reaches_one_figure_after_the_other(open_window, qtbot, store_path):
    window = open_window()
    press(qtbot, window, Qt.Key.Key_J)
    burst = ["M", "X", "X", "A", "Q", "X", "M", "X", "X", "M"]
    press(qtbot, window, *burst)
    idle(qtbot, window)
    words = {"M": "mitosis", "X": "imposter", "A": "atypical", "Q": "unsure"}
    given = [verdicts(window)[int(key)] for key in window.list.keys[: len(burst)]]
    assert given == [words[key] for key in burst]
    assert on_disk(store_path) == len(burst)


def test_the_field_is_reviewed_and_closed_by_keys_alone(open_window, qtbot):
    window = open_window()
    inside = window.room.view.figures.in_area
    assert inside.all()
    for _ in range(ABOVE):
        press(qtbot, window, Qt.Key.Key_Return)
        before = window.room.selection
        assert window.room.view.figures.to_review[window.room.view.figures.row(before[0])]
        press(qtbot, window, "X")
        idle(qtbot, window)
    assert window.panel.header.text() == f"0 of {ABOVE} to review"
    press(qtbot, window, Qt.Key.Key_Return)
    idle(qtbot, window)
    assert not (window.room.view.figures.verdict == NONE).any()
    press(qtbot, window, Qt.Key.Key_U)
    idle(qtbot, window)
    assert int((window.room.view.figures.verdict == NONE).sum()) == N - ABOVE


def test_undo_goes_back_and_survives_a_restart(open_window, qtbot):
    window = open_window()
    press(qtbot, window, Qt.Key.Key_J, "M", "X")
    idle(qtbot, window)
    first, second = (int(key) for key in window.list.keys[:2])
    window.end()
    again = open_window()
    assert verdicts(again)[first] == "mitosis"
    assert verdicts(again)[second] == "imposter"
    press(qtbot, again, Qt.Key.Key_U)
    idle(qtbot, again)
    assert (again.room.selection, verdicts(again)[second]) == ((second,), "none")
    qtbot.keyClick(again, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    idle(qtbot, again)
    assert (again.room.selection, verdicts(again)[first]) == ((first,), "none")


def ben(qtbot, window):
    """Let Ben sit down at a window."""
    window.room.set_reader("Ben")
    qtbot.waitUntil(lambda: window.room.view.reader.name == "Ben", timeout=20_000)


def asked(qtbot, window, change):
    views = []
    window.room.ask(change, views.append)
    qtbot.waitUntil(lambda: bool(views), timeout=20_000)


def test_undo_goes_to_what_it_undid_not_to_what_others_wrote(open_window, qtbot):
    other, window = open_window(), open_window()
    ben(qtbot, other)
    press(qtbot, window, Qt.Key.Key_J, "X")
    idle(qtbot, window)
    first = int(window.list.keys[0])
    for x0 in (300, 340, 380):
        asked(qtbot, other, lambda desk, x0=x0: desk.place(x0, 900))
    notes = []
    window.reviewer.noted.connect(notes.append)
    press(qtbot, window, Qt.Key.Key_U)
    idle(qtbot, window)
    assert window.room.selection == (first,)
    assert verdicts(window)[first] == "none"
    assert len(verdicts(window)) == N + 3, "what Ben placed is shown all the same"
    assert notes == []
    press(qtbot, window, "M")
    idle(qtbot, window)
    given = {key: word for key, word in verdicts(window).items() if word != "none"}
    assert given == {first: "mitosis"}


def test_undo_during_a_run_does_not_go_to_its_new_candidates(open_window, qtbot):
    window = open_window()
    parameters = {"classifier": {"review_threshold": 0.3, "count_threshold": 0.7}}
    spec = RunSpec("r2", window.room.opened.slide_id, parameters, MODEL, MODEL, "0.1")
    run = window.store.open_run(spec)
    rows = [Candidate(300 + 40 * n, 300, 0.5, 0.9, "mitosis") for n in range(6)]
    window.store.save_candidates(run.id, rows[:2])
    asked(qtbot, window, lambda desk: desk.use_run(run.id))
    press(qtbot, window, Qt.Key.Key_J, "X")
    idle(qtbot, window)
    first = int(window.list.keys[0])
    window.store.save_candidates(run.id, rows[2:])
    press(qtbot, window, Qt.Key.Key_U)
    idle(qtbot, window)
    assert window.room.selection == (first,)
    assert len(verdicts(window)) == len(rows)


def test_a_field_done_names_only_the_imposters_that_it_called(open_window, qtbot):
    other, window = open_window(), open_window()
    ben(qtbot, other)
    asked(qtbot, window, lambda desk: desk.give([int(k) for k in window.list.keys], "mitosis"))
    below = int(window.room.view.figures.key[-1])
    asked(qtbot, other, lambda desk: desk.settle([below], "imposter"))
    notes = []
    window.reviewer.noted.connect(notes.append)
    press(qtbot, window, Qt.Key.Key_Return)
    idle(qtbot, window)
    assert notes == [f"The field is done: {N - ABOVE - 1} more called imposters."]


def test_arrows_and_tab_walk_without_giving_verdicts(open_window, qtbot, store_path):
    window = open_window()
    grid = window.panel.grid
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Left):
        qtbot.keyClick(grid, key)
    assert window.room.selection == (int(window.list.keys[0]),)
    press(qtbot, window, Qt.Key.Key_Tab)
    assert window.room.selection == (int(window.list.keys[1]),)
    assert on_disk(store_path) == 0
    qtbot.waitUntil(lambda: window.panel.loader.crop(window.room.selection[0]) is not None)

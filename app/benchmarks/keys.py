"""From a verdict key to the next crop on the screen, with many candidates, in the real window."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from PySide6.QtCore import QDeadlineTimer, QEvent, QEventLoop, QObject, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.desktop import build
from app.panels.gallery import GalleryPanel
from app.room import Room
from core.analysis.planning import slide_record
from core.errors import InputError
from core.ports import ModelOrigin
from core.settings import Settings
from core.slides.reader import Slide, open_slide
from core.store import Candidate, RunSpec, Store, open_store

CANDIDATES = 50_000
PRESSES = 100
#: Between two presses: a quick reader's pace, in which hot spots are searched anew.
PAUSE_S = 0.15
#: Of the viewer, which goes to every figure too.
MAGNIFICATION = 20.0
#: Nothing takes this long; a press that does has failed.
LIMIT_S = 10.0
_REVIEW, _COUNT = 0.1, 0.5
_KEYS = (Qt.Key.Key_X, Qt.Key.Key_M, Qt.Key.Key_Q, Qt.Key.Key_A)
_MODEL = ModelOrigin("made-up", "0" * 64, "cpu", "float32")
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class KeyLatency:
    """Milliseconds after the press of a verdict key.

    Attributes:
        candidates: of the slide.
        presses: measured.
        saved_median_ms, saved_p95_ms: until the verdict is on disk and its view is here.
        shown_median_ms, shown_p95_ms, shown_worst_ms: until the next crop was painted.
    """

    candidates: int
    presses: int
    saved_median_ms: float
    saved_p95_ms: float
    shown_median_ms: float
    shown_p95_ms: float
    shown_worst_ms: float


class _Watch(QObject):
    """Notes when the view after a verdict came, and when a paint showed the next crop.

    A crop is painted by the paint event that reaches the grid once it is loaded and current.
    """

    def __init__(self, room: Room, panel: GalleryPanel) -> None:
        super().__init__()
        self._room, self._panel = room, panel
        self._before: tuple[int, ...] = ()
        self.saved_s = self.shown_s = 0.0
        room.view_changed.connect(self._saved)
        panel.grid.viewport().installEventFilter(self)

    def press(self, window: QWidget, key: Qt.Key) -> tuple[float, float]:
        """Press a key; seconds until saved, and until the next crop was painted."""
        self._before, self.saved_s, self.shown_s = self._room.selection, 0.0, 0.0
        start_s = perf_counter()
        QTest.keyClick(window, key)
        _process_until(lambda: bool(self.shown_s))
        return self.saved_s - start_s, self.shown_s - start_s

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the grid paint, then note when it had."""
        if event.type() != QEvent.Type.Paint or self.shown_s or not self._is_next_there():
            return False
        self._panel.grid.viewport().removeEventFilter(self)
        QApplication.sendEvent(watched, event)
        self._panel.grid.viewport().installEventFilter(self)
        self.shown_s = perf_counter()
        return True

    def _is_next_there(self) -> bool:
        selection = self._room.selection
        if not selection or selection == self._before:
            return False
        return self._panel.loader.crop(selection[0]) is not None

    def _saved(self, view: object) -> None:
        self.saved_s = self.saved_s or perf_counter()


def measure_keys(
    path: Path, *, candidates: int = CANDIDATES, presses: int = PRESSES, pause_s: float = PAUSE_S
) -> KeyLatency:
    """Review made-up candidates of a slide by real key events; needs a QApplication.

    Args:
        path: of any slide with a pixel size.
        candidates: how many lie on it, at random.
        presses: of verdict keys.
        pause_s: between two.

    Raises:
        InputError: a key press did not lead to the next crop within seconds.
    """
    with tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder:
        store_path = Path(folder) / "store.sqlite"
        with open_store(store_path) as store, open_slide(path) as slide:
            fill(store, slide, candidates)
        return _measure(store_path, path, presses, pause_s)


def fill(store: Store, slide: Slide, count: int) -> int:
    """Put a finished run of made-up candidates on a slide into a store; the run's id."""
    rng = np.random.default_rng(0)
    slide_id = store.add_slide(slide_record(slide))
    parameters = {"classifier": {"review_threshold": _REVIEW, "count_threshold": _COUNT}}
    run = store.open_run(RunSpec("0" * 64, slide_id, parameters, _MODEL, _MODEL, "benchmark"))
    for start in range(0, count, _CHUNK):
        values = rng.random((min(_CHUNK, count - start), 4))
        values[:, 2] **= 4
        store.save_candidates(
            run.id,
            [
                Candidate(
                    x * slide.width0,
                    y * slide.height0,
                    score,
                    probability,
                    "mitosis" if probability >= _COUNT else "imposter",
                )
                for x, y, probability, score in values.tolist()
            ],
        )
    store.finish_run(run.id, "done", {})
    return run.id


def _measure(store_path: Path, path: Path, presses: int, pause_s: float) -> KeyLatency:
    desktop = build(store_path, Settings(reader="benchmark"))
    window, room = desktop.window, desktop.room
    failures: list[object] = []
    room.failed.connect(failures.append)
    room.bridge.bug.connect(failures.append)
    try:
        window.show()
        window.activateWindow()
        room.open(path)
        # The tissue comes on a thread of its own; the count area follows it.
        _process_until(lambda: room.view is not None and bool(room.view.pieces), 60.0)
        window.viewing.canvas.set_magnification(MAGNIFICATION)
        window.reviewer.next()
        _pause(1.0)
        watch = _Watch(room, window.gallery)
        taken = []
        for press in range(presses):
            taken.append(watch.press(window, _KEYS[press % len(_KEYS)]))
            _pause(pause_s)
        saved, shown = 1000 * np.array(taken).T
        assert room.view is not None
        return KeyLatency(
            candidates=len(room.view.figures),
            presses=presses,
            saved_median_ms=float(np.median(saved)),
            saved_p95_ms=float(np.percentile(saved, 95)),
            shown_median_ms=float(np.median(shown)),
            shown_p95_ms=float(np.percentile(shown, 95)),
            shown_worst_ms=float(shown.max()),
        )
    except InputError as error:
        raise InputError(f"{error.message} {failures or ''}".strip()) from error
    finally:
        desktop.stop()


def _process_until(reached: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Let Qt work until something holds; looks after whatever happened, and 50 times a second.

    A loop that only asked again and again would keep Python's lock from the other threads.
    """
    limit = QDeadlineTimer(round(limit_s * 1000))
    waker = QTimer()
    waker.start(20)
    while not reached():
        if limit.hasExpired():
            raise InputError("The screen did not follow within seconds.")
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    waker.stop()


def _pause(seconds: float) -> None:
    end = QDeadlineTimer(round(seconds * 1000))
    _process_until(end.hasExpired)

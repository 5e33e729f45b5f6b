"""What a run tells while it works: progress at most ten times a second, and where time goes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Phase = Literal["tissue", "windows", "candidates", "scores", "subtypes", "done"]

MIN_INTERVAL_S = 0.1  # more than ten reports a second only cost time


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: `tissue` while planning, `windows` while detecting and classifying, `candidates`
            while only candidates of earlier windows are classified, `scores` while candidates are
            classified without being detected anew, `subtypes` while mitoses are asked whether
            they are atypical, then `done`.
        done: finished windows; candidates in the phases `candidates`, `scores` and `subtypes`.
        total: windows planned, or candidates (0 where unknown, in the phase `candidates`).
        mm2_done: area of the finished windows.
        mm2_per_s: speed of this session; 0 before its first window.
        seconds_left: at this speed; None while it is not known.
        in_area: of the phase `scores`, once the count area is classified: how many candidates in
            it reach the count threshold before levelling over the slide.
    """

    phase: Phase
    done: int = 0
    total: int = 0
    mm2_done: float = 0.0
    mm2_per_s: float = 0.0
    seconds_left: float | None = None
    in_area: int | None = None


Listener = Callable[[Progress], None]


class Reporter:
    """Hands progress on to a listener, on the calling thread, at most ten times a second."""

    def __init__(
        self, listener: Listener | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._phase: Phase | None = None
        self._last_s = 0.0
        self._start_s = clock()
        self._start_mm2 = 0.0
        self._start_done = 0

    def start_windows(self, mm2_before: float) -> None:
        """Begin to measure speed; `mm2_before` was finished in earlier sessions."""
        self._start_s = self._clock()
        self._start_mm2 = mm2_before

    def windows(self, done: int, total: int, mm2_done: float, mm2_total: float) -> None:
        """Report finished windows."""
        now_s = self._clock()
        seconds, fresh_mm2 = now_s - self._start_s, mm2_done - self._start_mm2
        speed = fresh_mm2 / seconds if seconds > 0 else 0.0
        left_s = (mm2_total - mm2_done) / speed if speed > 0 else None
        self.report(Progress("windows", done, total, mm2_done, speed, left_s), last=done == total)

    def candidates(
        self,
        phase: Literal["scores", "subtypes"],
        done: int,
        total: int,
        in_area: int | None = None,
    ) -> None:
        """Report classified candidates of a phase; its first report starts its clock."""
        if phase != self._phase:
            self._start_s, self._start_done = self._clock(), done
        seconds, fresh = self._clock() - self._start_s, done - self._start_done
        left_s = seconds / fresh * (total - done) if fresh > 0 else None
        report = Progress(phase, done, total, seconds_left=left_s, in_area=in_area)
        self.report(report, last=done == total)

    def report(self, progress: Progress, *, last: bool = False) -> None:
        """Hand a report on, if its phase is new, it is the last, or the last one is long ago."""
        now_s = self._clock()
        due = progress.phase != self._phase or last or now_s - self._last_s >= MIN_INTERVAL_S
        if self._listener is not None and due:
            self._phase, self._last_s = progress.phase, now_s
            self._listener(progress)


class Times:
    """Seconds by name (`read_s`, `detect_s`), added up from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start_s
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def as_dict(self) -> dict[str, float]:
        """A copy of what was measured so far."""
        with self._lock:
            return dict(self._seconds)

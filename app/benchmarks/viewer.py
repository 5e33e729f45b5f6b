"""`mitoscope benchmark viewer`: how soon the viewer shows a slide, and how smoothly it moves.

The canvas is driven by a script in the GUI thread, as a hand would drive it; nothing is mocked.
Beside it stands what simpler viewers do: `openslide.read_region` of the whole view, frame by frame.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openslide
from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer, Slot
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.benchmarks.report import Taken
from app.benchmarks.start import start_qt
from app.bridge import GuiBridge
from app.room import OpenedSlide
from app.viewer.canvas import Canvas
from app.viewer.tiles import default_threads
from app.viewer.transform import ViewTransform
from core.slides.pyramid import write_repeated
from core.slides.reader import open_slide

VIEW_PX = (1600, 1000)
#: The synthetic slide: this part of the real field over and over.
SYNTHETIC_PX, REPEATED_PX = 40_000, 4096
#: A frame of a 60 Hz screen; in each the script moves the slide by (24, 10) px: 1560 px a second.
FRAME_MS, STEP_PX = 16, (24.0, 10.0)
_BEAT_MS = 5
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class ViewerSpeed:
    """What the viewer took on one slide, milliseconds of wall time where not said otherwise.

    Attributes:
        slide: its name.
        width0, height0: its size.
        view_px: width and height of the view.
        threads: that read tiles.
        load: of the machine before (processes that want a processor); None on Windows.
        open_ms: opening the file, not part of what follows.
        coarse_ms: from then on until the whole slide was first painted, coarse.
        sharp_ms: until it was painted sharp.
        coarse_cpu_ms, sharp_cpu_ms: the same by processor time of all threads, which other programs
            disturb less.
        frames: painted while panning at 1:1.
        frame_p50_ms, frame_p95_ms: from a move to the end of its painting.
        frame_cpu_p95_ms: the same by processor time of the GUI thread.
        stall_ms: the longest time in which the GUI thread answered nothing.
        idle_stall_ms: the same over as long a time with nothing to do: what the machine adds.
        blurred_percent: of the frames, those that showed some coarser tile.
        memory_mib: before and after the panning.
        cache_mib: decoded tiles then.
        region_p50_ms, region_p95_ms: the same frames by reading the whole view.
        region_stall_ms: the longest time without an answer then.
    """

    slide: str
    width0: int
    height0: int
    view_px: tuple[int, int]
    threads: int
    load: float | None
    open_ms: float
    coarse_ms: float
    sharp_ms: float
    coarse_cpu_ms: float
    sharp_cpu_ms: float
    frames: int
    frame_p50_ms: float
    frame_p95_ms: float
    frame_cpu_p95_ms: float
    stall_ms: float
    idle_stall_ms: float
    blurred_percent: float
    memory_mib: tuple[float, float]
    cache_mib: float
    region_p50_ms: float
    region_p95_ms: float
    region_stall_ms: float


class _Watched(Canvas):
    """Notes when frames were painted and what they showed."""

    def __init__(self, bridge: GuiBridge, threads: int) -> None:
        super().__init__(bridge, threads=threads)
        self.coarse: Taken | None = None
        self.sharp: Taken | None = None
        self.moved: Taken | None = None
        self.frames: list[Taken] = []
        self.blurred = 0

    def paintEvent(self, event: QPaintEvent) -> None:
        source = self.source
        coarse, sharp = source is not None and source.is_coarse(), self.is_sharp()
        super().paintEvent(event)
        now = Taken(time.perf_counter(), time.process_time())
        if coarse and self.coarse is None:
            self.coarse = now
        if sharp and self.sharp is None:
            self.sharp = now
        if self.moved is not None:
            self.frames.append(_since(self.moved, Taken(now.wall_s, time.thread_time())))
            self.blurred += not sharp
            self.moved = None


def _since(start: Taken, end: Taken) -> Taken:
    return Taken(end.wall_s - start.wall_s, end.cpu_s - start.cpu_s)


class _RegionView(QWidget):
    """Reads the whole view for every frame."""

    def __init__(self, handle: openslide.OpenSlide) -> None:
        super().__init__()
        self._handle, self._image = handle, QImage()
        self.corner0 = (0, 0)
        self.moved_s = 0.0
        self.frames_s: list[float] = []

    def paintEvent(self, event: QPaintEvent) -> None:
        region = self._handle.read_region(self.corner0, 0, (self.width(), self.height()))
        data = np.asarray(region.convert("RGB"))
        image = QImage(
            data.data, region.width, region.height, 3 * region.width, QImage.Format.Format_RGB888
        )
        painter = QPainter(self)
        painter.drawImage(0, 0, image)
        painter.end()
        if self.moved_s:
            self.frames_s.append(time.perf_counter() - self.moved_s)
            self.moved_s = 0.0


class _Script(QObject):
    """Moves something once a frame and listens for how long the GUI thread is silent."""

    def __init__(self, move: Callable[[int], None]) -> None:
        super().__init__()
        self._move, self._count = move, 0
        self._last_s = time.perf_counter()
        self.stall_s = 0.0
        self._frame = QTimer(self, interval=FRAME_MS, timerType=Qt.TimerType.PreciseTimer)
        self._frame.timeout.connect(self._step)
        self._beat = QTimer(self, interval=_BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._beat.timeout.connect(self._listen)

    def run(self, seconds: float) -> None:
        """Returns after these seconds."""
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        self._last_s = time.perf_counter()
        self._frame.start()
        self._beat.start()
        loop.exec()
        self._frame.stop()
        self._beat.stop()

    @Slot()
    def _step(self) -> None:
        self._count += 1
        self._move(self._count)

    @Slot()
    def _listen(self) -> None:
        now = time.perf_counter()
        self.stall_s = max(self.stall_s, now - self._last_s - _BEAT_MS / 1000)
        self._last_s = now


def write_synthetic(field: Path, path: Path) -> None:
    """Write the large slide out of the stitched field."""
    with open_slide(field) as slide:
        rgb = slide.read_level(0, 0, 0, REPEATED_PX, REPEATED_PX)
        write_repeated(path, rgb, SYNTHETIC_PX, SYNTHETIC_PX, slide.require_mpp().mean)


def measure_viewer(
    path: Path, *, seconds: float, minutes: float = 0.0, threads: int | None = None
) -> ViewerSpeed:
    """Open a slide, wait until it is sharp, pan it at 1:1, and the same with `read_region`.

    Args:
        path: the slide.
        seconds: of panning that is measured.
        minutes: of panning afterwards, for the memory.
        threads: that read tiles; default as the program does.
    """
    start_qt()
    threads = default_threads() if threads is None else threads
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    bugs: list[object] = []
    bridge = GuiBridge()
    bridge.bug.connect(bugs.append)
    canvas = _Watched(bridge, threads)
    canvas.resize(*VIEW_PX)
    canvas.show()
    QApplication.processEvents()
    began_s = time.perf_counter()
    with open_slide(path) as slide:
        opened = Taken(time.perf_counter(), time.process_time())
        coarse, sharp = _first_pictures(canvas, OpenedSlide(slide, slide_id=0, token=1), opened)
        memory_mib = _memory_mib()
        idle = _Script(lambda _: None)
        idle.run(seconds)
        stall_s = _pan(canvas, seconds)
        frames_ms = np.array([(frame.wall_s, frame.cpu_s) for frame in canvas.frames]) * 1000
        blurred = canvas.blurred
        if minutes:
            # What fills the cache is not growth: compare from the first half on.
            _pan(canvas, minutes * 30)
            memory_mib = _memory_mib()
            _pan(canvas, minutes * 30)
        memory_then_mib, cache_mib = _memory_mib(), _cache_mib(canvas)
        canvas.set_slide(None)
        canvas.close()
        width0, height0 = slide.width0, slide.height0
    if bugs:
        raise RuntimeError(f"the viewer failed: {bugs[0]}")
    region_ms, region_stall_s = _pan_regions(path, seconds)
    return ViewerSpeed(
        slide=path.stem,
        width0=width0,
        height0=height0,
        view_px=VIEW_PX,
        threads=threads,
        load=load,
        open_ms=1000 * (opened.wall_s - began_s),
        coarse_ms=1000 * coarse.wall_s,
        sharp_ms=1000 * sharp.wall_s,
        coarse_cpu_ms=1000 * coarse.cpu_s,
        sharp_cpu_ms=1000 * sharp.cpu_s,
        frames=len(frames_ms),
        frame_p50_ms=float(np.percentile(frames_ms[:, 0], 50)),
        frame_p95_ms=float(np.percentile(frames_ms[:, 0], 95)),
        frame_cpu_p95_ms=float(np.percentile(frames_ms[:, 1], 95)),
        stall_ms=1000 * stall_s,
        idle_stall_ms=1000 * idle.stall_s,
        blurred_percent=100 * blurred / max(1, len(frames_ms)),
        memory_mib=(memory_mib, memory_then_mib),
        cache_mib=cache_mib,
        region_p50_ms=float(np.percentile(region_ms, 50)),
        region_p95_ms=float(np.percentile(region_ms, 95)),
        region_stall_ms=1000 * region_stall_s,
    )


def _first_pictures(canvas: _Watched, slide: OpenedSlide, opened: Taken) -> tuple[Taken, Taken]:
    """Show a slide; what the first coarse picture and the first sharp one took since `opened`."""
    canvas.set_slide(slide)
    _wait(lambda: canvas.sharp is not None)
    assert canvas.coarse is not None
    assert canvas.sharp is not None
    return _since(opened, canvas.coarse), _since(opened, canvas.sharp)


def _cache_mib(canvas: _Watched) -> float:
    assert canvas.source is not None
    cache = canvas.source.cache
    return (cache.n_bytes + cache.pinned_bytes) / 2**20


def _pan(canvas: _Watched, seconds: float) -> float:
    """Pan to and fro over the slide; the longest silence in seconds."""
    assert canvas.opened is not None
    slide, (width, height) = canvas.opened.slide, VIEW_PX
    canvas.set_transform(ViewTransform((width / 2, height / 2), 1.0, 0.0, width, height))
    _wait(canvas.is_sharp)

    def move(frame: int) -> None:
        x0, y0 = _corner0(frame, slide.width0, slide.height0)
        view = ViewTransform((x0 + width / 2, y0 + height / 2), 1.0, 0.0, width, height)
        canvas.moved = Taken(time.perf_counter(), time.thread_time())
        canvas.set_transform(view)

    canvas.moved, canvas.blurred = None, 0
    canvas.frames.clear()
    script = _Script(move)
    script.run(seconds)
    return script.stall_s


def _pan_regions(path: Path, seconds: float) -> tuple[np.ndarray, float]:
    with openslide.OpenSlide(path) as handle:
        view = _RegionView(handle)
        view.resize(*VIEW_PX)
        view.show()
        QApplication.processEvents()
        size0 = handle.dimensions

        def move(frame: int) -> None:
            view.moved_s = time.perf_counter()
            view.corner0 = _corner0(frame, *size0)
            view.update()

        script = _Script(move)
        script.run(seconds)
        view.close()
        return np.array(view.frames_s) * 1000, script.stall_s


def _corner0(frame: int, width0: int, height0: int) -> tuple[int, int]:
    """Where the view's corner is in a frame: up and down between the slide's edges."""
    return (
        _swing(frame * STEP_PX[0], width0 - VIEW_PX[0]),
        _swing(frame * STEP_PX[1], height0 - VIEW_PX[1]),
    )


def _swing(way: float, room: int) -> int:
    at = way % (2 * max(1, room))
    return round(min(at, 2 * max(1, room) - at))


def _wait(ready: Callable[[], bool]) -> None:
    loop, poll = QEventLoop(), QTimer()
    end_s = time.perf_counter() + _PATIENCE_S
    poll.timeout.connect(lambda: loop.quit() if ready() or time.perf_counter() > end_s else None)
    poll.start(1)
    loop.exec()
    poll.stop()
    if not ready():
        raise RuntimeError("the viewer did not get ready")


def _memory_mib() -> float:
    """What the process holds now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

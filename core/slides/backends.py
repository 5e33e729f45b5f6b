"""Two libraries that read slides: OpenSlide, the reference, and fastslide, a faster one.

They answer the same question, as does `turbo`: a rectangle of one level in that level's own whole
pixels.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import lowlevel
from PIL import Image

from core.errors import SlideError
from core.slides.tiletable import TileTable

WHITE = (255, 255, 255)
# fastslide 0.8.1 can wait forever on a damaged tile; a read takes a fraction of a second.
STUCK_AFTER_S = 20.0
# A handle whose reader is stuck must never be freed (its destructor waits for the reader).
_STUCK_HANDLES: list[Any] = []


class SlideReadError(SlideError):
    """Pixels that cannot be decoded: a damaged tile or an incomplete file."""


class PixelSource(Protocol):
    """What `Slide` asks of a pixel library."""

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read whole pixels of a level; outside the level is background.

        Returns:
            (height, width, 3) uint8 sRGB on the background colour.

        Raises:
            SlideReadError: damaged pixels; later reads work.
        """
        ...

    def close(self) -> None:
        """Free the file; no read may be under way."""
        ...


class OpenSlidePixels:
    """OpenSlide with one handle for all threads, reopened after an error.

    OpenSlide's errors latch: one damaged tile makes every later call on that handle fail. So the
    handle is replaced after an error, and the old one closed when its last reader has left.

    Args:
        path: the slide file.

    Attributes:
        path: the slide file.
        properties: what the file says of itself.
        level_dimensions: (width, height) of each level.
        downsamples: OpenSlide's own factor of each level.
        background: what shows through where the scanner left nothing, (3,) 0..255.
        icc_profile: of the pixels, or None.

    Raises:
        openslide.OpenSlideError: OpenSlide cannot open the file.
    """

    def __init__(self, path: Path) -> None:
        handle = openslide.OpenSlide(path)
        self.properties = dict(handle.properties)
        self.level_dimensions = tuple((int(w), int(h)) for w, h in handle.level_dimensions)
        self.downsamples = tuple(float(d) for d in handle.level_downsamples)
        self.background = _background(self.properties)
        # Not handle.color_profile: that parses it with Pillow and writes it anew.
        self.icc_profile: bytes | None = lowlevel.read_icc_profile(handle._osr) or None
        self.path, self._lock = path, threading.Lock()
        self._handle: openslide.OpenSlide | None = handle
        self._readers: dict[int, int] = {}

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `PixelSource.read`."""
        downsample = self.downsamples[level]
        # The API wants a level-0 corner and divides it again: half a level-0 pixel at most is lost.
        corner = (round(left * downsample), round(top * downsample))
        try:
            with self._lease() as handle:
                region = handle.read_region(corner, level, (width, height))
        except openslide.OpenSlideError:
            # Perhaps another thread's damaged tile broke the handle in our hands: a handle of our
            # own tells whether it was ours.
            region = self._read_alone(corner, level, (width, height))
        if region.getchannel("A").getextrema() == (255, 255):
            return np.asarray(region.convert("RGB"))
        rgba = np.asarray(region)
        weight = rgba[..., 3:].astype(np.uint16)
        mixed = rgba[..., :3] * weight + np.array(self.background, np.uint16) * (255 - weight)
        return ((mixed + 127) // 255).astype(np.uint8)

    def close(self) -> None:
        """See `PixelSource.close`."""
        with self._lock:
            if self._handle is not None and not self._readers.get(id(self._handle)):
                self._handle.close()
            self._handle = None

    @contextmanager
    def _lease(self) -> Iterator[openslide.OpenSlide]:
        """The shared handle; broken by an error, it is closed when its last reader has left."""
        with self._lock:
            if self._handle is None:
                self._handle = openslide.OpenSlide(self.path)
            handle = self._handle
            self._readers[id(handle)] = self._readers.get(id(handle), 0) + 1
        failed = True
        try:
            yield handle
            failed = False
        finally:
            with self._lock:
                if failed and self._handle is handle:
                    self._handle = None
                self._readers[id(handle)] -= 1
                if not self._readers[id(handle)]:
                    del self._readers[id(handle)]
                    if self._handle is not handle:
                        handle.close()

    def _read_alone(
        self, corner: tuple[int, int], level: int, size: tuple[int, int]
    ) -> Image.Image:
        try:
            with openslide.OpenSlide(self.path) as handle:
                return handle.read_region(corner, level, size)
        except openslide.OpenSlideError as error:
            raise _read_error(self.path, str(error)) from error


class _Worker:
    """A thread that makes fastslide's calls, so that its caller can stop waiting for one.

    There is no other way out of a native call that never returns. The thread is kept for the next
    read: a fresh one each time costs a millisecond in fresh memory.
    """

    def __init__(self, handle: Any) -> None:
        self._calls: queue.SimpleQueue[tuple[int, ...] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[NDArray[np.uint8] | Exception] = queue.SimpleQueue()
        self._handle = handle
        # Daemon: a stuck one must not hold up the end of the program.
        self._thread = threading.Thread(target=self._run, name="fastslide-read", daemon=True)
        self._thread.start()

    def read(self, *call: int) -> NDArray[np.uint8] | Exception:
        """Pixels or fastslide's exception; queue.Empty if it does not come back."""
        self._calls.put(call)
        return self._answers.get(timeout=STUCK_AFTER_S)

    def leave(self) -> None:
        """Let the thread end by itself, should its call ever return."""
        self._calls.put(None)

    def stop(self) -> None:
        """End the thread, which is idle."""
        self.leave()
        self._thread.join()
        self._handle = None  # nanobind complains at exit about handles still referred to

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            level, x, y, width, height = call
            try:
                pixels = self._handle.read_region((x, y), level, (width, height)).numpy()
                self._answers.put(pixels)
                del pixels  # this frame must not keep the last window alive
            except Exception as error:  # noqa: BLE001  (handed to the caller, who judges it)
                self._answers.put(error)


class FastSlidePixels:
    """fastslide, guarded: whatever it might get wrong is read by OpenSlide instead.

    Args:
        path: the slide file.
        reference: has the levels that fastslide must see too, reads the doubtful windows and
            decides whether a tile is damaged.
        tiles: the tile table, or None where the format has none (then only fastslide's own
            errors and its getting stuck are noticed).

    Raises:
        SlideReadError: fastslide cannot open the file or sees other levels or pixels.
    """

    def __init__(
        self,
        path: Path,
        reference: OpenSlidePixels,
        tiles: TileTable | None,
    ) -> None:
        import fastslide

        try:
            self._handle: Any = fastslide.FastSlide.from_file_path(str(path))
        except (RuntimeError, ValueError, OSError) as error:
            raise _read_error(path, f"fastslide: {_first_line(error)}") from error
        found = tuple((int(w), int(h)) for w, h in self._handle.level_dimensions)
        kind = (str(self._handle.dtype), int(self._handle.num_channels))
        if found != reference.level_dimensions or kind != ("uint8", 3):
            raise _read_error(path, f"fastslide sees other levels or pixels: {found}, {kind}")
        self._background = np.array(reference.background, np.uint8)
        self._dimensions, self._reference = reference.level_dimensions, reference
        self._tiles = tiles
        self.stuck = False
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `PixelSource.read`."""
        level_width, level_height = self._dimensions[level]
        x, y = max(0, left), max(0, top)
        right, bottom = min(level_width, left + width), min(level_height, top + height)
        if x >= right or y >= bottom:
            return np.broadcast_to(self._background, (height, width, 3)).copy()
        if self.stuck or (self._tiles and not self._tiles.sound(level, x, y, right, bottom)):
            return self._reference.read(level, left, top, width, height)
        pixels = self._decode_watched(level, x, y, right - x, bottom - y)
        if pixels is None:
            return self._reference.read(level, left, top, width, height)
        if pixels.shape == (height, width, 3):
            return pixels
        out = np.empty((height, width, 3), np.uint8)
        out[:] = self._background
        out[y - top : bottom - top, x - left : right - left] = pixels
        return out

    def close(self) -> None:
        """See `PixelSource.close`."""
        while self._idle:
            self._idle.pop().stop()
        if not self.stuck and self._handle is not None:
            self._handle.close()
        self._handle = None
        if self._tiles is not None:
            self._tiles.close()

    def _decode_watched(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8] | None:
        """The pixels, or None where fastslide failed or is stuck."""
        with self._lock:
            worker = self._idle.pop() if self._idle else _Worker(self._handle)
        try:
            result = worker.read(level, x, y, width, height)
        except queue.Empty:
            self.stuck = True
            worker.leave()
            _STUCK_HANDLES.append(self._handle)
            return None
        with self._lock:
            self._idle.append(worker)
        if isinstance(result, RuntimeError | ValueError):
            return None  # OpenSlide reads the same place next and says what is wrong
        if isinstance(result, Exception):
            raise result
        return result if result.shape == (height, width, 3) else None


def _background(properties: dict[str, str]) -> tuple[int, int, int]:
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _read_error(path: Path, reason: str) -> SlideReadError:
    return SlideReadError(
        f"Pixels of the slide {path.name} cannot be read ({reason}).",
        "The file is damaged or incomplete: copy it again from the scanner.",
    )

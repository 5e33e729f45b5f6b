"""Opens slides and reads them at any µm per pixel, from any thread.

`x0, y0` are level-0 pixels of the file as OpenSlide gives it.
"""

import hashlib
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import openslide
from numpy.typing import NDArray

from core.errors import PixelSizeError, SlideError
from core.geometry import Mpp, Rect0
from core.slides import associated
from core.slides.backends import OpenSlidePixels, PixelSource, SlideReadError
from core.slides.choice import Backend, Choice, choose_source
from core.slides.levels import LevelScale, true_scales
from core.slides.overview import read_overview
from core.slides.pixelsize import check_mpp, find_mpp
from core.slides.resample import plan_source, resample, split_rows
from core.slides.tiletable import TileTable, TruncatedSlideError

__all__ = ["Backend", "Slide", "SlideIdentity", "SlideReadError", "open_slide"]

MIB = 1 << 20
# A level may be this much coarser than what is asked for and still count as fine enough.
LEVEL_SLACK = 1.01
# Overviews are read in blocks of at most this side, so memory does not grow with the slide.
BLOCK_SOURCE_PX = 2048
# Windows are averaged in bands of about this many source rows: they fit the processor's cache, and
# memory that is fresh for each whole window takes as long as averaging it.
BAND_SOURCE_PX = 256


@dataclass(frozen=True, slots=True)
class SlideIdentity:
    """What tells one slide file from another, wherever it lies.

    Attributes:
        kind: OpenSlide's `quickhash-1`, or `size+sha256-3mib` where it gives none.
        digest: the hash, lower-case hex; for the second kind after the size and a hyphen.
    """

    kind: Literal["quickhash-1", "size+sha256-3mib"]
    digest: str


class Slide:
    """One whole-slide image; every read is safe from any thread. Made by `open_slide`.

    Attributes:
        path: the file.
        name: its name without folder.
        width0, height0: size of level 0 in pixels.
        mpp: µm per level-0 pixel, or None if unknown.
        mpp_origin: `openslide.mpp`, `tiff resolution`, `typed`, or empty if unknown.
        identity: see `SlideIdentity`.
        level_dimensions: (width, height) of each level, finest first.
        level_downsamples: level-0 pixels per level pixel, mean of the axes.
        bounds: where the scanner put pixels (`openslide.bounds-*`), else the whole.
        background: colour behind the pixels, (red, green, blue).
        vendor: OpenSlide's name of the format.
        icc_profile: of the pixels, for the screen only, or None.
        objective: magnification of the scanner's objective, or None if unknown.
        centre_offset_nm: from the centre of the glass slide to that of level 0, nanometres along
            x and y; None unless the file is Hamamatsu's.
        file_tile_px: side of the file's own tiles on level 0; 0 where they are not square.
        backend: `openslide`, `turbo` or `fastslide`, as chosen at opening.
        backend_note: why.
    """

    def __init__(
        self, path: Path, reference: OpenSlidePixels, pixel_size: tuple[Mpp | None, str]
    ) -> None:
        properties = reference.properties
        self.path, self.name = path, path.name
        self.level_dimensions = reference.level_dimensions
        self.width0, self.height0 = self.level_dimensions[0]
        self.mpp, self.mpp_origin = pixel_size
        self.identity = _identity(path, properties)
        self._scales = true_scales(self.level_dimensions, reference.downsamples)
        self.level_downsamples = tuple((s.x * s.y) ** 0.5 for s in self._scales)
        self.bounds = _bounds(properties, self.level_dimensions[0])
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        self.background, self.icc_profile = reference.background, reference.icc_profile
        self.objective = _positive(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER, ""))
        self.centre_offset_nm = _centre_offset_nm(properties)
        tile = {properties.get(f"openslide.level[0].tile-{side}") for side in ("width", "height")}
        self.file_tile_px = int(tile.pop() or 0) if len(tile) == 1 else 0
        self.backend: Backend = "openslide"
        self.backend_note = ""
        self._sources: list[PixelSource] = []
        self._state = threading.Condition()
        self._reading, self._closed = 0, False

    @property
    def level_scales(self) -> tuple[LevelScale, ...]:
        """Level-0 pixels per pixel of each level, along each axis."""
        return self._scales

    def associated_names(self) -> tuple[str, ...]:
        """Names of label, macro image and the like; reads the file. See `associated`."""
        return associated.list_associated(self.path)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """One of them, (h, w, 3) uint8; it may show the patient's name."""
        return associated.read_associated(self.path, name)

    def require_mpp(self) -> Mpp:
        """The pixel size, or PixelSizeError with the hint to give one."""
        if self.mpp is None:
            raise PixelSizeError(
                f"The slide {self.name} does not say how large its pixels are.",
                "Give the µm per pixel with --mpp.",
            )
        return self.mpp

    def read_level(
        self, level: int, x0: int, y0: int, width_px: int, height_px: int
    ) -> NDArray[np.uint8]:
        """Read a level's own pixels from the level-0 corner on, outside is background.

        Args:
            level: 0 is the finest.
            x0: left edge, level-0 pixels; rounded down to a whole pixel of the level.
            y0: upper edge likewise.
            width_px: width in pixels of the level.
            height_px: height in pixels of the level.

        Returns:
            (height_px, width_px, 3) uint8.

        Raises:
            SlideReadError: damaged pixels.
        """
        scale = self._scales[level]
        left, top = int(x0 // scale.x), int(y0 // scale.y)
        return self._read_source(level, left, top, width_px, height_px)

    def read_at(
        self, x0: float, y0: float, width_px: int, height_px: int, mpp: float
    ) -> NDArray[np.uint8]:
        """Read a rectangle at square pixels of `mpp` µm: nearest finer level, then area average.

        Args:
            x0: left edge of the first pixel, level-0 pixels.
            y0: upper edge likewise.
            width_px: width of the result.
            height_px: height of the result.
            mpp: µm per pixel of the result.

        Returns:
            (height_px, width_px, 3) uint8.

        Raises:
            PixelSizeError: the slide's own pixel size is unknown.
            SlideReadError: damaged pixels; later reads work.
        """
        own = self.require_mpp()
        return self.read_scaled(x0, y0, width_px, height_px, mpp / own.x, mpp / own.y)

    def read_scaled(
        self,
        x0: float,
        y0: float,
        width_px: int,
        height_px: int,
        step0_x: float,
        step0_y: float,
    ) -> NDArray[np.uint8]:
        """As `read_at`, with level-0 pixels per output pixel along each axis."""
        level = self._level_for(step0_x, step0_y)
        scale = self._scales[level]
        plan = plan_source(
            x0 / scale.x, y0 / scale.y, width_px, height_px, step0_x / scale.x, step0_y / scale.y
        )
        if level == 0 and plan.whole not in (None, (1, 1)):
            # In bands, for less memory. OpenSlide interpolates some coarse levels, each read a bit
            # differently: those are read in one piece.
            out = np.empty((height_px, width_px, 3), np.uint8)
            for rows, band in split_rows(plan, BAND_SOURCE_PX):
                pixels = self._read_source(0, band.left, band.top, band.width_px, band.height_px)
                out[rows] = resample(pixels, band, width_px, rows.stop - rows.start)
            return out
        pixels = self._read_source(level, plan.left, plan.top, plan.width_px, plan.height_px)
        return resample(pixels, plan, width_px, height_px)

    def thumbnail(self, max_px: int) -> NDArray[np.uint8]:
        """The whole slide with the longer side `max_px` at most; damaged parts are background.

        Returns:
            (h, w, 3) uint8 with square level-0 steps.
        """
        step0 = max(1.0, max(self.width0, self.height0) / max_px)
        whole = Rect0(0, 0, self.width0, self.height0)
        return read_overview(self, whole, step0, step0).rgb

    def block_px(self, step0_x: float, step0_y: float) -> int:
        """Side of an output block whose source pixels stay within a fixed memory."""
        scale = self._scales[self._level_for(step0_x, step0_y)]
        return max(1, int(BLOCK_SOURCE_PX / max(1.0, step0_x / scale.x, step0_y / scale.y)))

    def close(self) -> None:
        """Wait for the reads under way, then free the file. Closing twice is allowed."""
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: not self._reading)
            sources, self._sources = self._sources, []
        for source in sources:
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _use(self, choice: Choice) -> None:
        """Set what reads the pixels."""
        self._sources = list(choice.sources)
        self.backend, self.backend_note = choice.backend, choice.note

    def _level_for(self, step0_x: float, step0_y: float) -> int:
        fine = [
            level
            for level, scale in enumerate(self._scales)
            if scale.x <= step0_x * LEVEL_SLACK and scale.y <= step0_y * LEVEL_SLACK
        ]
        return max(fine, key=lambda level: self.level_downsamples[level], default=0)

    def _read_source(
        self, level: int, left: int, top: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        with self._state:
            if self._closed:
                raise ValueError("the slide is closed")
            self._reading += 1
            source = self._sources[0]
        try:
            return source.read(level, left, top, width, height)
        finally:
            with self._state:
                self._reading -= 1
                self._state.notify_all()


def open_slide(path: Path, *, mpp: float | None = None, backend: Backend = "auto") -> Slide:
    """Open a slide of any format that OpenSlide 4 reads.

    Args:
        path: the slide file.
        mpp: µm per level-0 pixel that overrides what the file says.
        backend: what decodes the pixels; see `choose_source`.

    Raises:
        PixelSizeError: `mpp` is not positive or absurd.
        SlideError: no such file, a folder, empty, truncated, of an unknown format, or (with
            another backend than `auto`) unreadable for what was asked for.
    """
    typed = None if mpp is None else check_mpp(mpp)
    _check_file(path)
    try:
        reference = OpenSlidePixels(path)
    except openslide.OpenSlideError as error:
        raise _cannot_open(path, error) from error
    try:
        tiles = TileTable(path, reference.level_dimensions)
    except ValueError:
        tiles = None
    except TruncatedSlideError:
        reference.close()
        raise _truncated(path) from None
    pixel_size = (typed, "typed") if typed else find_mpp(reference.properties)
    slide = Slide(path, reference, pixel_size)
    slide._use(choose_source(reference, tiles, backend))
    return slide


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SlideError(f"{path} is a folder, not a slide.", "Name the slide file inside it.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise SlideError(f"There is no slide {path}.", "Check the name.") from None
    except OSError as error:
        raise SlideError(f"The slide {path} cannot be read: {error.strerror or error}.") from error
    if empty:
        raise SlideError(f"The slide {path} is empty.", "Copy it again from the scanner.")


def _cannot_open(path: Path, error: openslide.OpenSlideError) -> SlideError:
    if isinstance(error, openslide.OpenSlideUnsupportedFormatError):
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:2] in (b"II", b"MM"):
            return SlideError(
                f"The TIFF file {path.name} is no slide of a known kind, or it is cut off.",
                "Slides are tiled; if this one was copied, compare its size with the original.",
            )
        return SlideError(
            f"{path.name} is not a slide in a format that OpenSlide knows.",
            "Known are SVS, NDPI, MRXS, SCN, BIF, DICOM, Philips and tiled TIFF.",
        )
    return SlideError(
        f"The slide {path.name} is damaged or incomplete ({error}).",
        "Copy it again from the scanner.",
    )


def _truncated(path: Path) -> SlideError:
    return SlideError(
        f"The slide {path.name} is cut off: its last tiles lie beyond the end of the file.",
        "Copy it again from the scanner.",
    )


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _centre_offset_nm(properties: Mapping[str, str]) -> tuple[float, float] | None:
    names = ("hamamatsu.XOffsetFromSlideCentre", "hamamatsu.YOffsetFromSlideCentre")
    try:
        x, y = (float(properties[name]) for name in names)
    except (KeyError, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def _bounds(properties: Mapping[str, str], size: tuple[int, int]) -> Rect0:
    names = [
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    ]
    try:
        x, y, width, height = (int(properties[name]) for name in names)
    except (KeyError, ValueError):
        return Rect0(0, 0, *size)
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + width), min(size[1], y + height)
    if right <= left or bottom <= top:
        return Rect0(0, 0, *size)
    return Rect0(left, top, right - left, bottom - top)


def _identity(path: Path, properties: Mapping[str, str]) -> SlideIdentity:
    if quickhash := properties.get(openslide.PROPERTY_NAME_QUICKHASH1):
        return SlideIdentity("quickhash-1", quickhash)
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in (0, max(0, size // 2 - MIB // 2), max(0, size - MIB)):
            file.seek(start)
            digest.update(file.read(MIB))
    return SlideIdentity("size+sha256-3mib", f"{size}-{digest.hexdigest()}")

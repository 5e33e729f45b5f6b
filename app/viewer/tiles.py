"""Tiles from reader threads to the screen; nothing is decoded on the GUI thread."""

import logging
import os
import sys
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColorTransform, QImage

from app.bridge import GuiBridge
from app.viewer.colour import ColourSettings, adjusted, managed, profile_transform, to_image
from core.errors import UserError
from core.geometry import Rect0
from core.slides.coarse import CoarsePicture
from core.slides.tilecache import TileCache
from core.slides.tilegrid import TileGrid, TileKey
from core.slides.tilequeue import COARSE, SHARP, TileQueue, Wish, plan_wishes

if TYPE_CHECKING:
    from app.room import OpenedSlide

log = logging.getLogger(__name__)

GIB = 1 << 30
#: Above it more tiles bring nothing: a 4K screen shows 40 MiB.
LARGEST_BUDGET = GIB
#: With less, the tiles of a 4K screen and those around it would drive each other out.
SMALLEST_BUDGET = GIB // 4
# A reader thread may be inside a read of a drive that is gone; the window does not wait for it.
CLOSE_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A decoded tile.

    Attributes:
        image: what is painted, RGB32.
        plain: before brightness, contrast and gamma; the same object where they are neutral.
        colour: what `image` was made with.
    """

    image: QImage
    plain: QImage
    colour: ColourSettings

    @property
    def n_bytes(self) -> int:
        """Size in memory."""
        once = self.image.sizeInBytes()
        return once if self.image is self.plain else once + self.plain.sizeInBytes()


@dataclass(frozen=True, slots=True)
class Made:
    """What a reader thread hands over.

    Attributes:
        token: of the slide; another slide's are dropped.
        key: what was to be read.
        tiles: what came of it; for a slide without coarse levels also those put together with it.
        error: why `key` cannot be read.
    """

    token: int
    key: TileKey
    tiles: tuple[tuple[TileKey, Tile], ...] = ()
    error: Exception | None = None


class TileSource(QObject):
    """The tiles of one open slide. Lives in the GUI thread; only its threads read and decode.

    Args:
        opened: the slide; it must stay open until `close`.
        bridge: takes what is a bug.
        colour: how tiles are to look.
        threads: that read; default one less than there are processors, 1 to 4.
        budget: bytes of the cache; default an eighth of the memory, 1 GiB at most.
        parent: owner.

    Attributes:
        grid: of the slide.
        cache: decoded tiles; the coarsest level is pinned.

    Signals:
        arrived: the `TileKey` of a tile that is new or looks new, or cannot be read.
        failed: the `UserError` of the first tile that cannot be read.
    """

    arrived = Signal(object)
    failed = Signal(object)
    _made = Signal(object)

    def __init__(
        self,
        opened: "OpenedSlide",
        bridge: GuiBridge,
        colour: ColourSettings,
        *,
        threads: int | None = None,
        budget: int | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        slide = opened.slide
        self.grid = TileGrid(
            slide.level_dimensions, slide.level_scales, slide.bounds, slide.file_tile_px
        )
        self.cache: TileCache[TileKey, Tile] = TileCache(
            default_budget() if budget is None else budget
        )
        self._slide, self._token, self._bridge, self._colour = slide, opened.token, bridge, colour
        self._view: tuple[Rect0, float] | None = None
        self._any_failed = False
        self._to_screen: QColorTransform | None = profile_transform(slide.icc_profile)
        self._queue = TileQueue()
        self._coarse: CoarsePicture | None = None
        if self.grid.base is not None:
            self._coarse = CoarsePicture(self.grid, slide.background)
            self._queue.set_background(self.grid.all_tiles(self.grid.base))
        self._made.connect(self._take_in, Qt.ConnectionType.QueuedConnection)
        self._threads = [
            threading.Thread(target=self._work, name=f"tiles-{opened.token}-{n}", daemon=True)
            for n in range(default_threads() if threads is None else threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def has_profile(self) -> bool:
        """Whether the slide brings a colour profile that changes something."""
        return self._to_screen is not None

    def want(self, visible: Rect0, px0_per_px: float) -> None:
        """Read what this view needs, and nothing else that was asked for before.

        Args:
            visible: what is seen, level-0 pixels.
            px0_per_px: level-0 pixels per device pixel.
        """
        self._view = (visible, px0_per_px)
        wishes = plan_wishes(self.grid, visible, px0_per_px, self._lacks)
        if not self._has_room(visible, px0_per_px):
            wishes = [wish for wish in wishes if wish.rank[0] <= SHARP]
        if self._coarse is not None:
            wishes = self._through_base(wishes, self._coarse)
        self._queue.replace(wishes)

    def find(self, key: TileKey) -> QImage | None:
        """The picture of a tile if it is there; it may still look as before a colour change."""
        tile = self.cache.get(key)
        return None if tile is None else tile.image

    def unreadable(self, key: TileKey) -> bool:
        """Whether the tile is damaged."""
        return self._any_failed and self._queue.failed(key)

    def is_sharp(self, visible: Rect0, px0_per_px: float) -> bool:
        """Whether every tile of a view is there that can be read, and looks as it should."""
        keys = self.grid.tiles_in(visible, self.grid.level_for(px0_per_px))
        return not any(self._lacks(key) for key in keys)

    def is_coarse(self) -> bool:
        """Whether the whole coarsest level is there."""
        return not any(self._lacks(key) for key in self.grid.all_tiles(self.grid.coarsest))

    def set_colour(self, colour: ColourSettings) -> None:
        """Make the tiles look otherwise; what is seen comes first, old looks stay until then."""
        self._colour = colour
        if self._view is not None:
            self.want(*self._view)

    def close(self) -> None:
        """Stop the threads; returns when none reads any more. The slide may then be closed."""
        self._queue.close()
        for thread in self._threads:
            thread.join(CLOSE_WAIT_S)
            if thread.is_alive():
                # `Slide.close` waits for the read itself; the thread ends right after it.
                log.warning("%s is stuck in a read", thread.name)
        self.cache.clear()

    @Slot(object)
    def _take_in(self, made: Made) -> None:
        if made.token != self._token or self._queue.closed:
            return
        for key, tile in made.tiles:
            pinned = key.level == self.grid.coarsest or self.grid.levels[key.level].assembled
            self.cache.put(key, tile, tile.n_bytes, pinned=pinned)
        self._queue.done(made.key, failed=made.error is not None)
        if made.error is not None and not self._any_failed:
            self._any_failed = True
            if isinstance(made.error, UserError):
                self.failed.emit(made.error)
        if self._view and any(tile.colour != self._colour for _, tile in made.tiles):
            self.want(*self._view)  # the colours changed while it was in hand
        for key in dict.fromkeys((made.key, *(key for key, _ in made.tiles))):
            self.arrived.emit(key)

    def _has_room(self, visible: Rect0, px0_per_px: float) -> bool:
        """Whether what is around a view fits into the cache without driving out the view."""
        level = self.grid.level_for(px0_per_px)
        count = len(self.grid.tiles_in(visible, level, ring=1))
        once = 4 * self.grid.tile_px**2
        # One and a quarter: the next coarser level covers the view with a quarter of the tiles.
        return 1.25 * count * once * (2 if self._colour.changed else 1) <= self.cache.budget

    def _lacks(self, key: TileKey) -> bool:
        tile = self.cache.peek(key)
        if tile is None or tile.colour != self._colour:
            return not self.unreadable(key)
        return (
            self._coarse is not None
            and self.grid.levels[key.level].assembled
            and bool(self._coarse.sources(key))
        )

    def _through_base(self, wishes: list[Wish], coarse: CoarsePicture) -> list[Wish]:
        """Ask for the base tiles that assembled ones wait for; the background brings the rest."""
        asked: dict[TileKey, Wish] = {}
        for wish in wishes:
            sources = []
            if self.grid.levels[wish.key.level].assembled:
                sources = coarse.sources(wish.key)
            if not sources:
                asked.setdefault(wish.key, wish)
            elif wish.rank[0] != COARSE:
                for source in sources:
                    asked.setdefault(source, Wish(wish.rank, source))
        return list(asked.values())

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                made = Made(self._token, key, tuple(self._make(key)))
            except UserError as error:
                made = Made(self._token, key, self._lost(key), error)
            except Exception as error:  # noqa: BLE001  a thread's border: a bug goes to the window
                made = Made(self._token, key, (), error)
                self._bridge.post(partial(self._bridge.bug.emit, error))
            if not self._queue.closed:
                self._made.emit(made)

    def _make(self, key: TileKey) -> list[tuple[TileKey, Tile]]:
        colour, level = self._colour, self.grid.levels[key.level]
        old = self.cache.peek(key)
        if old is not None and old.colour.icc == colour.icc:
            return [(key, Tile(adjusted(old.plain, colour), old.plain, colour))]
        if level.assembled:
            return [self._assembled(key, colour)]
        rect0, (width, height) = self.grid.rect0(key), self.grid.size(key)
        rgb = self._slide.read_scaled(
            rect0.x0, rect0.y0, width, height, level.step0_x, level.step0_y
        )
        tiles = []
        if self._coarse is None or key.level != self.grid.base or self._queue.wants(key):
            plain = managed(to_image(rgb), self._to_screen if colour.icc else None)
            tiles.append((key, Tile(adjusted(plain, colour), plain, colour)))
        if self._coarse is not None and key.level == self.grid.base:
            tiles += [self._assembled(tile, colour) for tile in self._coarse.put(key, rgb)]
        return tiles

    def _assembled(self, key: TileKey, colour: ColourSettings) -> tuple[TileKey, Tile]:
        assert self._coarse is not None
        rgb = self._coarse.tile(key)
        plain = managed(to_image(rgb), self._to_screen if colour.icc else None)
        return key, Tile(adjusted(plain, colour), plain, colour)

    def _lost(self, key: TileKey) -> tuple[tuple[TileKey, Tile], ...]:
        """What an unreadable tile means for those put together with it."""
        if self._coarse is None or key.level != self.grid.base:
            return ()
        return tuple(self._assembled(tile, self._colour) for tile in self._coarse.put(key, None))


def default_threads() -> int:
    """One processor is left to the window: with all of them reading, frames come late."""
    return max(1, min(4, (os.cpu_count() or 2) - 1))


def default_budget() -> int:
    """An eighth of the machine's memory within 256 MiB and 1 GiB."""
    return max(SMALLEST_BUDGET, min(LARGEST_BUDGET, _memory_bytes() // 8))


def _memory_bytes() -> int:
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):  # MEMORYSTATUSEX of sysinfoapi.h
            _fields_ = (
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                *(
                    (name, ctypes.c_ulonglong)
                    for name in ("total", "free", "a", "b", "c", "d", "e")
                ),
            )

        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.total)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

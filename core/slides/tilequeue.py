"""Which tiles are read next: those that the view wants now, the most needed first."""

import heapq
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.geometry import Rect0
from core.slides.tilegrid import TileGrid, TileKey

#: Class, level rank and squared distance to the middle of the view; the least is read first.
Rank = tuple[int, int, float]
COARSE, SHARP, MARGIN, NEIGHBOUR_LEVEL = range(4)


@dataclass(frozen=True, slots=True)
class Wish:
    """A tile that a view wants."""

    rank: Rank
    key: TileKey


def plan_wishes(
    grid: TileGrid, visible: Rect0, px0_per_px: float, lacks: Callable[[TileKey], bool]
) -> list[Wish]:
    """What a view wants and lacks.

    First the coarsest level under the view and the rest of it, then the sharp tiles, then a ring
    around them, then the next coarser level (zooming out).

    Args:
        grid: of the slide.
        visible: what is seen, level-0 pixels.
        px0_per_px: level-0 pixels per device pixel.
        lacks: whether a tile is still to be read.
    """
    level = grid.level_for(px0_per_px)
    sharp = grid.tiles_in(visible, level)
    classes = [
        (COARSE, 0, grid.all_tiles(grid.coarsest)),
        (SHARP, 1, sharp),
        (MARGIN, 1, grid.tiles_in(visible, level, ring=1)),
    ]
    if level < grid.coarsest:
        classes.append((NEIGHBOUR_LEVEL, 2, grid.tiles_in(visible, level + 1)))
    middle = (visible.x0 + visible.width0 / 2, visible.y0 + visible.height0 / 2)
    wishes: dict[TileKey, Wish] = {}
    for kind, level_rank, keys in classes:
        for key in keys:
            if key in wishes or not lacks(key):
                continue
            rect0 = grid.rect0(key)
            dx = rect0.x0 + rect0.width0 / 2 - middle[0]
            dy = rect0.y0 + rect0.height0 / 2 - middle[1]
            wishes[key] = Wish((kind, level_rank, dx * dx + dy * dy), key)
    return list(wishes.values())


class TileQueue:
    """Hands tiles to reader threads, each only while it is wanted and to one thread at a time.

    Every change of the view replaces what is wanted, so a tile that left the view before a thread
    came to it is never read. A tile in hand is not handed out again before `done`, one that failed
    never again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[Rank, TileKey]] = []
        self._wanted: set[TileKey] = set()
        self._background: dict[TileKey, None] = {}
        self._in_hand: set[TileKey] = set()
        self._failed: set[TileKey] = set()
        self._closed = False

    def replace(self, wishes: Iterable[Wish]) -> None:
        """Want exactly these from now on; what is in hand or failed is left out."""
        with self._changed:
            heap = [
                (wish.rank, wish.key)
                for wish in wishes
                if wish.key not in self._in_hand and wish.key not in self._failed
            ]
            heapq.heapify(heap)
            self._heap, self._wanted = heap, {key for _, key in heap}
            if heap:
                self._changed.notify_all()

    def set_background(self, keys: Iterable[TileKey]) -> None:
        """Read these, in this order, whenever nothing is wanted."""
        with self._changed:
            self._background = dict.fromkeys(keys)
            self._changed.notify_all()

    def take(self) -> TileKey | None:
        """Wait for the tile to read next; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                if (key := self._next()) is not None:
                    self._in_hand.add(key)
                    return key
                self._changed.wait()
            return None

    def wants(self, key: TileKey) -> bool:
        """Whether the view waits for this tile."""
        with self._changed:
            return key in self._wanted

    def done(self, key: TileKey, *, failed: bool = False) -> None:
        """The tile is where the viewer finds it, or it cannot be read and is not tried again."""
        with self._changed:
            self._in_hand.discard(key)
            self._wanted.discard(key)
            self._background.pop(key, None)
            if failed:
                self._failed.add(key)

    def failed(self, key: TileKey) -> bool:
        """Whether the tile could not be read."""
        with self._changed:
            return key in self._failed

    def idle(self) -> bool:
        """Whether nothing is wanted, in hand or left in the background."""
        with self._changed:
            return not (self._heap or self._in_hand or self._background)

    def close(self) -> None:
        """Wake every waiting thread; nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    def _next(self) -> TileKey | None:
        while self._heap:
            _, key = heapq.heappop(self._heap)
            # Wanted again since and done meanwhile, or twice in one set.
            if key in self._wanted and key not in self._in_hand and key not in self._failed:
                return key
        for key in self._background:
            if key not in self._in_hand and key not in self._failed:
                return key
        return None

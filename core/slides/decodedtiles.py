"""Decoded tiles of one slide: each is decoded once while its neighbours need it."""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# Tiles share large blocks of memory and are dropped block by block, oldest first. NumPy asks for
# huge pages for these, and memory that is fresh for every tile took a third of the decoding time.
BLOCKS = 8


@dataclass(slots=True)
class _Block:
    memory: Pixels
    used: int = 0
    keys: list[Hashable] = field(default_factory=list)
    dropped: bool = False


class DecodedTiles:
    """A bounded memory of tiles; thread-safe, and no tile is decoded by two threads at once.

    Args:
        limit_bytes: how much may be kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._block_bytes = max(1, limit_bytes // BLOCKS)
        self._blocks: deque[_Block] = deque()
        self._kept: dict[Hashable, Pixels] = {}
        self._coming: dict[Hashable, Future[Pixels]] = {}
        self._lock = threading.Lock()

    def get(
        self, key: Hashable, shape: tuple[int, ...], decode: Callable[[Pixels], None]
    ) -> Pixels:
        """The tile, decoded on this thread unless it is kept or another thread is at it.

        Args:
            key: names the tile.
            shape: of its pixels.
            decode: writes them; must not ask for tiles itself. What it raises goes to all who
                wait, and the next who asks tries again.

        Returns:
            `shape` uint8, read-only.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                return kept
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
                block, pixels = self._place(shape)
        if coming is not None:
            return coming.result()
        try:
            decode(pixels)
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        pixels.setflags(write=False)
        with self._lock:
            del self._coming[key]
            if not block.dropped:
                self._kept[key] = pixels
                block.keys.append(key)
        mine.set_result(pixels)
        return pixels

    def clear(self) -> None:
        """Forget all that is kept."""
        with self._lock:
            while self._blocks:
                self._drop_oldest()

    def __len__(self) -> int:
        """How many tiles are kept."""
        return len(self._kept)

    def _place(self, shape: tuple[int, ...]) -> tuple[_Block, Pixels]:
        """Memory for a tile; makes room by dropping the oldest block."""
        size = prod(shape)
        block = self._blocks[-1] if self._blocks else None
        if block is None or block.used + size > len(block.memory):
            if len(self._blocks) == BLOCKS:
                self._drop_oldest()
            block = _Block(np.empty(max(size, self._block_bytes), np.uint8))
            self._blocks.append(block)
        pixels = block.memory[block.used : block.used + size].reshape(shape)
        block.used += size
        return block, pixels

    def _drop_oldest(self) -> None:
        block = self._blocks.popleft()
        block.dropped = True
        for key in block.keys:
            del self._kept[key]

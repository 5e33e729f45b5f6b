"""Decoded tiles of one slide: each is decoded once while its neighbours need it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class DecodedTiles:
    """The least recently used are dropped; thread-safe, and no tile is decoded by two at once.

    Args:
        limit_bytes: how much pixels may be kept; a larger single tile is not kept at all.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._kept_bytes = limit_bytes, 0
        self._kept: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._coming: dict[Hashable, Future[Pixels]] = {}
        self._lock = threading.Lock()

    @property
    def kept_bytes(self) -> int:
        """Bytes of pixels held now."""
        return self._kept_bytes

    def get(self, key: Hashable, decode: Callable[[], Pixels]) -> Pixels:
        """The tile, decoded on this thread unless it is kept or another thread is at it.

        Args:
            key: names the tile.
            decode: makes it; must not ask for tiles itself. What it raises goes to all who wait,
                and the next who asks tries again.

        Returns:
            What `decode` gave, read-only.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            coming = self._coming.get(key)
            if coming is None:
                mine = self._coming[key] = Future()
        if coming is not None:
            return coming.result()
        try:
            pixels = decode()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        pixels.setflags(write=False)
        self._keep(key, pixels)
        mine.set_result(pixels)
        return pixels

    def clear(self) -> None:
        """Forget all that is kept."""
        with self._lock:
            self._kept.clear()
            self._kept_bytes = 0

    def _keep(self, key: Hashable, pixels: Pixels) -> None:
        with self._lock:
            del self._coming[key]
            self._kept[key] = pixels
            self._kept_bytes += pixels.nbytes
            while self._kept_bytes > self._limit_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= dropped.nbytes

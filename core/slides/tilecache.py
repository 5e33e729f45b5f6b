"""A store of decoded tiles that never holds more bytes than it may."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TileCache(Generic[K, V]):
    """Keeps what was used last within a budget of bytes; safe from any thread.

    Pinned values lie outside the budget and stay until they are replaced or all is cleared.

    Args:
        budget: bytes that values which are not pinned may take together.

    Attributes:
        budget: as given.
    """

    def __init__(self, budget: int) -> None:
        if budget < 0:
            raise ValueError("a budget is not negative")
        self.budget = budget
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._pinned: dict[K, tuple[V, int]] = {}
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of what is not pinned."""
        return self._n_bytes

    @property
    def pinned_bytes(self) -> int:
        """Bytes of what is pinned."""
        with self._lock:
            return sum(size for _, size in self._pinned.values())

    def put(self, key: K, value: V, n_bytes: int, *, pinned: bool = False) -> bool:
        """Keep a value, in place of an older one; whether it was kept.

        Args:
            key: names it.
            value: what to keep.
            n_bytes: its size; larger than the budget it is refused unless pinned.
            pinned: keep it whatever happens.
        """
        with self._lock:
            self._drop(key)
            if pinned:
                self._pinned[key] = (value, n_bytes)
                return True
            if n_bytes > self.budget:
                return False
            self._values[key] = (value, n_bytes)
            self._n_bytes += n_bytes
            while self._n_bytes > self.budget:
                _, (_, size) = self._values.popitem(last=False)
                self._n_bytes -= size
            return True

    def get(self, key: K) -> V | None:
        """The value, which counts as used now, or None."""
        with self._lock:
            if (pinned := self._pinned.get(key)) is not None:
                return pinned[0]
            if (found := self._values.get(key)) is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def peek(self, key: K) -> V | None:
        """The value without its counting as used, or None."""
        with self._lock:
            found = self._pinned.get(key) or self._values.get(key)
            return None if found is None else found[0]

    def clear(self) -> None:
        """Forget everything, pinned values too."""
        with self._lock:
            self._values.clear()
            self._pinned.clear()
            self._n_bytes = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._values) + len(self._pinned)

    def _drop(self, key: K) -> None:
        self._pinned.pop(key, None)
        if (old := self._values.pop(key, None)) is not None:
            self._n_bytes -= old[1]

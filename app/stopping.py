"""Ending in order: Ctrl-C as a cancel token, and threads that finish what they were given."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from core.cancel import CancelToken


@contextmanager
def ctrl_c_cancels() -> Iterator[CancelToken]:
    """A token that Ctrl-C (or SIGTERM) cancels; a second Ctrl-C ends the program at once."""
    token = CancelToken()
    if threading.current_thread() is not threading.main_thread():
        yield token  # signals reach the main thread only
        return

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Drained(Protocol):
    """A work thread, without importing Qt for it."""

    @property
    def closed(self) -> bool:
        """Whether its end was asked for."""
        ...

    def submit(self, work: Callable[[], Any], *, priority: int = 0) -> None:
        """Queue work."""

    def close(self, timeout_s: float = 5.0) -> bool:
        """End the thread."""
        ...


def drain(
    thread: Drained, seconds: float, pump: Callable[[], None] | None, *, priority: int
) -> bool:
    """Let a thread do what it was given before, then end it.

    Args:
        thread: to end.
        seconds: how long to wait at most.
        pump: called while waiting, to keep the screen alive.
        priority: what is queued with a higher number is dropped.

    Returns:
        Whether it ended in time.
    """
    if thread.closed:
        return thread.close(timeout_s=seconds)
    done = threading.Event()
    thread.submit(done.set, priority=priority)
    until_s = time.monotonic() + seconds
    while not done.wait(0.02) and time.monotonic() < until_s:
        if pump is not None:
            pump()
    return thread.close(timeout_s=max(0.1, until_s - time.monotonic()))

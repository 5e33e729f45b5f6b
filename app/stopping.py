"""Ctrl-C as a cancel token."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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

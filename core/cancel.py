"""Cancelling long work: one token, checked between batches and woken in every wait."""

import threading


class Cancelled(Exception):  # noqa: N818  (a request that was obeyed, not an error)
    """Raised inside the work when its token was cancelled."""


class CancelToken:
    """A flag that one thread sets and others check or wait on."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; safe from any thread and from a signal handler."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`, woken by `cancel`; returns whether it was cancelled."""
        return self._event.wait(seconds)

"""The one thread that owns the writing connection; each task is one transaction.

Tasks of a reader's hand go before those of a run. What is submitted without waiting and fails is
kept and raised by the next call that comes in, so that no failure is lost.
"""

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from core.errors import StoreError
from core.store.engine import plain_errors

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST = 0  # verdicts and whatever else a reader waits for
LATER = 1  # windows and candidates of a run
_AFTER_ALL = 2

# Enough to keep the writer busy, few enough that a slow disk slows the run and not the memory.
MAX_WAITING = 64


@dataclass(order=True)
class _Task:
    priority: int
    order: int
    work: Callable[[Connection], Any] | None = field(compare=False)
    future: "Future[Any]" = field(compare=False)
    waited_for: bool = field(compare=False)


class Writer:
    """Runs writing tasks one after another on its own thread.

    Args:
        engine: of the writing connection.
        path: of the store, for messages.
        beat: asked between tasks, about every `beat_s` seconds, for a task that keeps something
            alive; None when there is nothing to keep alive.
        beat_s: seconds between beats.
    """

    def __init__(
        self,
        engine: Engine,
        path: Path,
        beat: Callable[[], Callable[[Connection], None] | None],
        beat_s: float,
    ) -> None:
        self._engine = engine
        self._path = path
        self._beat = beat
        self._beat_s = beat_s
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._order = itertools.count()
        self._room = threading.BoundedSemaphore(MAX_WAITING)
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Connection], T], priority: int = FIRST) -> T:
        """Run a task in one transaction and wait until it is on disk."""
        self.raise_failure()
        result: T = self._submit(work, priority, waited_for=True).result()
        return result

    def post(self, work: Callable[[Connection], None]) -> None:
        """Queue a task of a run; blocks only while `MAX_WAITING` tasks wait already."""
        self.raise_failure()
        self._room.acquire()
        try:
            self._submit(work, LATER, waited_for=False)
        except BaseException:
            self._room.release()
            raise

    def flush(self) -> None:
        """Wait until everything posted is on disk; raises the first failure."""
        self._submit(None, LATER, waited_for=True).result()
        self.raise_failure()

    def close(self) -> None:
        """Finish what is queued and end the thread; safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            future: Future[Any] = Future()
            self._tasks.put(_Task(_AFTER_ALL, next(self._order), None, future, True))
        self._thread.join()

    def raise_failure(self) -> None:
        """Raise the first failure of a posted task, once."""
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _submit(
        self, work: Callable[[Connection], Any] | None, priority: int, *, waited_for: bool
    ) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreError(f"The store {self._path} is closed.")
            self._tasks.put(_Task(priority, next(self._order), work, future, waited_for))
        return future

    def _run(self) -> None:
        next_beat = time.monotonic() + self._beat_s
        while True:
            try:
                task = self._tasks.get(timeout=max(0.0, next_beat - time.monotonic()))
            except queue.Empty:
                task = None
            if task is not None:
                self._do(task)
                if task.priority == _AFTER_ALL:
                    return
            if time.monotonic() >= next_beat:
                self._keep_alive()
                next_beat = time.monotonic() + self._beat_s

    def _do(self, task: _Task) -> None:
        try:
            result = None if task.work is None else self._transact(task.work)
        except BaseException as error:  # noqa: BLE001  handed to the caller, who raises it
            if not task.waited_for:
                with self._lock:
                    self._failure = self._failure or error
            task.future.set_exception(error)
        else:
            task.future.set_result(result)
        finally:
            if not task.waited_for:
                self._room.release()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with plain_errors(self._path), self._engine.begin() as connection:
            return work(connection)

    def _keep_alive(self) -> None:
        work = self._beat()
        if work is None:
            return
        try:
            self._transact(work)
        except StoreError as error:
            # The next beat or write tells: a lease outlives several missed beats.
            log.warning("heartbeat not written: %s", error)

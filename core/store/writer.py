"""The one thread that owns the writing connection; each task is one transaction.

Tasks of a reader's hand go before those of a run. What a run submits without waiting and fails is
kept as that run's failure, which its next calls raise: no failure is lost, and no other run and no
reader is refused for it.
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
    run: int | None = field(compare=False)  # whose task it is; None where a caller waits


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
        self._failed: dict[int, BaseException] = {}  # the first failure of each run
        self._untold: set[int] = set()  # runs whose failure nobody was told
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[Connection], T], priority: int = FIRST) -> T:
        """Run a task in one transaction and wait until it is on disk."""
        result: T = self._submit(work, priority).result()
        return result

    def post(self, run: int, work: Callable[[Connection], None]) -> None:
        """Queue a task of a run; blocks only while `MAX_WAITING` tasks wait already.

        Raises:
            BaseException: the run's first failure; of every call until `forget`.
        """
        self._raise_failure(run)
        self._room.acquire()
        try:
            self._submit(work, LATER, run)
        except BaseException:
            self._room.release()
            raise

    def flush(self, run: int | None = None) -> None:
        """Wait until everything posted is on disk or has failed.

        Args:
            run: the run whose first failure is raised, each time; None: of any run, if nobody was
                told of it yet.
        """
        self._submit(None, LATER).result()
        if run is None:
            with self._lock:
                run = min(self._untold, default=None)
        if run is not None:
            self._raise_failure(run)

    def forget(self, run: int) -> BaseException | None:
        """Let a run that ended or starts again write; returns the failure that nobody was told."""
        with self._lock:
            failure = self._failed.pop(run, None)
            told = run not in self._untold
            self._untold.discard(run)
        return None if told else failure

    def close(self) -> None:
        """Finish what is queued and end the thread; safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            future: Future[Any] = Future()
            self._tasks.put(_Task(_AFTER_ALL, next(self._order), None, future, None))
        self._thread.join()

    def _raise_failure(self, run: int) -> None:
        with self._lock:
            failure = self._failed.get(run)
            self._untold.discard(run)
        if failure is not None:
            raise failure

    def _submit(
        self, work: Callable[[Connection], Any] | None, priority: int, run: int | None = None
    ) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreError(f"The store {self._path} is closed.")
            self._tasks.put(_Task(priority, next(self._order), work, future, run))
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
            if task.run is not None:
                self._keep(task.run, error)
            task.future.set_exception(error)
        else:
            task.future.set_result(result)
        finally:
            if task.run is not None:
                self._room.release()

    def _keep(self, run: int, error: BaseException) -> None:
        log.warning("a write of run %d failed: %s", run, error)
        with self._lock:
            if run not in self._failed:
                self._failed[run] = error
                self._untold.add(run)

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

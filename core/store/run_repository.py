"""The store's functions for runs, windows and candidates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from core.errors import StoreError
from core.store import lease, run_queries, score_queries
from core.store.base import PAGE, StoreBase, paged
from core.store.records import (
    Candidate,
    CandidateRecord,
    CandidateRow,
    RunRecord,
    RunSpec,
    RunState,
    WindowRecord,
    WindowResult,
)
from core.store.writer import LATER

T = TypeVar("T")

CHUNK = 5000  # rows of one transaction: some 50 ms, so that a verdict never waits long
_BEFORE_ALL = (-(2**62), -(2**62))


class RunStore(StoreBase):
    """What the pipeline writes and resumes; part of `Store`."""

    def open_run(self, spec: RunSpec, *, again: bool = False) -> RunRecord:
        """The newest run of this key, resumed unless it is done; with `again` a fresh one.

        A run that is not done is leased to this store until `finish_run` or `close`.

        Raises:
            StoreError: another living process works on it.
        """
        run = self.write(lambda c: run_queries.open_run(c, spec, self._holder, again=again), LATER)
        self._writing().forget(run.id)  # what could not be written is missing, and done anew
        if run.state != "done":
            self._leased[run.id] = run
        return run

    def run(self, run_id: int) -> RunRecord:
        """A run by its id."""
        return self._read(lambda c: run_queries.get_run(c, run_id))

    def runs(self, slide_id: int) -> list[RunRecord]:
        """The runs of a slide, oldest first."""
        return self._read(lambda c: run_queries.runs(c, slide_id))

    def finished_windows(self, run_id: int) -> set[tuple[int, int]]:
        """(column, row) of every window on disk, those that failed among them."""
        return self._of_set(run_id, run_queries.finished_windows)

    def windows(self, run_id: int) -> list[WindowRecord]:
        """All finished windows by row and column."""
        return self._of_set(run_id, run_queries.windows)

    def notable_windows(self, run_id: int, *, flush: bool = True) -> list[WindowRecord]:
        """The windows that failed or are blurred; without `flush` those on disk by now."""
        return self._of_set(
            run_id, lambda c, s: run_queries.windows(c, s, only_notable=True), flush=flush
        )

    def save_window(self, run_id: int, result: WindowResult) -> None:
        """Queue a window with its candidates as one transaction; replaces an earlier result.

        Returns before it is on disk (`flush` waits). A failure is raised by the run's next calls
        until it ends or is opened again; the run then does what is missing anew.
        """
        run = self._lease_of(run_id)

        def work(connection: Connection) -> None:
            lease.check(connection, run.detection_set_id, self._holder)
            run_queries.save_window(connection, run, result)

        self._writing().post(run_id, work)

    def iter_window_points(self, run_id: int) -> Iterator[CandidateRow]:
        """The unmerged points of all windows, by row and column whatever their order in time."""
        self.flush(run_id)
        set_id = self.run(run_id).detection_set_id
        after: tuple[int, int] | None = _BEFORE_ALL
        while after is not None:
            with self.reading() as connection:
                page, after = run_queries.window_points_page(connection, set_id, after)
            yield from page

    def save_candidates(self, run_id: int, rows: Sequence[Candidate]) -> None:
        """Write merged and classified candidates in their order, `CHUNK` per transaction.

        Resumable: a run that was stopped here has its first `classified_count` rows on disk.
        """
        run = self._lease_of(run_id)
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]

            def work(connection: Connection, chunk: Sequence[Candidate] = chunk) -> None:
                lease.check(connection, run.detection_set_id, self._holder)
                run_queries.save_candidates(connection, run, chunk)

            self.write(work, LATER)

    def save_scores(self, run_id: int, scores: Sequence[tuple[int, float, str]]) -> None:
        """Write (candidate id, probability, label) of candidates of the run's detection set."""
        run = self._lease_of(run_id)

        def work(connection: Connection) -> None:
            lease.check(connection, run.detection_set_id, self._holder)
            score_queries.save_scores(connection, run_id, scores)

        if scores:
            self.write(work, LATER)

    def save_subtypes(self, run_id: int, rows: Sequence[tuple[int, float, str]]) -> None:
        """Write (candidate id, probability of being atypical, label) of scored candidates."""
        run = self._lease_of(run_id)

        def work(connection: Connection) -> None:
            lease.check(connection, run.detection_set_id, self._holder)
            score_queries.save_subtypes(connection, run_id, rows)

        if rows:
            self.write(work, LATER)

    def unscored(
        self, run_id: int, after_id: int = 0, limit: int = PAGE
    ) -> list[tuple[int, float, float, float]]:
        """(id, x0, y0, detector score) of candidates of the detection set without this score."""
        run = self.run(run_id)
        return self._read(lambda c: run_queries.unscored(c, run, after_id, limit))

    def classified_count(self, run_id: int) -> int:
        """How many candidates of a run are on disk."""
        return self._read(lambda c: run_queries.classified_count(c, run_id))

    def finish_run(
        self,
        run_id: int,
        state: RunState,
        times: Mapping[str, float],
        message: str = "",
        *,
        scores: Sequence[tuple[int, float, str]] = (),
    ) -> RunRecord:
        """End this session of a run after everything saved before; gives its lease back.

        Args:
            run_id: a run opened by this store.
            state: `done`, `cancelled` or `failed`.
            times: seconds by name, added to those of earlier sessions.
            message: why it failed, or what the reader must know.
            scores: (candidate id, probability, label) that take the place of those given so far,
                in the same transaction.

        Raises:
            StoreError: a window could not be written. `done` is then refused; a cancelled run has
                ended all the same, and this is raised if nobody was told yet.
        """
        run = self._lease_of(run_id)
        if state == "done":
            self.flush(run_id)

        def work(connection: Connection) -> None:
            score_queries.change_scores(connection, run_id, scores)
            run_queries.finish_run(connection, run, state, times, message, self._holder)

        self.write(work, LATER)
        del self._leased[run_id]
        untold = self._writing().forget(run_id)
        if untold is not None and state == "cancelled":
            raise untold
        return self.run(run_id)

    def candidates(
        self, run_id: int, after_id: int = 0, limit: int = PAGE
    ) -> list[CandidateRecord]:
        """A page of a run's candidates in order of their ids."""
        return self._read(lambda c: run_queries.candidates(c, run_id, after_id, limit))

    def candidates_by_probability(
        self, run_id: int, after: tuple[float, int] | None = None, limit: int = PAGE
    ) -> list[CandidateRecord]:
        """A page of a run's candidates, most probable first; `after` is (probability, id)."""
        return self._read(lambda c: run_queries.candidates_by_probability(c, run_id, after, limit))

    def iter_candidates(self, run_id: int) -> Iterator[CandidateRecord]:
        """All candidates of a run, read page by page."""
        return paged(lambda after_id: self.candidates(run_id, after_id))

    def _of_set(
        self, run_id: int, query: Callable[[Connection, int], T], *, flush: bool = True
    ) -> T:
        if flush:
            self.flush(run_id)
        return self._read(lambda c: query(c, run_queries.get_run(c, run_id).detection_set_id))

    def _lease_of(self, run_id: int) -> RunRecord:
        self._writing()
        run = self._leased.get(run_id)
        if run is None:
            raise StoreError(f"Run {run_id} was not opened by this process, or is finished.")
        return run

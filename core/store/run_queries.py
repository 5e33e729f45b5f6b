"""Runs, windows and candidates: statements on a connection that the store hands in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    Connection,
    Select,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from core.errors import StoreError
from core.ports import ModelOrigin
from core.store import lease, score_queries
from core.store.audit import append_event
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
from core.store.run_schema import CandidateRow as CandidateTable
from core.store.run_schema import (
    DetectionRegionRow,
    DetectionSetRow,
    RunRow,
    ScoreRow,
    WindowPointRow,
    WindowRow,
)
from core.store.slide_queries import newest_calibration

WINDOWS_PER_PAGE = 256


def open_run(
    connection: Connection, spec: RunSpec, holder: lease.Holder, *, again: bool
) -> RunRecord:
    """Find the newest run of a key, or make one; unfinished ones are leased to the holder."""
    query = select(RunRow.id).where(RunRow.key == spec.key)
    if spec.detection_set_id is not None:
        query = query.where(RunRow.detection_set_id == spec.detection_set_id)
    newest = connection.execute(query.order_by(RunRow.attempt.desc()).limit(1)).scalar()
    if newest is not None and not again:
        record = get_run(connection, newest)
        if record.state == "done":
            return record
        lease.take(connection, record.detection_set_id, record.id, holder)
        _set_state(connection, record.id, "running", record.times, "")
        append_event(connection, "run resumed", f"run {record.id}", old={"state": record.state})
        return get_run(connection, record.id)
    detection_set_id = spec.detection_set_id or _detection_set(connection, spec, again=again)
    run_id = _insert_run(connection, spec, detection_set_id)
    lease.take(connection, detection_set_id, run_id, holder)
    append_event(
        connection,
        "run started",
        f"run {run_id}",
        new={"key": spec.key, "slide": spec.slide_id, "detection_set": detection_set_id},
        app_version=spec.app_version,
        model_version=f"{spec.detector.sha256} {spec.classifier.sha256}",
    )
    return get_run(connection, run_id)


def _detection_set(connection: Connection, spec: RunSpec, *, again: bool) -> int:
    key = spec.detection_key or spec.key
    newest = connection.execute(
        select(DetectionSetRow.id, DetectionSetRow.attempt)
        .where(DetectionSetRow.key == key)
        .order_by(DetectionSetRow.attempt.desc())
        .limit(1)
    ).first()
    if newest is not None and not again:
        return int(newest.id)
    calibration = newest_calibration(connection, spec.slide_id)
    query = insert(DetectionSetRow).values(
        slide_id=spec.slide_id,
        calibration_id=calibration.id if calibration else None,
        key=key,
        attempt=1 if newest is None else newest.attempt + 1,
        detector_name=spec.detector.name,
        detector_sha256=spec.detector.sha256,
        created_at=datetime.now(UTC),
    )
    set_id = int(connection.execute(query.returning(DetectionSetRow.id)).scalar_one())
    if spec.region_ids:
        connection.execute(
            insert(DetectionRegionRow),
            [{"detection_set_id": set_id, "region_id": region_id} for region_id in spec.region_ids],
        )
    return set_id


def _insert_run(connection: Connection, spec: RunSpec, detection_set_id: int) -> int:
    attempts = select(func.coalesce(func.max(RunRow.attempt), 0)).where(RunRow.key == spec.key)
    query = insert(RunRow).values(
        detection_set_id=detection_set_id,
        slide_id=spec.slide_id,
        key=spec.key,
        attempt=connection.execute(attempts).scalar_one() + 1,
        state="running",
        parameters=dict(spec.parameters),
        detector=asdict(spec.detector),
        classifier=asdict(spec.classifier),
        subtype=None if spec.subtype is None else asdict(spec.subtype),
        app_version=spec.app_version,
        times={},
        started_at=datetime.now(UTC),
    )
    return int(connection.execute(query.returning(RunRow.id)).scalar_one())


def get_run(connection: Connection, run_id: int) -> RunRecord:
    """A run by its id."""
    found = _runs(connection, select(*RunRow.__table__.columns).where(RunRow.id == run_id))
    if not found:
        raise StoreError(f"The store has no run {run_id}.")
    return found[0]


def runs(connection: Connection, slide_id: int) -> list[RunRecord]:
    """The runs of a slide, oldest first."""
    query = select(*RunRow.__table__.columns).where(RunRow.slide_id == slide_id)
    return _runs(connection, query.order_by(RunRow.id))


def _runs(connection: Connection, query: Select[Any]) -> list[RunRecord]:
    return [
        RunRecord(
            id=row.id,
            detection_set_id=row.detection_set_id,
            slide_id=row.slide_id,
            key=row.key,
            attempt=row.attempt,
            state=cast(RunState, row.state),
            message=row.message,
            parameters=row.parameters,
            detector=ModelOrigin(**row.detector),
            classifier=ModelOrigin(**row.classifier),
            app_version=row.app_version,
            times=row.times,
            started_at=row.started_at,
            finished_at=row.finished_at,
            subtype=None if row.subtype is None else ModelOrigin(**row.subtype),
        )
        for row in connection.execute(query)
    ]


def finish_run(
    connection: Connection,
    run: RunRecord,
    state: RunState,
    times: Mapping[str, float],
    message: str,
    holder: lease.Holder,
) -> None:
    """End a session of a run: its times are added to those of earlier sessions, its lease freed."""
    lease.check(connection, run.detection_set_id, holder)
    summed = dict(get_run(connection, run.id).times)
    for name, seconds in times.items():
        summed[name] = summed.get(name, 0.0) + float(seconds)
    _set_state(connection, run.id, state, summed, message)
    lease.give_back(connection, holder, run.detection_set_id)
    append_event(
        connection, f"run {state}", f"run {run.id}", new={"times": summed, "message": message}
    )


def _set_state(
    connection: Connection, run_id: int, state: RunState, times: Mapping[str, float], message: str
) -> None:
    connection.execute(
        update(RunRow)
        .where(RunRow.id == run_id)
        .values(
            state=state,
            message=message,
            times=dict(times),
            finished_at=None if state == "running" else datetime.now(UTC),
        )
    )


def save_window(connection: Connection, run: RunRecord, result: WindowResult) -> None:
    """Write a window and its points; a window that is there already is replaced."""
    connection.execute(
        delete(WindowRow).where(
            WindowRow.detection_set_id == run.detection_set_id,
            WindowRow.row == result.row,
            WindowRow.col == result.col,
        )
    )
    query = insert(WindowRow).values(
        detection_set_id=run.detection_set_id,
        col=result.col,
        row=result.row,
        state=result.state,
        device=result.device,
        precision=result.precision,
        message=result.message,
        blurred=result.blurred,
        finished_at=datetime.now(UTC),
    )
    window_id = connection.execute(query.returning(WindowRow.id)).scalar_one()
    if result.candidates:
        connection.execute(
            insert(WindowPointRow),
            [
                {
                    "window_id": window_id,
                    "n": n,
                    "x0": float(point.x0),
                    "y0": float(point.y0),
                    "detector_score": float(point.detector_score),
                }
                for n, point in enumerate(result.candidates)
            ],
        )


def windows(
    connection: Connection, detection_set_id: int, *, only_notable: bool = False
) -> list[WindowRecord]:
    """Finished windows by row and column; or only those that failed or are blurred."""
    table = WindowRow
    query = select(
        table.col,
        table.row,
        table.state,
        table.device,
        table.precision,
        table.message,
        table.blurred,
    ).where(table.detection_set_id == detection_set_id)
    if only_notable:
        query = query.where(or_(table.state == "failed", table.blurred))
    rows = connection.execute(query.order_by(table.row, table.col))
    return [WindowRecord(**row._mapping) for row in rows]


def finished_windows(connection: Connection, detection_set_id: int) -> set[tuple[int, int]]:
    """(column, row) of every finished window, the failed ones among them."""
    query = select(WindowRow.col, WindowRow.row).where(
        WindowRow.detection_set_id == detection_set_id
    )
    return {(col, row) for col, row in connection.execute(query)}


def window_points_page(
    connection: Connection, detection_set_id: int, after: tuple[int, int]
) -> tuple[list[CandidateRow], tuple[int, int] | None]:
    """The points of the next windows after (row, column), and where the page ended.

    Windows come by row and column whatever order they were finished in.
    """
    query = (
        select(WindowRow.id, WindowRow.row, WindowRow.col)
        .where(
            WindowRow.detection_set_id == detection_set_id,
            tuple_(WindowRow.row, WindowRow.col) > tuple_(*after),
        )
        .order_by(WindowRow.row, WindowRow.col)
        .limit(WINDOWS_PER_PAGE)
    )
    page = connection.execute(query).all()
    if not page:
        return [], None
    place = {window_id: n for n, (window_id, _, _) in enumerate(page)}
    rows = connection.execute(
        select(*WindowPointRow.__table__.columns)
        .where(WindowPointRow.window_id.in_(place))
        .order_by(WindowPointRow.window_id, WindowPointRow.n)
    ).all()
    ordered = sorted(rows, key=lambda row: (place[row.window_id], row.n))
    return [CandidateRow(row.x0, row.y0, row.detector_score) for row in ordered], (
        page[-1].row,
        page[-1].col,
    )


def save_candidates(connection: Connection, run: RunRecord, rows: Sequence[Candidate]) -> None:
    """Write merged candidates with their scores, in the order given."""
    first = connection.execute(select(func.coalesce(func.max(CandidateTable.id), 0))).scalar_one()
    numbered = list(enumerate(rows, int(first) + 1))
    connection.execute(
        insert(CandidateTable),
        [
            {
                "id": candidate_id,
                "detection_set_id": run.detection_set_id,
                "x0": float(row.x0),
                "y0": float(row.y0),
                "detector_score": float(row.detector_score),
            }
            for candidate_id, row in numbered
        ],
    )
    scores = [(candidate_id, row.probability, row.label) for candidate_id, row in numbered]
    score_queries.save_scores(connection, run.id, scores)


def classified_count(connection: Connection, run_id: int) -> int:
    """How many candidates have a score of this run."""
    query = select(func.count()).select_from(ScoreRow).where(ScoreRow.run_id == run_id)
    return int(connection.execute(query).scalar_one())


def unscored(
    connection: Connection, run: RunRecord, after_id: int, limit: int
) -> list[tuple[int, float, float, float]]:
    """(id, x0, y0, detector score) of the detection set's candidates that this run lacks."""
    table = CandidateTable
    scored = select(ScoreRow.candidate_id).where(
        ScoreRow.run_id == run.id, ScoreRow.candidate_id == table.id
    )
    query = (
        select(table.id, table.x0, table.y0, table.detector_score)
        .where(table.detection_set_id == run.detection_set_id, table.id > after_id)
        .where(~scored.exists())
        .order_by(table.id)
        .limit(limit)
    )
    return [(row.id, row.x0, row.y0, row.detector_score) for row in connection.execute(query)]


_CANDIDATE_COLUMNS: list[Any] = [
    CandidateTable.id,
    ScoreRow.run_id,
    CandidateTable.x0,
    CandidateTable.y0,
    CandidateTable.detector_score,
    ScoreRow.probability,
    ScoreRow.label,
    CandidateTable.point_id,
    ScoreRow.atypical_probability,
]
_SCORED = select(*_CANDIDATE_COLUMNS).join_from(
    ScoreRow, CandidateTable, ScoreRow.candidate_id == CandidateTable.id
)


def candidates(
    connection: Connection, run_id: int, after_id: int, limit: int
) -> list[CandidateRecord]:
    """A page of a run's candidates in order of their ids."""
    query = (
        _SCORED.where(ScoreRow.run_id == run_id, ScoreRow.candidate_id > after_id)
        .order_by(ScoreRow.candidate_id)
        .limit(limit)
    )
    return [CandidateRecord(*row) for row in connection.execute(query)]


def candidates_by_probability(
    connection: Connection, run_id: int, after: tuple[float, int] | None, limit: int
) -> list[CandidateRecord]:
    """A page of a run's candidates, most probable first; `after` is (probability, id)."""
    query = _SCORED.where(ScoreRow.run_id == run_id)
    if after is not None:
        query = query.where(tuple_(ScoreRow.probability, ScoreRow.candidate_id) < tuple_(*after))
    query = query.order_by(ScoreRow.probability.desc(), ScoreRow.candidate_id.desc()).limit(limit)
    return [CandidateRecord(*row) for row in connection.execute(query)]

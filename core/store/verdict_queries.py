"""Readers, points, verdicts and counts: statements on a connection that the store hands in."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from core.errors import StoreError
from core.store.audit import append_event
from core.store.desk_records import NewAction
from core.store.records import (
    CountRecord,
    NewVerdict,
    PointRecord,
    ReaderRecord,
    VerdictRecord,
)
from core.store.schema import (
    CandidateRow,
    CountRow,
    DetectionSetRow,
    PointRow,
    ReaderRow,
    RunRow,
    VerdictRow,
)
from core.store.slide_queries import plain_text, reader_name


def add_reader(connection: Connection, name: str) -> int:
    """Add a reader or find one by name."""
    name = plain_text(name.strip())
    if not name:
        raise StoreError("A reader needs a name.")
    known = connection.execute(select(ReaderRow.id).where(ReaderRow.name == name)).scalar()
    if known is not None:
        return known
    query = insert(ReaderRow).values(name=name, added_at=datetime.now(UTC))
    reader_id = int(connection.execute(query.returning(ReaderRow.id)).scalar_one())
    append_event(connection, "reader added", f"reader {reader_id}", reader=name)
    return reader_id


def readers(connection: Connection) -> list[ReaderRecord]:
    """All readers by name."""
    query = select(ReaderRow.id, ReaderRow.name).order_by(ReaderRow.name)
    return [ReaderRecord(*row) for row in connection.execute(query)]


def append_verdicts(
    connection: Connection, slide_id: int, reader_id: int, action: NewAction, action_id: int
) -> None:
    """Append the verdicts of an action."""
    values = [
        {
            "slide_id": slide_id,
            "point_id": _point_of(connection, slide_id, verdict),
            "reader_id": reader_id,
            "run_id": action.run_id,
            "value": verdict.value,
            "atypical": verdict.atypical,
            "consensus": action.consensus,
            "action_id": action_id,
            "method": action.method,
            "reason": action.reason,
            "undoes_id": verdict.undoes_id,
            "decided_at": datetime.now(UTC),
        }
        for verdict in action.verdicts
    ]
    connection.execute(insert(VerdictRow), values)
    kept = ("point_id", "value", "atypical", "undoes_id")
    append_event(
        connection,
        "verdicts given",
        f"slide {slide_id}",
        reader=reader_name(connection, reader_id),
        new={
            "action": action_id,
            "method": action.method,
            "consensus": action.consensus,
            "run": action.run_id,
            "verdicts": [{name: row[name] for name in kept} for row in values],
        },
        reason=action.reason,
    )


def _point_of(connection: Connection, slide_id: int, verdict: NewVerdict) -> int:
    targets = (verdict.candidate_id, verdict.point_id, verdict.place0)
    if sum(target is not None for target in targets) != 1:
        raise ValueError("a verdict is of one candidate, one point or one place")
    if verdict.place0 is not None:
        return _add_point(connection, slide_id, *verdict.place0, hand_placed=True)
    if verdict.point_id is not None:
        query = select(PointRow.id).where(
            PointRow.id == verdict.point_id, PointRow.slide_id == slide_id
        )
        found = connection.execute(query).scalar()
        if found is None:
            raise StoreError(f"Slide {slide_id} has no point {verdict.point_id}.")
        return found
    candidate = connection.execute(
        select(CandidateRow.x0, CandidateRow.y0, CandidateRow.point_id)
        .join(DetectionSetRow, DetectionSetRow.id == CandidateRow.detection_set_id)
        .where(CandidateRow.id == verdict.candidate_id, DetectionSetRow.slide_id == slide_id)
    ).first()
    if candidate is None:
        raise StoreError(f"Slide {slide_id} has no candidate {verdict.candidate_id}.")
    if candidate.point_id is not None:
        return int(candidate.point_id)
    point_id = _add_point(connection, slide_id, candidate.x0, candidate.y0, hand_placed=False)
    connection.execute(
        update(CandidateRow)
        .where(CandidateRow.id == verdict.candidate_id)
        .values(point_id=point_id)
    )
    return point_id


def _add_point(
    connection: Connection, slide_id: int, x0: float, y0: float, *, hand_placed: bool
) -> int:
    query = insert(PointRow).values(
        slide_id=slide_id,
        x0=float(x0),
        y0=float(y0),
        hand_placed=hand_placed,
        created_at=datetime.now(UTC),
    )
    return int(connection.execute(query.returning(PointRow.id)).scalar_one())


def points(connection: Connection, slide_id: int, after_id: int, limit: int) -> list[PointRecord]:
    """A page of the points of a slide that have verdicts."""
    query = (
        select(PointRow.id, PointRow.slide_id, PointRow.x0, PointRow.y0, PointRow.hand_placed)
        .where(PointRow.slide_id == slide_id, PointRow.id > after_id)
        .order_by(PointRow.id)
        .limit(limit)
    )
    return [PointRecord(*row) for row in connection.execute(query)]


def linked_points(connection: Connection, run_id: int, point_ids: Iterable[int]) -> dict[int, int]:
    """Which of these points belong to candidates of a run: candidate id by point id."""
    set_id = select(RunRow.detection_set_id).where(RunRow.id == run_id).scalar_subquery()
    query = select(CandidateRow.point_id, CandidateRow.id).where(
        CandidateRow.point_id.in_(list(point_ids)), CandidateRow.detection_set_id == set_id
    )
    return {row.point_id: row.id for row in connection.execute(query)}


def link_candidates(connection: Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Let verdicts carry to candidates of a newer detection set: (candidate id, point id)."""
    for candidate_id, point_id in pairs:
        linked = connection.execute(
            update(CandidateRow)
            .where(CandidateRow.id == candidate_id, CandidateRow.point_id.is_(None))
            .values(point_id=point_id)
        )
        if linked.rowcount != 1:
            raise StoreError(f"Candidate {candidate_id} does not exist or has verdicts already.")


def verdicts(
    connection: Connection, slide_id: int, after_id: int, limit: int
) -> list[VerdictRecord]:
    """A page of a slide's verdicts in the order in which they were given."""
    table = VerdictRow
    query = (
        select(
            table.id,
            table.slide_id,
            table.point_id,
            table.reader_id,
            ReaderRow.name.label("reader"),
            table.run_id,
            table.value,
            table.atypical,
            table.consensus,
            table.action_id,
            table.method,
            table.undoes_id,
            table.decided_at,
        )
        .join_from(table, ReaderRow, ReaderRow.id == table.reader_id)
        .where(table.slide_id == slide_id, table.id > after_id)
        .order_by(table.id)
        .limit(limit)
    )
    return [VerdictRecord(**row._mapping) for row in connection.execute(query)]


def add_count(connection: Connection, count: CountRecord, reason: str = "") -> CountRecord:
    """Append a count, or a newer version of one when its `lineage` is given."""
    version = 1
    if count.lineage:
        newest = select(func.max(CountRow.version)).where(CountRow.lineage == count.lineage)
        known = connection.execute(newest).scalar()
        if known is None:
            raise StoreError(f"The store has no count {count.lineage}.")
        version = known + 1
    values: dict[str, Any] = {
        "slide_id": count.slide_id,
        "run_id": count.run_id,
        "region_id": count.region_id,
        "reader_id": count.reader_id,
        "lineage": count.lineage or uuid.uuid4().hex,
        "version": version,
        "state": count.state,
        "protocol": count.protocol,
        "mitoses": count.mitoses,
        "planned_mm2": count.planned_mm2,
        "counted_mm2": count.counted_mm2,
        "details": dict(count.details),
        "app_version": count.app_version,
    }
    moment = datetime.now(UTC)
    query = insert(CountRow).values(**values, created_at=moment).returning(CountRow.id)
    count_id = int(connection.execute(query).scalar_one())
    append_event(
        connection,
        f"count {count.state}",
        f"count {count_id}",
        reader=reader_name(connection, count.reader_id),
        new=values,
        reason=reason,
        app_version=count.app_version,
    )
    return CountRecord(**values, id=count_id, created_at=moment)


def counts(connection: Connection, slide_id: int) -> list[CountRecord]:
    """The newest version of every count of a slide."""
    newest = select(func.max(CountRow.id)).where(CountRow.slide_id == slide_id).group_by("lineage")
    query = select(*CountRow.__table__.columns).where(CountRow.id.in_(newest))
    return [CountRecord(**row._mapping) for row in connection.execute(query.order_by(CountRow.id))]

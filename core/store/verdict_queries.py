"""Readers, points, verdicts and counts: statements on a connection that the store hands in."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

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
from core.store.run_schema import CandidateRow, DetectionSetRow, RunRow
from core.store.schema import CountRow, PointRow, ReaderRow, VerdictRow
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
    point_ids = _points_of(connection, slide_id, action.verdicts)
    values = [
        {
            "slide_id": slide_id,
            "point_id": point_id,
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
        for verdict, point_id in zip(action.verdicts, point_ids, strict=True)
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


def _points_of(connection: Connection, slide_id: int, verdicts: Sequence[NewVerdict]) -> list[int]:
    """The point of each verdict; candidates and places without one get theirs."""
    for verdict in verdicts:
        targets = (verdict.candidate_id, verdict.point_id, verdict.place0)
        if sum(target is not None for target in targets) != 1:
            raise ValueError("a verdict is of one candidate, one point or one place")
    _check_points(connection, slide_id, {v.point_id for v in verdicts if v.point_id is not None})
    by_candidate = _points_of_candidates(
        connection, slide_id, {v.candidate_id for v in verdicts if v.candidate_id is not None}
    )
    places = [verdict.place0 for verdict in verdicts if verdict.place0 is not None]
    placed = iter(_add_points(connection, slide_id, places, hand_placed=True))
    found = []
    for verdict in verdicts:
        if verdict.point_id is not None:
            found.append(verdict.point_id)
        elif verdict.candidate_id is not None:
            found.append(by_candidate[verdict.candidate_id])
        else:
            found.append(next(placed))
    return found


def _check_points(connection: Connection, slide_id: int, point_ids: set[int]) -> None:
    known: set[int] = set()
    for ids in _chunks(point_ids):
        query = select(PointRow.id).where(PointRow.id.in_(ids), PointRow.slide_id == slide_id)
        known.update(connection.execute(query).scalars())
    for point_id in sorted(point_ids - known):
        raise StoreError(f"Slide {slide_id} has no point {point_id}.")


def _points_of_candidates(
    connection: Connection, slide_id: int, candidate_ids: set[int]
) -> dict[int, int]:
    """The point of each candidate, made where it has none yet."""
    found: dict[int, int] = {}
    fresh: dict[int, tuple[float, float]] = {}
    for ids in _chunks(candidate_ids):
        query = (
            select(CandidateRow.id, CandidateRow.x0, CandidateRow.y0, CandidateRow.point_id)
            .join(DetectionSetRow, DetectionSetRow.id == CandidateRow.detection_set_id)
            .where(CandidateRow.id.in_(ids), DetectionSetRow.slide_id == slide_id)
        )
        for row in connection.execute(query):
            if row.point_id is None:
                fresh[row.id] = (row.x0, row.y0)
            else:
                found[row.id] = row.point_id
    for candidate_id in sorted(candidate_ids - found.keys() - fresh.keys()):
        raise StoreError(f"Slide {slide_id} has no candidate {candidate_id}.")
    made = _add_points(connection, slide_id, list(fresh.values()), hand_placed=False)
    pairs = dict(zip(fresh, made, strict=True))
    if pairs:
        connection.execute(
            update(CandidateRow)
            .where(CandidateRow.id == bindparam("candidate"))
            .values(point_id=bindparam("point")),
            [{"candidate": candidate, "point": point} for candidate, point in pairs.items()],
        )
    return found | pairs


def _add_points(
    connection: Connection,
    slide_id: int,
    places0: Sequence[tuple[float, float]],
    *,
    hand_placed: bool,
) -> list[int]:
    """Add points; their ids in the order of the places."""
    if not places0:
        return []
    first = select(func.coalesce(func.max(PointRow.id), 0) + 1)
    ids = range(number := int(connection.execute(first).scalar_one()), number + len(places0))
    moment = datetime.now(UTC)
    connection.execute(
        insert(PointRow),
        [
            {
                "id": point_id,
                "slide_id": slide_id,
                "x0": float(x0),
                "y0": float(y0),
                "hand_placed": hand_placed,
                "created_at": moment,
            }
            for point_id, (x0, y0) in zip(ids, places0, strict=True)
        ],
    )
    return list(ids)


def _chunks(ids: set[int]) -> Iterator[list[int]]:
    """At most as many ids at a time as a statement has room for (SQLite: 32,766 variables)."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), 10_000):
        yield ordered[start : start + 10_000]


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
    found: dict[int, int] = {}
    for ids in _chunks(set(point_ids)):
        query = select(CandidateRow.point_id, CandidateRow.id).where(
            CandidateRow.point_id.in_(ids), CandidateRow.detection_set_id == set_id
        )
        found |= {row.point_id: row.id for row in connection.execute(query)}
    return found


def link_candidates(connection: Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Let verdicts carry to candidates of a newer detection set: (candidate id, point id).

    A candidate that has a point already keeps it: another window carried verdicts first.
    """
    for candidate_id, point_id in pairs:
        connection.execute(
            update(CandidateRow)
            .where(CandidateRow.id == candidate_id, CandidateRow.point_id.is_(None))
            .values(point_id=point_id)
        )


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

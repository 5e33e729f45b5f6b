"""Cases, where slide files are, and how far each slide is read: statements on a connection."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Executable, func, insert, select, update

from core.errors import StoreError
from core.store import lease, slide_queries
from core.store.audit import append_event
from core.store.desk_records import CaseRecord, SlideProgress, SlideState
from core.store.run_schema import LeaseRow, RunRow, ScoreRow
from core.store.schema import (
    AcknowledgementRow,
    CaseRow,
    CountRow,
    EventRow,
    SlideRow,
    VerdictRow,
)

DELETED = "case deleted"


def add_case(connection: Connection, name: str) -> int:
    """Add a case or find one by name."""
    name = slide_queries.plain_text(name.strip())
    if not name:
        raise StoreError("A case needs a name.")
    known = connection.execute(select(CaseRow.id).where(CaseRow.name == name)).scalar()
    if known is not None:
        return known
    query = insert(CaseRow).values(name=name, added_at=datetime.now(UTC)).returning(CaseRow.id)
    case_id = int(connection.execute(query).scalar_one())
    append_event(connection, "case added", f"case {case_id}", new={"name": name})
    return case_id


def cases(connection: Connection) -> list[CaseRecord]:
    """All cases by name, without those that were deleted."""
    query = select(CaseRow.id, CaseRow.name).where(CaseRow.deleted_at.is_(None))
    return [CaseRecord(*row) for row in connection.execute(query.order_by(CaseRow.name))]


def deleted_cases(connection: Connection) -> list[CaseRecord]:
    """The tombstones, under the names that the cases had, deleted last at the head."""
    query = select(CaseRow.id).where(CaseRow.deleted_at.is_not(None))
    ids = connection.execute(query.order_by(CaseRow.deleted_at.desc(), CaseRow.id)).scalars().all()
    return [CaseRecord(case_id, _former_name(connection, case_id)) for case_id in ids]


def delete_case(connection: Connection, case_id: int, reader: str, reason: str) -> None:
    """Take a case and its slides off the lists; all that was said of them stays.

    Raises:
        StoreError: there is no such case, no reason, or one of its slides is being analysed.
    """
    name = _name(connection, case_id)
    if not reason.strip():
        raise StoreError("Deleting a case needs a reason.")
    slides = slide_queries.slides_of_case(connection, case_id)
    if _runs(connection, [slide.id for slide in slides])[1]:
        raise StoreError("A slide of this case is being analysed.", "Stop it first.")
    moment = datetime.now(UTC)
    spare = f"{name} (deleted {moment.isoformat(timespec='microseconds')})"
    connection.execute(
        update(CaseRow).where(CaseRow.id == case_id).values(name=spare, deleted_at=moment)
    )
    old = {"name": name, "slides": [slide.id for slide in slides]}
    append_event(
        connection, DELETED, f"case {case_id}", reader=reader, old=old, reason=reason.strip()
    )


def restore_case(connection: Connection, case_id: int, reader: str) -> None:
    """Bring a deleted case and its slides back under its name.

    Raises:
        StoreError: it is not deleted, or another case has its name by now.
    """
    deleted = [case for case in deleted_cases(connection) if case.id == case_id]
    if not deleted:
        raise StoreError(f"Case {case_id} is not among the deleted ones.")
    name = deleted[0].name
    if connection.execute(select(CaseRow.id).where(CaseRow.name == name)).scalar() is not None:
        raise StoreError(f"There is another case {name!r} by now.", "Empty that one first.")
    connection.execute(
        update(CaseRow).where(CaseRow.id == case_id).values(name=name, deleted_at=None)
    )
    append_event(connection, "case restored", f"case {case_id}", reader=reader, new={"name": name})


def _name(connection: Connection, case_id: int) -> str:
    query = select(CaseRow.name).where(CaseRow.id == case_id, CaseRow.deleted_at.is_(None))
    name = connection.execute(query).scalar()
    if name is None:
        raise StoreError(f"The store has no case {case_id}.")
    return name


def _former_name(connection: Connection, case_id: int) -> str:
    """What a deleted case was called: its spare name tells apart those of one name."""
    newest = select(EventRow.old).where(
        EventRow.kind == DELETED, EventRow.object == f"case {case_id}"
    )
    old = connection.execute(newest.order_by(EventRow.id.desc()).limit(1)).scalar_one()
    return str(json.loads(old)["name"])


def update_slide(
    connection: Connection, slide_id: int, kind: str, reader: str, **values: Any
) -> None:
    """Change what is no part of a slide's content: path, alias, case; one line in the trail."""
    columns = [getattr(SlideRow, name) for name in values]
    known = connection.execute(select(*columns).where(SlideRow.id == slide_id)).first()
    if known is None:
        raise StoreError(f"The store has no slide {slide_id}.")
    old = dict(known._mapping)
    if old == values:
        return
    connection.execute(update(SlideRow).where(SlideRow.id == slide_id).values(**values))
    append_event(connection, kind, f"slide {slide_id}", reader=reader, old=old, new=values)


def note_opened(connection: Connection, slide_id: int) -> None:
    """Note that a slide is opened now; one of a deleted case is on the lists again, without it."""
    deleted = (
        select(SlideRow.id)
        .join_from(SlideRow, CaseRow, CaseRow.id == SlideRow.case_id)
        .where(SlideRow.id == slide_id, CaseRow.deleted_at.is_not(None))
    )
    if connection.execute(deleted).first() is not None:
        update_slide(connection, slide_id, "case set", "", case_id=None)
    connection.execute(
        update(SlideRow).where(SlideRow.id == slide_id).values(opened_at=datetime.now(UTC))
    )


def slide_states(
    connection: Connection, reader_id: int, after_id: int, limit: int
) -> list[SlideState]:
    """A page of slides with how far this reader is with each."""
    page = slide_queries.slides(connection, after_id, limit, listed=True)
    ids = [slide.id for slide in page]
    runs, running = _runs(connection, ids)
    scored = select(ScoreRow.run_id, func.count()).where(
        ScoreRow.run_id.in_([run_id for run_id, _ in runs.values()])
    )
    candidates = _by_first(connection, scored.group_by(ScoreRow.run_id))
    verdicts = _verdicts(connection, reader_id, ids)
    done = _fields_done(connection, reader_id, ids)
    signed = _signed(connection, reader_id, ids)
    states = []
    for slide in page:
        run_id, run_done = runs.get(slide.id, (None, False))
        state: SlideProgress = "analysed" if run_done else "new"
        if slide.id in running:
            state = "running"
        elif slide.id in signed:
            state = "signed"
        elif slide.id in done:
            state = "reviewed"
        states.append(
            SlideState(
                slide=slide,
                state=state,
                run_id=run_id,
                candidates=0 if run_id is None else candidates.get(run_id, 0),
                verdicts=verdicts.get(slide.id, 0),
                mitoses=signed.get(slide.id),
            )
        )
    return states


def _runs(
    connection: Connection, slide_ids: list[int]
) -> tuple[dict[int, tuple[int, bool]], set[int]]:
    """(run id, whether it is done) by slide, done runs first; slides with a living run."""
    query = select(RunRow.id, RunRow.slide_id, RunRow.state).where(RunRow.slide_id.in_(slide_ids))
    newest: dict[int, tuple[int, bool]] = {}
    for row in connection.execute(query.order_by(RunRow.state == "done", RunRow.id)):
        newest[row.slide_id] = (row.id, row.state == "done")
    held = (
        select(RunRow.slide_id, LeaseRow.token, LeaseRow.host, LeaseRow.pid, LeaseRow.heartbeat_s)
        .join_from(LeaseRow, RunRow, RunRow.id == LeaseRow.run_id)
        .where(RunRow.slide_id.in_(slide_ids), RunRow.state == "running")
    )
    running = {
        row.slide_id
        for row in connection.execute(held)
        if lease.is_held(row.token, row.host, row.pid, row.heartbeat_s)
    }
    return newest, running


def _verdicts(connection: Connection, reader_id: int, slide_ids: list[int]) -> dict[int, int]:
    """How many points have a standing verdict of the reader, by slide."""
    table = VerdictRow
    newest = (
        select(func.max(table.id))
        .where(
            table.reader_id == reader_id, table.slide_id.in_(slide_ids), table.consensus.is_(False)
        )
        .group_by(table.point_id)
    )
    query = (
        select(table.slide_id, func.count())
        .where(table.id.in_(newest), table.value != "cleared")
        .group_by(table.slide_id)
    )
    return _by_first(connection, query)


def _fields_done(connection: Connection, reader_id: int, slide_ids: list[int]) -> set[int]:
    """The slides on which the reader called a field done, and did not take it back."""
    table = AcknowledgementRow
    query = select(table.slide_id, table.value).where(
        table.reader_id == reader_id, table.slide_id.in_(slide_ids), table.kind == "field done"
    )
    newest = _by_first(connection, query.order_by(table.id))
    return {slide_id for slide_id, value in newest.items() if value}


def _signed(connection: Connection, reader_id: int, slide_ids: list[int]) -> dict[int, int]:
    """The mitotic count that the reader signed last, by slide."""
    newest = select(func.max(CountRow.id)).group_by(CountRow.lineage)
    query = select(CountRow.slide_id, CountRow.mitoses).where(
        CountRow.id.in_(newest),
        CountRow.state == "signed",
        CountRow.reader_id == reader_id,
        CountRow.slide_id.in_(slide_ids),
    )
    return _by_first(connection, query.order_by(CountRow.id))


def _by_first(connection: Connection, query: Executable) -> dict[int, int]:
    """The second column by the first; of several rows the last."""
    return {first: second for first, second in connection.execute(query)}  # noqa: C416

"""The audit trail: append-only events, each carrying the hash of the one before."""

import hashlib
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sqlalchemy import Connection, insert, select

from core.store.columns import canonical_json
from core.store.records import EventRecord
from core.store.schema import CountRow, EventRow

FIRST_PREVIOUS = "0" * 64
PAGE = 1000


def installed_version() -> str:
    """Version of the installed distribution; `0` when run from a bare checkout."""
    try:
        return version("mitoscope")
    except PackageNotFoundError:
        return "0"


def event_hash(event: EventRecord) -> str:
    """SHA-256 of an event's canonical JSON, its own hash left out and the previous one inside."""
    return hashlib.sha256(canonical_json(list(astuple(event)[:-1])).encode()).hexdigest()


def append_event(
    connection: Connection,
    kind: str,
    object_name: str,
    *,
    reader: str = "",
    old: Any = None,
    new: Any = None,
    reason: str = "",
    app_version: str = "",
    model_version: str = "",
) -> EventRecord:
    """Add a line to the trail inside the caller's transaction.

    Args:
        connection: in the writing transaction that the event speaks of.
        kind: what happened: `slide added`, `verdicts given`.
        object_name: to what, for instance `slide 3`.
        reader: who did it; empty for the program itself.
        old: JSON-able state before.
        new: JSON-able state after.
        reason: why, where a reason is asked for.
        app_version: empty for the installed one.
        model_version: models that took part.
    """
    last = connection.execute(
        select(EventRow.id, EventRow.hash).order_by(EventRow.id.desc()).limit(1)
    ).first()
    event = EventRecord(
        id=1 if last is None else last.id + 1,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        reader=reader,
        kind=kind,
        object=object_name,
        old=canonical_json(old),
        new=canonical_json(new),
        reason=reason,
        app_version=app_version or installed_version(),
        model_version=model_version,
        previous=FIRST_PREVIOUS if last is None else last.hash,
        hash="",
    )
    digest = event_hash(event)
    values = {name: getattr(event, name) for name in EventRecord.__slots__} | {"hash": digest}
    connection.execute(insert(EventRow), values)
    return EventRecord(**values)


def read_events(connection: Connection, after_id: int = 0, limit: int = PAGE) -> list[EventRecord]:
    """A page of events in order."""
    columns = [getattr(EventRow, name) for name in EventRecord.__slots__]
    query = select(*columns).where(EventRow.id > after_id).order_by(EventRow.id).limit(limit)
    return [EventRecord(*row) for row in connection.execute(query)]


def verify_events(connection: Connection, head: str = "") -> Iterator[str]:
    """Name every altered, missing or reordered row of the chain; nothing when it is whole.

    Signed counts are held against their lines too: a count changed behind the program's back has
    no line that says so.

    A chain without a key cannot show a cut tail or a chain rewritten as a whole by somebody who
    can write the file. A head that was printed on a report can: it must still be in the chain.

    Args:
        connection: one view of the store.
        head: digest that an earlier report shows; empty: none is known.
    """
    expected_id, previous, after = 1, FIRST_PREVIOUS, -1
    known = head in ("", FIRST_PREVIOUS)
    counts: dict[str, str] = {}
    while page := read_events(connection, after):
        for event in page:
            if event.id != expected_id:
                yield f"event {expected_id} is missing: event {event.id} stands in its place"
            elif event.previous != previous:
                yield f"event {event.id} does not follow the one before it"
            if event_hash(event) != event.hash:
                yield f"event {event.id} was altered"
            if event.kind.startswith("count "):
                counts[event.object] = event.new
            known = known or event.hash == head
            expected_id, previous, after = event.id + 1, event.hash, event.id
    if not known:
        yield "the digest is not in the trail: its end was cut off, or it was written anew"
    yield from _verify_counts(connection, counts)


def _verify_counts(connection: Connection, told: dict[str, str]) -> Iterator[str]:
    """Counts that differ from what the trail says of them, and those that it does not know."""
    columns = [column for column in CountRow.__table__.columns if column.name != "created_at"]
    for row in connection.execute(select(*columns).order_by(CountRow.id)):
        values = dict(row._mapping)
        name = f"count {values.pop('id')}"
        if name not in told:
            yield f"{name} is not in the trail"
        elif told.pop(name) != canonical_json(values):
            yield f"{name} was altered"
    for name in told:
        yield f"{name} is missing"


def head(connection: Connection) -> str:
    """Hash of the newest event; zeros for an empty trail."""
    query = select(EventRow.hash).order_by(EventRow.id.desc()).limit(1)
    return connection.execute(query).scalar() or FIRST_PREVIOUS

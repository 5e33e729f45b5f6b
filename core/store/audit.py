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
from core.store.schema import EventRow

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


def verify_events(connection: Connection) -> Iterator[str]:
    """Name every altered, missing or reordered row of the chain; nothing when it is whole.

    A chain without a key cannot show a cut tail or a chain rewritten as a whole: for that, compare
    its head with one that was printed elsewhere.
    """
    expected_id, previous, after = 1, FIRST_PREVIOUS, -1
    while page := read_events(connection, after):
        for event in page:
            if event.id != expected_id:
                yield f"event {expected_id} is missing: event {event.id} stands in its place"
            elif event.previous != previous:
                yield f"event {event.id} does not follow the one before it"
            if event_hash(event) != event.hash:
                yield f"event {event.id} was altered"
            expected_id, previous, after = event.id + 1, event.hash, event.id


def head(connection: Connection) -> str:
    """Hash of the newest event; zeros for an empty trail."""
    query = select(EventRow.hash).order_by(EventRow.id.desc()).limit(1)
    return connection.execute(query).scalar() or FIRST_PREVIOUS

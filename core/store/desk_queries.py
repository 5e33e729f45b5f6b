"""Actions, acknowledgements and what is remembered of a reader: statements on a connection."""

import zlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from core.errors import StoreError
from core.store import slide_queries, verdict_queries
from core.store.audit import append_event
from core.store.desk_records import (
    AcknowledgementKind,
    AcknowledgementRecord,
    ActionRecord,
    NewAcknowledgement,
    NewAction,
    ViewedArea,
    ViewState,
)
from core.store.schema import AcknowledgementRow, ActionRow, ViewedAreaRow, ViewStateRow


def act(connection: Connection, slide_id: int, reader_id: int, action: NewAction) -> ActionRecord:
    """Append all that a reader decided in one go.

    Raises:
        StoreError: nothing in it, or what it takes back was taken back already.
    """
    if not (action.verdicts or action.regions or action.calibrations or action.acknowledgements):
        raise StoreError("There is nothing to do.")
    record = _begin(connection, slide_id, reader_id, action)
    if action.verdicts:
        verdict_queries.append_verdicts(connection, slide_id, reader_id, action, record.id)
    for region in action.regions:
        slide_queries.append_region(
            connection,
            slide_id,
            region.kind,
            region.wkb,
            region.properties,
            reader_id,
            region.lineage,
            record.id,
        )
    for calibration in action.calibrations:
        slide_queries.add_calibration(
            connection, slide_id, calibration.mpp, calibration.origin, reader_id, record.id
        )
    for acknowledgement in action.acknowledgements:
        _append_acknowledgement(connection, record, acknowledgement)
    return record


def _begin(
    connection: Connection, slide_id: int, reader_id: int, action: NewAction
) -> ActionRecord:
    if action.undoes_id is not None:
        taken = select(ActionRow.id).where(ActionRow.undoes_id == action.undoes_id)
        if connection.execute(taken).first():
            raise StoreError("This was taken back already, in another window.")
    values: dict[str, Any] = {
        "slide_id": slide_id,
        "reader_id": reader_id,
        "text": action.text,
        "undoes_id": action.undoes_id,
        "acted_at": datetime.now(UTC),
    }
    query = insert(ActionRow).values(**values).returning(ActionRow.id)
    return ActionRecord(id=int(connection.execute(query).scalar_one()), **values)


def _append_acknowledgement(
    connection: Connection, action: ActionRecord, acknowledgement: NewAcknowledgement
) -> None:
    values = asdict(acknowledgement)
    connection.execute(
        insert(AcknowledgementRow).values(
            **values,
            slide_id=action.slide_id,
            reader_id=action.reader_id,
            action_id=action.id,
            acknowledged_at=action.acted_at,
        )
    )
    append_event(
        connection,
        "acknowledged" if acknowledgement.value else "acknowledgement taken back",
        f"slide {action.slide_id}",
        reader=slide_queries.reader_name(connection, action.reader_id),
        new=values,
    )


def actions(
    connection: Connection, slide_id: int, reader_id: int, after_id: int, limit: int
) -> list[ActionRecord]:
    """A page of a reader's actions on a slide, oldest first."""
    query = (
        select(*ActionRow.__table__.columns)
        .where(
            ActionRow.slide_id == slide_id,
            ActionRow.reader_id == reader_id,
            ActionRow.id > after_id,
        )
        .order_by(ActionRow.id)
        .limit(limit)
    )
    return [ActionRecord(**row._mapping) for row in connection.execute(query)]


def acknowledgements(connection: Connection, slide_id: int) -> list[AcknowledgementRecord]:
    """What readers took note of on a slide, oldest first."""
    table = AcknowledgementRow
    query = select(*table.__table__.columns).where(table.slide_id == slide_id).order_by(table.id)
    return [
        AcknowledgementRecord(
            row.id,
            row.slide_id,
            row.reader_id,
            row.run_id,
            cast(AcknowledgementKind, row.kind),
            row.value,
            row.action_id,
            row.acknowledged_at,
        )
        for row in connection.execute(query)
    ]


def save_view_state(
    connection: Connection, slide_id: int, reader_id: int, state: ViewState
) -> None:
    """Remember where a reader left a slide."""
    values = {"state": asdict(state), "saved_at": datetime.now(UTC)}
    statement = upsert(ViewStateRow).values(slide_id=slide_id, reader_id=reader_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["slide_id", "reader_id"], set_=values)
    )


def view_state(connection: Connection, slide_id: int, reader_id: int) -> ViewState | None:
    """Where a reader left a slide, if anywhere."""
    query = select(ViewStateRow.state).where(
        ViewStateRow.slide_id == slide_id, ViewStateRow.reader_id == reader_id
    )
    state = connection.execute(query).scalar()
    if state is None:
        return None
    x0, y0 = state["centre0"]
    return ViewState(**state | {"centre0": (x0, y0)})


def save_viewed_area(
    connection: Connection, slide_id: int, reader_id: int, area: ViewedArea
) -> None:
    """Remember what a reader saw of a slide."""
    rows, cols = area.mask.shape
    values = {
        "rows": rows,
        "cols": cols,
        "cell0": area.cell0,
        "bits": zlib.compress(np.packbits(area.mask).tobytes()),
        "saved_at": datetime.now(UTC),
    }
    statement = upsert(ViewedAreaRow).values(slide_id=slide_id, reader_id=reader_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["slide_id", "reader_id"], set_=values)
    )


def viewed_area(connection: Connection, slide_id: int, reader_id: int) -> ViewedArea | None:
    """What a reader saw of a slide, if anything."""
    table = ViewedAreaRow
    row = connection.execute(
        select(table.rows, table.cols, table.cell0, table.bits).where(
            table.slide_id == slide_id, table.reader_id == reader_id
        )
    ).first()
    if row is None:
        return None
    bits = np.unpackbits(np.frombuffer(zlib.decompress(row.bits), np.uint8))
    mask = bits[: row.rows * row.cols].reshape(row.rows, row.cols).astype(np.bool_)
    return ViewedArea(row.cell0, mask)

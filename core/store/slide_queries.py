"""Slides, calibrations and regions: statements on a connection that the store hands in."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Select, func, insert, or_, select, update

from core.errors import StoreError
from core.geometry import Mpp
from core.store.audit import append_event
from core.store.desk_records import RegionVersion
from core.store.records import (
    CalibrationRecord,
    RegionKind,
    RegionRecord,
    SlideRecord,
    StoredSlide,
)
from core.store.schema import CalibrationRow, CaseRow, ReaderRow, RegionRow, SlideRow


def plain_text(text: str) -> str:
    """A file name without lone surrogates (undecodable bytes), which UTF-8 cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def add_slide(connection: Connection, slide: SlideRecord) -> int:
    """Add a slide or find it by its identity; a new pixel size is a new calibration."""
    known = connection.execute(
        select(SlideRow.id, SlideRow.name, SlideRow.path).where(
            SlideRow.identity_kind == slide.identity_kind, SlideRow.identity == slide.identity
        )
    ).first()
    name, path = plain_text(slide.name), plain_text(slide.path)
    if known is None:
        values = {
            "identity_kind": slide.identity_kind,
            "identity": slide.identity,
            "name": name,
            "path": path,
            "width0": slide.width0,
            "height0": slide.height0,
            "vendor": slide.vendor,
        }
        query = insert(SlideRow).values(**values, added_at=datetime.now(UTC)).returning(SlideRow.id)
        slide_id = int(connection.execute(query).scalar_one())
        append_event(connection, "slide added", f"slide {slide_id}", new=values)
    else:
        slide_id = int(known.id)
        seen = {"name": name, "path": path or known.path}
        if (known.name, known.path) != (seen["name"], seen["path"]):
            connection.execute(update(SlideRow).where(SlideRow.id == slide_id).values(**seen))
    if slide.mpp_x is not None and slide.mpp_y is not None:
        add_calibration(connection, slide_id, Mpp(slide.mpp_x, slide.mpp_y), slide.mpp_origin, None)
    return slide_id


def add_calibration(
    connection: Connection,
    slide_id: int,
    mpp: Mpp | None,
    origin: str,
    reader_id: int | None,
    action_id: int | None = None,
) -> int:
    """Add a version of a slide's pixel size, unless the newest one says the same.

    A program (no reader) that repeats what it or a reader said before adds nothing: the file's own
    pixel size does not come back over the one that a reader set since.
    """
    versions = calibrations(connection, slide_id)
    newest = versions[-1] if versions else None
    said = [version for version in versions if (version.mpp, version.origin) == (mpp, origin)]
    if newest and said:
        if reader_id is None and (newest in said or newest.reader_id is not None):
            return newest.id
        if newest in said and newest.reader_id == reader_id:
            return newest.id
    query = (
        insert(CalibrationRow)
        .values(
            slide_id=slide_id,
            mpp_x=None if mpp is None else mpp.x,
            mpp_y=None if mpp is None else mpp.y,
            origin=origin,
            reader_id=reader_id,
            action_id=action_id,
            created_at=datetime.now(UTC),
        )
        .returning(CalibrationRow.id)
    )
    calibration_id = int(connection.execute(query).scalar_one())
    append_event(
        connection,
        "calibration set",
        f"slide {slide_id}",
        reader=reader_name(connection, reader_id),
        old=newest and {"mpp": _pair(newest.mpp), "origin": newest.origin},
        new={"mpp": _pair(mpp), "origin": origin},
    )
    return calibration_id


def _pair(mpp: Mpp | None) -> list[float] | None:
    return None if mpp is None else [mpp.x, mpp.y]


def _mpp(x: float | None, y: float | None) -> Mpp | None:
    return None if x is None or y is None else Mpp(x, y)


def calibrations(connection: Connection, slide_id: int) -> list[CalibrationRecord]:
    """All versions of a slide's pixel size, oldest first."""
    query = (
        select(CalibrationRow)
        .where(CalibrationRow.slide_id == slide_id)
        .order_by(CalibrationRow.id)
    )
    return [
        CalibrationRecord(
            row.id,
            slide_id,
            _mpp(row.mpp_x, row.mpp_y),
            row.origin,
            row.reader_id,
            row.action_id,
            row.created_at,
        )
        for row in connection.execute(query.with_only_columns(*CalibrationRow.__table__.columns))
    ]


def newest_calibration(connection: Connection, slide_id: int) -> CalibrationRecord | None:
    """The version of the pixel size that holds."""
    versions = calibrations(connection, slide_id)
    return versions[-1] if versions else None


def reader_name(connection: Connection, reader_id: int | None) -> str:
    """A reader's name for the trail; empty for the program itself."""
    if reader_id is None:
        return ""
    name = connection.execute(select(ReaderRow.name).where(ReaderRow.id == reader_id)).scalar()
    if name is None:
        raise StoreError(f"The store has no reader {reader_id}.")
    return name


def slides(
    connection: Connection, after_id: int, limit: int, *, listed: bool = False
) -> list[StoredSlide]:
    """A page of slides in order of their ids; `listed`: without those of deleted cases."""
    query = select(*SlideRow.__table__.columns).where(SlideRow.id > after_id)
    if listed:
        query = query.where(_listed())
    return _stored(connection, query.order_by(SlideRow.id).limit(limit))


def _listed() -> ColumnElement[bool]:
    deleted = select(CaseRow.id).where(CaseRow.deleted_at.is_not(None))
    return or_(SlideRow.case_id.is_(None), SlideRow.case_id.not_in(deleted))


def recent_slides(connection: Connection, limit: int) -> list[StoredSlide]:
    """The slides opened last, the newest first."""
    query = select(*SlideRow.__table__.columns).where(SlideRow.opened_at.is_not(None), _listed())
    return _stored(connection, query.order_by(SlideRow.opened_at.desc()).limit(limit))


def slides_of_case(connection: Connection, case_id: int) -> list[StoredSlide]:
    """The slides of a case in order of their names."""
    query = select(*SlideRow.__table__.columns).where(SlideRow.case_id == case_id)
    return _stored(connection, query.order_by(SlideRow.name, SlideRow.id))


def _stored(connection: Connection, query: Select[Any]) -> list[StoredSlide]:
    rows = connection.execute(query).all()
    newest = (
        select(func.max(CalibrationRow.id))
        .where(CalibrationRow.slide_id.in_([row.id for row in rows]))
        .group_by(CalibrationRow.slide_id)
    )
    sizes = {
        size.slide_id: size
        for size in connection.execute(
            select(*CalibrationRow.__table__.columns).where(CalibrationRow.id.in_(newest))
        )
    }
    found = []
    for row in rows:
        size = sizes.get(row.id)
        found.append(
            StoredSlide(
                id=row.id,
                identity_kind=row.identity_kind,
                identity=row.identity,
                name=row.name,
                path=row.path,
                alias=row.alias,
                width0=row.width0,
                height0=row.height0,
                vendor=row.vendor,
                mpp=_mpp(size.mpp_x, size.mpp_y) if size else None,
                mpp_origin=size.origin if size else "",
                case_id=row.case_id,
                opened_at=row.opened_at,
            )
        )
    return found


def add_region(
    connection: Connection,
    slide_id: int,
    kind: RegionKind,
    wkb: bytes | None,
    properties: Mapping[str, Any],
    reader_id: int | None,
    lineage: str,
) -> int:
    """Add a region, a newer version of one (`lineage`), or its tombstone (no `wkb`).

    Drawing what is there already (kind, polygon, properties) gives back the region that is there.
    """
    present = regions(connection, slide_id)
    for region in present:
        same = (region.kind, region.wkb, dict(region.properties)) == (kind, wkb, dict(properties))
        if same and lineage in ("", region.lineage):
            return region.id
    return append_region(connection, slide_id, kind, wkb, properties, reader_id, lineage)


def append_region(
    connection: Connection,
    slide_id: int,
    kind: RegionKind,
    wkb: bytes | None,
    properties: Mapping[str, Any],
    reader_id: int | None,
    lineage: str,
    action_id: int | None = None,
) -> int:
    """Append a version of a region, whatever is there; returns its id."""
    version = 1
    if lineage:
        newest = connection.execute(
            select(func.max(RegionRow.version)).where(
                RegionRow.lineage == lineage, RegionRow.slide_id == slide_id
            )
        ).scalar()
        if newest is None:
            raise StoreError(f"Slide {slide_id} has no region {lineage}.")
        version = int(newest) + 1
    values: dict[str, Any] = {
        "slide_id": slide_id,
        "lineage": lineage or uuid.uuid4().hex,
        "version": version,
        "kind": kind,
        "properties": dict(properties),
    }
    query = insert(RegionRow).values(
        **values,
        wkb=wkb,
        reader_id=reader_id,
        action_id=action_id,
        created_at=datetime.now(UTC),
    )
    region_id = int(connection.execute(query.returning(RegionRow.id)).scalar_one())
    append_event(
        connection,
        "region drawn" if wkb is not None else "region deleted",
        f"region {region_id}",
        reader=reader_name(connection, reader_id),
        new=values | {"wkb": None if wkb is None else wkb.hex()},
    )
    return region_id


def regions(connection: Connection, slide_id: int) -> list[RegionRecord]:
    """The current regions of a slide: the newest version of each, tombstones left out."""
    newest = {version.lineage: version for version in region_versions(connection, slide_id)}
    current = [version.current() for version in newest.values()]
    return sorted((region for region in current if region), key=lambda region: region.id)


def region_versions(connection: Connection, slide_id: int) -> list[RegionVersion]:
    """All versions of a slide's regions, tombstones among them, oldest first."""
    query = (
        select(*RegionRow.__table__.columns)
        .where(RegionRow.slide_id == slide_id)
        .order_by(RegionRow.id)
    )
    return [
        RegionVersion(
            row.id,
            slide_id,
            row.lineage,
            row.version,
            cast(RegionKind, row.kind),
            row.wkb,
            row.properties,
            row.reader_id,
            row.action_id,
        )
        for row in connection.execute(query)
    ]

"""The tables of the store as SQLAlchemy 2 typed models; owns names, checks, keys and triggers.

Knows nothing of connections. Rows that a reader's decisions rest on (actions, verdicts,
acknowledgements, events, and the versions of calibrations, regions and counts) are append-only:
triggers refuse UPDATE and DELETE. An action is what a reader decided in one go, of whatever kinds,
and what an undo takes back. View states and viewed areas are only remembered, and overwritten.
Points belong to a slide and outlive every run; a candidate refers to the point that its verdicts
stand on. A detection set is slide + regions + detector + candidates, a run adds one classifier.

A change here needs a new step in `migrations.py`; a test holds the ladder to these models.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.store import run_schema  # noqa: F401  (its tables belong to the same metadata)
from core.store.schema_base import Base


class SessionRow(Base):
    """One opening of the store for writing; `closed_at` stays empty after an unclean end."""

    __tablename__ = "sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str]
    pid: Mapped[int]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    clean: Mapped[bool] = mapped_column(server_default=text("0"))


class CaseRow(Base):
    """The slides of one specimen; one that was deleted stays as a tombstone, with a spare name."""

    __tablename__ = "cases"
    __table_args__ = (CheckConstraint("length(name) > 0", name="name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    added_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class SlideRow(Base):
    """A slide file, known by its content; name and path are where it was last seen."""

    __tablename__ = "slides"
    __table_args__ = (
        UniqueConstraint("identity_kind", "identity"),
        CheckConstraint("width0 > 0 AND height0 > 0", name="size"),
        Index("ix_slides_case_id", "case_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    identity_kind: Mapped[str]
    identity: Mapped[str]
    name: Mapped[str]
    path: Mapped[str]
    alias: Mapped[str | None]
    width0: Mapped[int]
    height0: Mapped[int]
    vendor: Mapped[str]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id", ondelete="RESTRICT"))
    added_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]


class ReaderRow(Base):
    """A person who gives verdicts."""

    __tablename__ = "readers"
    __table_args__ = (CheckConstraint("length(name) > 0", name="name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    added_at: Mapped[datetime]


class ActionRow(Base):
    """What a reader decided on a slide in one transaction; an undo names the one it takes back."""

    __tablename__ = "actions"
    __table_args__ = (Index("ix_actions_slide_id_reader_id", "slide_id", "reader_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    reader_id: Mapped[int] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    text: Mapped[str]
    undoes_id: Mapped[int | None] = mapped_column(
        ForeignKey("actions.id", ondelete="RESTRICT"), unique=True
    )
    acted_at: Mapped[datetime]


class CalibrationRow(Base):
    """A version of a slide's µm per pixel: who set it, when, and where it came from.

    Both are NULL where the first one that a reader set was taken back.
    """

    __tablename__ = "calibrations"
    __table_args__ = (
        CheckConstraint(
            "(mpp_x > 0 AND mpp_y > 0) OR (mpp_x IS NULL AND mpp_y IS NULL)", name="mpp"
        ),
        Index("ix_calibrations_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    mpp_x: Mapped[float | None]
    mpp_y: Mapped[float | None]
    origin: Mapped[str]
    reader_id: Mapped[int | None] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id", ondelete="RESTRICT"))
    created_at: Mapped[datetime]


class RegionRow(Base):
    """A version of a polygon on a slide; `lineage` names the region, a tombstone has no WKB."""

    __tablename__ = "regions"
    __table_args__ = (
        UniqueConstraint("lineage", "version"),
        CheckConstraint("kind IN ('tumour', 'excluded', 'count_area')", name="kind"),
        CheckConstraint("version >= 1", name="version"),
        Index("ix_regions_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    lineage: Mapped[str]
    version: Mapped[int]
    kind: Mapped[str]
    wkb: Mapped[bytes | None] = mapped_column(LargeBinary)
    properties: Mapped[dict[str, Any]]
    reader_id: Mapped[int | None] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    action_id: Mapped[int | None] = mapped_column(ForeignKey("actions.id", ondelete="RESTRICT"))
    created_at: Mapped[datetime]


class PointRow(Base):
    """A place on a slide that verdicts are given of; it outlives runs."""

    __tablename__ = "points"
    __table_args__ = (Index("ix_points_slide_id", "slide_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    x0: Mapped[float]
    y0: Mapped[float]
    hand_placed: Mapped[bool]
    created_at: Mapped[datetime]


class VerdictRow(Base):
    """What one reader said of one point; never changed, only followed by a newer one."""

    __tablename__ = "verdicts"
    __table_args__ = (
        CheckConstraint(
            "value IN ('mitosis', 'imposter', 'unsure', 'deleted', 'cleared')", name="value"
        ),
        CheckConstraint("atypical = 0 OR value = 'mitosis'", name="atypical"),
        Index("ix_verdicts_slide_id", "slide_id"),
        Index("ix_verdicts_point_id", "point_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    point_id: Mapped[int] = mapped_column(ForeignKey("points.id", ondelete="RESTRICT"))
    reader_id: Mapped[int] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    value: Mapped[str]
    atypical: Mapped[bool]
    consensus: Mapped[bool]
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id", ondelete="RESTRICT"))
    method: Mapped[str]
    reason: Mapped[str]
    undoes_id: Mapped[int | None] = mapped_column(
        ForeignKey("verdicts.id", ondelete="RESTRICT"), unique=True
    )
    decided_at: Mapped[datetime]


class AcknowledgementRow(Base):
    """What a reader took note of on a slide, or took back; the newest of a kind holds."""

    __tablename__ = "acknowledgements"
    __table_args__ = (
        CheckConstraint("kind IN ('all tissue is tumour', 'blur', 'field done')", name="kind"),
        Index("ix_acknowledgements_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    reader_id: Mapped[int] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    kind: Mapped[str]
    value: Mapped[bool]
    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id", ondelete="RESTRICT"))
    acknowledged_at: Mapped[datetime]


class ViewStateRow(Base):
    """Where a reader left a slide: what the viewer needs to go on there."""

    __tablename__ = "view_states"
    slide_id: Mapped[int] = mapped_column(
        ForeignKey("slides.id", ondelete="RESTRICT"), primary_key=True
    )
    reader_id: Mapped[int] = mapped_column(
        ForeignKey("readers.id", ondelete="RESTRICT"), primary_key=True
    )
    state: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]


class ViewedAreaRow(Base):
    """Which parts of a slide a reader saw at reading magnification: packed bits, deflated."""

    __tablename__ = "viewed_areas"
    __table_args__ = (CheckConstraint("rows > 0 AND cols > 0 AND cell0 > 0", name="size"),)
    slide_id: Mapped[int] = mapped_column(
        ForeignKey("slides.id", ondelete="RESTRICT"), primary_key=True
    )
    reader_id: Mapped[int] = mapped_column(
        ForeignKey("readers.id", ondelete="RESTRICT"), primary_key=True
    )
    rows: Mapped[int]
    cols: Mapped[int]
    cell0: Mapped[float]
    bits: Mapped[bytes] = mapped_column(LargeBinary)
    saved_at: Mapped[datetime]


class CountRow(Base):
    """A version of a mitotic count in a count area; `lineage` names the count."""

    __tablename__ = "counts"
    __table_args__ = (
        UniqueConstraint("lineage", "version"),
        CheckConstraint("state IN ('proposed', 'accepted', 'signed', 'reopened')", name="state"),
        CheckConstraint("mitoses >= 0", name="mitoses"),
        Index("ix_counts_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    region_id: Mapped[int | None] = mapped_column(ForeignKey("regions.id", ondelete="RESTRICT"))
    reader_id: Mapped[int | None] = mapped_column(ForeignKey("readers.id", ondelete="RESTRICT"))
    lineage: Mapped[str]
    version: Mapped[int]
    state: Mapped[str]
    protocol: Mapped[str]
    mitoses: Mapped[int]
    planned_mm2: Mapped[float]
    counted_mm2: Mapped[float]
    details: Mapped[dict[str, Any]]
    app_version: Mapped[str]
    created_at: Mapped[datetime]


class EventRow(Base):
    """One line of the audit trail; `previous` is the hash of the line before."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str]
    reader: Mapped[str]
    kind: Mapped[str]
    object: Mapped[str]
    old: Mapped[str]
    new: Mapped[str]
    reason: Mapped[str]
    app_version: Mapped[str]
    model_version: Mapped[str]
    previous: Mapped[str]
    hash: Mapped[str]


APPEND_ONLY = (
    "actions",
    "calibrations",
    "regions",
    "verdicts",
    "acknowledgements",
    "counts",
    "events",
)


def append_only_triggers() -> list[str]:
    """SQL of the triggers that refuse UPDATE and DELETE on the append-only tables."""
    return [
        f"CREATE TRIGGER tr_{table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        for table in APPEND_ONLY
        for verb in ("UPDATE", "DELETE")
    ]

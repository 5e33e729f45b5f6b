"""The tables of runs: detection sets, windows, candidates, scores; part of `core.store.schema`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.store.schema_base import Base


class DetectionSetRow(Base):
    """What one detector proposed on one slide in its regions."""

    __tablename__ = "detection_sets"
    __table_args__ = (
        UniqueConstraint("key", "attempt"),
        Index("ix_detection_sets_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    calibration_id: Mapped[int | None] = mapped_column(
        ForeignKey("calibrations.id", ondelete="RESTRICT")
    )
    key: Mapped[str]
    attempt: Mapped[int]
    detector_name: Mapped[str]
    detector_sha256: Mapped[str]
    created_at: Mapped[datetime]


class DetectionRegionRow(Base):
    """Which region versions a detection set was made in."""

    __tablename__ = "detection_regions"
    __table_args__ = ({"sqlite_with_rowid": False},)
    detection_set_id: Mapped[int] = mapped_column(
        ForeignKey("detection_sets.id", ondelete="CASCADE"), primary_key=True
    )
    region_id: Mapped[int] = mapped_column(
        ForeignKey("regions.id", ondelete="RESTRICT"), primary_key=True
    )


class RunRow(Base):
    """A detection set with the scores of one classifier.

    `subtype` is the model that told atypical from normal mitoses; NULL where none was asked.
    """

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("key", "attempt"),
        CheckConstraint("state IN ('running', 'cancelled', 'done', 'failed')", name="state"),
        Index("ix_runs_detection_set_id", "detection_set_id"),
        Index("ix_runs_slide_id", "slide_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    detection_set_id: Mapped[int] = mapped_column(
        ForeignKey("detection_sets.id", ondelete="RESTRICT")
    )
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id", ondelete="RESTRICT"))
    key: Mapped[str]
    attempt: Mapped[int]
    state: Mapped[str]
    message: Mapped[str] = mapped_column(server_default="")
    parameters: Mapped[dict[str, Any]]
    detector: Mapped[dict[str, Any]]
    classifier: Mapped[dict[str, Any]]
    app_version: Mapped[str]
    times: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    subtype: Mapped[dict[str, Any] | None]


class LeaseRow(Base):
    """Which process works on a detection set; the heartbeat is in seconds since the epoch."""

    __tablename__ = "leases"
    detection_set_id: Mapped[int] = mapped_column(
        ForeignKey("detection_sets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    token: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    heartbeat_s: Mapped[float]


class WindowRow(Base):
    """A finished window of a detection set, with the device that did it."""

    __tablename__ = "windows"
    __table_args__ = (
        UniqueConstraint("detection_set_id", "row", "col"),
        CheckConstraint("state IN ('done', 'failed')", name="state"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    detection_set_id: Mapped[int] = mapped_column(
        ForeignKey("detection_sets.id", ondelete="CASCADE")
    )
    col: Mapped[int]
    row: Mapped[int]
    state: Mapped[str]
    device: Mapped[str]
    precision: Mapped[str]
    message: Mapped[str]
    blurred: Mapped[bool]
    finished_at: Mapped[datetime]


class WindowPointRow(Base):
    """A point as the detector gave it in one window, before merging across windows."""

    __tablename__ = "window_points"
    __table_args__ = ({"sqlite_with_rowid": False},)
    window_id: Mapped[int] = mapped_column(
        ForeignKey("windows.id", ondelete="CASCADE"), primary_key=True
    )
    n: Mapped[int] = mapped_column(primary_key=True)
    x0: Mapped[float]
    y0: Mapped[float]
    detector_score: Mapped[float]


class CandidateRow(Base):
    """A merged candidate of a detection set; `point_id` once a verdict belongs to it."""

    __tablename__ = "candidates"
    __table_args__ = (
        Index("ix_candidates_detection_set_id", "detection_set_id"),
        Index(
            "uq_candidates_point_id_detection_set_id",
            "point_id",
            "detection_set_id",
            unique=True,
            sqlite_where=text("point_id IS NOT NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    detection_set_id: Mapped[int] = mapped_column(
        ForeignKey("detection_sets.id", ondelete="CASCADE")
    )
    x0: Mapped[float]
    y0: Mapped[float]
    detector_score: Mapped[float]
    point_id: Mapped[int | None] = mapped_column(ForeignKey("points.id", ondelete="RESTRICT"))


class ScoreRow(Base):
    """What one run's classifier says of one candidate.

    `atypical_probability` is that of a mitosis being atypical; NULL where it was not asked.
    """

    __tablename__ = "scores"
    __table_args__ = (
        CheckConstraint("label IN ('mitosis', 'imposter', 'atypical')", name="label"),
        CheckConstraint("probability BETWEEN 0 AND 1", name="probability"),
        Index("ix_scores_candidate_id", "candidate_id"),
        Index("ix_scores_run_id_probability", "run_id", "probability"),
        {"sqlite_with_rowid": False},
    )
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    candidate_id: Mapped[int] = mapped_column(
        ForeignKey("candidates.id", ondelete="CASCADE"), primary_key=True
    )
    probability: Mapped[float]
    label: Mapped[str]
    atypical_probability: Mapped[float | None]

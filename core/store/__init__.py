"""SQLite store: schema, engine, migrations, repository, audit."""

from core.store.opening import open_store
from core.store.records import (
    CalibrationRecord,
    Candidate,
    CandidateRecord,
    CandidateRow,
    CountRecord,
    EventRecord,
    NewVerdict,
    PointRecord,
    ReaderRecord,
    RegionRecord,
    RunRecord,
    RunSpec,
    SlideRecord,
    StoredSlide,
    VerdictRecord,
    WindowRecord,
    WindowResult,
)
from core.store.repository import Store

__all__ = [
    "CalibrationRecord",
    "Candidate",
    "CandidateRecord",
    "CandidateRow",
    "CountRecord",
    "EventRecord",
    "NewVerdict",
    "PointRecord",
    "ReaderRecord",
    "RegionRecord",
    "RunRecord",
    "RunSpec",
    "SlideRecord",
    "Store",
    "StoredSlide",
    "VerdictRecord",
    "WindowRecord",
    "WindowResult",
    "open_store",
]

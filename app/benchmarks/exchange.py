"""How long each exchange format takes to write and to read many points, and a desk to take them in.

The points are made up: what counts here is their number.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from app.benchmarks.report import Taken, timed
from core.exchange.formats import FORMATS
from core.exchange.marks import Mark, SlideFrame, SlideMarks
from core.geometry import Mpp, Rect0
from core.reading.desk import Desk
from core.store import SlideRecord, Store, open_store

WIDTH0, HEIGHT0 = 100_000, 80_000
#: Formats that refer to a DICOM slide, which cannot be made up.
OF_DICOM = ("dicom-ann", "dicom-sr")
READER = "Reader"


@dataclass(frozen=True, slots=True)
class FormatRow:
    """What one format took; seconds by the clock and of the processors."""

    format: str
    points: int
    write_s: float
    write_cpu_s: float
    read_s: float
    read_cpu_s: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class TakingRow:
    """What an import took once its file was read."""

    points: int
    take_in_s: float
    take_in_cpu_s: float


def measure_exchange(points: int) -> tuple[list[FormatRow], TakingRow]:
    """Write and read every format once, and take its points into an empty store."""
    slide = SlideFrame(
        "slide.ndpi",
        WIDTH0,
        HEIGHT0,
        Mpp(0.25, 0.25),
        Rect0(1000, 500, WIDTH0 - 2000, HEIGHT0 - 1000),
        (-125.0, 40.0),
    )
    marks = SlideMarks(slide, _marks(points))
    with TemporaryDirectory(prefix="mitoscope-") as folder:
        rows = [_measure(id_, marks, Path(folder)) for id_ in FORMATS if id_ not in OF_DICOM]
        with _desk(Path(folder) / "store.sqlite") as desk:
            taking = timed(lambda: desk.take_in(marks, "labels"))
    return rows, TakingRow(points, taking.wall_s, taking.cpu_s)


def _marks(points: int) -> list[Mark]:
    random = np.random.default_rng(0)
    places = random.uniform(0, 1, (points, 2)) * (WIDTH0, HEIGHT0)
    words = random.choice(["mitosis", "imposter"], points)
    ids = random.bytes(16 * points)
    return [
        Mark(
            round(float(x0), 2),
            round(float(y0), 2),
            label=str(word),
            probability=round(float(p), 6),
            verdict=str(word),
            reader=READER,
            uuid=str(uuid.UUID(bytes=ids[16 * n : 16 * n + 16], version=4)),
        )
        for n, ((x0, y0), word, p) in enumerate(
            zip(places, words, random.random(points), strict=True)
        )
    ]


def _measure(id_: str, marks: SlideMarks, folder: Path) -> FormatRow:
    format_ = FORMATS[id_]
    path = folder / f"points{format_.extensions[0]}"
    write, read = format_.write, format_.read
    assert write is not None
    assert read is not None
    written: Taken = timed(lambda: write(path, marks))
    back: Taken = timed(lambda: read(path, marks.slide))
    size = path.stat().st_size / 1e6
    path.unlink()
    return FormatRow(
        id_, len(marks.marks), written.wall_s, written.cpu_s, back.wall_s, back.cpu_s, size
    )


@contextmanager
def _desk(path: Path) -> Iterator[Desk]:
    store: Store = open_store(path)
    with store:
        record = SlideRecord("q", "made up", "slide.ndpi", WIDTH0, HEIGHT0, 0.25, 0.25, "", "", "")
        slide_id = store.add_slide(record)
        yield Desk(store, slide_id, store.add_reader(READER), protocol_id="vet_std")

"""What leaves the program: a count read by hand, in every exchange format, and its report."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import numpy as np

from app.opening import stored_slide
from app.reporting.making import make_report, write_report
from app.selftest.bench import Bench, Check, expect
from app.selftest.seeing import start_application
from core.counting.protocols import DEFAULT_PROTOCOL, get_protocol
from core.exchange.csv import RESEARCH_USE
from core.exchange.formats import FORMATS, Format, detect
from core.exchange.gathering import Choice, frame_of, gather
from core.exchange.marks import SlideMarks
from core.reading.desk import Desk
from core.slides.reader import open_slide
from core.slides.tissue import find_tissue
from core.store import CountRecord, Store, StoredSlide, open_store

ALIAS = "Selbsttest 試験"
READER = "Ångström"
#: Points may move by this much, level-0 pixels: formats of boxes keep whole pixels.
MOVED0 = 1.0
_DICOM = ("dicom-ann", "dicom-sr")


def _open_reading(bench: Bench) -> Store:
    """A store in which the planted mitoses are placed by hand and the count is signed."""
    path = bench.folder / "reading.sqlite"
    if path.exists():
        return open_store(path)
    store = open_store(path)
    try:
        with open_slide(bench.truth.path, backend="openslide") as slide:
            stored, tissue = stored_slide(store, slide), find_tissue(slide)
        store.set_alias(stored.id, ALIAS)
        desk = Desk(store, stored.id, store.add_reader(READER), protocol_id=DEFAULT_PROTOCOL)
        desk.use_run(None)
        desk.set_tissue(tissue)
        desk.set_all_tissue_is_tumour(True)
        for x0, y0 in bench.truth.mitoses:
            desk.place(float(x0), float(y0))
        desk.sign(dict.fromkeys(get_protocol(DEFAULT_PROTOCOL).checklist, True))
    except BaseException:
        store.close()
        raise
    return store


def _only_slide(store: Store) -> StoredSlide:
    (stored,) = store.slides()
    return stored


def _signed(store: Store) -> CountRecord:
    (count,) = store.counts(_only_slide(store).id)
    return count


def _counted(bench: Bench) -> str:
    """Every mitosis placed by hand is in the signed count, and the trail knows of it."""
    with _open_reading(bench) as store:
        count, wrong = _signed(store), store.verify_events()
    expect(count.state == "signed", f"the count is {count.state}")
    planted = len(bench.truth.mitoses)
    expect(count.mitoses == planted, f"{count.mitoses} of {planted} mitoses were counted")
    expect(not wrong, f"audit trail: {'; '.join(wrong)}")
    return f"{count.mitoses} mitoses signed; audit trail whole"


def _exchanged(format_: Format) -> Callable[[Bench], str]:
    def exchange(bench: Bench) -> str:
        """The marks are written, known by their content, and read back."""
        with _open_reading(bench) as store:
            stored = _only_slide(store)
            with open_slide(bench.truth.path, backend="openslide") as slide:
                frame = frame_of(stored, slide)
            # As Hamamatsu's files say; only their format asks for it.
            frame = replace(frame, centre_offset_nm=(1000.0, -2000.0))
            marks = gather(store, stored, frame, Choice("all"))
        path = bench.folder / f"Export {format_.id} 出力{format_.extensions[0]}"
        assert format_.write is not None  # those that are only read are not tried
        assert format_.read is not None
        format_.write(path, marks)
        found = detect(path)
        expect(found.id == format_.id, f"it is taken for {found.id}")
        moved = _moved(marks, format_.read(path, frame))
        return f"{len(marks.marks)} points read back within {moved:.2f} px"

    return exchange


def _moved(written: SlideMarks, read: SlideMarks) -> float:
    """How far points moved, level-0 pixels, at most."""
    wanted = np.array([(mark.x0, mark.y0) for mark in written.marks])
    found = np.array([(mark.x0, mark.y0) for mark in read.marks]).reshape(-1, 2)
    expect(len(found) == len(wanted), f"{len(wanted)} points written, {len(found)} read")
    nearest = np.linalg.norm(wanted[:, None] - found[None], axis=-1).min(1)
    moved = float(nearest.max())
    expect(moved <= MOVED0, f"a point moved by {moved:.2f} px")
    wrong = {mark.called for mark in read.marks} - {"mitosis"}
    expect(not wrong, f"mitoses were read as {', '.join(sorted(wrong))}")
    return moved


def _dicom(_bench: Bench) -> str:
    """The libraries load; to write a file they need a DICOM slide, which the test has not."""
    for module in ("pydicom", "highdicom.ann", "highdicom.sr"):
        import_module(module)
    return "libraries load; writing needs a DICOM slide, so it was not tried"


def _reported(suffix: str) -> Callable[[Bench], str]:
    def report(bench: Bench) -> str:
        """The report of the signed count is written, and holds what it must."""
        bench.application = start_application()  # for the fonts
        path = bench.folder / f"Bericht 報告{suffix}"
        with _open_reading(bench) as store:
            made = make_report(store, _signed(store), path=bench.truth.path)
            head = store.audit_head()
        write_report(path, made)
        data = path.read_bytes()
        if suffix == ".pdf":
            expect(data.startswith(b"%PDF-") and b"%%EOF" in data[-32:], "it is no whole PDF")
            expect(b"/Font" in data, "it holds no text")
        else:
            text = data.decode("utf-8")
            for wanted in (RESEARCH_USE, ALIAS, READER, head):
                expect(wanted in text, f"it does not say “{wanted}”")
            expect("data:image/jpeg;base64," in text, "it holds no picture")
        return f"{len(data) / 1024:.0f} KiB"

    return report


CHECKS = (
    Check("count signed", _counted),
    *(
        Check(f"export {id_}", _dicom if id_ in _DICOM else _exchanged(format_))
        for id_, format_ in FORMATS.items()
        if format_.reads and format_.writes
    ),
    Check("report HTML", _reported(".html")),
    Check("report PDF", _reported(".pdf")),
)

"""`mitoscope benchmark scale`: does the store stay quick and small when it is full?

One slide with very many candidates among a thousand others, made up, written and read through the
same functions as real ones.
"""

import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from core.ports import ModelOrigin
from core.store import Candidate, RunRecord, RunSpec, SlideRecord, Store, open_store

#: Issue 2: candidates on one slide, slides, candidates in the store.
LARGEST, SLIDES, TOTAL = 125_000, 1000, 1_000_000
#: Rows of one page, as a gallery or a CSV asks for them.
PAGE = 1000
_CHUNK = 5000
_SIDE0 = 100_000  # level-0 pixels of the made-up slides
_MODEL = ModelOrigin("made up", "0" * 64, "cpu", "float32")


@dataclass(frozen=True, slots=True)
class Scale:
    """What reading a full store takes; medians of the rounds, the store freshly opened.

    Attributes:
        slides, candidates: in the store.
        largest: candidates on the largest slide.
        file_mib: size of the store's file.
        write_rows_per_s: candidates with their scores, each transaction synced to disk.
        open_ms: opening the store.
        slides_ms: all slides as a list, page by page.
        first_page_ms: the first 1,000 candidates of the largest slide by id.
        middle_page_ms: 1,000 of them from the middle on.
        first_probable_ms: the 1,000 most probable of them.
        middle_probable_ms: 1,000 from the middle of that order on.
        summary_ms: how many candidates the run has and which windows stand out.
        walk_s: all candidates of the largest slide, page by page.
        page_peak_mib: Python memory for one page.
        walk_peak_mib: the same for the walk over all of them; as small, or something loads whole.
        peak_rss_mib: of the whole process, writing included; None on Windows.
    """

    slides: int
    candidates: int
    largest: int
    file_mib: float
    write_rows_per_s: float
    open_ms: float
    slides_ms: float
    first_page_ms: float
    middle_page_ms: float
    first_probable_ms: float
    middle_probable_ms: float
    summary_ms: float
    walk_s: float
    page_peak_mib: float
    walk_peak_mib: float
    peak_rss_mib: float | None


def measure_scale(
    *, largest: int = LARGEST, slides: int = SLIDES, total: int = TOTAL, repeats: int = 5
) -> Scale:
    """Fill a store in a temp folder and read from it.

    Args:
        largest: candidates of the slide in the middle.
        slides: how many, that one included.
        total: candidates in the store; the other slides share the rest.
        repeats: how often each reading is timed.
    """
    with tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "store.sqlite"
        start_s = perf_counter()
        with open_store(path) as store:
            run_id = fill(store, largest, slides, total)
        written_s = perf_counter() - start_s
        opened_s = median(_seconds(lambda: open_store(path).close()) for _ in range(repeats))
        with open_store(path) as store:
            return _read(
                store, run_id, repeats, written=total / written_s, opened_ms=1000 * opened_s
            )


def fill(store: Store, largest: int, slides: int, total: int) -> int:
    """Write made-up slides with one finished run each; the id of the largest slide's run."""
    rng = np.random.default_rng(0)
    rest = np.diff(np.linspace(0, total - largest, slides).astype(int)).tolist()
    # The largest in the middle: its candidates' ids are neither the first nor the last.
    shares = [*rest[: slides // 2], largest, *rest[slides // 2 :]]
    largest_run = 0
    for number, count in enumerate(shares):
        name = f"slide {number:04}.svs"
        size = (_SIDE0, _SIDE0)
        slide_id = store.add_slide(
            SlideRecord(
                "quickhash-1", f"{number:064x}", name, *size, 0.25, 0.25, "typed", "made up"
            )
        )
        run = store.open_run(RunSpec(f"{number:064x}", slide_id, {}, _MODEL, _MODEL, "benchmark"))
        for start in range(0, count, _CHUNK):
            store.save_candidates(run.id, _made_up(rng, min(_CHUNK, count - start)))
        store.finish_run(run.id, "done", {})
        largest_run = run.id if number == slides // 2 else largest_run
    return largest_run


def _made_up(rng: np.random.Generator, count: int) -> list[Candidate]:
    values = rng.random((count, 4))
    return [
        Candidate(x * _SIDE0, y * _SIDE0, score, p, "mitosis" if p >= 0.5 else "imposter")
        for x, y, score, p in values.tolist()
    ]


def _read(store: Store, run_id: int, repeats: int, *, written: float, opened_ms: float) -> Scale:
    count = store.classified_count(run_id)
    first = store.candidates(run_id, 0, 1)[0]
    middle_id = first.id + count // 2

    def ms(work: Callable[[], object]) -> float:
        return 1000 * median(_seconds(work) for _ in range(repeats))

    names = sum(1 for _ in _all_slides(store))
    return Scale(
        slides=names,
        candidates=sum(store.classified_count(run.id) for run in _all_runs(store)),
        largest=count,
        file_mib=store.path.stat().st_size / 2**20,
        write_rows_per_s=written,
        open_ms=opened_ms,
        slides_ms=ms(lambda: list(_all_slides(store))),
        first_page_ms=ms(lambda: store.candidates(run_id, 0, PAGE)),
        middle_page_ms=ms(lambda: store.candidates(run_id, middle_id, PAGE)),
        first_probable_ms=ms(lambda: store.candidates_by_probability(run_id, None, PAGE)),
        # Made-up probabilities are even: one half is the middle of their order.
        middle_probable_ms=ms(lambda: store.candidates_by_probability(run_id, (0.5, 0), PAGE)),
        summary_ms=ms(lambda: (store.classified_count(run_id), store.notable_windows(run_id))),
        walk_s=_seconds(lambda: _walk(store, run_id)),
        page_peak_mib=_peak_mib(lambda: store.candidates(run_id, middle_id, PAGE)),
        walk_peak_mib=_peak_mib(lambda: _walk(store, run_id)),
        peak_rss_mib=_peak_rss_mib(),
    )


def _all_slides(store: Store) -> Iterator[int]:
    after_id = 0
    while page := store.slides(after_id, PAGE):
        yield from (slide.id for slide in page)
        after_id = page[-1].id


def _all_runs(store: Store) -> Iterator[RunRecord]:
    for slide_id in _all_slides(store):
        yield from store.runs(slide_id)


def _walk(store: Store, run_id: int) -> int:
    return sum(1 for _ in store.iter_candidates(run_id))


def _seconds(work: Callable[[], object]) -> float:
    start_s = perf_counter()
    work()
    return perf_counter() - start_s


def _peak_mib(work: Callable[[], object]) -> float:
    """The most Python memory that `work` held; not timed, since tracing slows it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _peak_rss_mib() -> float | None:
    """The most memory that this process ever held."""
    if sys.platform == "win32":
        return None
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB here

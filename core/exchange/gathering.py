"""What the store knows of a slide, as marks for a file: no more of it than was asked for."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import shapely

from core.errors import InputError
from core.exchange.csv import PX_DECIMALS, SCORE_DECIMALS
from core.exchange.marks import Mark, Outline, Saying, SlideFrame, SlideMarks
from core.review import PointState, current_states
from core.slides.reader import Slide
from core.store import ReaderRecord, RunRecord, Store, StoredSlide, VerdictRecord

What = Literal["candidates", "verdicts", "all"]
WHAT: tuple[What, ...] = ("candidates", "verdicts", "all")
CONSENSUS = "consensus"
#: Ids of figures are made from the slide's identity and their place in this namespace, so that the
#: same figure has the same id in every export.
NAMESPACE = uuid.UUID("6f2b0d5e-5d0c-4f0e-9a5e-2c1d6a7b8c90")


def frame_of(stored: StoredSlide, slide: Slide | None = None) -> SlideFrame:
    """What formats need to know of a slide; under its alias once it has one, never its path.

    Args:
        stored: as the store has it; its pixel size holds.
        slide: its open file; without it, formats that need bounds or the like refuse.
    """
    return SlideFrame(
        name=stored.shown_name,
        width0=stored.width0,
        height0=stored.height0,
        mpp=stored.mpp or (None if slide is None else slide.mpp),
        bounds=None if slide is None else slide.bounds,
        centre_offset_nm=None if slide is None else slide.centre_offset_nm,
        source=None if slide is None else slide.path,
    )


def frame_of_file(slide: Slide) -> SlideFrame:
    """What formats need to know of a slide that the store does not know yet."""
    return SlideFrame(
        name=slide.name,
        width0=slide.width0,
        height0=slide.height0,
        mpp=slide.mpp,
        bounds=slide.bounds,
        centre_offset_nm=slide.centre_offset_nm,
        source=slide.path,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What to export.

    Attributes:
        what: `candidates` of a run with label and probability; `verdicts`; or `all`, which is both
            and the regions.
        run: of which run; None for the newest finished one.
        reader: whose verdicts: a name, `consensus`, or None for what counts of all readers.
    """

    what: What = "all"
    run: int | None = None
    reader: str | None = None


def gather(store: Store, stored: StoredSlide, frame: SlideFrame, choice: Choice) -> SlideMarks:
    """The marks of a slide.

    Raises:
        InputError: there is no such run or reader, or no run to take candidates from.
        StoreError: the store cannot be read.
    """
    if choice.what not in WHAT:
        raise InputError(f"There is no {choice.what!r} to export.", f"Choose {', '.join(WHAT)}.")
    run = _run(store, stored, choice)
    whose = _Whose(store, choice.reader)
    states = current_states(store.iter_verdicts(stored.id)) if choice.what != "candidates" else {}
    marks: list[Mark] = []
    taken: set[int] = set()
    deleted = 0
    for mark, point_id in _candidates(store, run):
        if point_id is not None:
            taken.add(point_id)
        said = whose.of(states.get(point_id or 0))
        deleted += said.verdict == "deleted"
        if choice.what == "candidates":
            marks.append(mark)
        elif said.verdict != "deleted" and (choice.what == "all" or said.verdict or said.sayings):
            marks.append(said.on(mark, scored=choice.what == "all"))
    for point in store.iter_points(stored.id) if states else ():
        said = whose.of(states.get(point.id))
        if point.id in taken or not (said.verdict or said.sayings):
            continue
        deleted += said.verdict == "deleted"
        if said.verdict != "deleted":
            marks.append(said.on(Mark(*_rounded(point.x0, point.y0)), scored=False))
    outlines = tuple(_outlines(store, stored, whose)) if choice.what == "all" else ()
    notes = (f"deleted figures left out: {deleted}",) if deleted else ()
    return SlideMarks(frame, _with_ids(stored, marks), outlines, notes)


def _run(store: Store, stored: StoredSlide, choice: Choice) -> RunRecord | None:
    runs = store.runs(stored.id)
    if choice.run is not None:
        found = [run for run in runs if run.id == choice.run]
        if not found:
            ids = ", ".join(str(run.id) for run in runs) or "none"
            raise InputError(f"{stored.shown_name} has no run {choice.run}.", f"It has {ids}.")
        return found[0]
    done = [run for run in runs if run.state == "done"] or runs
    if not done and choice.what == "candidates":
        raise InputError(
            f"{stored.shown_name} was not analysed, so there are no candidates.",
            "Analyse it first, or export its verdicts.",
        )
    return done[-1] if done else None


def _candidates(store: Store, run: RunRecord | None) -> Iterator[tuple[Mark, int | None]]:
    for candidate in store.iter_candidates(run.id) if run is not None else ():
        x0, y0 = _rounded(candidate.x0, candidate.y0)
        mark = Mark(
            x0,
            y0,
            label=candidate.label,
            probability=_score(candidate.probability),
            score=_score(candidate.detector_score),
        )
        yield mark, candidate.point_id


def _score(value: float) -> float | None:
    return round(value, SCORE_DECIMALS) if isfinite(value) else None


def _rounded(x0: float, y0: float) -> tuple[float, float]:
    return round(x0, PX_DECIMALS), round(y0, PX_DECIMALS)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of a point, of what was asked for."""

    verdict: str = ""
    given: VerdictRecord | None = None
    sayings: tuple[Saying, ...] = ()

    def on(self, mark: Mark, *, scored: bool) -> Mark:
        """A mark with what was said, and what the models said of it only if `scored`."""
        return Mark(
            mark.x0,
            mark.y0,
            label=mark.label if scored else "",
            probability=mark.probability if scored else None,
            score=mark.score if scored else None,
            verdict=self.verdict,
            reader="" if self.given is None else self.given.reader,
            decided_at=None if self.given is None else self.given.decided_at,
            sayings=self.sayings,
        )


class _Whose:
    """Chooses among what readers said."""

    def __init__(self, store: Store, reader: str | None) -> None:
        self.reader: ReaderRecord | None = None
        self._consensus = reader == CONSENSUS
        if reader is not None and not self._consensus:
            readers = store.readers()
            named = [one for one in readers if one.name == reader.strip()]
            if not named:
                names = ", ".join(one.name for one in readers) or "nobody"
                raise InputError(f"The store has no reader {reader}.", f"It has {names}.")
            self.reader = named[0]

    def of(self, state: PointState | None) -> _Said:
        """What is said of a point in this state."""
        if state is None:
            return _Said()
        if self._consensus:
            return _said(state.consensus, ())
        if self.reader is not None:
            own = state.by_reader.get(self.reader.id)
            return _said(own, () if own is None else (own,))
        return _said(state.counting(), tuple(state.by_reader.values()))


def _said(counting: VerdictRecord | None, sayings: tuple[VerdictRecord, ...]) -> _Said:
    said = tuple(Saying(verdict.reader, _word(verdict)) for verdict in sayings)
    return _Said("" if counting is None else _word(counting), counting, said)


def _word(verdict: VerdictRecord) -> str:
    return "atypical" if verdict.atypical else verdict.value


def _outlines(store: Store, stored: StoredSlide, whose: _Whose) -> Iterator[Outline]:
    """The regions; count areas only of the reader that was asked for, if one was."""
    for region in store.regions(stored.id):
        reader = whose.reader
        if region.kind == "count_area" and reader is not None and region.reader_id != reader.id:
            continue
        name = region.properties.get("name") or region.properties.get("protocol") or ""
        id_ = _id(stored, f"region {region.lineage}")
        yield Outline(region.kind, shapely.from_wkb(region.wkb), str(name), id_)


def _with_ids(stored: StoredSlide, marks: list[Mark]) -> list[Mark]:
    """The marks with ids by their places; of several at one place, the first has one."""
    seen: set[str] = set()
    found = []
    for mark in marks:
        id_ = _id(stored, f"{mark.x0:.2f},{mark.y0:.2f}")
        found.append(mark if id_ in seen else replace(mark, uuid=id_))
        seen.add(id_)
    return found


def _id(stored: StoredSlide, what: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{stored.identity} {what}"))

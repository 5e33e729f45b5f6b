"""Taking in what a file says of a slide, as one action of a reader: what becomes of each mark.

A mark within 7.5 µm of a figure, one to one, is a verdict of that figure; another one is placed by
hand. Outlines become regions. What the reader said already is passed over.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import shapely
from shapely.geometry.base import BaseGeometry

from core.errors import InputError, PixelSizeError
from core.exchange.marks import Mark, Outline, SlideMarks
from core.geometry import Mpp
from core.reading.figures import with_value
from core.reading.view import DeskView, Verdict
from core.review import pair_with_points
from core.store import NewAction, NewRegion, NewVerdict, RegionRecord

As = Literal["labels", "mitoses"]
#: `labels`: each mark gets the verdict that its class names. `mitoses`: marks without a class are
#: mitoses too, and what is none is left out.
AS: tuple[As, ...] = ("labels", "mitoses")
METHOD = "import"
_VERDICTS = ("mitosis", "atypical", "imposter", "unsure")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file's marks.

    Attributes:
        view: of the desk afterwards.
        matched: verdicts of figures that were there.
        placed: figures placed by hand.
        regions: drawn.
        known: that were there already, as this reader said them.
        notes: in plain words, what was left out or read otherwise.
    """

    view: DeskView
    matched: int = 0
    placed: int = 0
    regions: int = 0
    known: int = 0
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The result in one sentence."""
        parts = [
            _counted(self.matched, "verdict of a figure that was there", "verdicts of figures"),
            _counted(self.placed, "figure placed", "figures placed"),
            _counted(self.regions, "region drawn", "regions drawn"),
            f"{self.known} known already" if self.known else "",
        ]
        return ", ".join(filter(None, parts)) or "nothing new"


def _counted(count: int, one: str, many: str) -> str:
    return "" if not count else f"1 {one}" if count == 1 else f"{count} {many}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The action that takes a file in, and what it consists of.

    Attributes:
        action: None where there is nothing new.
        places0: (x0, y0) of every verdict, level-0 pixels.
    """

    action: NewAction | None
    places0: tuple[tuple[float, float], ...]
    matched: int
    placed: int
    regions: int
    known: int
    notes: tuple[str, ...]


def choose(
    marks: SlideMarks, reader: str, as_: As
) -> tuple[list[tuple[Mark, Verdict]], tuple[str, ...]]:
    """Which marks are taken in, and as what; with notes on those left out.

    Where the file tells what each person said and one of them bears the reader's name, only what
    that person said counts. Where it holds verdicts, labels alone do not count.

    Args:
        marks: of the file.
        reader: name of the reader who takes them in.
        as_: see `AS`.
    """
    own = any(said.reader == reader for mark in marks.marks for said in mark.sayings)
    judged = any(mark.verdict or mark.sayings for mark in marks.marks)
    left: Counter[str] = Counter()
    found: list[tuple[Mark, Verdict]] = []
    seen: set[tuple[float, float]] = set()
    for mark in marks.marks:
        word, reason = _word(mark, reader, own=own, judged=judged)
        if not word and not reason and as_ == "mitoses":
            word = "mitosis"
        if not word:
            reason = reason or f"of unknown class{f' ({mark.name})' if mark.name else ''}"
        elif word not in _VERDICTS:
            reason = word
        elif as_ == "mitoses" and word not in ("mitosis", "atypical"):
            reason = f"called {word}"
        elif (mark.x0, mark.y0) in seen:
            reason = "at the place of another"
        if reason:
            left[reason] += 1
            continue
        seen.add((mark.x0, mark.y0))
        verdict: Verdict = word  # type: ignore[assignment]  # one of _VERDICTS
        found.append((mark, verdict))
    return found, tuple(f"marks left out, {why}: {count}" for why, count in left.items())


def _word(mark: Mark, reader: str, *, own: bool, judged: bool) -> tuple[str, str]:
    """What a mark is called, and why it does not count if it does not."""
    if own:
        word = next((said.verdict for said in mark.sayings if said.reader == reader), "")
        return word, "" if word else f"of which {reader} said nothing"
    if mark.verdict:
        return mark.verdict, ""
    if mark.sayings:
        words = {said.verdict for said in mark.sayings}
        word = words.pop() if len(words) == 1 else ""
        if mark.label and not any(said.reader for said in mark.sayings):
            word = mark.label  # a data set's, to which its votes without names add up
        return word, "" if word else "on which their readers differ"
    if judged:
        return "", "without a verdict"
    return mark.label, ""


def make_plan(
    marks: SlideMarks,
    reader: str,
    as_: As,
    *,
    figures0: Mapping[int, tuple[float, float]],
    said: Callable[[int], str],
    regions: Sequence[RegionRecord],
    mpp: Mpp | None,
) -> Plan:
    """Plan to take a file in; nothing is changed.

    Args:
        marks: of the file.
        reader: who takes them in.
        as_: see `AS`.
        figures0: places of figures and points by key, level-0 pixels; below zero a point's id.
        said: this reader's verdict of a key in a word, `none` without one.
        regions: that are there.
        mpp: µm per level-0 pixel.

    Raises:
        InputError: nothing in the file can be taken in.
        PixelSizeError: 7.5 µm cannot be told.
    """
    chosen, notes = choose(marks, reader, as_)
    if chosen and mpp is None:
        raise PixelSizeError("The slide has no µm per pixel.", "Set it before you take in figures.")
    keys = {} if mpp is None else _match([mark for mark, _ in chosen], figures0, mpp)
    verdicts, places0, matched, known = _verdicts(chosen, keys, figures0, said)
    drawn, same, region_notes = _new_regions(marks.outlines, regions)
    notes = (*marks.notes, *notes, *region_notes)
    if not (verdicts or drawn or known or same):
        raise InputError(
            "The file holds nothing to take in.", " ".join(f"{note}." for note in notes)
        )
    text = ", ".join(
        filter(
            None,
            (
                _counted(len(verdicts), "figure", "figures"),
                _counted(len(drawn), "region", "regions"),
            ),
        )
    )
    action = NewAction(f"import: {text}", verdicts=verdicts, regions=drawn, method=METHOD)
    return Plan(
        action if text else None,
        tuple(places0),
        matched,
        len(verdicts) - matched,
        len(drawn),
        known + same,
        notes,
    )


def _verdicts(
    chosen: Sequence[tuple[Mark, Verdict]],
    keys: Mapping[int, int],
    figures0: Mapping[int, tuple[float, float]],
    said: Callable[[int], str],
) -> tuple[list[NewVerdict], list[tuple[float, float]], int, int]:
    """The verdicts to give and their places, how many are of figures, and how many are known."""
    verdicts: list[NewVerdict] = []
    places0: list[tuple[float, float]] = []
    known = matched = 0
    for row, (mark, verdict) in enumerate(chosen):
        key = keys.get(row)
        if key is not None and said(key) == verdict:
            known += 1
            continue
        matched += key is not None
        places0.append((mark.x0, mark.y0) if key is None else figures0[key])
        verdicts.append(with_value(_target(mark, key), verdict))
    return verdicts, places0, matched, known


def _match(
    marks: Sequence[Mark], figures0: Mapping[int, tuple[float, float]], mpp: Mpp
) -> dict[int, int]:
    """The key of the figure that each mark is, by the mark's row.

    Marks exactly at a figure's place are that figure, before others come near: so a file that is
    taken in twice finds everything that the first time placed.
    """
    free = dict(figures0)
    by_place = {place0: key for key, place0 in figures0.items()}
    keys: dict[int, int] = {}
    for row, mark in enumerate(marks):
        key = by_place.get((mark.x0, mark.y0))
        if key is not None:
            keys[row] = key
            del free[key]  # no two marks are at one place
    places = [(row, mark.x0, mark.y0) for row, mark in enumerate(marks) if row not in keys]
    return keys | dict(pair_with_points(places, free, mpp))


def _target(mark: Mark, key: int | None) -> NewVerdict:
    if key is None:
        return NewVerdict("mitosis", place0=(mark.x0, mark.y0))
    return (
        NewVerdict("mitosis", candidate_id=key) if key > 0 else NewVerdict("mitosis", point_id=-key)
    )


def _new_regions(
    outlines: Iterable[Outline], regions: Sequence[RegionRecord]
) -> tuple[list[NewRegion], int, tuple[str, ...]]:
    """The regions to draw, how many are there already, and notes on those left out."""
    present: set[tuple[str, bytes]] = {
        (region.kind, _shape(shapely.from_wkb(region.wkb))) for region in regions
    }
    drawn: list[NewRegion] = []
    same = areas = 0
    for outline in outlines:
        if outline.kind == "count_area":
            areas += 1
        elif (outline.kind, _shape(outline.polygon0)) in present:
            same += 1
        else:
            properties = {"name": outline.name} if outline.name else {}
            kind: Literal["tumour", "excluded"] = (
                "excluded" if outline.kind == "excluded" else "tumour"
            )
            drawn.append(NewRegion(kind, outline.polygon0.wkb, properties))
            present.add((outline.kind, _shape(outline.polygon0)))
    notes = (f"count areas left out, for they are placed here: {areas}",) if areas else ()
    return drawn, same, notes


def _shape(polygon0: BaseGeometry) -> bytes:
    """The same for polygons that differ only in where their rings begin."""
    whole: bytes = shapely.normalize(polygon0).wkb
    return whole

"""One slide into a file and back: what the command line and the desktop share."""

from dataclasses import dataclass, replace
from pathlib import Path

from app.laboratory import check_alias
from core.errors import InputError
from core.exchange.formats import FORMATS, Format, detect
from core.exchange.gathering import Choice, frame_of, gather
from core.exchange.marks import SlideFrame, SlideMarks
from core.slides.reader import Slide
from core.store import Store, StoredSlide


@dataclass(frozen=True, slots=True)
class Written:
    """How much a file was given; the notes say what of it the format could not hold."""

    points: int
    regions: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """What came out of a file."""

    format: Format
    marks: SlideMarks


def export(
    store: Store,
    stored: StoredSlide,
    slide: Slide | None,
    path: Path,
    format_: Format,
    choice: Choice,
    *,
    alias: bool = False,
    name: str = "",
) -> Written:
    """Write what the store knows of a slide.

    Args:
        store: that holds it.
        stored: the slide.
        slide: its open file, if it is at hand.
        path: of the file to write.
        format_: of the file.
        choice: what of it.
        alias: whether the slide needs an alias; a laboratory may demand one anyway.
        name: under which it leaves, where names are hidden; else its alias, else its file's name.

    Raises:
        UserError: it has no alias, there is no such run or reader, or the file cannot be written.
    """
    check_alias(stored)
    if alias and not stored.alias:
        raise InputError(
            "This slide has no alias, and may not leave under its file's name.",
            "Give it one in the list of slides.",
        )
    if format_.write is None:
        raise InputError(f"{format_.title} is read only.")
    frame = frame_of(stored, slide)
    marks = gather(store, stored, replace(frame, name=name) if name else frame, choice)
    notes = format_.write(path, marks)
    if not format_.verdicts and _mixed(marks):
        notes = (*notes, f"{format_.title} does not tell verdicts from the models' labels")
    regions = len(marks.outlines) if format_.regions else 0
    return Written(len(marks.marks), regions, (*marks.notes, *notes))


def _mixed(marks: SlideMarks) -> bool:
    """Whether some marks have a verdict and others only a label."""
    return len({bool(mark.verdict) for mark in marks.marks if mark.called}) > 1


def read(path: Path, frame: SlideFrame, format_: Format | None = None) -> Read:
    """Read what a file says of a slide.

    Args:
        path: of the file.
        frame: of the slide.
        format_: None to tell by what is in the file.

    Raises:
        UserError: it is in no known format, or cannot be read.
    """
    found = format_ or detect(path)
    if found.read is None:
        raise InputError(f"{found.title} is written only.")
    return Read(found, found.read(path, frame))


def list_formats() -> str:
    """All formats, a line each, with their direction where that is one only."""
    lines = []
    for one in FORMATS.values():
        ways = "" if one.reads and one.writes else " [read only]" if one.reads else " [write only]"
        lines.append(f"{one.described}{ways}")
    return "\n".join(lines)

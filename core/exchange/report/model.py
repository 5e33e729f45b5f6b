"""A report as its writers take it: frozen texts and pictures, in the order of the pages."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

TITLE = "Mitotic count report"
DRAFT = "DRAFT, NOT SIGNED"
#: Say where a picture is missing, and stand in its place.
NO_PICTURE = "not readable"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its caption.

    Attributes:
        data: a JPEG file.
        width_px, height_px: its size.
        caption: below it.
        large: whether it needs a page's width and height to be read.
    """

    data: bytes
    width_px: int
    height_px: int
    caption: str
    large: bool = False


@dataclass(frozen=True, slots=True)
class Crop:
    """One counted mitosis.

    Attributes:
        number: as in the picture of the count area.
        data: a JPEG file; None where the slide could not be read.
        score: of the models, in words.
        lines: the verdicts, one for each reader.
        atypical: whether it counts as an atypical mitosis.
    """

    number: int
    data: bytes | None
    score: str
    lines: tuple[str, ...]
    atypical: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; `strong` is what the eye should find first."""

    caption: str
    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A point of the protocol's checklist."""

    text: str
    ticked: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading of its own.

    Attributes:
        title: heading.
        rows: a table of two columns.
        ticks: a checklist.
        notes: sentences below.
        pictures: below each other.
        crops: in a grid.
    """

    title: str
    rows: tuple[Row, ...] = ()
    ticks: tuple[Tick, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    crops: tuple[Crop, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report says.

    Attributes:
        slide: the alias, or the file's name where none is set.
        protocol: its name.
        signed: whether a reader signed the count.
        status: who signed when; or that nobody did, and what stands in the way.
        number: the mitotic count.
        area: of how many mm².
        rate: per mm², with its interval.
        category: by the protocol; empty where it has none.
        warnings: what must be known before the number is used.
        sections: the rest.
        footer: the research-use line.
    """

    slide: str
    protocol: str
    signed: bool
    status: str
    number: str
    area: str
    rate: str
    category: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: str

    @property
    def title(self) -> str:
        """Of the document."""
        return f"{TITLE}: {self.slide}" if self.signed else f"{TITLE} ({DRAFT}): {self.slide}"

    def texts(self) -> Iterator[str]:
        """Every text of the report, in order."""
        yield from (self.title, self.protocol, self.status, self.number, self.area, self.rate)
        yield from (self.category, *self.warnings)
        for section in self.sections:
            yield section.title
            for row in section.rows:
                yield from (row.caption, row.text)
            yield from (tick.text for tick in section.ticks)
            yield from section.notes
            yield from (picture.caption for picture in section.pictures)
            for crop in section.crops:
                yield from (crop.score, *crop.lines)
        yield self.footer


# Bidirectional controls can make a name read as another one (Unicode TR #36, 3.2); joiners, which
# Indic and Arabic names need, are format characters too and stay.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """A text on one line, without controls that a page cannot show or that would turn it around."""
    kept = (
        " " if c.isspace() else c
        for c in text
        if c.isspace() or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    return " ".join("".join(kept).split())

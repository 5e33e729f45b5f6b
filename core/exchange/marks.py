"""What every exchange format reads and writes: points and outlines on one slide, frozen.

A format knows only these records; the store and the desk know nothing of formats. `x0, y0` are
level-0 pixels as everywhere (see `core.geometry`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import shapely

from core.geometry import Mpp, Rect0

#: What a mark is called, as a label or a verdict; empty for nothing, or nothing that is known.
CALLED = ("mitosis", "atypical", "imposter", "unsure", "deleted")

#: How files name these, besides the words themselves: small letters, single spaces.
_MEANINGS = {
    "mitosis": "mitoses|mitotic figure|mitotic figures|mitotic|mitotic cell|mitotic cells|mf"
    "|normal mitosis|typical mitosis|normal mitotic figure|typical mitotic figure",
    "atypical": "atypical mitosis|atypical mitoses|atypical mitotic figure|mitosis atypical"
    "|atypical mitotic figures|mitotic figure atypical|amf",
    "imposter": "impostor|imposters|impostors|non mitotic figure|non mitotic figures"
    "|not mitotic figure|non mitosis|nonmitosis|non mitotic|nonmitotic|non mitotic cell"
    "|non mitotic cells|nonmitotic cell|nonmitotic cells|hard negative|hard negatives"
    "|hard negative look alike|hard negative imposter|look alike|lookalike|mitosis like"
    "|mitotic figure look alike|mitotic like figure|mitotic like cell",
    "unsure": "uncertain|ambiguous",
    "deleted": "",
}
_CALLED_BY_NAME = {
    name: called
    for called, names in _MEANINGS.items()
    for name in (called, *filter(None, names.split("|")))
}
_SEPARATORS = re.compile(r"[\s:_\-/]+")


def meaning(name: str) -> str:
    """What a class of another program calls a point, as a word of `CALLED`; empty if unknown."""
    return _CALLED_BY_NAME.get(_SEPARATORS.sub(" ", name).strip().casefold(), "")


@dataclass(frozen=True, slots=True)
class Saying:
    """What one reader said of a mark; the name is empty where a file keeps votes without names."""

    reader: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on the slide.

    Attributes:
        x0: level-0 pixels.
        y0: level-0 pixels.
        label: what a model or a data set calls it, a word of `CALLED`, or empty.
        probability: of a mitosis, 0..1.
        verdict: what counts of what readers said, a word of `CALLED`, or empty.
        reader: whose verdict that is; empty where nobody is named.
        uuid: stable from export to export; empty where the file gives none.
        name: the file's name of its class, where that means none of `CALLED`.
        score: the detector's, 0..1.
        decided_at: when the verdict was given.
        sayings: what each reader said, for formats that hold more than one.
    """

    x0: float
    y0: float
    label: str = ""
    probability: float | None = None
    verdict: str = ""
    reader: str = ""
    uuid: str = ""
    name: str = ""
    score: float | None = None
    decided_at: datetime | None = None
    sayings: tuple[Saying, ...] = ()

    @property
    def called(self) -> str:
        """Its class where a format has room for one only: the verdict, else the label."""
        return self.verdict or self.label


@dataclass(frozen=True, slots=True)
class Outline:
    """A region on the slide.

    Attributes:
        kind: `tumour`, `excluded` or `count_area`.
        polygon0: a polygon or multipolygon, level-0 pixels.
        name: what it is called.
        uuid: as of `Mark`.
    """

    kind: str
    polygon0: shapely.Polygon | shapely.MultiPolygon
    name: str = ""
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class SlideFrame:
    """What a format must know of a slide to place marks on it.

    Attributes:
        name: its alias, else its file's name; never a path.
        width0: level-0 pixels.
        height0: level-0 pixels.
        mpp: µm per level-0 pixel; None if unknown.
        bounds: where the scanner put pixels; None if the slide's file is not at hand.
        centre_offset_nm: from the centre of the glass slide to that of level 0 (Hamamatsu).
        source: the slide's file, for formats that refer to it; it is never written anywhere.
    """

    name: str
    width0: int
    height0: int
    mpp: Mpp | None = None
    bounds: Rect0 | None = None
    centre_offset_nm: tuple[float, float] | None = None
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class SlideMarks:
    """All that a file says of a slide, or that goes into one.

    Attributes:
        slide: that they lie on.
        marks: points.
        outlines: regions.
        notes: in plain words, what was left out or read otherwise than it stood there.
    """

    slide: SlideFrame
    marks: Sequence[Mark] = ()
    outlines: Sequence[Outline] = ()
    notes: tuple[str, ...] = ()

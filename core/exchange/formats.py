"""The formats in which marks leave and enter, and which of them a file is, by its content."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.exchange import (
    asap,
    challenge,
    csvmarks,
    dicom_ann,
    dicom_sr,
    imagescope,
    midog,
    ndpa,
    qupath,
    sliderunner,
)
from core.exchange.dicom_source import dicom_kind, is_dicom
from core.exchange.marks import SlideFrame, SlideMarks
from core.exchange.texts import check_file, decoded, parse_json, read_bytes, xml_root

Reader = Callable[[Path, SlideFrame], SlideMarks]
Writer = Callable[[Path, SlideMarks], tuple[str, ...]]

OURSELVES_ONLY = "round trip with ourselves only"


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files.

    Attributes:
        id: by which commands and menus choose it.
        title: in plain words.
        extensions: of its files, the usual one first, with their dots.
        read: gives the marks of a slide; None if it is only written.
        write: takes marks and gives notes on what it could not hold; None if it is only read.
        foreign_sample: whether a file of another program was at hand to try it with.
        regions: whether it can hold regions too.
        verdicts: whether it tells verdicts from labels.
    """

    id: str
    title: str
    extensions: tuple[str, ...]
    read: Reader | None
    write: Writer | None
    foreign_sample: bool
    regions: bool = True
    verdicts: bool = False

    @property
    def reads(self) -> bool:
        """Whether files of it can be read."""
        return self.read is not None

    @property
    def writes(self) -> bool:
        """Whether files of it can be written."""
        return self.write is not None

    @property
    def described(self) -> str:
        """Id and title, and that no file of another program was at hand if so."""
        tried = "" if self.foreign_sample else f" ({OURSELVES_ONLY})"
        return f"{self.id}: {self.title}{tried}"


FORMATS: Mapping[str, Format] = {
    format_.id: format_
    for format_ in (
        Format(
            "csv",
            "CSV table of points",
            (".csv",),
            csvmarks.read,
            csvmarks.write,
            True,
            regions=False,
            verdicts=True,
        ),
        Format(
            "qupath",
            "QuPath GeoJSON",
            (".geojson", ".json"),
            qupath.read,
            qupath.write,
            True,
            verdicts=True,
        ),
        Format(
            "midog",
            "MIDOG JSON, boxes x1, y1, x2, y2",
            (".json",),
            midog.read_midog,
            midog.write_midog,
            True,
            regions=False,
        ),
        Format(
            "coco",
            "COCO JSON, boxes x, y, width, height",
            (".json",),
            midog.read_coco,
            midog.write_coco,
            False,
        ),
        Format(
            "grand-challenge",
            "grand-challenge Multiple points, mm",
            (".json",),
            challenge.read,
            challenge.write,
            True,
            regions=False,
        ),
        Format(
            "sliderunner",
            "SlideRunner SQLite database",
            (".sqlite", ".db"),
            sliderunner.read,
            sliderunner.write,
            True,
            verdicts=True,
        ),
        Format("asap", "ASAP XML", (".xml",), asap.read, asap.write, True),
        Format(
            "imagescope",
            "Aperio ImageScope XML",
            (".xml",),
            imagescope.read,
            imagescope.write,
            True,
        ),
        Format("ndpa", "Hamamatsu NDPA, of NDPI slides", (".ndpa",), ndpa.read, ndpa.write, True),
        Format(
            "dicom-ann",
            "DICOM bulk annotations, of DICOM slides",
            (".dcm",),
            dicom_ann.read,
            dicom_ann.write,
            False,
            verdicts=True,
        ),
        Format(
            "dicom-sr",
            "DICOM structured report (TID 1500), of DICOM slides",
            (".dcm",),
            dicom_sr.read,
            dicom_sr.write,
            False,
        ),
    )
}

_SQLITE = b"SQLite format 3\0"
_LATER = "Name it with --format if you know it."


def get_format(id_: str) -> Format:
    """A format by its id.

    Raises:
        InputError: there is none.
    """
    if id_ not in FORMATS:
        raise InputError(f"There is no format {id_!r}.", f"Choose one of {', '.join(FORMATS)}.")
    return FORMATS[id_]


def detect(path: Path) -> Format:
    """Which format a file has, by what is in it.

    Raises:
        InputError: it is missing, empty, or none of them.
    """
    check_file(path)
    if _head(path) == _SQLITE:
        return FORMATS["sliderunner"]
    if is_dicom(path):
        return FORMATS["dicom-sr" if dicom_kind(path) == dicom_sr.SR else "dicom-ann"]
    data = read_bytes(path)
    text, _ = decoded(path, data)
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start == "<":
        return _xml_format(path, data)
    if start and start in "{[":
        return _json_format(path, parse_json(path, text))
    if re.search(r"[,;\t]", text[:4096]):
        return FORMATS["csv"]
    raise InputError(f"{path.name} is in no format that is known.", _LATER)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_SQLITE))


def _xml_format(path: Path, data: bytes) -> Format:
    root = str(xml_root(path, data).tag)
    by_root = {"ASAP_Annotations": "asap", "Annotations": "imagescope", "annotations": "ndpa"}
    if root not in by_root:
        raise InputError(f"{path.name} is XML, but of no kind that is known ({root}).", _LATER)
    return FORMATS[by_root[root]]


def _json_format(path: Path, document: Any) -> Format:
    if isinstance(document, Mapping):
        if "annotations" in document and "images" in document:
            convention = midog.convention_of(document)
            if convention is None:
                raise InputError(
                    f"{path.name} holds boxes of which the last two numbers may be a corner or a "
                    "size.",
                    "Say which with --format midog or --format coco.",
                )
            return FORMATS[convention]
        if str(document.get("type")).casefold() == challenge.TYPE.casefold():
            return FORMATS["grand-challenge"]
    if isinstance(document, list) or "type" in document:
        return FORMATS["qupath"]
    raise InputError(f"{path.name} is JSON, but of no kind that is known.", _LATER)

"""DICOM structured report after TID 1500: the mitoses of a DICOM slide, one measurement group each.

Comprehensive 3D SR with planar regions of interest (TID 1410) as points in millimetres on the
slide, the way that Slim writes and shows them. highdicom makes the document and its first group;
the other groups are put together here after that pattern, because making them through highdicom
takes a time that grows with the square of their number.
https://dicom.nema.org/medical/dicom/current/output/chtml/part16/chapter_A.html#sect_TID_1500
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.exchange.classes import FIGURE_CLASSES
from core.exchange.collecting import Collector, fraction, unreadable
from core.exchange.dicom_source import (
    MANUFACTURER,
    category_code,
    check_frame,
    figure_code,
    read_dicom,
    source_image,
)
from core.exchange.files import replacing_bytes
from core.exchange.marks import Mark, SlideFrame, SlideMarks, meaning

if TYPE_CHECKING:
    from pydicom import Dataset

SR = "1.2.840.10008.5.1.4.1.1.88.34"  # Comprehensive 3D SR Storage
# Concept names by their codes of the scheme DCM (PS3.16, annex D).
_MEASUREMENTS, _GROUP, _FINDING, _REGION = "126010", "125007", "121071", "111030"
#: A report lists the figures of a count, each a tree of ten items; all candidates of a slide go
#: into bulk annotations.
MOST = 5000
_PROBABILITY, _PERSON, _TRACKING, _TRACKING_UID = "122157", "121008", "112039", "112040"


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write the mitoses as a report on the slide's own DICOM image; returns what was left out.

    Raises:
        InputError: the slide is no DICOM slide, or has no mitosis, or more than `MOST`.
        UserError: the file cannot be written.
    """
    import highdicom as hd

    image = source_image(marks.slide)
    mitoses = [mark for mark in marks.marks if mark.called in ("mitosis", "atypical")]
    if not mitoses:
        raise unreadable(path, "would be empty: there is no mitosis to report")
    if len(mitoses) > MOST:
        raise unreadable(
            path,
            f"would hold {len(mitoses)} mitoses, more than a report is made for",
            "Write bulk annotations instead: --format dicom-ann.",
        )
    readers = sorted({mark.reader for mark in mitoses if mark.verdict and mark.reader})
    made = hd.sr.Comprehensive3DSR(
        evidence=[image],
        content=_content(hd, image, mitoses[0], readers[0] if len(readers) == 1 else ""),
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
    )
    made.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, for readers' names
    document = _plain(made)
    _fill(hd, document, image, mitoses)
    with replacing_bytes(path) as file:
        document.save_as(file, enforce_file_format=True)
    left = len(marks.marks) - len(mitoses)
    notes = [f"{left} points that are no mitoses were left out"] if left else []
    if marks.outlines:
        notes.append(f"{len(marks.outlines)} regions were left out")
    if len(readers) > 1:
        notes.append("the readers are not named, because there are several")
    return tuple(notes)


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read the points of any program's TID 1500 report of this slide.

    Raises:
        InputError: the file is damaged, no such report, or of another slide.
    """
    import highdicom as hd

    document = read_dicom(path, SR, "a comprehensive 3D report")
    image = source_image(slide)
    into = Collector(path, slide)
    reader = "".join(str(i.PersonName) for i in _items(document, _PERSON) if "PersonName" in i)
    to_pixels = hd.spatial.ReferenceToImageTransformer.for_image(
        image, for_total_pixel_matrix=True, drop_slice_coord=True
    )
    for part in _items(document, _MEASUREMENTS):
        for group in _items(part, _GROUP):
            _take_in(group, reader.rstrip("^").replace("^", " "), to_pixels, into, (image, path))
    return into.done()


def _take_in(
    group: "Dataset", reader: str, to_pixels: Any, into: Collector, of: tuple["Dataset", Path]
) -> None:
    regions = [item for item in _items(group, _REGION) if item.get("ValueType") == "SCOORD3D"]
    if len(regions) != 1 or regions[0].get("GraphicType") != "POINT":
        into.passed_over("figures that are no points on the slide")
        return
    image, path = of
    check_frame(regions[0].get("ReferencedFrameOfReferenceUID"), image, path)
    place_mm = np.array(regions[0].get("GraphicData", []), np.float64)
    if place_mm.shape != (3,):
        into.passed_over("points without a place")
        return
    ((x0, y0),) = to_pixels(place_mm[None])
    findings = [item.ConceptCodeSequence[0] for item in _items(group, _FINDING)]
    name = str(findings[0].CodeMeaning) if findings else ""
    into.mark(float(x0), float(y0), name, **_said(group, name, reader))


def _said(group: "Dataset", name: str, reader: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in _items(group, _PROBABILITY):
        for value in item.get("MeasuredValueSequence", []):
            found["probability"] = fraction(value.get("NumericValue"))
    if reader and meaning(name):
        found |= {"verdict": meaning(name), "reader": reader}
    return found


def _items(parent: "Dataset", concept: str) -> Iterator["Dataset"]:
    """The content items below `parent` with a concept of the scheme DCM."""
    for item in parent.get("ContentSequence", []):
        for code in item.get("ConceptNameCodeSequence", [])[:1]:
            if code.get("CodeValue") == concept and code.get("CodingSchemeDesignator") == "DCM":
                yield item


def _plain(made: "Dataset") -> "Dataset":
    """The document without highdicom's classes, which look at every item that is put into them."""
    import pydicom

    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


def _content(hd: Any, image: "Dataset", mark: Mark, reader: str) -> Any:
    """A report with the first figure in it, still without its place."""
    from pydicom.sr.codedict import codes

    region = hd.sr.ImageRegion3D("POINT", np.zeros((1, 3)), str(image.FrameOfReferenceUID))
    first = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="1"),
        referenced_region=region,
        finding_category=category_code(),
        finding_type=figure_code(mark.called),
    )
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(), name=MANUFACTURER, model_name=version("mitoscope")
    )
    person = None
    if reader:  # one component only: we do not know which is the family's name
        identity = hd.sr.PersonObserverIdentifyingAttributes(f"{reader.replace('^', ' ')}^")
        person = hd.sr.ObserverContext(codes.DCM.Person, identity)
    observers = hd.sr.ObservationContext(
        observer_person_context=person,
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device),
    )
    return hd.sr.MeasurementReport(
        observation_context=observers,
        procedure_reported=codes.SCT.LightMicroscopy,
        imaging_measurements=[first],
        title=codes.DCM.ImagingMeasurementReport,
    )


def _fill(hd: Any, document: "Dataset", image: "Dataset", mitoses: Sequence[Mark]) -> None:
    """Put a measurement group for every figure into the report, after the pattern of its first."""
    from pydicom.sequence import Sequence as Items

    to_mm = hd.spatial.ImageToReferenceTransformer.for_image(image, for_total_pixel_matrix=True)
    places_mm = to_mm(np.array([(mark.x0, mark.y0) for mark in mitoses], np.float64))
    (part,) = _items(document, _MEASUREMENTS)
    (pattern,) = _items(part, _GROUP)
    part.ContentSequence = Items(
        _figure(hd, pattern, mark, number, place)
        for number, (mark, place) in enumerate(
            zip(mitoses, places_mm.tolist(), strict=True), start=1
        )
    )


def _figure(
    hd: Any, pattern: "Dataset", mark: Mark, number: int, place_mm: list[float]
) -> "Dataset":
    from pydicom import Dataset
    from pydicom.sequence import Sequence as Items

    group = _like(pattern)
    items = []
    for old in pattern.ContentSequence:
        item = _like(old)
        concept = old.ConceptNameCodeSequence[0].CodeValue
        if concept == _TRACKING:
            item.TextValue = f"{FIGURE_CLASSES[mark.called]} {number}"
        elif concept == _TRACKING_UID:
            item.UID = str(hd.UID())
        elif concept == _FINDING:
            item.ConceptCodeSequence = [hd.sr.CodedConcept.from_code(figure_code(mark.called))]
        elif concept == _REGION:
            item.GraphicData = place_mm
            if mark.probability is not None:
                items.append(_probability(hd, mark.probability))
        items.append(item)
    group.ContentSequence = Items(items)
    assert isinstance(group, Dataset)
    return group


def _like(pattern: "Dataset") -> "Dataset":
    """A data set with the same values, but what is below it."""
    from pydicom import Dataset

    made = Dataset()
    for element in pattern:
        if element.keyword != "ContentSequence":
            made.add_new(element.tag, element.VR, element.value)
    return made


def _probability(hd: Any, value: float) -> "Dataset":
    from pydicom.sr.codedict import codes

    (item,) = hd.sr.Measurement(codes.DCM.Probability, float(value), codes.UCUM.NoUnits)
    plain = _like(item)
    plain.RelationshipType = "CONTAINS"
    return plain

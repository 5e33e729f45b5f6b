"""DICOM Microscopy Bulk Simple Annotations (PS3.3 A.87): points and outlines of a DICOM slide.

One group for every class and every reader. Written in pixels of the full-resolution image; read in
these, or in millimetres on the slide. https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_A.87.html
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.exchange.classes import FIGURE_CLASSES, REGION_CLASSES, plain_rings
from core.exchange.collecting import Collector, unreadable
from core.exchange.dicom_source import (
    MANUFACTURER,
    SCHEME,
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

ANN = "1.2.840.10008.5.1.4.1.1.91.1"  # Microscopy Bulk Simple Annotations Storage
_READER = "Verdicts of "
_MODEL = "Labels of the models"


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write annotations that refer to the slide's own DICOM image; returns what was left out.

    Raises:
        InputError: the slide is no DICOM slide, or there is nothing to write.
        UserError: the file cannot be written.
    """
    import highdicom as hd

    image = source_image(marks.slide)
    groups, notes = _groups(marks)
    if not groups:
        raise unreadable(path, "would be empty: there is nothing to write", "")
    document = hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[image],
        annotation_coordinate_type="2D",
        annotation_groups=groups,
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=version("mitoscope"),
        device_serial_number="1",
        content_label="MITOSES",
        content_description="For Research Use Only",
    )
    document.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, for readers' names
    for group in document.AnnotationGroupSequence:
        # highdicom writes it, empty, for coordinates in pixels too, where it is not allowed.
        if "CommonZCoordinateValue" in group:
            del group.CommonZCoordinateValue
    with replacing_bytes(path) as file:
        document.save_as(file, enforce_file_format=True)
    return notes


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read points and polygons of any program's bulk annotations of this slide.

    Raises:
        InputError: the file is damaged, no bulk annotations, or of another slide.
    """
    import highdicom as hd

    document = read_dicom(path, ANN, "bulk annotations")
    image = source_image(slide)
    check_frame(document.get("FrameOfReferenceUID"), image, path)
    try:
        annotations = hd.ann.MicroscopyBulkSimpleAnnotations.from_dataset(document)
        groups = annotations.get_annotation_groups()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, f"is no whole set of annotations: {error}") from error
    into = Collector(path, slide)
    place = _Places(document, image, path)
    for group in groups:
        _take_in(group, place, into)
    return into.done()


def _groups(marks: SlideMarks) -> tuple[list[Any], tuple[str, ...]]:
    import highdicom as hd

    by_kind: dict[tuple[str, str], list[Mark]] = {}
    for mark in marks.marks:
        by_kind.setdefault((mark.called, mark.reader if mark.verdict else _MODEL), []).append(mark)
    groups: list[Any] = []
    for (called, origin), own in by_kind.items():
        groups.append(_figures(hd, len(groups) + 1, called, origin, own))
    rings, notes = plain_rings(marks.outlines)
    by_class: dict[str, list[NDArray[np.float64]]] = {}
    for ring in rings:
        by_class.setdefault(ring.name, []).append(np.array(ring.corners0, np.float64))
    for name, corners in by_class.items():
        groups.append(_regions(hd, len(groups) + 1, name, corners))
    return groups, notes


def _figures(hd: Any, number: int, called: str, origin: str, marks: Sequence[Mark]) -> Any:
    from pydicom.sr.codedict import codes

    by_model = origin == _MODEL
    values = np.array([np.nan if m.probability is None else m.probability for m in marks])
    measured = None
    if np.isfinite(values).any():
        measured = [hd.ann.Measurements(codes.DCM.Probability, values, codes.UCUM.NoUnits)]
    return hd.ann.AnnotationGroup(
        number=number,
        uid=hd.UID(),
        label=FIGURE_CLASSES[called],
        description=_MODEL if by_model else f"{_READER}{origin}",
        annotated_property_category=category_code(),
        annotated_property_type=figure_code(called),
        graphic_type="POINT",
        graphic_data=[np.array([[m.x0, m.y0]], np.float64) for m in marks],
        algorithm_type="AUTOMATIC" if by_model else "MANUAL",
        algorithm_identification=_algorithm(hd) if by_model else None,
        measurements=measured,
    )


def _regions(hd: Any, number: int, name: str, corners: Sequence[NDArray[np.float64]]) -> Any:
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    return hd.ann.AnnotationGroup(
        number=number,
        uid=hd.UID(),
        label=name,
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=Code(name.upper().replace(" ", "_"), SCHEME, name),
        graphic_type="POLYGON",
        graphic_data=list(corners),
        algorithm_type="MANUAL",
    )


def _algorithm(hd: Any) -> Any:
    from pydicom.sr.codedict import codes

    return hd.AlgorithmIdentificationSequence(
        name=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        version=version("mitoscope"),
    )


class _Places:
    """From a document's coordinates to level-0 pixels."""

    def __init__(self, document: "Dataset", image: "Dataset", path: Path) -> None:
        self.kind = str(document.get("AnnotationCoordinateType", "2D"))
        self._to_pixels: Any = None
        if self.kind == "3D":
            import highdicom as hd

            self._to_pixels = hd.spatial.ReferenceToImageTransformer.for_image(
                image, for_total_pixel_matrix=True, drop_slice_coord=True
            )
        elif document.get("PixelOriginInterpretation", "VOLUME") != "VOLUME":
            raise unreadable(path, "counts from single tiles of the slide, which is not understood")
        else:
            self._check_image(document, image, path)

    @staticmethod
    def _check_image(document: "Dataset", image: "Dataset", path: Path) -> None:
        referred = [r.ReferencedSOPInstanceUID for r in document.get("ReferencedImageSequence", [])]
        if referred and referred != [image.SOPInstanceUID]:
            what = "belongs to another slide, or counts in pixels of another of its images"
            raise unreadable(path, what)

    def to_slide0(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 2) level-0 pixels of (N, 2) pixels or (N, 3) millimetres."""
        if self._to_pixels is None:
            return np.asarray(points[:, :2], np.float64)
        return np.asarray(self._to_pixels(points), np.float64)


def _take_in(group: Any, place: _Places, into: Collector) -> None:
    kind = str(group.graphic_type.value)
    data = group.get_graphic_data(place.kind)
    label = str(group.label)
    name = label if meaning(label) else str(group.annotated_property_type.meaning)
    name = name if meaning(name) or name in REGION_CLASSES.values() else label
    if kind == "POINT":
        by_hand = group.algorithm_type.value == "MANUAL"
        points = place.to_slide0(np.concatenate([np.atleast_2d(one) for one in data]))
        for (x0, y0), fields in zip(points, _fields(group, len(data), name, by_hand), strict=True):
            into.mark(float(x0), float(y0), name, **fields)
    elif kind in ("POLYGON", "RECTANGLE"):
        for one in data:
            corners = [(float(x), float(y)) for x, y in place.to_slide0(np.asarray(one))]
            into.outline([[corners]], name)
    else:
        into.passed_over(f"{kind.lower()}s", len(data))


def _fields(group: Any, number: int, name: str, by_hand: bool) -> Iterator[dict[str, Any]]:
    """What is said of each point of a group besides its class."""
    description = str(group.get("AnnotationGroupDescription", ""))
    reader = description.removeprefix(_READER) if description.startswith(_READER) else ""
    said = {"verdict": meaning(name), "reader": reader} if by_hand and meaning(name) else {}
    names, values, _ = group.get_measurements()
    likely = [i for i, one in enumerate(names) if one.value == "122157"]  # DCM, Probability
    for row in range(number):
        value = float(values[row, likely[0]]) if likely else np.nan
        yield {**said, "probability": value if 0 <= value <= 1 else None}

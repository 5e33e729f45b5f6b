"""The DICOM image that annotations of a slide refer to, and the codes that name what they mark.

Frames: our level-0 pixels count from the corner of the top-left pixel of the total pixel matrix, as
DICOM's image-relative coordinates do (PS3.3 C.18.6).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError
from core.exchange.classes import FIGURE_CLASSES
from core.exchange.marks import SlideFrame

if TYPE_CHECKING:
    from pydicom import Dataset

WSI = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
MANUFACTURER = "Mitoscope"
#: There is no standard code for a mitotic figure, so that the scheme is our own (PS3.16, 8.2).
SCHEME = "99MITOSCOPE"
_HINT = "DICOM annotations belong to a DICOM slide; for other slides choose another format."


def source_image(slide: SlideFrame) -> "Dataset":
    """The header of the full-resolution image of a DICOM slide, without its pixels.

    Raises:
        InputError: the slide's file is not at hand, or no DICOM slide.
    """
    path = slide.source
    if path is None or not path.is_file():
        raise InputError(f"The file of {slide.name} is not at hand.", "Locate it first.")
    given = _header(path)
    if given is None:
        raise InputError(f"{slide.name} is no DICOM slide.", _HINT)
    files = [path, *sorted(other for other in path.parent.iterdir() if other != path)]
    for file in files:
        image = given if file == path else _header(file)
        if image is not None and _is_base(image, given, slide):
            return image
    raise InputError(f"The full-resolution image of {slide.name} is not in its folder.", _HINT)


def _header(path: Path) -> "Dataset | None":
    import pydicom
    from pydicom.errors import InvalidDicomError

    if not path.is_file():
        return None
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError):
        return None  # some other file beside the images


def _is_base(image: "Dataset", given: "Dataset", slide: SlideFrame) -> bool:
    return (
        image.get("SOPClassUID") == WSI
        and image.get("SeriesInstanceUID") == given.get("SeriesInstanceUID")
        and "VOLUME" in image.get("ImageType", [])
        and image.get("TotalPixelMatrixColumns") == slide.width0
        and image.get("TotalPixelMatrixRows") == slide.height0
    )


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do (PS3.10, 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def dicom_kind(path: Path) -> str:
    """UID of what a DICOM file holds; empty where it does not say."""
    header = _header(path)
    return "" if header is None else str(header.get("SOPClassUID", ""))


def read_dicom(path: Path, sop_class: str, what: str) -> Any:
    """A DICOM file of one kind.

    Args:
        path: of the file.
        sop_class: UID of the kind.
        what: the kind in words.

    Raises:
        InputError: it cannot be read, or is of another kind.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        found = pydicom.dcmread(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except (InvalidDicomError, EOFError) as error:
        raise InputError(f"{path.name} is no DICOM file.") from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from error
    if found.get("SOPClassUID") != sop_class:
        kind = getattr(found.get("SOPClassUID"), "name", "unknown")
        raise InputError(f"{path.name} is DICOM, but not {what} ({kind}).")
    return found


def check_frame(frame_uid: object, image: "Dataset", path: Path) -> None:
    """Refuse what lies in another frame of reference: annotations of another slide.

    Raises:
        InputError: it does.
    """
    if frame_uid and str(frame_uid) != str(image.get("FrameOfReferenceUID", "")):
        raise InputError(f"{path.name} belongs to another slide.")


def figure_code(called: str) -> Any:
    """The code of a figure's class, a word of `core.exchange.marks.CALLED` or empty."""
    from pydicom.sr.coding import Code

    return Code(called or "unclassified", SCHEME, FIGURE_CLASSES[called])


def category_code() -> Any:
    """The category that figures belong to: SNOMED CT's morphologically abnormal structure."""
    from pydicom.sr.codedict import codes

    return codes.SCT.MorphologicallyAbnormalStructure

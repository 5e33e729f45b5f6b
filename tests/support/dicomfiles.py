"""The header of a small DICOM slide, made by hand after PS3.3 A.32.8; without pixels."""

from pathlib import Path

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from core.exchange.dicom_source import WSI

WIDTH0, HEIGHT0, MPP = 2220, 2967, 0.499


def write_dicom_slide(
    path: Path, *, kind: str = "VOLUME", series: str = "", frame: str = ""
) -> str:
    """Write the header of a whole-slide image; returns the UID of its series."""
    made = Dataset()
    made.SOPClassUID = WSI
    made.SOPInstanceUID = generate_uid()
    made.SeriesInstanceUID = series or generate_uid()
    made.StudyInstanceUID = generate_uid()
    made.FrameOfReferenceUID = frame or generate_uid()
    made.PositionReferenceIndicator = "SLIDE_CORNER"
    made.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
    made.Modality = "SM"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"):
        setattr(made, keyword, "")
    for keyword in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(made, keyword, "")
    made.SeriesNumber, made.InstanceNumber = 1, 1
    made.Rows = made.Columns = 240
    made.NumberOfFrames = 130
    made.DimensionOrganizationType = "TILED_FULL"
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows = WIDTH0, HEIGHT0
    made.TotalPixelMatrixFocalPlanes = made.NumberOfOpticalPaths = 1
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = "25.0", "50.0"
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    measures = Dataset()
    measures.SliceThickness = "0.0005"
    measures.PixelSpacing = [MPP / 1000, MPP / 1000]
    groups = Dataset()
    groups.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [groups]
    made.ContainerIdentifier = "1"
    made.IssuerOfTheContainerIdentifierSequence = []
    made.ContainerTypeCodeSequence = [_code("433466003", "SCT", "Microscope slide")]
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "1", generate_uid()
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenPreparationSequence = []
    made.SpecimenDescriptionSequence = [specimen]
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = WSI
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)
    return str(made.SeriesInstanceUID)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code

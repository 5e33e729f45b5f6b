"""The stitched real field that speed, reading and stability are measured on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import InputError
from core.slides.stitch import stitch_field

#: The densest field of the test slide that has all its sixteen frames: 2.04 mm² at 0.25 µm/px.
FIELD = "H05_03"


@contextmanager
def stitched_field(data: Path, field: str = FIELD) -> Iterator[Path]:
    """The field as a slide in a folder that is removed afterwards.

    Args:
        data: the folder of labelled tissue.
        field: its name.

    Raises:
        InputError: the data folder is missing or holds no frame of the field.
    """
    if not data.is_dir():
        raise InputError(f"The folder {data} does not exist.", "Name it with --data.")
    with tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"{field}.tif"
        stitch_field(data, field, path)
        yield path

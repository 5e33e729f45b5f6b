"""What a slide file holds beside its tissue: label and macro image.

The label and the macro image can show the patient's name. They are read only when somebody asks
for them, with a handle of their own, and nothing here caches or logs them.
"""

from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image

from core.errors import SlideError


def list_associated(path: Path) -> tuple[str, ...]:
    """Names of the images beside the tissue, such as `label`, `macro`, `thumbnail`.

    Raises:
        SlideError: the file cannot be opened.
    """
    try:
        with openslide.OpenSlide(path) as handle:
            return tuple(handle.associated_images)
    except (openslide.OpenSlideError, OSError) as error:
        raise _unreadable(path, error) from error


def read_associated(path: Path, name: str) -> NDArray[np.uint8]:
    """One of those images.

    Args:
        path: the slide file.
        name: from `list_associated`.

    Returns:
        (h, w, 3) uint8 on white.

    Raises:
        SlideError: there is no such image, or it is damaged.
    """
    try:
        with openslide.OpenSlide(path) as handle:
            picture = handle.associated_images[name]
    except KeyError:
        raise SlideError(f"The slide {path.name} holds no image named {name}.") from None
    except (openslide.OpenSlideError, OSError) as error:
        raise _unreadable(path, error) from error
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))


def _unreadable(path: Path, error: Exception) -> SlideError:
    return SlideError(
        f"The slide {path.name} cannot be read ({error}).",
        "Is the file still there, and is the drive connected?",
    )

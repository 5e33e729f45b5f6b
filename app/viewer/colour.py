"""Colours on the screen: ICC profile to sRGB, brightness, contrast and gamma. Never for models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QByteArray
from PySide6.QtGui import QColorSpace, QColorTransform, QImage


@dataclass(frozen=True, slots=True)
class ColourSettings:
    """How the reader wants the slide to look.

    Attributes:
        icc: use the slide's colour profile where it has one.
        brightness: added, -1 (black) to 1 (white); 0 changes nothing.
        contrast: factor about middle grey, above 0; 1 changes nothing.
        gamma: above 0; more than 1 lightens the dark parts, 1 changes nothing.
    """

    icc: bool = True
    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0

    @property
    def changed(self) -> bool:
        """Whether the slide no longer looks as scanned, which the screen must say."""
        return (self.brightness, self.contrast, self.gamma) != (0.0, 1.0, 1.0)

    def table(self) -> NDArray[np.uint8]:
        """What becomes of each grey level: (256,) uint8."""
        grey = np.linspace(0.0, 1.0, 256)
        grey = np.clip((grey - 0.5) * self.contrast + 0.5 + self.brightness, 0.0, 1.0)
        return np.asarray(np.rint(grey ** (1.0 / self.gamma) * 255), np.uint8)


def profile_transform(profile: bytes | None) -> QColorTransform | None:
    """From a slide's colours to the screen's; None without a profile or with one Qt cannot use."""
    if not profile:
        return None
    space = QColorSpace.fromIccProfile(QByteArray(profile))
    if not space.isValid():
        return None
    transform = space.transformationToColorSpace(QColorSpace(QColorSpace.NamedColorSpace.SRgb))
    return None if transform.isIdentity() else transform


def to_image(rgb: NDArray[np.uint8]) -> QImage:
    """(h, w, 3) uint8 as an opaque 32-bit image that owns its pixels; allowed in any thread."""
    rgb = np.ascontiguousarray(rgb)
    height, width = rgb.shape[:2]
    borrowed = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    # The conversion copies, so nothing refers to `rgb` afterwards.
    return borrowed.convertToFormat(QImage.Format.Format_RGB32)


def managed(image: QImage, transform: QColorTransform | None) -> QImage:
    """The image in the screen's colours."""
    if transform is None:
        return image
    turned = image.colorTransformed(transform)
    # Qt may answer in another format; only RGB32 is painted without conversion.
    return turned.convertToFormat(QImage.Format.Format_RGB32)


def adjusted(image: QImage, settings: ColourSettings) -> QImage:
    """The image with brightness, contrast and gamma; itself where they change nothing.

    Args:
        image: of format RGB32.
        settings: to apply; `icc` is not looked at.
    """
    if not settings.changed:
        return image
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(-1, 4)
    out = np.take(settings.table(), pixels)
    out[:, 3] = 255
    borrowed = QImage(
        out.data, image.width(), image.height(), image.bytesPerLine(), QImage.Format.Format_RGB32
    )
    return borrowed.copy()

"""A small slide in Aperio's format, with what our own pyramids lack: label, macro, ICC profile."""

from pathlib import Path

import numpy as np
import tifffile


def make_svs(
    path: Path,
    rgb: np.ndarray,
    *,
    mpp: float | None = 0.5,
    objective: int | None = 20,
    profile: bytes | None = None,
    label: bool = True,
) -> Path:
    """Write (H, W, 3) uint8 as one tiled level, then a strip level, a label and a macro image."""
    facts = [f"AppMag = {objective}"] if objective else []
    facts += [f"MPP = {mpp}"] if mpp else []
    height, width = rgb.shape[:2]
    head = f"Aperio Image Library v1.0\r\n{width}x{height}"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            rgb,
            photometric="rgb",
            tile=(256, 256),
            description="|".join([head, *facts]),
            iccprofile=profile,
            metadata=None,
        )
        tiff.write(rgb[::16, ::16], photometric="rgb", description=head, metadata=None)
        for name, colour in [("label", (250, 240, 10)), ("macro", (10, 240, 250))] if label else []:
            picture = np.full((60, 80, 3), colour, np.uint8)
            tiff.write(
                picture,
                photometric="rgb",
                description=f"Aperio Image Library v1.0\r\n{name} 80x60",
                metadata=None,
                subfiletype=1 if name == "label" else 9,
            )
    return path

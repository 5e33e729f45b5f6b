"""The synthetic slide: read tile by tile with every library, and painted by the viewer."""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image

from app.selftest.bench import Bench, Check, WrongAnswerError, expect
from core.slides.reader import Backend, Slide, open_slide

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from app.viewer.canvas import Canvas

TILE_PX = 256
VIEW_PX = (480, 320)
#: Side of the slide in which the whole view is compared.
COARSE_PX = 40
_PATIENCE_S = 30.0

Pixels = NDArray[np.uint8]


def _rendered(bench: Bench) -> str:
    """The slide can be made, and holds and shows what it should."""
    truth, known = bench.truth, bench.known["slide"]
    expect(
        len(truth.mitoses) == known["mitoses"],
        f"{len(truth.mitoses)} mitoses were planted, not {known['mitoses']}",
    )
    with open_slide(truth.path, backend="openslide") as slide:
        side, mpp = slide.width0, slide.require_mpp().mean
        mean = slide.read_level(0, 0, 0, side, side).mean((0, 1))
    expect(abs(mpp - truth.mpp) < 1e-3, f"the file says {mpp} µm/px, not {truth.mpp}")
    bench.fresh["slide"] = {
        **known,
        "mitoses": len(truth.mitoses),
        "mean_rgb": [round(float(value), 2) for value in mean],
    }
    difference = float(np.abs(mean - known["mean_rgb"]).max())
    allowed = bench.known["tolerances"]["mean_rgb"]
    expect(difference <= allowed, f"its mean colour differs by {difference:.2f} grey levels")
    return f"{side} × {side} px at {mpp:.3g} µm/px, {len(truth.mitoses)} mitoses planted"


def _read(backend: Backend) -> Callable[[Bench], str]:
    def read(bench: Bench) -> str:
        """Every tile of every level, against OpenSlide's own answer for the same tile."""
        path = bench.truth.path
        largest, total, tiles = 0, 0.0, 0
        with open_slide(path, backend=backend) as slide, openslide.OpenSlide(path) as reference:
            for level, (width, height) in enumerate(slide.level_dimensions):
                step0 = slide.level_downsamples[level]
                for top in range(0, height, TILE_PX):
                    for left in range(0, width, TILE_PX):
                        corner0 = round(left * step0), round(top * step0)
                        size = min(TILE_PX, width - left), min(TILE_PX, height - top)
                        found = slide.read_level(level, *corner0, *size)
                        difference = np.abs(found - _region(reference, corner0, level, size))
                        largest = max(largest, int(difference.max()))
                        total += float(difference.mean())
                        tiles += 1
            levels, used = len(slide.level_dimensions), slide.backend
        allowed = bench.known["tolerances"][used]
        seen = f"largest difference {largest}, mean {total / tiles:.2f} grey levels"
        expect(largest <= allowed["largest"] and total / tiles <= allowed["mean"], seen)
        return f"{tiles} tiles on {levels} levels with {used}: {seen}"

    return read


def _region(
    reference: openslide.OpenSlide, corner0: tuple[int, int], level: int, size: tuple[int, int]
) -> NDArray[np.int16]:
    region = reference.read_region(corner0, level, size).convert("RGB")
    return np.asarray(region).astype(np.int16)


def start_application() -> object:
    """Qt's application; on Linux without asking for a screen, which may not be there."""
    from PySide6.QtWidgets import QApplication

    known = QApplication.instance()
    if known is not None:
        return known
    if sys.platform.startswith("linux"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QApplication(["mitoscope"])


def _painted(bench: Bench) -> str:
    """The viewer's picture at 1:1 and of the whole slide, against OpenSlide's pixels."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QGuiApplication

    from app.bridge import GuiBridge
    from app.room import OpenedSlide
    from app.viewer.canvas import Canvas

    bench.application = start_application()
    bugs: list[object] = []
    bridge = GuiBridge()
    bridge.bug.connect(bugs.append)
    canvas = Canvas(bridge, threads=1)
    canvas.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    canvas.resize(*VIEW_PX)
    canvas.show()
    try:
        with open_slide(bench.truth.path) as slide:
            try:
                canvas.set_slide(OpenedSlide(slide, slide_id=0, token=1))
                sharp = _sharp_difference(canvas, slide)
                whole = _whole_difference(canvas, slide)
            finally:
                canvas.set_slide(None)
    finally:
        canvas.close()
        canvas.deleteLater()
    expect(not bugs, f"a thread of the viewer failed: {bugs}")
    allowed = bench.known["tolerances"]["viewer"]
    seen = f"at 1:1 largest difference {sharp:.0f}, whole slide mean {whole:.2f} grey levels"
    expect(sharp <= allowed["largest"] and whole <= allowed["whole_mean"], seen)
    return f"{seen} ({QGuiApplication.platformName()})"


def _sharp_difference(canvas: "Canvas", slide: Slide) -> float:
    """At 1:1 in the middle: the largest difference from OpenSlide's pixels."""
    from app.viewer.transform import ViewTransform

    ratio = canvas.devicePixelRatioF()
    width, height = round(VIEW_PX[0] * ratio), round(VIEW_PX[1] * ratio)
    corner0 = (slide.width0 - width) // 2, (slide.height0 - height) // 2
    centre0 = corner0[0] + width / 2, corner0[1] + height / 2
    canvas.set_transform(ViewTransform(centre0, ratio, 0.0, *VIEW_PX))
    painted = _grab(canvas)
    with openslide.OpenSlide(slide.path) as reference:
        wanted = _region(reference, corner0, 0, (painted.shape[1], painted.shape[0]))
    return float(np.abs(painted - wanted).max())


def _whole_difference(canvas: "Canvas", slide: Slide) -> float:
    """The whole slide: the mean difference from OpenSlide's level 0, both averaged down.

    Averaged further than the view, since painters choose their pixels in their own ways.
    """
    canvas.fit()
    painted = _grab(canvas)
    view, ratio = canvas.transform, canvas.devicePixelRatioF()
    side = round(slide.width0 / view.px0_per_px * ratio)
    left, top = ((length - side) // 2 for length in (painted.shape[1], painted.shape[0]))
    with openslide.OpenSlide(slide.path) as reference:
        level0 = _region(reference, (0, 0), 0, (slide.width0, slide.height0)).astype(np.uint8)
    seen = painted[top : top + side, left : left + side]
    expect(seen.shape == (side, side, 3), f"the whole slide is painted {seen.shape[:2]} px large")
    found, wanted = (
        np.asarray(Image.fromarray(rgb).resize((COARSE_PX, COARSE_PX), Image.Resampling.BOX))
        for rgb in (seen, level0)
    )
    return float(np.abs(found.astype(np.int16) - wanted).mean())


def _grab(canvas: "Canvas") -> Pixels:
    """What the canvas shows once it is sharp, (h, w, 3) uint8."""
    from PySide6.QtWidgets import QApplication

    canvas.grab()  # asks for the tiles, also where nothing is shown
    until_s = time.monotonic() + _PATIENCE_S
    while not canvas.is_sharp():
        if time.monotonic() > until_s:
            raise WrongAnswerError(f"the view was not sharp after {_PATIENCE_S:.0f} s")
        QApplication.processEvents()
        time.sleep(0.005)
    return pixels_of(canvas.grab().toImage())


def pixels_of(image: "QImage") -> Pixels:
    """(h, w, 3) uint8 sRGB of a Qt picture."""
    from PySide6.QtGui import QImage

    rgb = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(rgb.constBits(), np.uint8).reshape(rgb.height(), rgb.bytesPerLine())
    return rows[:, : 3 * rgb.width()].reshape(rgb.height(), rgb.width(), 3).copy()


CHECKS = (
    Check("slide rendered", _rendered),
    Check("slide read: as opened", _read("auto")),
    Check("slide read: OpenSlide", _read("openslide")),
    Check("slide read: fastslide", _read("fastslide")),
    Check("viewer", _painted),
)

"""The report's pictures, drawn with Pillow: the slide, the count area, and crops of its mitoses.

Only pyramid pixels are read: never the label or the macro image, which may show a name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import floor, log10

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry.base import BaseGeometry

from core.exchange.report.model import Picture
from core.geometry import Mpp, Rect0
from core.slides.backends import SlideReadError
from core.slides.crops import read_crop
from core.slides.overview import read_overview
from core.slides.reader import Slide

OVERVIEW_PX, AREA_PX = 1500, 1900
#: Of a crop; 40× on most scanners, and finer than paper shows.
CROP_UM, CROP_PX = 50.0, 208
#: Around a mitosis; a metaphase plate with its clear zone fits inside, as in the viewer.
RING_UM = 12.0
_MARGIN = 0.05
_QUALITY = 88
# Lines are drawn larger and made smaller: Pillow's own are not smooth.
_FINER = 2

Colour = tuple[int, int, int]
Point = tuple[float, float]
Floats = NDArray[np.float64]
TUMOUR: Colour = (138, 0, 214)
EXCLUDED: Colour = (200, 0, 0)
AREA: Colour = (17, 17, 17)
MITOSIS: Colour = (0, 128, 56)
ATYPICAL: Colour = (0, 110, 140)
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Mark:
    """A counted mitosis on a picture, level-0 pixels."""

    number: int
    x0: float
    y0: float
    atypical: bool


@dataclass(frozen=True, slots=True)
class Outlines:
    """What is drawn around tissue, level-0 pixels."""

    tumour: Sequence[BaseGeometry] = ()
    excluded: Sequence[BaseGeometry] = ()
    area: BaseGeometry | None = None
    fields: Sequence[BaseGeometry] = ()


class _Sheet:
    """A picture of a rectangle of a slide, to draw on in level-0 pixels."""

    def __init__(self, slide: Slide, rect: Rect0, longest_px: int, mpp: Mpp) -> None:
        # Square pixels in µm, as tissue is seen, also where the slide's are not.
        longest_um = max(rect.width0 * mpp.x, rect.height0 * mpp.y)
        self.um_per_px = max(longest_um / longest_px, min(mpp.x, mpp.y))
        self.step0 = (self.um_per_px / mpp.x, self.um_per_px / mpp.y)
        self.rect = rect
        self.picture = Image.fromarray(read_overview(slide, rect, *self.step0).rgb)
        size = (self.picture.width * _FINER, self.picture.height * _FINER)
        self._over = Image.new("RGBA", size, (*WHITE, 0))
        self.draw = ImageDraw.Draw(self._over)
        self.unit = max(self.picture.size) / 1000  # line widths follow the picture's size

    def at(self, x0: float, y0: float) -> tuple[float, float]:
        """Where a level-0 place lies, in pixels of the drawing."""
        x, y = (x0 - self.rect.x0) / self.step0[0], (y0 - self.rect.y0) / self.step0[1]
        return x * _FINER, y * _FINER

    def px(self, units: float) -> float:
        """Thousandths of the picture's longer side, in pixels of the drawing."""
        return units * self.unit * _FINER

    def outline(self, geometry: BaseGeometry, colour: Colour, width: float) -> None:
        """Draw the rings of a geometry, cased in white."""
        for ring in _rings(geometry):
            points = [self.at(x0, y0) for x0, y0, *_ in ring.coords]
            for ink, wide in ((WHITE, width + 1.6), (colour, width)):
                self.draw.line(points, fill=ink, width=max(1, round(self.px(wide))), joint="curve")

    def text(self, at: tuple[float, float], text: str, colour: Colour, size: float) -> None:
        """Write in the middle of a place, cased in white."""
        font = _font(self.px(size))
        casing = max(1, round(self.px(size) / 7))
        self.draw.text(
            at, text, colour, font=font, anchor="mm", stroke_width=casing, stroke_fill=WHITE
        )

    def scale_bar(self) -> None:
        """Draw a bar of a round length, named beside it, low enough to stay below a count area."""
        length_um = _round_length(self.picture.width * self.um_per_px / 5)
        name = f"{length_um / 1000:g} mm"  # Pillow's own font has no µ
        font, pad, gap = _font(self.px(17)), self.px(7), self.px(8)
        right, middle = self._over.width - self.px(16), self._over.height - self.px(22)
        left = right - length_um / self.um_per_px * _FINER
        start = left - gap - font.getlength(name)
        box = (start - pad, middle - self.px(13), right + pad, middle + self.px(13))
        self.draw.rectangle(box, fill=(*WHITE, 215))
        half = max(1.0, self.px(2))
        self.draw.rectangle((left, middle - half, right, middle + half), fill=AREA)
        self.draw.text((left - gap, middle), name, AREA, font=font, anchor="rm")

    def done(self, caption: str, *, large: bool = False) -> Picture:
        """The picture with all that was drawn."""
        over = self._over.reduce(_FINER)
        whole = Image.alpha_composite(self.picture.convert("RGBA"), over).convert("RGB")
        return Picture(_jpeg(whole), whole.width, whole.height, caption, large)


def draw_slide(slide: Slide, mpp: Mpp, outlines: Outlines, caption: str) -> Picture:
    """The whole slide with its regions and the count area.

    Args:
        slide: open.
        mpp: µm per level-0 pixel of the count.
        outlines: to draw.
        caption: of the picture.
    """
    sheet = _Sheet(slide, slide.bounds, OVERVIEW_PX, mpp)
    _draw_outlines(sheet, outlines)
    sheet.scale_bar()
    return sheet.done(caption)


def draw_area(
    slide: Slide,
    mpp: Mpp,
    bounds0: tuple[float, float, float, float],
    outlines: Outlines,
    marks: Sequence[Mark],
    caption: str,
) -> Picture:
    """The count area at low power with its mitoses, ringed and numbered.

    Args:
        slide: open.
        mpp: µm per level-0 pixel of the count.
        bounds0: of the area, level-0 pixels: left, top, right, bottom.
        outlines: to draw.
        marks: the mitoses.
        caption: of the picture.
    """
    left, top, right, bottom = bounds0
    pad = _MARGIN * max((right - left) * mpp.x, (bottom - top) * mpp.y)
    rect = Rect0(
        left - pad / mpp.x, top - pad / mpp.y,
        right - left + 2 * pad / mpp.x, bottom - top + 2 * pad / mpp.y,
    )  # fmt: skip
    sheet = _Sheet(slide, rect, AREA_PX, mpp)
    _draw_outlines(sheet, outlines)
    _draw_marks(sheet, marks)
    sheet.scale_bar()
    return sheet.done(caption, large=True)


def draw_crop(slide: Slide, x0: float, y0: float) -> bytes | None:
    """A mitosis in the middle of its crop, as a JPEG; None where the slide cannot be read."""
    try:
        rgb = read_crop(slide, x0, y0, CROP_PX, CROP_UM / CROP_PX)
    except SlideReadError:
        return None
    return _jpeg(Image.fromarray(rgb))


def draw_crops(
    slide: Slide, marks: Iterable[Mark], each: Callable[[], None] = lambda: None
) -> list[bytes | None]:
    """Crops in the order of the marks; `each` is called before every one of them."""
    found = []
    for mark in marks:
        each()
        found.append(draw_crop(slide, mark.x0, mark.y0))
    return found


def _draw_outlines(sheet: _Sheet, outlines: Outlines) -> None:
    for geometry in outlines.tumour:
        sheet.outline(geometry, TUMOUR, 2.6)
    for geometry in outlines.excluded:
        sheet.outline(geometry, EXCLUDED, 2.2)
    for geometry in outlines.fields:
        sheet.outline(geometry, AREA, 1.2)
    if outlines.area is not None:
        sheet.outline(outlines.area, AREA, 2.8)


def _draw_marks(sheet: _Sheet, marks: Sequence[Mark]) -> None:
    """Rings first, then each number where it covers as few rings and numbers as can be."""
    radius = max(RING_UM / sheet.um_per_px * _FINER, sheet.px(5))
    size = 17.0 if len(marks) <= 120 else 12.0
    # Boxes of what is there: the rings, then each number that was placed.
    taken = np.zeros((2 * len(marks), 4))
    for row, mark in enumerate(marks):
        x, y = sheet.at(mark.x0, mark.y0)
        for ink, wide in ((WHITE, 4.0), (_colour(mark), 2.0)):
            half = radius + sheet.px(wide) / 2
            sheet.draw.ellipse(
                (x - half, y - half, x + half, y + half), outline=ink, width=round(sheet.px(wide))
            )
        taken[row] = x - radius, y - radius, x + radius, y + radius
    font, gap = _font(sheet.px(size)), sheet.px(4)
    for row, mark in enumerate(marks, start=len(marks)):
        text = str(mark.number)
        left, top, right, bottom = font.getbbox(text)
        shape = (right - left + gap, bottom - top + gap)
        middle = _free_place(sheet.at(mark.x0, mark.y0), shape, radius + gap / 2, taken[:row])
        taken[row] = _box(middle, shape)
        sheet.text((float(middle[0]), float(middle[1])), text, _colour(mark), size)


#: Where a number may stand beside its ring, the best first; corners lie closer, to touch the round.
_AROUND = np.array(
    [(0.75, -0.75), (1, 0), (0.75, 0.75), (0, -1), (0, 1), (-0.75, -0.75), (-1, 0), (-0.75, 0.75)]
)


def _free_place(at: Point, shape: Point, radius: float, taken: Floats) -> Floats:
    """The middle, of eight around a ring, of a box that covers least of what is there.

    Args:
        at: the ring's middle.
        shape: width and height of the box.
        radius: of the ring.
        taken: (N, 4) left, top, right, bottom of what is there.
    """
    middles = np.add(at, _AROUND * np.add(radius, np.divide(shape, 2)))
    boxes = _box(middles, shape)[:, None]
    sides = np.minimum(boxes[..., 2:], taken[:, 2:]) - np.maximum(boxes[..., :2], taken[:, :2])
    covered = np.where((sides > 0).all(axis=-1), sides.prod(axis=-1), 0).sum(axis=1)
    best: Floats = middles[covered.argmin()]
    return best


def _box(middle: Floats, shape: Point) -> Floats:
    half = np.divide(shape, 2)
    return np.concatenate([middle - half, middle + half], axis=-1)


def _colour(mark: Mark) -> Colour:
    return ATYPICAL if mark.atypical else MITOSIS


def _rings(geometry: BaseGeometry) -> list[shapely.LinearRing]:
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    return [ring for part in parts for ring in (part.exterior, *part.interiors)]


def _font(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8.0, size_px))


def _round_length(length_um: float) -> float:
    """1, 2 or 5 times a power of ten, not above a length."""
    power: float = 10.0 ** floor(log10(length_um))
    return next(step * power for step in (5, 2, 1) if step * power <= length_um * (1 + 1e-9))


def _jpeg(picture: Image.Image) -> bytes:
    file = BytesIO()
    # Full chroma: nuclei are small, and their colour is what is looked at.
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()

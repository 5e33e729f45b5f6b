"""The report's pictures, drawn with Pillow: the slide, the count area, and crops of its mitoses.

Only pyramid pixels are read: never the label or the macro image, which may show a name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import floor, log10

import shapely
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
        """Draw a bar of a round length with that length above it, at the bottom right."""
        length_um = _round_length(self.picture.width * self.um_per_px / 5)
        length = length_um / self.um_per_px * _FINER
        right, bottom = self._over.width - self.px(18), self._over.height - self.px(20)
        left, high = right - length, max(2.0, self.px(4))
        name = f"{length_um / 1000:g} mm"  # Pillow's own font has no µ
        pad = self.px(7)
        box = (left - pad, bottom - high - self.px(26), right + pad, bottom + pad)
        self.draw.rectangle(box, fill=(*WHITE, 215))
        self.draw.rectangle((left, bottom - high, right, bottom), fill=AREA)
        self.draw.text(
            ((left + right) / 2, bottom - high - self.px(3)),
            name, AREA, font=_font(self.px(17)), anchor="mb",
        )  # fmt: skip

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
    taken: list[tuple[float, float, float, float]] = []
    for mark in marks:
        x, y = sheet.at(mark.x0, mark.y0)
        for ink, wide in ((WHITE, 4.0), (_colour(mark), 2.0)):
            half = radius + sheet.px(wide) / 2
            sheet.draw.ellipse(
                (x - half, y - half, x + half, y + half), outline=ink, width=round(sheet.px(wide))
            )
        taken.append((x - radius, y - radius, x + radius, y + radius))
    for mark in marks:
        text = str(mark.number)
        left, top, right, bottom = _font(sheet.px(size)).getbbox(text)
        wide, high = right - left + sheet.px(4), bottom - top + sheet.px(4)
        box = _free_place(sheet.at(mark.x0, mark.y0), (wide, high), radius + sheet.px(2), taken)
        taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        sheet.text(middle, text, _colour(mark), size)


def _free_place(
    at: tuple[float, float],
    size: tuple[float, float],
    radius: float,
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """The box beside a ring that covers least of what is there, of eight around it."""
    x, y = at
    wide, high = size
    across, down = radius + wide / 2, radius + high / 2
    near = 0.75  # corners lie closer, so that they touch the ring's round
    places = [
        (x + across * dx, y + down * dy)
        for dx, dy in (
            (near, -near), (1, 0), (near, near), (0, -1), (0, 1), (-near, -near), (-1, 0),
            (-near, near),
        )
    ]  # fmt: skip
    boxes = [(a - wide / 2, b - high / 2, a + wide / 2, b + high / 2) for a, b in places]
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


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

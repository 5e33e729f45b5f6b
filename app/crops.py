"""Loads crops for the gallery on a thread of their own: the most wanted first, the rest dropped."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QColorTransform, QImage

from app.bridge import GuiBridge, WorkThread
from app.viewer.colour import ColourSettings, adjusted, managed, profile_transform, to_image
from core.cancel import Cancelled
from core.errors import UserError
from core.slides.crops import read_crop
from core.slides.reader import Slide
from core.slides.tilecache import TileCache

#: About 1,800 crops of 160 px.
BUDGET_BYTES = 192 * 2**20
#: One is read while the next waits on the thread, so that it never idles; the rest of the wishes
#: stay here, where they can be dropped.
IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class CropPlace:
    """A figure whose crop is wanted: its key and its centre in level-0 pixels."""

    key: int
    x0: float
    y0: float


@dataclass(frozen=True, slots=True)
class CropLook:
    """What a crop looks like.

    Attributes:
        side_um: side of the tissue shown.
        side_px: side of the image, device pixels.
        colour: as the viewer shows the slide.
    """

    side_um: float = 64.0
    side_px: int = 160
    colour: ColourSettings = field(default_factory=ColourSettings)


class _Source:
    """The open slide as the crop thread sees it."""

    def __init__(self, slide: Slide) -> None:
        self._slide: Slide | None = slide
        self._lock = threading.Lock()
        self._transform: QColorTransform | None = profile_transform(slide.icc_profile)

    def read(self, place: CropPlace, look: CropLook) -> QImage:
        """Read one crop; on the crop thread."""
        with self._lock:
            if self._slide is None:
                raise Cancelled
            scale = look.side_um / look.side_px
            rgb = read_crop(self._slide, place.x0, place.y0, look.side_px, scale)
        image = to_image(rgb)
        if look.colour.icc:
            image = managed(image, self._transform)
        return adjusted(image, look.colour)

    def let_go(self) -> None:
        """Read no more; waits for the read under way."""
        with self._lock:
            self._slide = None


class CropLoader(QObject):
    """The crops of one open slide; lives in the GUI thread, reads on the thread `crops`.

    Signals:
        arrived: key of a figure whose crop, or what is wrong with it, is there now.
    """

    # A key is a 64-bit number, which Signal(int) would cut to 32.
    arrived = Signal(object)

    def __init__(
        self, bridge: GuiBridge, budget_bytes: int = BUDGET_BYTES, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._thread = WorkThread("crops", bridge)
        self._crops: TileCache[int, QImage] = TileCache(budget_bytes)
        self._problems: dict[int, UserError] = {}
        self._wanted: deque[CropPlace] = deque()
        self._reading: set[int] = set()
        self._look = CropLook()
        self._source: _Source | None = None
        self._ticket = 0
        self.token = 0

    @property
    def look(self) -> CropLook:
        """How crops look."""
        return self._look

    def open(self, slide: Slide, token: int) -> None:
        """Take crops from a slide from now on; answers of another token are dropped."""
        self.let_go()
        self._source, self.token = _Source(slide), token

    def let_go(self) -> None:
        """Forget the slide and all its crops; waits for the read under way."""
        if self._source is not None:
            self._source.let_go()
        self._source = None
        self.forget()

    def set_look(self, look: CropLook) -> None:
        """Have crops look otherwise; those at hand are dropped if they do not."""
        if look != self._look:
            self._look = look
            self.forget()

    def want(self, places: Sequence[CropPlace]) -> None:
        """Load these, the first one first; what was wanted before and is not among them is not."""
        self._wanted = deque(
            place
            for place in places
            if place.key not in self._reading
            and place.key not in self._problems
            and self._crops.peek(place.key) is None
        )
        self._send()

    def crop(self, key: int) -> QImage | None:
        """The crop of a figure if it is there."""
        return self._crops.get(key)

    def problem(self, key: int) -> UserError | None:
        """Why a figure's crop cannot be read."""
        return self._problems.get(key)

    def forget(self) -> None:
        """Drop all crops and wishes: the slide's pixel size is another."""
        self._ticket += 1
        self._crops.clear()
        self._problems.clear()
        self._wanted.clear()
        self._reading.clear()

    def shutdown(self) -> None:
        """End the thread."""
        self.let_go()
        self._thread.close()

    def _send(self) -> None:
        while self._source is not None and self._wanted and len(self._reading) < IN_FLIGHT:
            place = self._wanted.popleft()
            self._reading.add(place.key)
            self._thread.submit(
                partial(self._source.read, place, self._look),
                partial(self._keep, self._ticket, place.key),
                partial(self._fail, self._ticket, place.key),
            )

    def _keep(self, ticket: int, key: int, image: QImage) -> None:
        if ticket == self._ticket:
            self._crops.put(key, image, image.sizeInBytes())
            self._done(key)

    def _fail(self, ticket: int, key: int, error: UserError) -> None:
        if ticket == self._ticket:
            self._problems[key] = error
            self._done(key)

    def _done(self, key: int) -> None:
        self._reading.discard(key)
        self._send()
        self.arrived.emit(key)

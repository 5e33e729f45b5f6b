"""Finding the tissue of the open slide, beside everything else that is done with it."""

from collections.abc import Callable

from app.bridge import GuiBridge, WorkThread
from app.opening import OpenedSlide
from core.cancel import Cancelled
from core.geometry import Mpp
from core.slides.reader import Slide
from core.slides.tissue import Tissue, find_tissue


class TissueFinder:
    """Finds the tissue of one slide at a time, and closes slides once that is over.

    It takes a while on a large slide and must not hold up the next opening, so it has a thread of
    its own. Closing waits behind it: a slide may only be closed once nobody reads it.

    Args:
        bridge: brings the answers.
    """

    def __init__(self, bridge: GuiBridge) -> None:
        self.thread = WorkThread("tissue", bridge)
        self._about: tuple[int, Mpp] | None = None

    def find(self, opened: OpenedSlide, mpp: Mpp, found: Callable[[Tissue], None]) -> None:
        """Find the tissue, once for each slide and pixel size.

        Args:
            opened: stays open until it is handed to `close`.
            mpp: of the slide by now.
            found: runs in the GUI thread, unless another slide or pixel size came meanwhile.
        """
        about = (opened.token, mpp)
        if about == self._about:
            return
        self._about = about

        def work() -> Tissue:
            if self._about != about:
                raise Cancelled
            return find_tissue(opened.slide)

        def done(tissue: Tissue) -> None:
            if self._about == about:
                found(tissue)

        self.thread.submit(work, done)

    def leave(self, slide: Slide) -> None:
        """Close the slide whose tissue was asked for; nothing more is said of it."""
        self._about = None
        self.close(slide)

    def close(self, slide: Slide) -> None:
        """Close a slide once nobody reads it."""
        self.thread.submit(slide.close)

"""The demo slide in the desktop: made once, on a thread of its own, and opened."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.bridge import GuiBridge, WorkThread
from core.cancel import CancelToken
from core.errors import SlideError, UserError

NAME = "demo-slide.tif"
#: Closing the window waits so long; the slide that is being made is given up at the next strip.
END_S = 5.0


def make_demo(
    folder: Path, token: CancelToken, tell: Callable[[int, int], None] | None = None
) -> Path:
    """The demo slide in a folder, rendered if it is not there yet.

    Args:
        folder: made if need be.
        token: stops it.
        tell: called with how many parts are done, and how many there are.

    Raises:
        SlideError: it cannot be written.
        Cancelled: the token was; nothing is left behind.
    """
    # Not before it is needed: the window opens sooner.
    from core.slides.synthetic import render_demo_slide

    path = folder / NAME
    if path.is_file():
        return path
    partial = folder / f"unfinished-{NAME}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            render_demo_slide(partial, token=token, progress=tell or (lambda done, total: None))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise SlideError(
            f"The demo slide cannot be written to {folder}: {error.strerror}.",
            "Free some space or check your rights.",
        ) from error
    return path


class DemoMaker(QObject):
    """Makes the demo slide while the window lives on.

    Args:
        bridge: brings the answers.
        folder: where it is kept.

    Signals:
        progressed: parts done, parts in all; 0 of 0 when it ended.
        finished: path of the slide.
        failed: a `UserError`.
    """

    progressed = Signal(int, int)
    finished = Signal(str)
    failed = Signal(object)

    def __init__(self, bridge: GuiBridge, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bridge, self._folder = bridge, folder
        self._thread: WorkThread | None = None
        self._token = CancelToken()
        self._busy = False

    @Slot()
    def make(self) -> None:
        """Make it, or take the one that is there; does nothing while that goes on."""
        if self._busy:
            return
        self._busy = True
        self._thread = self._thread or WorkThread("demo", self._bridge)
        folder, token, bridge = self._folder, self._token, self._bridge

        def tell(done: int, total: int) -> None:
            bridge.post(lambda: self._tell(done, total))

        self._thread.submit(lambda: make_demo(folder, token, tell), self._done, self._fail)

    def _tell(self, done: int, total: int) -> None:
        if self._busy:
            self.progressed.emit(done, total)

    def _done(self, path: Path) -> None:
        self._busy = False
        self.progressed.emit(0, 0)
        self.finished.emit(str(path))

    def _fail(self, error: UserError) -> None:
        self._busy = False
        self.progressed.emit(0, 0)
        self.failed.emit(error)

    def shutdown(self) -> bool:
        """Give up what is being made, and end the thread; whether it ended in time."""
        self._token.cancel()
        return self._thread is None or self._thread.close(END_S)

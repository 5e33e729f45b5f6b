"""The reading room: the state that all panels share, and the only way in which they change it.

It lives in the GUI thread and does no work there: slides are opened on the `io` thread, everything
that touches the store goes to the `desk` thread, and answers come back as frozen views. An answer
that belongs to a slide which is no longer open is dropped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.bridge import GuiBridge, WorkThread
from core.counting.protocols import DEFAULT_PROTOCOL
from core.errors import UserError
from core.reading.desk import Desk
from core.reading.view import DeskView
from core.slides.reader import Slide, open_slide
from core.store import Store
from core.analysis.planning import slide_record


@dataclass(frozen=True, slots=True)
class OpenedSlide:
    """The slide on the screen.

    Attributes:
        slide: open; closed by the room once every reader thread has let go of it.
        slide_id: the store's.
        token: grows with every slide opened; requests and answers carry it.
    """

    slide: Slide
    slide_id: int
    token: int


@dataclass(frozen=True, slots=True)
class Place0:
    """Where the viewer is asked to go: level-0 pixels, and a magnification (40 = 0.25 µm/px)."""

    x0: float
    y0: float
    magnification: float | None = None


class Room(QObject):
    """What is open, what is selected, and the desk behind it.

    Signals:
        slide_opened: an `OpenedSlide`; its first `view_changed` follows.
        slide_closing: the `OpenedSlide` about to go: let go of its `slide` before returning.
        view_changed: a `DeskView`.
        selection_changed: tuple of figure keys, the current one first.
        go_requested: a `Place0`.
        failed: a `UserError` to show in plain words.
    """

    slide_opened = Signal(object)
    slide_closing = Signal(object)
    view_changed = Signal(object)
    selection_changed = Signal(object)
    go_requested = Signal(object)
    failed = Signal(object)

    def __init__(self, store: Store, bridge: GuiBridge, reader: str, parent: QObject | None = None):
        super().__init__(parent)
        self.store = store
        self.bridge = bridge
        self.io = WorkThread("io", bridge)
        self.desk_thread = WorkThread("desk", bridge)
        self.opened: OpenedSlide | None = None
        self.view: DeskView | None = None
        self.selection: tuple[int, ...] = ()
        self.reader_name = reader
        self.protocol_id = DEFAULT_PROTOCOL
        self._desk: Desk | None = None  # touched on the desk thread only
        self._tokens = 0

"""Views of the desk made by hand, for tests of layers and tools."""

import numpy as np
import shapely
from PySide6.QtCore import QObject, Signal

from core.counting.protocols import get_protocol
from core.counting.statistics import categorise, garwood
from core.errors import UserError
from core.geometry import Mpp
from core.reading.areas import outline0
from core.reading.view import VERDICTS, AreaView, CountView, DeskView, Figures, SpotView
from core.review import Tally
from core.store.records import ReaderRecord, RegionRecord

MPP = Mpp(0.25, 0.25)


def figures(points, *, probability=0.9, verdict="none", label=0, disputed=False) -> Figures:
    """Figures with keys 1, 2, …; every value may be one for all or one for each."""
    at = np.asarray(points, np.float64).reshape(-1, 2)
    n = len(at)
    names = [verdict] * n if isinstance(verdict, str) else list(verdict)
    return Figures(
        key=np.arange(1, n + 1),
        x0=at[:, 0],
        y0=at[:, 1],
        probability=np.broadcast_to(np.float32(probability), n),
        score=np.full(n, 0.5, np.float32),
        label=np.broadcast_to(np.uint8(label), n),
        verdict=np.array([VERDICTS.index(name) for name in names], np.uint8),
        disputed=np.broadcast_to(np.bool_(disputed), n),
        in_area=np.ones(n, bool),
    )


def area(centre0=(2000.0, 1500.0), angle_deg=0.0, protocol="vet_std", mpp=MPP, **changes):
    """An accepted count area of a protocol."""
    shape = changes.pop("shape", get_protocol(protocol).shape)
    values = {
        "polygon0": outline0(shape, centre0, angle_deg, mpp),
        "centre0": centre0,
        "kind": shape.kind,
        "width_um": shape.width_um,
        "height_um": shape.height_um,
        "angle_deg": angle_deg,
        "planned_mm2": get_protocol(protocol).area_mm2,
        "counted_mm2": get_protocol(protocol).area_mm2,
        "locked": True,
        "state": "accepted",
        "lineage": "a",
    }
    return AreaView(**(values | changes))


def region(kind, polygon0, lineage="r1", version=1, **properties):
    """A region of the store."""
    return RegionRecord(1, 1, lineage, version, kind, shapely.to_wkb(polygon0), properties)


def spot(centre0, mitoses=9):
    """A hot spot of the usual protocol."""
    polygon0 = outline0(get_protocol().shape, centre0, 0.0, MPP)
    return SpotView(centre0=centre0, polygon0=polygon0, mitoses=mitoses)


def count(spots=()):
    """A count of nine mitoses by the usual protocol."""
    protocol = get_protocol()
    return CountView(
        protocol=protocol,
        tally=Tally(mitoses=9),
        to_review=0,
        interval=garwood(9, protocol.area_mm2),
        category=categorise(9, protocol.area_mm2, protocol),
        rule="",
        spots=tuple(spots),
    )


def desk_view(shown: Figures | None = None, **changes) -> DeskView:
    """A view of a slide of 0.25 µm/px, thresholds 0.2 and 0.6."""
    values = {
        "slide_id": 1,
        "reader": ReaderRecord(1, "Ada"),
        "blinded": False,
        "mpp": MPP,
        "mpp_origin": "typed",
        "run": None,
        "review_threshold": 0.2,
        "count_threshold": 0.6,
        "figures": shown if shown is not None else figures([]),
    }
    return DeskView(**(values | changes))


class RecordingDesk:
    """A desk that notes what it is asked and answers with the room's next view."""

    def __init__(self, room):
        self.asked = []
        self._room = room

    def __getattr__(self, name):
        def act(*args, **kwargs):
            self.asked.append((name, args, kwargs))
            if self._room.refuses:
                raise UserError(self._room.refuses)
            return self._room.next_view or self._room.view

        return act


class RoomStub(QObject):
    """A room without threads: the desk answers at once."""

    slide_opened = Signal(object)
    slide_closing = Signal(object)
    view_changed = Signal(object)
    selection_changed = Signal(object)
    failed = Signal(object)

    def __init__(self, view=None):
        super().__init__()
        self.view = None
        self.next_view = None
        self.refuses = ""
        self.selection = ()
        self.desk = RecordingDesk(self)
        self._first = view

    def begin(self):
        """Show the first view, once everything is connected."""
        self.show(self._first)

    def show(self, view):
        self.view = view
        self.view_changed.emit(view)

    def select(self, keys, go=False):
        self.selection = tuple(keys)
        self.selection_changed.emit(self.selection)

    def ask(self, change, done=None):
        try:
            view = change(self.desk)
        except UserError as error:
            self.failed.emit(error)
            return
        self.show(view)
        if done is not None:
            done(view)

    @property
    def asked(self):
        return self.desk.asked

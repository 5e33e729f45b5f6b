"""What an open slide is, and what the desk thread does to open it: the store's side of it."""

from dataclasses import dataclass, replace

from app.own_protocols import offered_protocols
from core.analysis.planning import slide_record
from core.counting.protocols import DEFAULT_PROTOCOL, get_protocol
from core.errors import ProtocolError, StoreError, UserError
from core.geometry import Mpp
from core.reading.desk import Desk
from core.reading.view import DeskView
from core.slides.reader import Slide
from core.store import Store, StoredSlide
from core.store.base import paged
from core.store.desk_records import ViewedArea, ViewState


@dataclass(frozen=True, slots=True)
class OpenedSlide:
    """The slide on the screen.

    Attributes:
        slide: open; closed by the room once every reader thread has let go of it.
        slide_id: the store's.
        token: grows with every slide opened; requests and answers carry it.
        name: the alias, or the file's name where none is set.
        stored: the store's record of it.
        state: where this reader left it, if anywhere.
        viewed: what this reader saw of it, if anything.
    """

    slide: Slide
    slide_id: int
    token: int
    name: str = ""
    stored: StoredSlide | None = None
    state: ViewState | None = None
    viewed: ViewedArea | None = None


@dataclass(frozen=True, slots=True)
class Place0:
    """Where the viewer is asked to go: level-0 pixels, and a magnification (40 = 0.25 µm/px)."""

    x0: float
    y0: float
    magnification: float | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A slide with its desk.

    Attributes:
        desk: for the desk thread only.
        view: the first one.
        stored: the store's slide.
        state: where this reader left it, if anywhere.
        viewed: what this reader saw of it, if anything.
        protocol_id: the rule by which it is counted.
        fault: why it is counted by another rule than the one asked for; None if it is not.
    """

    desk: Desk
    view: DeskView
    stored: StoredSlide
    state: ViewState | None
    viewed: ViewedArea | None
    protocol_id: str
    fault: UserError | None = None


def prepare(
    store: Store, slide: Slide, reader: str, *, blinded: bool, protocol_id: str, mpp: float | None
) -> Ready:
    """Find or add a slide and sit down at it.

    Args:
        store: where it is kept.
        slide: open.
        reader: who reads.
        blinded: whether scores and other readers are hidden.
        protocol_id: the rule, where the reader had no other on this slide.
        mpp: µm per level-0 pixel that the reader gives now.

    Raises:
        StoreError: the store is read-only and knows no such slide or reader.
    """
    stored = stored_slide(store, slide)
    who = reader_id(store, reader)
    state = store.view_state(stored.id, who)
    asked = (state.protocol if state is not None else "") or protocol_id
    protocol, fault = _usable(asked, protocol_id)
    desk = Desk(store, stored.id, who, protocol_id=protocol, blinded=blinded)
    view = desk.use_run(newest_run(store, stored.id))
    if mpp is not None:
        view = desk.set_mpp(Mpp(mpp, mpp), "typed")
    if not store.read_only:
        store.note_opened(stored.id)
    return Ready(desk, view, stored, state, store.viewed_area(stored.id, who), protocol, fault)


def _usable(asked: str, usual: str) -> tuple[str, UserError | None]:
    """A protocol that is there, and why it is not the one asked for.

    A laboratory may take a protocol out of its file, break the file, or count by others only: the
    slide still opens.
    """
    offered = offered_protocols()
    if asked in offered:
        return asked, None
    try:
        why = f"This laboratory does not count by {get_protocol(asked).name!r}."
    except ProtocolError as error:
        why = error.message
    found = next(name for name in (usual, DEFAULT_PROTOCOL, *offered) if name in offered)
    hint = f"This slide is now counted by {offered[found].name!r}."
    return found, ProtocolError(why, hint)


def newest_run(store: Store, slide_id: int) -> int | None:
    """The run whose candidates are shown: the newest finished one, else the newest."""
    runs = store.runs(slide_id)
    done = [run for run in runs if run.state == "done"]
    return next((run.id for run in reversed(done or runs)), None)


def stored_slide(store: Store, slide: Slide) -> StoredSlide:
    """The slide in the store, added if need be; a pixel size that a reader set there stays.

    Raises:
        StoreError: the store is read-only and does not know the slide.
    """
    record = slide_record(slide)
    if store.read_only:
        for known in paged(store.slides):
            if (known.identity_kind, known.identity) == (record.identity_kind, record.identity):
                return known  # type: ignore[no-any-return]
        raise StoreError(
            f"The store {store.path} is read-only and does not know the slide {slide.name}.",
            "Choose a store in which you may write.",
        )
    slide_id = store.add_slide(replace(record, mpp_x=None, mpp_y=None, mpp_origin=""))
    stored = store.slide(slide_id)
    if stored.mpp is None and slide.mpp is not None:
        store.set_mpp(slide_id, slide.mpp, slide.mpp_origin)
        stored = store.slide(slide_id)
    return stored


def reader_id(store: Store, name: str) -> int:
    """The store's id of a reader, added if need be; in a read-only store, of any reader.

    Raises:
        StoreError: the store is read-only and has no reader.
    """
    if not store.read_only:
        return store.add_reader(name)
    readers = store.readers()
    for reader in readers:
        if reader.name == name:
            return reader.id
    if not readers:
        raise StoreError(f"The store {store.path} is read-only and has no reader.")
    return readers[0].id


def use_mpp(slide: Slide, view: DeskView) -> None:
    """What a reader set holds for every later read of this slide."""
    if slide.mpp != view.mpp:
        slide.mpp, slide.mpp_origin = view.mpp, view.mpp_origin

import shutil
import threading
from types import SimpleNamespace

import pytest
from blobs import blob_slide

import app.room
from app.bridge import GuiBridge
from app.room import Room
from core.errors import SlideError, StoreError
from core.geometry import Mpp
from core.store import open_store
from core.store.desk_records import ViewState

# Of waits that only a fault makes long.
LONG_MS = 60_000


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "blobs.tif"
    blob_slide(path, 900, 700, count=3, margin0=150)
    return path


@pytest.fixture
def make_room(qtbot, tmp_path):
    """Makes rooms on one store; all of them are shut down at the end."""
    made = []

    def make(reader="A", **how):
        store = open_store(tmp_path / "s.sqlite", **how)
        room = Room(store, GuiBridge(), reader, backend="openslide")
        made.append(room)
        return room

    yield make
    for room in made:
        assert room.shutdown()
        room.store.close()


def wait_open(qtbot, room, path, **how):
    with qtbot.waitSignal(room.slide_opened, timeout=LONG_MS):
        room.open(path, **how)
    qtbot.waitUntil(lambda: room.view is not None, timeout=LONG_MS)
    return room.opened


@pytest.fixture
def preparing(monkeypatch):
    """Holds every slide that is prepared: `reached` says that one is, `go` lets it on."""
    held = SimpleNamespace(reached=threading.Event(), go=threading.Event())
    prepare = app.room.prepare

    def slow(*args, **kwargs):
        ready = prepare(*args, **kwargs)
        held.reached.set()
        assert held.go.wait(60)
        return ready

    def hold():
        monkeypatch.setattr(app.room, "prepare", slow)

    held.hold = hold
    yield held
    held.go.set()


def drained(qtbot, room):
    """Wait for what was asked of the slide files and of the desk so far."""
    for thread in (room.io, room.desk_thread):
        done = []
        thread.submit(lambda: None, done.append, priority=5)
        qtbot.waitUntil(lambda done=done: bool(done), timeout=LONG_MS)


def test_a_slide_opens_with_its_view_and_its_tissue(qtbot, make_room, slide_file):
    room = make_room()
    opened = wait_open(qtbot, room, slide_file)
    qtbot.waitUntil(lambda: room.tissue is not None and bool(room.view.pieces), timeout=LONG_MS)
    assert opened.name == "blobs.tif"
    assert room.view.slide_id == opened.slide_id
    assert room.view.reader.name == "A"
    assert room.view.area is not None


def test_what_cannot_be_opened_leaves_the_slide_that_was_open(
    qtbot, make_room, slide_file, tmp_path
):
    room = make_room()
    opened = wait_open(qtbot, room, slide_file)
    with qtbot.waitSignal(room.failed, timeout=LONG_MS) as failure:
        room.open(tmp_path / "none.tif")
    assert isinstance(failure.args[0], SlideError)
    assert room.opened is opened
    assert opened.slide.read_level(0, 0, 0, 8, 8).shape == (8, 8, 3)


def test_readers_let_go_before_a_slide_is_closed(qtbot, make_room, slide_file, tmp_path):
    room = make_room()
    first = wait_open(qtbot, room, slide_file)
    other = tmp_path / "other.tif"
    blob_slide(other, 900, 700, count=3, margin0=150, seed=1)
    order = []
    room.slide_closing.connect(lambda closing: order.append(("closing", closing.token)))
    room.slide_closing.connect(lambda closing: closing.slide.read_level(0, 0, 0, 8, 8))
    room.slide_opened.connect(lambda new: order.append(("opened", new.token)))
    second = wait_open(qtbot, room, other)
    assert order == [("closing", first.token), ("opened", second.token)]

    def closed():
        try:
            first.slide.read_level(0, 0, 0, 8, 8)
        except ValueError:
            return True
        return False

    qtbot.waitUntil(closed, timeout=LONG_MS)


def test_only_the_slide_asked_for_last_is_shown(qtbot, make_room, slide_file, tmp_path):
    room = make_room()
    copies = []
    for number in range(3):
        copies.append(tmp_path / f"{number}.tif")
        blob_slide(copies[-1], 900, 700, count=3, margin0=150, seed=number)
    shown = []
    room.slide_opened.connect(lambda opened: shown.append(opened.slide.path))
    for path in copies:
        room.open(path)
    qtbot.waitUntil(lambda: copies[-1] in shown, timeout=LONG_MS)
    assert shown == [copies[-1]]


@pytest.mark.parametrize("another_is_open", [False, True])
def test_who_sits_down_while_a_slide_opens_reads_it(
    qtbot, make_room, slide_file, tmp_path, preparing, another_is_open
):
    room = make_room()
    if another_is_open:
        other = tmp_path / "other.tif"
        blob_slide(other, 900, 700, count=3, margin0=150, seed=1)
        wait_open(qtbot, room, other)
    shown = []
    room.slide_opened.connect(lambda opened: shown.append(opened.slide.path))
    preparing.hold()
    room.open(slide_file)
    qtbot.waitUntil(preparing.reached.is_set, timeout=LONG_MS)
    room.set_reader("B")
    room.set_reader("B", blinded=True)
    preparing.go.set()
    qtbot.waitUntil(lambda: shown == [slide_file], timeout=LONG_MS)
    assert (room.view.reader.name, room.view.blinded) == ("B", True)
    room.ask(lambda desk: desk.place(400, 300))
    drained(qtbot, room)
    assert [v.reader for v in room.store.iter_verdicts(room.opened.slide_id)] == ["B"]
    assert shown == [slide_file]


def test_going_back_to_the_slide_that_is_shown_stops_another_from_opening(
    qtbot, make_room, slide_file, tmp_path, preparing
):
    room = make_room()
    first = wait_open(qtbot, room, slide_file)
    other = tmp_path / "other.tif"
    blob_slide(other, 900, 700, count=3, margin0=150, seed=1)
    names = []
    room.opening.connect(names.append)
    preparing.hold()
    room.open(other)
    qtbot.waitUntil(preparing.reached.is_set, timeout=LONG_MS)
    room.open(slide_file)
    preparing.go.set()
    drained(qtbot, room)
    assert room.opened is first
    assert names == ["other.tif", ""]
    assert first.slide.read_level(0, 0, 0, 8, 8).shape == (8, 8, 3)
    assert wait_open(qtbot, room, other) is not first


def test_an_answer_for_a_slide_that_is_gone_is_dropped(qtbot, make_room, slide_file):
    room = make_room()
    wait_open(qtbot, room, slide_file)
    hold = threading.Event()
    answers = []

    def slow(desk):
        hold.wait(5)
        return desk.view()

    room.ask(slow, answers.append)
    room.close_slide()
    hold.set()
    done = []
    room.desk_thread.submit(lambda: None, done.append, priority=5)
    qtbot.waitUntil(lambda: bool(done), timeout=LONG_MS)
    assert answers == []
    assert room.view is None
    assert room.opened is None


def test_a_verdict_pressed_just_before_the_end_is_written(qtbot, make_room, slide_file):
    room = make_room()
    opened = wait_open(qtbot, room, slide_file)
    for x0 in range(160, 560, 50):
        room.ask(lambda desk, x0=x0: desk.place(x0, 300))
    assert room.shutdown()
    assert len(list(room.store.iter_verdicts(opened.slide_id))) == 8


def test_a_selection_is_told_once_and_can_be_gone_to(qtbot, make_room, slide_file):
    room = make_room()
    wait_open(qtbot, room, slide_file)
    views = []
    room.ask(lambda desk: desk.place(400, 300), views.append)
    qtbot.waitUntil(lambda: bool(views), timeout=LONG_MS)
    key = int(room.view.figures.key[0])
    with qtbot.waitSignals([room.selection_changed, room.go_requested]):
        room.select([key], go=True)
    with qtbot.assertNotEmitted(room.selection_changed):
        room.select([key])


def test_what_the_desk_refuses_is_told_and_the_view_stays(qtbot, make_room, slide_file):
    room = make_room()
    wait_open(qtbot, room, slide_file)
    qtbot.waitUntil(lambda: room.tissue is not None and room.view.spots_settled, timeout=LONG_MS)
    view = room.view

    def refuse(_desk):
        raise StoreError("The disk is full.")

    with qtbot.waitSignal(room.failed, timeout=LONG_MS) as failure:
        room.ask(refuse)
    assert failure.args[0].message == "The disk is full."
    assert room.view.figures is view.figures


def test_a_pixel_size_that_a_reader_set_outlives_reopening(qtbot, make_room, tmp_path):
    path = tmp_path / "bare.tif"
    blob_slide(path, 900, 700, count=3, margin0=150, mpp=None)
    room = make_room()
    opened = wait_open(qtbot, room, path)
    assert opened.slide.mpp is None
    assert room.view.area is None
    room.set_mpp(Mpp(0.5, 0.5), "typed")
    qtbot.waitUntil(lambda: room.tissue is not None, timeout=LONG_MS)
    assert opened.slide.mpp == Mpp(0.5, 0.5)
    room.close_slide()
    again = wait_open(qtbot, room, path)
    assert again.slide.mpp == Mpp(0.5, 0.5)
    assert room.view.mpp_origin == "typed"


def test_where_a_reader_was_is_restored_for_that_reader(qtbot, make_room, slide_file):
    room = make_room()
    wait_open(qtbot, room, slide_file)
    room.remember(ViewState((300.0, 400.0), 20.0, 15.0, None, "melanoma"))
    room.close_slide()
    state = wait_open(qtbot, room, slide_file).state
    assert (state.centre0, state.magnification, state.angle_deg) == ((300.0, 400.0), 20.0, 15.0)
    assert room.protocol_id == "melanoma"
    room.close_slide()
    room.set_reader("B")
    assert wait_open(qtbot, room, slide_file).state is None


def test_the_next_slide_is_that_of_the_case(qtbot, make_room, tmp_path):
    room = make_room()
    ids = {}
    for name in ("c", "a", "b"):
        path = tmp_path / f"{name}.tif"
        blob_slide(path, 900, 700, count=3, margin0=150, seed=ord(name))
        ids[name] = wait_open(qtbot, room, path).slide_id
    case = room.store.add_case("case")
    for name in ("a", "c"):
        room.store.set_case(ids[name], case)
    order = []
    room.slide_opened.connect(lambda opened: order.append(opened.slide.path.stem))
    for _ in range(2):
        with qtbot.waitSignal(room.slide_opened, timeout=LONG_MS):
            room.open_next(-1)
    with qtbot.waitSignal(room.slide_opened, timeout=LONG_MS):
        room.open_next(1)
    assert order == ["c", "a", "c"]


def test_a_read_only_store_shows_what_it_knows_and_refuses_the_rest(
    qtbot, make_room, slide_file, tmp_path
):
    room = make_room()
    wait_open(qtbot, room, slide_file)
    assert room.shutdown()
    room.store.close()
    looking = make_room(read_only=True)
    wait_open(qtbot, looking, slide_file)
    with qtbot.waitSignal(looking.failed, timeout=LONG_MS) as failure:
        looking.ask(lambda desk: desk.place(400, 300))
    assert "read-only" in failure.args[0].message
    unknown = tmp_path / "unknown.tif"
    blob_slide(unknown, 900, 700, count=3, margin0=150, seed=9)
    with qtbot.waitSignal(looking.failed, timeout=LONG_MS) as failure:
        looking.open(unknown)
    assert "does not know" in failure.args[0].message
    assert looking.opened is not None


def test_the_same_slide_elsewhere_is_the_same_slide(qtbot, make_room, slide_file, tmp_path):
    room = make_room()
    first = wait_open(qtbot, room, slide_file).slide_id
    copy = tmp_path / "copy.tif"
    shutil.copy(slide_file, copy)
    assert wait_open(qtbot, room, copy).slide_id == first
    assert room.store.slide(first).path == str(copy)

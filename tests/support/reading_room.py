"""A real room on a small slide of 4 mm² with a run of two clusters, for tests of panels."""

from blobs import blob_slide
from desks import PARAMETERS, candidate

from app.bridge import GuiBridge
from app.room import Room
from core.ports import ModelOrigin
from core.store import RunSpec, open_store

LONG_MS = 20_000
ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")
#: Five mitoses and one to look at, then three mitoses; both fit the count area of 1 mm².
FIRST = [(700 + 20 * n, 700 + 10 * n) for n in range(5)]
SECOND = [(1920 + 20 * n, 1400) for n in range(3)]


def small_slide(path):
    blob_slide(path, 2600, 2000, mpp=1.0, count=3, margin0=150)
    return path


def other_slide(path):
    """A slide with other tissue than the small one."""
    blob_slide(path, 2600, 2000, mpp=1.0, count=3, margin0=150, seed=1)
    return path


def open_room(qtbot, tmp_path, slide_file, reader="Ada", protocol_id="breast_mm2", run=True):
    """A room with the slide open, its tissue known and its run shown."""
    store = open_store(tmp_path / "s.sqlite")
    room = Room(store, GuiBridge(), reader, backend="openslide", protocol_id=protocol_id)
    room.open(slide_file)
    qtbot.waitUntil(lambda: room.view is not None and bool(room.view.pieces), timeout=LONG_MS)
    if run:
        asked(qtbot, room, _add_run)
    return room


def _add_run(desk):
    store, slide_id = desk._store, desk._slide.id
    parameters = PARAMETERS | {"slide": {"mpp_x": 1.0, "mpp_y": 1.0}}
    run = store.open_run(RunSpec("run", slide_id, parameters, ORIGIN, ORIGIN, "0.1.0"))
    rows = [candidate(x, y, 0.9 - n / 100) for n, (x, y) in enumerate(FIRST)]
    rows += [candidate(760, 760, 0.5), candidate(770, 640, 0.1)]
    rows += [candidate(x, y, 0.8) for x, y in SECOND]
    store.save_candidates(run.id, rows)
    store.finish_run(run.id, "done", {})
    return desk.use_run(run.id)


def asked(qtbot, room, change):
    """Have the desk do something and wait for its settled view."""
    views = []
    room.ask(change, views.append)
    qtbot.waitUntil(lambda: bool(views) and room.view.spots_settled, timeout=LONG_MS)
    return room.view


def close_room(room):
    assert room.shutdown()
    room.store.close()

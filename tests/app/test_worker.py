import threading

import pytest
from blobs import BlobClassifier, BlobDetector, blob_slide

from app.analysing import Models
from app.bridge import GuiBridge
from app.opening import stored_slide
from app.worker import AnalysisWorker, make_request
from core.errors import DeviceError
from core.slides.reader import open_slide
from core.store import open_store

LONG_MS = 60_000


class HeldDetector(BlobDetector):
    """Waits before each batch until it is let go on."""

    def __init__(self, batches=0):
        self.reached, self.free = threading.Event(), threading.Semaphore(batches)
        self.waiting = threading.Event()

    def detect(self, windows):
        self.reached.set()
        if not self.free.acquire(blocking=False):
            self.waiting.set()
            assert self.free.acquire(timeout=60)
        return super().detect(windows)


@pytest.fixture(scope="module")
def slide_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    for number in range(2):
        blob_slide(folder / f"{number}.tif", 1200, 900, count=12, margin0=150, seed=number)
    return [folder / "0.tif", folder / "1.tif"]


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "s.sqlite") as opened:
        yield opened


@pytest.fixture
def make_worker(store):
    made = []

    def make(detector=None, load=None):
        models = Models(detector or BlobDetector(), BlobClassifier(), "blobs need no device")
        made.append(AnalysisWorker(store, GuiBridge(), load=load or (lambda _device: models)))
        return made[-1]

    yield make
    for worker in made:
        assert worker.close()


def request_for(store, path, **how):
    with open_slide(path, backend="openslide") as slide:
        slide_id = stored_slide(store, slide).id
    return make_request(
        store, slide_id, device="auto", backend="openslide", tumour_only=False, **how
    )


def test_a_run_reports_and_ends_with_its_slide(qtbot, store, make_worker, slide_files):
    worker = make_worker()
    heard = []
    worker.progressed.connect(heard.append)
    request = request_for(store, slide_files[0])
    with qtbot.waitSignals([worker.device_chosen, worker.finished], timeout=LONG_MS):
        worker.start(request)
        assert worker.queue == (request,)
    assert worker.queue == ()
    assert {news.slide_id for news in heard} == {request.slide_id}
    assert heard[-1].run_id == store.runs(request.slide_id)[-1].id
    assert store.runs(request.slide_id)[-1].state == "done"


def test_slides_wait_for_each_other_and_each_waits_once(qtbot, store, make_worker, slide_files):
    worker = make_worker()
    done = []
    worker.finished.connect(lambda outcome: done.append(outcome.slide_id))
    requests = [request_for(store, path) for path in slide_files]
    for request in (*requests, requests[1]):
        worker.start(request)
    assert worker.queue == tuple(requests)
    qtbot.waitUntil(lambda: len(done) == 2, timeout=LONG_MS)
    assert done == [request.slide_id for request in requests]
    assert worker.queue == ()


def test_a_stopped_run_goes_on_where_it_was(qtbot, store, make_worker, slide_files):
    detector = HeldDetector(batches=2)
    worker = make_worker(detector)
    request = request_for(store, slide_files[0])
    worker.start(request)
    qtbot.waitUntil(detector.waiting.is_set, timeout=LONG_MS)
    worker.cancel(request.slide_id)
    with qtbot.waitSignal(worker.cancelled, timeout=LONG_MS) as stopped:
        detector.free.release(100)
    assert stopped.args[0].error is None
    run = store.runs(request.slide_id)[-1]
    assert run.state == "cancelled"
    kept = len(store.finished_windows(run.id))
    assert kept > 0
    with qtbot.waitSignal(worker.finished, timeout=LONG_MS) as finished:
        worker.start(request)
    assert finished.args[0].summary.run.id == run.id
    assert finished.args[0].summary.resumed
    assert len(store.finished_windows(run.id)) > kept


def test_what_waits_can_be_taken_out(qtbot, store, make_worker, slide_files):
    detector = HeldDetector()
    worker = make_worker(detector)
    first, second = (request_for(store, path) for path in slide_files)
    worker.start(first)
    worker.start(second)
    with qtbot.waitSignal(worker.cancelled) as stopped:
        worker.cancel(second.slide_id)
    assert stopped.args[0].request == second
    assert worker.queue == (first,)
    detector.free.release(1000)
    qtbot.waitUntil(lambda: worker.queue == (), timeout=LONG_MS)
    assert store.runs(second.slide_id) == []


def test_a_device_that_is_not_there_is_told_and_the_next_slide_goes_on(
    qtbot, store, make_worker, slide_files
):
    tries = []

    def load(_device):
        tries.append(1)
        if len(tries) == 1:
            raise DeviceError("The GPU cannot be used: its driver is too old.")
        return Models(BlobDetector(), BlobClassifier())

    worker = make_worker(load=load)
    first, second = (request_for(store, path) for path in slide_files)
    with qtbot.waitSignals([worker.failed, worker.finished], timeout=LONG_MS):
        worker.start(first)
        worker.start(second)
    assert store.runs(first.slide_id) == []


def test_a_fault_reaches_the_window_and_frees_the_queue(qtbot, store, make_worker, slide_files):
    class Faulty(BlobDetector):
        def detect(self, windows):
            raise ZeroDivisionError("a bug")

    worker = make_worker(Faulty())
    with qtbot.waitSignals([worker._bridge.bug, worker.cancelled], timeout=LONG_MS):
        worker.start(request_for(store, slide_files[0]))
    assert worker.queue == ()


def test_closing_stops_a_run_and_keeps_its_windows(qtbot, store, make_worker, slide_files):
    detector = HeldDetector(batches=2)
    worker = make_worker(detector)
    request = request_for(store, slide_files[0])
    worker.start(request)
    qtbot.waitUntil(detector.waiting.is_set, timeout=LONG_MS)
    pumped = []

    def pump():
        pumped.append(1)
        detector.free.release(1)

    assert worker.close(pump)
    assert pumped
    run = store.runs(request.slide_id)[-1]
    assert run.state == "cancelled"
    assert store.finished_windows(run.id)
    before = worker.queue
    worker.start(request_for(store, slide_files[1]))
    assert worker.queue == before


def test_the_command_line_and_the_desktop_share_a_run(qtbot, store, make_worker, slide_files):
    from app.analysing import Question, analyse_slide, open_for
    from core.counting.protocols import get_protocol

    question = Question(get_protocol(), backend="openslide")
    slide, regions = open_for(slide_files[0], question)
    with slide:
        models = Models(BlobDetector(), BlobClassifier())
        run = analyse_slide(slide, regions, question, models, store).summary.run
    worker = make_worker()
    with qtbot.waitSignal(worker.finished, timeout=LONG_MS) as finished:
        worker.start(request_for(store, slide_files[0]))
    assert finished.args[0].summary.returned
    assert finished.args[0].summary.run.id == run.id

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import shapely
from blobs import BlobClassifier, BlobDetector, blob_slide
from scipy import ndimage

from core.analysis.candidates import agreement
from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.analysis.progress import Progress
from core.analysis.tiling import Regions
from core.cancel import Cancelled, CancelToken
from core.errors import PixelSizeError, RegionError, SlideError, StoreError
from core.geometry import Mpp
from core.ports import Levelled, ModelOrigin
from core.slides.pyramid import write_pyramid
from core.slides.reader import SlideReadError, open_slide
from core.store import open_store, run_queries

MPP = 0.25


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "Präparat 1 🔬.tif"
    places, dark = blob_slide(path)
    return path, places, dark


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def slide(made):
    with open_slide(made[0]) as opened:
        yield opened


def request(**changes) -> AnalysisRequest:
    return AnalysisRequest(app_version="test", reader_threads=2, **changes)


def found(store, run_id):
    """(N, 2) µm and (N,) probabilities of a run's candidates, and their labels."""
    rows = list(store.iter_candidates(run_id))
    xy_um = np.array([(row.x0, row.y0) for row in rows]).reshape(-1, 2) * MPP
    return xy_um, np.array([row.probability for row in rows]), [row.label for row in rows]


def run(slide, store, detector=None, classifier=None, *, progress=None, token=None, **changes):
    return analyze(
        slide,
        detector or BlobDetector(),
        classifier or BlobClassifier(),
        store,
        request(**changes),
        progress=progress,
        token=token,
    )


def test_finds_every_blob_once_and_labels_the_dark_ones(made, slide, store):
    summary = run(slide, store)
    xy_um, probabilities, labels = found(store, summary.run.id)
    _, places, dark = made
    assert summary.candidates == len(places) == len(xy_um)
    match = agreement(xy_um, probabilities, places * MPP, probabilities)
    assert match.matched == len(places)
    nearest = np.argmin(np.hypot(*(places[:, None] * MPP - xy_um[None]).transpose(2, 0, 1)), axis=1)
    assert [labels[index] == "mitosis" for index in nearest] == dark.tolist()
    assert summary.run.state == "done"
    assert {"read_s", "detect_s", "classify_s", "post_s", "total_s"} <= set(summary.run.times)
    assert not summary.failed
    assert not summary.notes


@pytest.mark.parametrize("shift", [(112, 112), (52, 0), (-36, 64)])
def test_shifting_the_grid_changes_nothing(slide, store, shift):
    first = run(slide, store)
    second = run(slide, store, grid_shift_px=shift)
    assert second.run.id != first.run.id
    result = agreement(*found(store, first.run.id)[:2], *found(store, second.run.id)[:2])
    assert result.share >= 0.99
    assert result.worst_score_gap <= 0.02


def test_the_same_question_returns_the_run_and_again_makes_another(slide, store):
    first = run(slide, store)
    same = run(slide, store, BrokenDetector())
    assert same.returned
    assert same.run.id == first.run.id
    assert same.candidates == first.candidates
    again = run(slide, store, again=True)
    assert again.run.id != first.run.id


class BrokenDetector(BlobDetector):
    def detect(self, windows):
        raise AssertionError("a run that is done must not be computed again")


class CountingDetector(BlobDetector):
    """Cancels after some windows."""

    def __init__(self, token=None, after=1 << 30):
        self.seen, self.token, self.after = 0, token, after

    def detect(self, windows):
        self.seen += len(windows)
        if self.seen >= self.after and self.token is not None:
            self.token.cancel()
        return super().detect(windows)


@pytest.mark.parametrize("after", [1, 9, 30])
def test_a_cancelled_run_goes_on_and_gives_what_an_unbroken_one_gives(slide, store, after):
    token = CancelToken()
    with pytest.raises(Cancelled):
        run(slide, store, CountingDetector(token, after), token=token)
    stopped = store.runs(1)[0]
    assert stopped.state == "cancelled"
    finished = len(store.finished_windows(stopped.id))
    assert after <= finished <= after + 2
    rest = CountingDetector()
    resumed = run(slide, store, rest)
    assert resumed.resumed
    assert resumed.run.id == stopped.id
    assert rest.seen == resumed.windows - finished
    unbroken = run(slide, store, again=True)
    first, second = found(store, resumed.run.id), found(store, unbroken.run.id)
    assert sorted(map(tuple, first[0].tolist())) == sorted(map(tuple, second[0].tolist()))
    assert sorted(first[1]) == sorted(second[1])


def test_a_cancelled_token_stops_before_any_window(slide, store):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        run(slide, store, BrokenDetector(), token=token)
    assert not [t for t in threading.enumerate() if t.name.startswith("slide-reader")]


def test_a_run_whose_window_cannot_be_written_fails_and_goes_on_later(slide, store, monkeypatch):
    save, calls = run_queries.save_window, []

    def save_window(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise StoreError("The disk is full.")
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run_queries, "save_window", save_window)
        with pytest.raises(StoreError, match="disk is full"):
            run(slide, store)
    (failed,) = store.runs(store.slides()[0].id)
    assert (failed.state, failed.message) == ("failed", "The disk is full.")
    assert not store.holds_leases
    resumed = run(slide, store)
    assert (resumed.run.id, resumed.resumed) == (failed.id, True)
    assert len(store.finished_windows(failed.id)) == resumed.windows
    first, second = found(store, failed.id), found(store, run(slide, store, again=True).run.id)
    assert sorted(map(tuple, first[0].tolist())) == sorted(map(tuple, second[0].tolist()))


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import os, signal
from blobs import BlobClassifier, BlobDetector
from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.slides.reader import open_slide
from core.store import open_store

class Dying(BlobDetector):
    seen = 0
    def detect(self, windows):
        self.seen += len(windows)
        if self.seen >= int(sys.argv[4]):
            store.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(windows)

store = open_store(__import__("pathlib").Path(sys.argv[3]))
slide = open_slide(__import__("pathlib").Path(sys.argv[2]))
analyze(slide, Dying(), BlobClassifier(), store, AnalysisRequest("test", reader_threads=2))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_killed_run_goes_on_with_the_same_candidates(made, tmp_path):
    support = Path(__file__).parents[1] / "support"
    path = tmp_path / "killed.sqlite"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(support), str(made[0]), str(path), "20"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    with open_store(path) as store, open_slide(made[0]) as slide:
        rest = CountingDetector()
        resumed = run(slide, store, rest)
        assert resumed.resumed
        assert rest.seen == resumed.windows - 18
        unbroken = run(slide, store, again=True)
        first, second = found(store, resumed.run.id), found(store, unbroken.run.id)
        result = agreement(*first[:2], *second[:2], radius_um=0.5 * MPP)
        assert result.matched == result.first == result.second
        assert result.worst_score_gap <= 1e-3


class DamagedSlide:
    """A real slide, one rectangle of which cannot be read."""

    def __init__(self, slide, left0, top0, right0, bottom0):
        self._slide = slide
        self._box = shapely.box(left0, top0, right0, bottom0)

    def __getattr__(self, name):
        return getattr(self._slide, name)

    def read_at(self, x0, y0, width_px, height_px, mpp):
        side = mpp / MPP
        wanted = shapely.box(x0, y0, x0 + width_px * side, y0 + height_px * side)
        small = mpp <= 0.5  # windows and crops, not the look for tissue
        if small and wanted.intersects(self._box):
            raise SlideReadError("A tile cannot be decoded.")
        return self._slide.read_at(x0, y0, width_px, height_px, mpp)


def test_a_window_that_cannot_be_read_is_named_and_the_run_goes_on(made, slide, store):
    damaged = DamagedSlide(slide, 1000, 800, 1010, 810)
    summary = run(damaged, store)
    assert summary.run.state == "done"
    assert 1 <= len(summary.failed) <= 4
    assert summary.failed[0].message == "A tile cannot be decoded."
    assert any("could not be read" in note for note in summary.notes)
    assert summary.analysed_mm2 < summary.plan.mm2
    whole = found(store, run(slide, store, again=True).run.id)
    part = found(store, summary.run.id)
    assert 0 < len(part[0]) <= len(whole[0])
    result = agreement(*part[:2], *whole[:2])
    assert result.matched == len(part[0])


def test_a_drive_that_goes_away_ends_the_run_which_goes_on_when_it_is_back(made, store, tmp_path):
    path, away = tmp_path / "slide.tif", tmp_path / "away.tif"
    path.write_bytes(made[0].read_bytes())
    one_at_a_time = threading.Lock()  # of the reader threads

    class Unplugged(DamagedSlide):
        def read_at(self, x0, y0, width_px, height_px, mpp):
            with one_at_a_time:
                if mpp <= 0.5 and path.exists():
                    path.rename(away)
            return super().read_at(x0, y0, width_px, height_px, mpp)

    with open_slide(path) as slide:
        with pytest.raises(SlideError, match="no longer be read"):
            run(Unplugged(slide, 0, 0, 2400, 1800), store)
        away.rename(path)
        summary = run(slide, store)
    assert summary.failed == ()
    assert [record.state for record in store.runs(1)] == ["done"]


def test_a_second_classifier_scores_the_same_candidates_without_detecting(slide, store):
    first = run(slide, store)
    other = BlobClassifier()
    other.origin = ModelOrigin("darkness 2", "2" * 64, "cpu", "float32")
    second = run(slide, store, BrokenDetector(), other)
    assert second.run.id != first.run.id
    assert second.run.detection_set_id == first.run.detection_set_id
    assert [row.id for row in store.iter_candidates(first.run.id)] == [
        row.id for row in store.iter_candidates(second.run.id)
    ]


def test_a_second_classifier_goes_on_with_a_half_detected_set(slide, store):
    token = CancelToken()
    with pytest.raises(Cancelled):
        run(slide, store, CountingDetector(token, 20), token=token)
    other = BlobClassifier()
    other.origin = ModelOrigin("darkness 2", "2" * 64, "cpu", "float32")
    second = run(slide, store, None, other)
    first = run(slide, store, BrokenDetector())
    assert found(store, first.run.id)[0].tolist() == found(store, second.run.id)[0].tolist()
    assert first.candidates == second.candidates == 60


def test_regions_limit_what_is_analysed(made, slide, store):
    tumour, excluded = shapely.box(0, 0, 1200, 1800), shapely.Point(700, 900).buffer(250)
    summary = run(slide, store, regions=Regions(tumour, excluded, ("a note",)))
    xy_um, _, _ = found(store, summary.run.id)
    inside = tumour.difference(excluded)
    places = made[1]
    wanted = shapely.contains_xy(inside, *places.T).sum()
    assert 0 < len(xy_um) == wanted < len(places)
    assert "a note" in summary.notes
    assert {region.kind for region in store.regions(1)} == {"tumour", "excluded"}
    with pytest.raises(RegionError):
        run(slide, store, regions=Regions(shapely.box(9000, 9000, 9999, 9999)))


def test_reading_ahead_is_bounded_by_the_model(slide, store):
    reads, detected, ahead = [], [], []

    class Watching(DamagedSlide):
        def read_at(self, x0, y0, width_px, height_px, mpp):
            if mpp == 0.5:
                reads.append((x0, y0))
            return self._slide.read_at(x0, y0, width_px, height_px, mpp)

    class Slow(BlobDetector):
        def detect(self, windows):
            detected.append(len(windows))
            ahead.append(len(reads) - sum(detected))
            return super().detect(windows)

    run(Watching(slide, 0, 0, 1, 1), store, Slow())
    assert max(ahead) <= 2 * BlobDetector.batch_size + 2


def test_blurred_windows_are_flagged_and_their_area_summed(tmp_path, store):
    rng = np.random.default_rng(0)
    grain = np.zeros((1344, 1792))
    for sigma_px in (0.7, 1.5, 3, 6):  # detail of every size, as tissue has
        part = ndimage.gaussian_filter(rng.normal(0, 1, grain.shape), sigma_px)
        grain += part * (12 / part.std())
    grain[:, 896:] = ndimage.gaussian_filter(grain[:, 896:], 5)
    rgb = np.clip(np.array([205, 150, 180]) + grain[..., None], 0, 255).astype(np.uint8)
    path = tmp_path / "half blurred.tif"
    write_pyramid(path, rgb, MPP, quality=95)
    with open_slide(path) as opened:
        summary = run(opened, store)
    whole_mm2 = 1344 * 1792 * MPP**2 / 1e6
    assert summary.plan.mm2 == pytest.approx(whole_mm2)
    blurred = {(window.col, window.row) for window in summary.blurred}
    wholly = {(w.col, w.row) for w in summary.plan.windows if w.rect0.x0 >= 896}
    partly = {(w.col, w.row) for w in summary.plan.windows if w.rect0.x1 > 896}
    assert wholly <= blurred <= partly
    assert 0.25 * whole_mm2 < summary.blurred_mm2 < 0.6 * whole_mm2
    assert any("out of focus" in note for note in summary.notes)


def test_progress_tells_phase_share_and_time_left(slide, store):
    heard: list[Progress] = []
    summary = run(slide, store, progress=heard.append)
    assert heard[0].phase == "tissue"
    assert heard[-1].phase == "done"
    windows = [report for report in heard if report.phase == "windows"]
    assert windows[-1].done == windows[-1].total == summary.windows
    assert windows[-1].seconds_left == 0
    assert windows[-1].mm2_done == pytest.approx(summary.analysed_mm2)


def test_candidates_are_stored_while_windows_are_still_to_come(slide, store, monkeypatch):
    monkeypatch.setattr("core.analysis.classifying.SAVE_EVERY_S", 0.0)
    stored = []

    def look(progress: Progress) -> None:
        if progress.phase == "windows" and progress.done < progress.total:
            stored.append(store.classified_count(store.runs(1)[-1].id))

    summary = run(slide, store, progress=look)
    assert 0 < stored[-1] < summary.candidates
    assert stored == sorted(stored)


def test_a_slide_without_pixel_size_asks_for_it(tmp_path, store):
    path = tmp_path / "no mpp.tif"
    write_pyramid(path, np.full((600, 600, 3), 128, np.uint8), None)
    with open_slide(path) as slide, pytest.raises(PixelSizeError):
        run(slide, store)


def test_a_blank_slide_has_no_tissue(tmp_path, store):
    path = tmp_path / "blank.tif"
    write_pyramid(path, np.full((1200, 1200, 3), 250, np.uint8), MPP)
    with open_slide(path) as slide, pytest.raises(SlideError, match="tissue"):
        run(slide, store)
    assert not store.slides()


def test_a_coarse_slide_is_resampled_with_a_warning(tmp_path, store):
    path = tmp_path / "coarse.tif"
    blob_slide(path, mpp=0.5)
    with open_slide(path) as slide:
        assert slide.require_mpp().x == pytest.approx(0.5)
        summary = run(slide, store)
    assert any("resampled" in note for note in summary.notes)
    assert BlobClassifier.low_res_note in summary.notes


def test_a_fault_of_the_program_marks_the_run_as_failed_and_is_raised(slide, store):
    with pytest.raises(AssertionError):
        run(slide, store, BrokenDetector())
    assert store.runs(1)[0].state == "failed"
    assert run(slide, store).run.state == "done"


def test_unequal_axes_are_measured_each_by_its_own(tmp_path, store):
    path = tmp_path / "unequal.tif"
    rgb = np.full((1200, 1200, 3), 250, np.uint8)
    rgb[200:1000, 200:1000] = (225, 170, 200)
    write_pyramid(path, rgb, (0.25, 0.5))
    with open_slide(path) as slide:
        mpp = slide.require_mpp()
        assert (mpp.x, mpp.y) == (pytest.approx(0.25), pytest.approx(0.5))
        summary = run(slide, store)
    assert isinstance(mpp, Mpp)
    assert summary.plan.area.area_mm2() == pytest.approx(0.2 * 0.4, rel=0.2)


class LevellingClassifier(BlobClassifier):
    """Takes a tenth off every probability at the end, and says by how much the slide differed."""

    asked = 0

    def level(self, probabilities, detector_scores):
        type(self).asked += 1
        assert len(probabilities) == len(detector_scores)
        return Levelled(probabilities * 0.9, 2.0)


def test_probabilities_are_levelled_once_over_the_whole_slide(slide, store):
    plain = found(store, run(slide, store).run.id)[1]
    LevellingClassifier.asked = 0
    summary = run(slide, store, classifier=LevellingClassifier(), again=True)
    _, levelled, labels = found(store, summary.run.id)
    np.testing.assert_allclose(levelled, 0.9 * plain)
    limit = LevellingClassifier.count_threshold
    assert labels == ["mitosis" if p >= limit else "imposter" for p in levelled]
    assert any("2.0 in log odds" in note for note in summary.notes)
    assert LevellingClassifier.asked == 1


def test_a_run_that_was_stopped_is_levelled_once_too(slide, store):
    plain = found(store, run(slide, store).run.id)[1]
    token = CancelToken()

    def stop(progress: Progress):
        if progress.phase == "windows" and progress.done >= 2:
            token.cancel()

    with pytest.raises(Cancelled):
        run(slide, store, classifier=LevellingClassifier(), progress=stop, token=token, again=True)
    summary = run(slide, store, classifier=LevellingClassifier())
    assert summary.resumed
    np.testing.assert_allclose(found(store, summary.run.id)[1], 0.9 * plain)

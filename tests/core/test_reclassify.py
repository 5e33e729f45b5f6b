"""Another classifier on the same detection set: nothing detected, count area first, resumable."""

import numpy as np
import pytest
import shapely
from blobs import BlobClassifier, BlobDetector, BlobSubtype, blob_slide

from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.analysis.reclassify import Reclassification, in_order, reclassify
from core.cancel import Cancelled, CancelToken
from core.errors import InputError
from core.geometry import Mpp
from core.ports import ModelOrigin
from core.slides.reader import open_slide
from core.store import NewAction, NewVerdict, open_store


class OwnClassifier(BlobClassifier):
    """Another opinion: half as sure of everything."""

    count_threshold = 0.3
    origin = ModelOrigin("own", "3" * 64, "cpu", "float32")

    def __init__(self):
        self.crops = []

    def classify(self, crops, detector_scores):
        self.crops.append(len(crops))
        return super().classify(crops, detector_scores) / 2


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("slides") / "blobs.tif"
    blob_slide(made, 1600, 1200, count=24, margin0=150)
    return made


@pytest.fixture
def slide(path):
    with open_slide(path, backend="openslide") as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "s.sqlite") as opened:
        yield opened


def first_run(slide, store, subtype=None, **how):
    request = AnalysisRequest(app_version="test", reader_threads=2)
    models = BlobDetector(), BlobClassifier()
    return analyze(slide, *models, store, request, subtype=subtype, **how).run


def anew(slide, store, run, classifier=None, *, first0=None, **how):
    request = Reclassification("test", run.id, first0, reader_threads=2)
    return reclassify(slide, classifier or OwnClassifier(), store, request, **how)


def test_a_new_run_on_the_same_candidates_with_their_verdicts(slide, store):
    run = first_run(slide, store)
    said = NewAction("mitosis", verdicts=[NewVerdict("mitosis", candidate_id=1)])
    store.act(run.slide_id, store.add_reader("Ada"), said)
    result = anew(slide, store, run)
    old, new = (list(store.iter_candidates(r.id)) for r in (run, result.run))
    assert result.run.id != run.id
    assert result.run.detection_set_id == run.detection_set_id
    assert result.run.state == "done"
    assert [row.id for row in new] == [row.id for row in old]
    np.testing.assert_allclose(
        [row.probability for row in new], [row.probability / 2 for row in old], rtol=1e-6
    )
    assert {row.label for row in new} == {"mitosis", "imposter"}
    assert new[0].point_id == old[0].point_id is not None
    assert anew(slide, store, run).returned


def test_it_is_the_run_that_an_analysis_with_this_classifier_would_be(slide, store):
    run = first_run(slide, store)
    result = anew(slide, store, run)
    request = AnalysisRequest(app_version="test", reader_threads=2)
    summary = analyze(slide, BlobDetector(), OwnClassifier(), store, request)
    assert summary.returned
    assert summary.run.id == result.run.id


def test_the_count_area_comes_first_and_is_told(slide, store):
    run = first_run(slide, store)
    half = shapely.box(0, 0, 800, 1200)
    heard, places = [], []
    rows = list(store.iter_candidates(run.id))
    inside = {row.id for row in rows if row.x0 < 800}

    class Watching(OwnClassifier):
        def classify(self, crops, detector_scores):
            places.extend(detector_scores.tolist())
            return super().classify(crops, detector_scores)

    result = anew(slide, store, run, Watching(), first0=half, progress=heard.append)
    scores = {np.float32(row.detector_score): row.id for row in rows}
    order = [scores[np.float32(score)] for score in places]
    assert set(order[: len(inside)]) == inside
    scored = [news for news in heard if news.phase == "scores"]
    assert scored[0].in_area is None
    counted = [r for r in store.iter_candidates(result.run.id) if r.label == "mitosis"]
    assert scored[-1].in_area == sum(row.id in inside for row in counted)
    assert (scored[-1].done, scored[-1].total) == (len(rows), len(rows))
    assert heard[-1].phase == "done"


def test_a_stopped_one_goes_on_where_it_was(slide, store):
    run, token = first_run(slide, store), CancelToken()

    class Stopping(OwnClassifier):
        def classify(self, crops, detector_scores):
            token.cancel()
            return super().classify(crops, detector_scores)

    with pytest.raises(Cancelled):
        anew(slide, store, run, Stopping(), token=token)
    stopped = store.runs(run.slide_id)[-1]
    kept = store.classified_count(stopped.id)
    assert stopped.state == "cancelled"
    assert kept == OwnClassifier.batch_size
    second = OwnClassifier()
    # Also when asked from the run that was stopped.
    result = anew(slide, store, stopped, second)
    assert result.run.id == stopped.id
    assert sum(second.crops) == store.classified_count(run.id) - kept


def test_what_was_told_of_atypical_mitoses_is_taken_over(slide, store):
    first, second = BlobSubtype(), BlobSubtype()
    run = first_run(slide, store, first)

    class Surer(OwnClassifier):
        def classify(self, crops, detector_scores):
            return np.sqrt(super().classify(crops, detector_scores))

    result = anew(slide, store, run, Surer(), subtype=second)
    known = {r.id: r.atypical_probability for r in store.iter_candidates(run.id)}
    rows = list(store.iter_candidates(result.run.id))
    likely = [row for row in rows if row.probability >= OwnClassifier.review_threshold]
    fresh = [row for row in likely if known[row.id] is None]
    assert all(row.atypical_probability is not None for row in likely)
    assert second.asked == len(fresh) < len(likely)


def test_a_run_that_never_ended_and_another_pixel_size_are_refused(slide, store):
    token = CancelToken()

    def stop(progress):
        if progress.phase == "windows" and progress.done:
            token.cancel()

    with pytest.raises(Cancelled):
        first_run(slide, store, progress=stop, token=token)
    stopped = store.runs(1)[-1]
    with pytest.raises(InputError, match="never finished"):
        anew(slide, store, stopped)
    run = first_run(slide, store)
    slide.mpp = Mpp(0.3, 0.3)
    with pytest.raises(InputError, match="pixel size was changed"):
        anew(slide, store, run)


def test_the_highest_scores_come_first_and_neighbours_together():
    rng = np.random.default_rng(0)
    rows = [(n, *rng.uniform(0, 1e5, 2).tolist(), float(rng.random())) for n in range(2500)]
    ordered = in_order(rows)
    assert sorted(ordered) == rows
    scores = np.array([row[3] for row in ordered])
    assert scores[:1000].min() > scores[1000:2000].max() > scores[2000:].max()
    assert in_order([]) == []

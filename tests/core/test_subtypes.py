"""Atypical or normal: asked of likely mitoses, kept with the run, and of no effect where absent."""

import csv

import numpy as np
import pytest
from blobs import BlobClassifier, BlobDetector, BlobSubtype, blob_slide

from core.analysis.count import count_run
from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.cancel import Cancelled, CancelToken
from core.counting.protocols import get_protocol
from core.exchange.csv import candidate_rows, write_candidates
from core.ports import Levelled
from core.reading.desk import Desk
from core.reading.view import LABELS
from core.slides.reader import open_slide
from core.store import NewAction, NewVerdict, open_store


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


def run(slide, store, subtype=None, classifier=None, **how):
    request = AnalysisRequest(app_version="test", reader_threads=2)
    models = BlobDetector(), classifier or BlobClassifier()
    return analyze(slide, *models, store, request, subtype=subtype, **how)


def test_only_what_a_reader_must_look_at_is_asked_and_labelled(slide, store):
    subtype = BlobSubtype()
    summary = run(slide, store, subtype)
    rows = list(store.iter_candidates(summary.run.id))
    likely = [row for row in rows if row.probability >= BlobClassifier.review_threshold]
    assert subtype.asked == len(likely)
    for row in rows:
        assert (row.atypical_probability is not None) == (row in likely)
        expected = "imposter"
        if row.probability >= BlobClassifier.count_threshold:
            expected = "atypical" if row.atypical_probability >= 0.5 else "mitosis"
        assert row.label == expected
    assert {"mitosis", "atypical", "imposter"} == {row.label for row in rows}
    assert store.run(summary.run.id).subtype == subtype.origin
    assert store.run(summary.run.id).parameters["subtype"]["threshold"] == 0.5


def test_without_such_a_model_nothing_changes(slide, store):
    plain, told = run(slide, store), run(slide, store, BlobSubtype())
    assert "subtype" not in plain.run.parameters
    assert plain.run.subtype is None
    assert plain.run.key != told.run.key
    assert plain.run.detection_set_id == told.run.detection_set_id
    before = [(r.id, r.probability) for r in store.iter_candidates(plain.run.id)]
    assert before == [(r.id, r.probability) for r in store.iter_candidates(told.run.id)]
    assert run(slide, store).run.id == plain.run.id


def test_the_levelled_probability_decides_who_is_asked(slide, store):
    class Doubting(BlobClassifier):
        def level(self, probabilities, detector_scores):
            return Levelled(np.where(np.arange(len(probabilities)) < 3, 0.9, 0.01), 0.0)

    subtype = BlobSubtype()
    summary = run(slide, store, subtype, Doubting())
    asked = [r for r in store.iter_candidates(summary.run.id) if r.atypical_probability is not None]
    assert len(asked) == subtype.asked == 3


def test_a_stopped_run_asks_nobody_twice(slide, store):
    token = CancelToken()

    class Stopping(BlobSubtype):
        def atypical(self, crops):
            if self.asked:
                token.cancel()
            return super().atypical(crops)

    first = Stopping()
    with pytest.raises(Cancelled):
        run(slide, store, first, token=token)
    second = BlobSubtype()
    summary = run(slide, store, second)
    likely = [r for r in store.iter_candidates(summary.run.id) if r.probability >= 0.2]
    assert first.asked > 0
    assert first.asked + second.asked == len(likely)
    assert all(row.atypical_probability is not None for row in likely)


def test_atypical_ones_are_counted_by_verdict_else_by_label(slide, store, tmp_path):
    summary = run(slide, store, BlobSubtype())
    protocol = get_protocol("breast_mm2")
    by_model = count_run(store, summary, protocol)
    labels = [row.label for row in store.iter_candidates(summary.run.id)]
    assert by_model.whole_tissue
    assert by_model.atypical == labels.count("atypical") > 0
    row = next(r for r in store.iter_candidates(summary.run.id) if r.label == "atypical")
    slide_id, reader = summary.run.slide_id, store.add_reader("Ada")
    said = NewAction("mitosis", verdicts=[NewVerdict("mitosis", candidate_id=row.id)])
    store.act(slide_id, reader, said)
    assert count_run(store, summary, protocol).atypical == by_model.atypical - 1
    out = tmp_path / "c.csv"
    write_candidates(
        out, candidate_rows("s", None, store.iter_candidates(summary.run.id), {}, lambda *_: True)
    )
    with out.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["label"] for row in written] == labels
    asked = {row["probability"] >= "0.2" for row in written if row["atypical_probability"]}
    assert asked == {True}


def test_the_desk_shows_them_but_not_in_a_blinded_reading(slide, store):
    summary = run(slide, store, BlobSubtype())
    desk = Desk(store, summary.run.slide_id, store.add_reader("Ada"), protocol_id="breast_mm2")
    shown = desk.use_run(summary.run.id).figures
    rows = list(store.iter_candidates(summary.run.id))
    told = [np.nan if r.atypical_probability is None else r.atypical_probability for r in rows]
    np.testing.assert_allclose(shown.atypical, np.array(told), rtol=1e-6)
    assert (shown.label == LABELS.index("atypical")).any()
    blinded = desk.set_reader(store.add_reader("Bo"), blinded=True).figures
    assert np.isnan(blinded.atypical).all()
    assert not blinded.label.any()

"""The desk's area and count are those that the command line finds on the same run."""

from dataclasses import replace

import numpy as np
import pytest
from blobs import BlobClassifier, BlobDetector, blob_slide
from reading_ground import figures_at

from core.analysis.count import count_run
from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.counting.protocols import FieldRule, custom_protocol, get_protocol
from core.reading.areas import holds
from core.reading.counting import count_view, make_proposer
from core.reading.ground import make_ground
from core.reading.view import LABELS
from core.slides.reader import open_slide
from core.store import open_store


@pytest.fixture(scope="module")
def summary_and_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agrees")
    blob_slide(folder / "s.tif")
    store = open_store(folder / "s.sqlite")
    with open_slide(folder / "s.tif") as slide:
        summary = analyze(slide, BlobDetector(), BlobClassifier(), store, AnalysisRequest("0"))
    yield summary, store
    store.close()


@pytest.mark.parametrize(
    "protocol",
    [
        get_protocol("vet_std"),
        custom_protocol(0.03),
        custom_protocol(0.02, "circle"),
        replace(custom_protocol(0.03), fields=FieldRule(10, 0.003, contiguous=False)),
        replace(custom_protocol(0.012), fields=FieldRule(4, 0.003, contiguous=True), sets=2),
    ],
    ids=["whole tissue", "rectangle", "circle", "free fields", "sets of fields"],
)
def test_desk_and_command_line_agree(summary_and_store, protocol):
    summary, store = summary_and_store
    counted = count_run(store, summary, protocol)
    rows = list(store.iter_candidates(summary.run.id))
    figures = figures_at(
        [(row.x0, row.y0) for row in rows], label=[LABELS.index(row.label) for row in rows]
    )
    ground = make_ground(summary.plan.area.tissue, summary.plan.area.mpp)
    proposer = make_proposer(ground, protocol)
    spots = proposer.spots(figures)
    area = proposer.area(spots)
    figures.in_area[:] = holds(area, ground, figures.x0, figures.y0)
    shown = count_view(figures, area, protocol, spots)
    assert counted.mitoses > 0
    assert shown.tally.mitoses == counted.mitoses
    assert shown.interval.area_mm2 == pytest.approx(counted.interval.area_mm2, rel=1e-3)
    assert shown.category.category == counted.category.category
    expected = [counted.holds(row.x0, row.y0) for row in rows]
    assert figures.in_area.tolist() == expected
    if counted.centre0 is not None:
        assert area.centre0 == pytest.approx(counted.centre0)
    assert np.count_nonzero(expected) >= counted.mitoses

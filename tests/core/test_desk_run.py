"""The desk on a run that the pipeline made: windows, thresholds, regions that were drawn first."""

import pytest
import shapely
from blobs import BlobClassifier, BlobDetector, blob_slide

from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest, slide_record
from core.analysis.tiling import Regions
from core.reading.desk import Desk
from core.reading.windows import run_grid
from core.slides.reader import open_slide
from core.slides.tissue import find_tissue
from core.store import open_store


@pytest.fixture
def slide(tmp_path):
    blob_slide(tmp_path / "slide.tif", count=20)
    with open_slide(tmp_path / "slide.tif") as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def analysed(slide, store, **changes):
    request = AnalysisRequest("test", reader_threads=2, **changes)
    return analyze(slide, BlobDetector(), BlobClassifier(), store, request)


def test_a_run_keeps_the_grid_of_its_windows(slide, store):
    summary = analysed(slide, store)
    assert run_grid(summary.run) == summary.plan.grid
    shifted = analysed(slide, store, grid_shift_px=(52, -36))
    assert run_grid(shifted.run) == shifted.plan.grid


def test_the_desk_reads_what_the_pipeline_wrote(slide, store):
    slide_id = store.add_slide(slide_record(slide))
    desk = Desk(store, slide_id, store.add_reader("Ada"), protocol_id="vet_std")
    left, right = shapely.box(200, 200, 1000, 1600), shapely.box(1100, 200, 2200, 1600)
    desk.draw_region("tumour", left)
    desk.draw_region("tumour", right)
    regions = Regions(tumour=shapely.union_all([left, right]))
    drawn = [region.id for region in desk.view().regions]
    summary = analysed(slide, store, regions=regions, region_ids=drawn)
    desk.set_tissue(find_tissue(slide))
    view = desk.use_run(summary.run.id)
    # The regions that were analysed are those that were drawn, not copies.
    assert len(view.regions) == 2
    assert len(view.figures) == summary.candidates
    assert view.review_threshold == BlobClassifier().review_threshold
    assert view.count_threshold == BlobClassifier().count_threshold
    above = view.figures.probability >= view.review_threshold
    assert view.figures.to_review.tolist() == above.tolist()
    assert view.count.tally.mitoses == (view.figures.label == 2).sum()
    assert view.area.kind == "tissue"  # under 2.37 mm²

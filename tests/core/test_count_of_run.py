"""The count of a run where the tissue is damaged, or too narrow for the count area."""

import dataclasses

import numpy as np
import pytest
from blobs import TISSUE_RGB, BlobClassifier, BlobDetector, blob_slide
from scipy import ndimage

from core.analysis.count import count_run, save_count
from core.analysis.pipeline import analyze
from core.analysis.planning import AnalysisRequest
from core.counting.protocols import Category, FieldRule, custom_protocol
from core.errors import ProtocolError, SlideError
from core.slides.pyramid import write_pyramid
from core.slides.reader import SlideReadError, open_slide
from core.store import open_store

MPP = 0.25


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    blob_slide(path)
    return path


def analysed(slide, store):
    request = AnalysisRequest(app_version="test", reader_threads=2)
    return analyze(slide, BlobDetector(), BlobClassifier(), store, request)


def protocol(area_mm2):
    borders = (Category("few", 0, 3, True, True), Category("many", 4, float("inf"), True, False))
    return dataclasses.replace(custom_protocol(area_mm2, "square"), categories=borders)


class Unreadable:
    """A real slide that cannot be read left of a level-0 place."""

    def __init__(self, slide, right0):
        self._slide, self._right0 = slide, right0

    def __getattr__(self, name):
        return getattr(self._slide, name)

    def read_at(self, x0, y0, width_px, height_px, mpp):
        if mpp <= 0.5 and x0 < self._right0:  # windows and crops, not the look for tissue
            raise SlideReadError("A tile cannot be decoded.")
        return self._slide.read_at(x0, y0, width_px, height_px, mpp)


def test_tissue_that_could_not_be_read_is_not_counted_area(made, store):
    with open_slide(made) as slide:
        summary = analysed(Unreadable(slide, 1000), store)
        count = count_run(store, summary, protocol(0.1))
    tissue_mm2 = summary.plan.area.area_mm2()
    assert summary.failed
    assert count.whole_tissue
    assert count.interval.area_mm2 < 0.7 * tissue_mm2
    assert count.category.category is None
    assert any("could be read is smaller" in note for note in count.notes)


def test_the_count_area_avoids_what_could_not_be_read(made, store):
    with open_slide(made) as slide:
        summary = analysed(Unreadable(slide, 1000), store)
        count = count_run(store, summary, protocol(0.02))
    unread0 = max(
        summary.plan.grid.window(window.col, window.row).core0.x1 for window in summary.failed
    )
    assert count.centre0 is not None
    assert count.centre0[0] > unread0 + 200
    # A corner of it that could not be read is cut out, and said.
    assert 0.95 * 0.02 <= count.interval.area_mm2 < 0.02
    assert count.category.category is None
    assert any("short of" in note for note in count.notes)
    assert any("unreadable windows" in note for note in count.notes)


def test_a_slide_of_which_nothing_can_be_read_has_no_count(made, store):
    with open_slide(made) as slide:
        summary = analysed(Unreadable(slide, 1e6), store)
        with pytest.raises(SlideError, match="could be read"):
            count_run(store, summary, protocol(0.02))


def test_a_core_narrower_than_the_count_area_counts_for_its_tissue_only(tmp_path, store):
    rgb = np.full((1200, 3200, 3), 250, np.uint8)
    grain = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (400, 2800)), 0.8) * 25
    rgb[400:800, 200:3000] = np.clip(np.array(TISSUE_RGB) + grain[..., None], 0, 255)
    path = tmp_path / "core.tif"
    write_pyramid(path, rgb, MPP, quality=95)
    with open_slide(path) as slide:
        summary = analysed(slide, store)
        count = count_run(store, summary, protocol(0.04))  # 200 µm square on a core of 100 µm
    assert not count.whole_tissue
    assert 0.018 < count.interval.area_mm2 < 0.025
    assert count.category.category is None
    assert any("short of" in note for note in count.notes)


def test_a_candidate_lies_in_the_count_area_if_it_was_counted(made, store):
    with open_slide(made) as slide:
        summary = analysed(slide, store)
        count = count_run(store, summary, protocol(0.02))
    called = [row for row in store.iter_candidates(summary.run.id) if row.label == "mitosis"]
    assert sum(count.holds(row.x0, row.y0) for row in called) == count.mitoses > 0


def test_fields_and_whole_tumours_are_counted_where_the_protocol_allows_it(made, store):
    with open_slide(made) as slide:
        summary = analysed(slide, store)
    fields = dataclasses.replace(protocol(0.02), fields=FieldRule(10, 0.002, contiguous=False))
    count = count_run(store, summary, fields)
    assert (count.area.kind, len(count.area.fields0)) == ("fields", 10)
    assert count.interval.area_mm2 == pytest.approx(0.02, rel=0.05)
    called = [row for row in store.iter_candidates(summary.run.id) if row.label == "mitosis"]
    assert sum(count.holds(row.x0, row.y0) for row in called) == count.mitoses > 0
    assert any("no 10 fields hold more than" in note for note in count.notes)
    one = count_run(store, summary, fields, "one")
    assert one.area.kind == "rectangle"
    assert one.mitoses <= count.mitoses
    saved = save_count(store, summary, count)
    assert saved == save_count(store, summary, count)
    assert saved.region_id is not None
    with pytest.raises(ProtocolError, match="whole tumour cannot"):
        count_run(store, summary, fields, "whole")
    rate = dataclasses.replace(fields, fixed_area=False, fields=None)
    whole = count_run(store, summary, rate, "whole")
    assert whole.mitoses == len(called)
    assert whole.interval.area_mm2 == pytest.approx(summary.plan.area.area_mm2())
    assert whole.category.category is not None
    assert not any("smaller" in note for note in whole.notes)
    assert any("no tumour region was given" in note for note in whole.notes)


def test_of_several_sets_the_highest_is_the_count(made, store):
    with open_slide(made) as slide:
        summary = analysed(slide, store)
    rule = dataclasses.replace(protocol(0.008), fields=FieldRule(4, 0.002, contiguous=True), sets=9)
    count = count_run(store, summary, rule)
    assert len(count.sets) == len(count.area.sets) > 1
    assert count.mitoses == max(count.sets)
    assert any("the highest is the count" in note for note in count.notes)
    assert any("of 9 sets were placed" in note for note in count.notes)

"""Several windows on one store, and a run that goes on while it is read."""

import numpy as np
import pytest
import shapely
from desks import MPP, add_run, add_slide, all_tissue, candidate, start_run

from core.errors import InputError
from core.geometry import Mpp
from core.reading.desk import Desk
from core.reading.view import VERDICTS
from core.store import open_store

PX = 1 / MPP  # level-0 pixels of a µm
PLACES = [(20_000, 20_000, 0.9), (20_200, 20_000, 0.8), (20_400, 20_000, 0.1)]


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def slide_id(store):
    return add_slide(store)


def sit_down(store, slide_id, run_id=None, reader="Ada", protocol_id="vet_std"):
    desk = Desk(store, slide_id, store.add_reader(reader), protocol_id=protocol_id)
    desk.use_run(run_id)
    desk.set_tissue(all_tissue())
    return desk


def two_windows(store, slide_id, **kwargs):
    run_id = add_run(store, slide_id, [candidate(*place) for place in PLACES])
    return [sit_down(store, slide_id, run_id, **kwargs) for _ in range(2)]


def sign(desk):
    keys = desk.view().figures.key.tolist()
    desk.set_all_tissue_is_tumour(True)
    desk.give(keys[:2], "mitosis")
    return desk.sign()


def verdict_at(view, x0):
    figures = view.figures
    (row,) = np.flatnonzero(np.abs(figures.x0 - x0) < 1)
    return VERDICTS[figures.verdict[row]]


@pytest.mark.parametrize(
    "act",
    [
        lambda desk: desk.give(desk.view().figures.key.tolist()[:1], "imposter"),
        lambda desk: desk.clear(desk.view().figures.key.tolist()[:1]),
        lambda desk: desk.place(20_000, 20_100),
        lambda desk: desk.move_area((25_000, 20_000)),
        lambda desk: desk.set_mpp(Mpp(0.3, 0.3), "typed"),
        lambda desk: desk.draw_region("excluded", shapely.box(0, 0, 900, 900)),
        lambda desk: desk.set_all_tissue_is_tumour(False),
    ],
)
def test_a_count_that_another_window_signed_is_guarded_at_once(store, slide_id, act):
    first, second = two_windows(store, slide_id)
    assert sign(first).count.signed is not None
    with pytest.raises(InputError, match="signed"):
        act(second)
    assert first.refresh().count.interval.count == 2


def test_a_count_is_not_reopened_from_what_a_window_had_seen_before(store, slide_id):
    first, second = two_windows(store, slide_id)
    sign(first)
    second.refresh()
    first.reopen("one too many")
    first.give(first.view().figures.key.tolist()[1:2], "imposter")
    first.sign()
    second.reopen("seen again")
    (count,) = store.counts(slide_id)
    assert (count.state, count.mitoses) == ("reopened", 1)


def test_a_figure_beside_the_tissue_is_guarded_where_the_whole_tumour_was_counted(store, slide_id):
    run_id = add_run(store, slide_id, [candidate(*PLACES[0])])
    desk = sit_down(store, slide_id, run_id, protocol_id="breast_mm2")
    tissue = all_tissue()
    tissue.mask[:, 99] = False  # the last 100 µm, from x0 = 39,600 on
    desk.set_tissue(tissue)
    desk.draw_region("tumour", shapely.box(10_000, 10_000, 40_000, 40_000))
    desk.give(desk.view().figures.key.tolist(), "mitosis")
    view = desk.use_plan("whole")
    assert view.area.kind == "tissue"
    view = desk.place(39_640, 30_000)
    assert view.count.interval.count == 2
    signed = desk.sign().count.signed
    assert signed is not None
    with pytest.raises(InputError, match="signed"):
        desk.give([min(view.figures.key.tolist())], "imposter")


def test_verdicts_carry_to_the_nearest_pair_first(store, slide_id):
    desk = sit_down(store, slide_id)
    desk.place(20_000, 20_000, "imposter")
    desk.place(20_000 + 10.9 * PX, 20_000, "mitosis")
    nearest, between, other = (20_000 + um * PX for um in (-3.7, 3.9, 15.4))
    run_id = add_run(store, slide_id, [candidate(x0, 20_000) for x0 in (nearest, between, other)])
    view = desk.use_run(run_id)
    said = [verdict_at(view, x0) for x0 in (nearest, between, other)]
    assert said == ["imposter", "none", "mitosis"]


def test_while_a_run_goes_on_a_verdict_waits_for_the_nearest_candidate(store, slide_id):
    desk = sit_down(store, slide_id)
    desk.place(20_000, 20_000, "mitosis")
    far, near = 20_000 - 7.0 * PX, 20_000 + 0.6 * PX
    run = start_run(store, slide_id, [candidate(far, 20_000)])
    assert verdict_at(desk.use_run(run.id), far) == "none"
    store.save_candidates(run.id, [candidate(near, 20_000)])
    view = desk.refresh()
    assert (verdict_at(view, far), verdict_at(view, near)) == ("none", "mitosis")
    store.finish_run(run.id, "done", {})
    view = desk.refresh()
    assert (verdict_at(view, far), verdict_at(view, near)) == ("none", "mitosis")
    assert len(view.figures.key) == 2


def test_a_verdict_farther_off_carries_when_the_run_is_done(store, slide_id):
    desk = sit_down(store, slide_id)
    desk.place(20_000, 20_000, "mitosis")
    far = 20_000 - 7.0 * PX
    run = start_run(store, slide_id, [candidate(far, 20_000)])
    assert len(desk.use_run(run.id).figures.key) == 2
    store.finish_run(run.id, "done", {})
    view = desk.refresh()
    assert view.figures.key.tolist() == [1]
    assert verdict_at(view, far) == "mitosis"


def test_the_levelled_probabilities_are_shown_when_another_process_ends_the_run(store, slide_id):
    run = start_run(
        store, slide_id, [candidate(*PLACES[0][:2], 0.2), candidate(30_000, 30_000, 0.9)]
    )
    desk = sit_down(store, slide_id, run.id)
    ids = [row.id for row in store.iter_candidates(run.id)]
    store.finish_run(
        run.id, "done", {}, scores=[(ids[0], 0.95, "mitosis"), (ids[1], 0.05, "imposter")]
    )
    view = desk.refresh()
    assert view.figures.probability.tolist() == pytest.approx([0.95, 0.05])
    assert view.figures.to_review.tolist() == [True, False]


def test_two_windows_that_carry_at_once_show_one_figure(store, slide_id, monkeypatch):
    first, second = (sit_down(store, slide_id, reader=name) for name in ("Ada", "Bo"))
    first.place(20_000, 20_000, "mitosis")
    second.refresh()
    run = start_run(store, slide_id, [candidate(30_000, 30_000)])
    first.use_run(run.id)
    second.use_run(run.id)
    store.save_candidates(run.id, [candidate(20_004, 20_000)])
    link = store.link_candidates

    def other_first(pairs):
        monkeypatch.setattr(store, "link_candidates", link)
        first.refresh()
        link(pairs)

    monkeypatch.setattr(store, "link_candidates", other_first)
    assert second.refresh().figures.key.tolist() == first.view().figures.key.tolist() == [1, 2]


def test_the_area_of_all_tissue_follows_a_new_pixel_size_at_once(store, slide_id):
    desk = sit_down(store, slide_id, protocol_id="breast_mm2")
    desk.set_all_tissue_is_tumour(True)
    before = desk.use_plan("whole").area.counted_mm2
    after = desk.set_mpp(Mpp(2 * MPP, 2 * MPP), "typed").area.counted_mm2
    assert after == pytest.approx(4 * before)


def test_a_region_keeps_only_what_has_an_area(store, slide_id):
    desk = sit_down(store, slide_id)
    spike = [(0, 0), (9000, 0), (9000, 9000), (5000, 9000), (5000, 15000), (5000, 9000), (0, 9000)]
    (region,) = desk.draw_region("tumour", shapely.Polygon(spike)).regions
    assert shapely.from_wkb(region.wkb).geom_type == "Polygon"

"""The count by verdict, else by label; hot spots, a better place, a case's ranking."""

import numpy as np
import pytest
import shapely
from desks import add_run, add_slide, candidate
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_ground import figures_at, full_ground, region, tissue_of

from core.counting.protocols import custom_protocol, get_protocol
from core.geometry import Mpp
from core.reading.areas import holds, make_area
from core.reading.cases import ranked, slide_spot
from core.reading.counting import (
    better_place,
    count_view,
    make_proposer,
    mitoses,
    rule_text,
    tally,
)
from core.reading.ground import make_ground
from core.reading.view import ATYPICAL, IMPOSTER, LABELS, MITOSIS, NONE, UNSURE, VERDICTS
from core.review import is_mitosis
from core.review import tally as tally_of_review
from core.store import CountRecord, NewVerdict, VerdictRecord, open_store

MPP = Mpp(0.25, 0.25)
ONE = custom_protocol(1.0, "square")


def record(verdict):
    """The verdict of the store that a column's value stands for."""
    if verdict == "none":
        return None
    value = "mitosis" if verdict == "atypical" else verdict
    fields = dict.fromkeys(VerdictRecord.__dataclass_fields__)
    return VerdictRecord(**{**fields, "value": value, "atypical": verdict == "atypical"})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.sampled_from(LABELS)), max_size=40))
def test_columns_are_counted_by_the_rule_of_review(called):
    figures = figures_at(
        np.zeros((len(called), 2)),
        verdict=[VERDICTS.index(verdict) for verdict, _ in called],
        label=[LABELS.index(label) for _, label in called],
    )
    pairs = [(record(v), None if label == "none" else label) for v, label in called]
    assert tally(figures, np.ones(len(called), bool)) == tally_of_review(pairs)
    assert mitoses(figures).tolist() == [is_mitosis(*pair) for pair in pairs]


def clusters():
    """11 mitoses near one place, 14 near another, 20 imposters near a third; 8 x 6.4 mm."""
    rng = np.random.default_rng(1)
    near = [(6000, 8000, 11), (20000, 15000, 14), (27000, 5000, 20)]
    xy0 = np.concatenate([rng.uniform(-400, 400, (n, 2)) + np.array([x, y]) for x, y, n in near])
    label = np.repeat([2, 2, 1], [11, 14, 20])
    return figures_at(xy0, label=label)


def test_the_best_places_come_first_and_do_not_overlap():
    ground, figures = full_ground(), clusters()
    proposer = make_proposer(ground, ONE)
    spots = proposer.spots(figures)
    assert [spot.mitoses for spot in spots] == [14, 11]
    assert not spots[0].polygon0.intersects(spots[1].polygon0)
    area = proposer.area(spots)
    assert (area.state, area.counted_mm2) == ("proposed", pytest.approx(1.0))
    assert holds(area, ground, figures.x0, figures.y0).sum() == 14
    assert proposer.area_at(spots, 1).state == "accepted"


def test_verdicts_change_the_hot_spot():
    figures = clusters()
    figures.verdict[11:25] = IMPOSTER
    figures.verdict[25:45] = ATYPICAL
    proposer = make_proposer(full_ground(), ONE)
    assert [spot.mitoses for spot in proposer.spots(figures)] == [20, 11]


def test_figures_outside_the_tumour_do_not_draw_the_hot_spot():
    tumour = region("tumour", shapely.box(0, 0, 16000, 25600))
    proposer = make_proposer(full_ground(regions=[tumour]), ONE)
    assert [spot.mitoses for spot in proposer.spots(clusters())] == [11]


def test_every_spot_holds_on_its_piece_what_it_promises():
    # Two narrow cores side by side: one area can lie over both, but counts on one.
    mask = np.zeros((300, 60))
    mask[:, 5:25] = 1
    mask[:, 35:55] = 1
    ground = make_ground(tissue_of(mask, MPP), MPP)
    rng = np.random.default_rng(3)
    xy0 = rng.uniform((5 * 64, 0), (55 * 64, 300 * 64), (60, 2))
    figures = figures_at(xy0)
    proposer = make_proposer(ground, ONE)
    spots = proposer.spots(figures)
    assert len(spots) > 2
    for spot in spots:
        area = proposer.area_at([spot], 0)
        assert holds(area, ground, figures.x0, figures.y0).sum() == spot.mitoses
        assert area.counted_mm2 < 0.6


def test_little_tissue_is_counted_whole():
    ground = full_ground(rows=50, cols=50)
    proposer = make_proposer(ground, get_protocol("vet_std"))
    figures = figures_at([(100, 100), (3000, 3000)])
    assert proposer.whole_tissue
    assert proposer.spots(figures) == ()
    area = proposer.area(())
    assert (area.kind, area.counted_mm2) == ("tissue", pytest.approx(0.64))
    assert holds(area, ground, figures.x0, figures.y0).all()


def test_no_mitoses_and_no_tissue():
    ground = full_ground()
    proposer = make_proposer(ground, ONE)
    (spot,) = proposer.spots(figures_at(np.empty((0, 2))))
    assert spot.mitoses == 0
    nowhere = full_ground(regions=[region("tumour", shapely.box(-9, -9, -5, -5))])
    proposer = make_proposer(nowhere, ONE)
    assert proposer.spots(clusters()) == ()
    assert proposer.area(()) is None


def test_a_better_place_is_announced_only_to_an_accepted_area_that_holds_fewer():
    proposer = make_proposer(full_ground(), ONE)
    spots = proposer.spots(clusters())
    accepted = proposer.area_at(spots, 1)
    assert better_place(spots, accepted, 11) is spots[0]
    assert better_place(spots, accepted, 13).mitoses == 14
    assert better_place(spots, accepted, 14) is None
    assert better_place((), accepted, 0) is None
    assert better_place(spots, proposer.area(spots), 11) is None


def test_the_count_says_what_it_holds_and_by_which_rule():
    ground, protocol = full_ground(), get_protocol("breast_mm2").with_area(1.0)
    figures = figures_at(
        np.linspace((15000, 12000), (17000, 13000), 9),
        verdict=[MITOSIS] * 3 + [ATYPICAL] + [NONE] * 3 + [UNSURE, IMPOSTER],
        label=[2, 2, 2, 2, 2, 3, 1, 2, 2],
        in_area=[True] * 9,
        to_review=[False] * 4 + [True, True, False, False, False],
    )
    area = make_area(ground, protocol, (16000.0, 12800.0))
    count = count_view(figures, area, protocol, tumour=True)
    assert (count.tally.mitoses, count.tally.confirmed, count.tally.unreviewed) == (6, 4, 2)
    assert (count.tally.atypical, count.tally.unsure, count.to_review) == (2, 1, 2)
    assert count.category.category == "score 2 (4-7)"
    assert count.category.near_border
    assert (count.interval.count, count.interval.area_mm2) == (6, pytest.approx(1.0))
    assert count.spots_name == "hot spot"
    assert count_view(figures, area, protocol).spots_name == "hot spot of all tissue"
    assert "score 1 (<=3); score 2 (4-7); score 3 (>=8)" in count.rule
    assert "HL7 FHIR" in count.rule
    assert "(not verified)" in rule_text(get_protocol("gist"))
    assert "(not verified)" not in count.rule


def test_an_area_without_tissue_has_no_count():
    assert count_view(clusters(), None, ONE) is None
    nowhere = full_ground(regions=[region("tumour", shapely.box(0, 0, 9, 9))])
    area = make_area(nowhere, ONE, (16000.0, 12800.0))
    assert count_view(clusters(), area, ONE) is None


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "s.sqlite") as store:
        yield store


def test_the_slides_of_a_case_are_ranked_without_opening_their_files(store):
    reader, other = store.add_reader("Ada"), store.add_reader("Ben")
    dense, sparse, bare = (add_slide(store, name) for name in ("ab", "cd", "ef"))
    near = [candidate(8000 + 50 * n, 8000, 0.9) for n in range(6)]
    add_run(store, dense, [*near, candidate(30000, 30000, 0.9), candidate(8100, 8100, 0.1)])
    add_run(store, sparse, [candidate(8000, 8000, 0.9), candidate(30000, 30000, 0.9)], "r2")

    def spots(reader_id=reader, **how):
        return [slide_spot(store, store.slide(i), ONE, reader_id, **how) for i in (sparse, dense)]

    assert [(s.slide.id, s.mitoses) for s in ranked(spots())] == [(dense, 6), (sparse, 1)]
    assert slide_spot(store, store.slide(bare), ONE, reader) is None
    assert ranked([None]) == ()

    first = next(iter(store.iter_candidates(store.runs(dense)[0].id))).id
    store.give_verdicts(dense, reader, [NewVerdict("imposter", candidate_id=first)])
    store.give_verdicts(sparse, reader, [NewVerdict("mitosis", place0=(8010.0, 8010.0))])
    assert [s.mitoses for s in spots()] == [2, 5]
    # Blinded, Ben sees no labels and not what Ada said.
    assert [s.mitoses for s in spots(other, blinded=True)] == [0, 0]
    store.add_region(dense, "tumour", shapely.box(20000, 20000, 40000, 40000).wkb)
    assert [s.mitoses for s in spots()] == [2, 1]


def test_a_signed_count_speaks_for_its_slide_to_its_reader(store):
    reader, other = store.add_reader("Ada"), store.add_reader("Ben")
    slide_id = add_slide(store)
    run_id = add_run(store, slide_id, [candidate(8000, 8000, 0.9)])
    store.add_count(
        CountRecord(slide_id, ONE.id, "signed", 12, 1.0, 1.0, "0", run_id=run_id, reader_id=reader)
    )
    slide = store.slide(slide_id)
    own = slide_spot(store, slide, ONE, reader)
    assert (own.mitoses, own.signed) == (12, True)
    assert not slide_spot(store, slide, ONE, other).signed
    assert not slide_spot(store, slide, get_protocol(), reader).signed

"""What blocks a signature, what it freezes, and pieces of tissue excluded with one click."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_ground import figures_at, full_ground, region, tissue_of

from core.counting.protocols import get_protocol
from core.geometry import Mpp
from core.ports import ModelOrigin
from core.reading.areas import holds, make_area
from core.reading.counting import count_view, make_proposer
from core.reading.ground import make_ground
from core.reading.pieces import PIECE, excluding_region, exclusion, pieces
from core.reading.signing import blockers, details, stated_pixel_size
from core.reading.view import IMPOSTER, MITOSIS, UNSURE
from core.store.records import ReaderRecord, RunRecord, StoredSlide

MPP = Mpp(0.25, 0.25)
VET = get_protocol("vet_std")
CENTRE0 = (16000.0, 12800.0)
IN_AREA, ELSEWHERE = shapely.box(15900, 12700, 16100, 12900), shapely.box(0, 0, 200, 200)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = RunRecord(
    7, 7, 1, "key", 1, "done", "", {"detector": {"threshold": 0.1}},
    ModelOrigin("detector", "0" * 64, "cpu", "float32"),
    ModelOrigin("classifier", "1" * 64, "cpu", "float32"), "0.1", {}, NOW, NOW,
)  # fmt: skip


def figures(**columns):
    return figures_at([CENTRE0, (16100, 12800), (100, 100)], in_area=[True, True, False], **columns)


@settings(max_examples=120, deadline=None)
@given(
    unreviewed=st.booleans(),
    unsure=st.booleans(),
    failed=st.booleans(),
    blurred=st.booleans(),
    acknowledged=st.booleans(),
    tumour=st.booleans(),
    all_tissue=st.booleans(),
    finished=st.booleans(),
    ground_known=st.booleans(),
    on_tissue=st.booleans(),
)
def test_nothing_blocks_exactly_when_every_condition_holds(
    unreviewed, unsure, failed, blurred, acknowledged, tumour, all_tissue, finished,
    ground_known, on_tissue,
):  # fmt: skip
    # The figure outside the area always asks for a verdict, which never matters.
    shown = figures(
        verdict=[UNSURE if unsure else MITOSIS, IMPOSTER, UNSURE],
        to_review=[False, unreviewed, True],
    )
    ground = full_ground(failed0=[IN_AREA if failed else ELSEWHERE]) if ground_known else None
    area = None
    if ground is not None:
        area = make_area(ground, VET, CENTRE0 if on_tissue else (1e6, 1e6))
    found = blockers(
        shown,
        area,
        ground,
        tumour=tumour,
        all_tissue_is_tumour=all_tissue,
        run=replace(DONE, state="done" if finished else "cancelled"),
        blurred0=[IN_AREA if blurred else ELSEWHERE],
        blur_acknowledged=acknowledged,
    )
    kinds = {blocker.kind for blocker in found}
    lies = ground_known and on_tissue
    expected = {
        "unreviewed": unreviewed,
        "unsure": unsure,
        "failed": failed and lies,
        "blur": blurred and lies and not acknowledged,
        "tumour": not (tumour or all_tissue),
        "run": not finished,
        "mpp": not ground_known,
        "area": ground_known and not on_tissue,
    }
    assert kinds == {kind for kind, stands in expected.items() if stands}
    assert len(found) == len(kinds)
    assert (not found) == (not any(expected.values()))


def test_a_blocker_leads_to_the_most_probable_figure():
    shown = figures(to_review=True, probability=[0.4, 0.8, 0.99])
    area = make_area(full_ground(), VET, CENTRE0)
    (found,) = blockers(shown, area, full_ground(), tumour=True, all_tissue_is_tumour=False)
    assert found.keys == (2, 1)
    assert found.place0 == (16100.0, 12800.0)
    assert found.text.startswith("2 figures above the review threshold")
    by_hand = figures(to_review=True, probability=[np.nan, 0.8, 0.99])
    (found,) = blockers(by_hand, area, full_ground(), tumour=True, all_tissue_is_tumour=False)
    assert found.keys == (1, 2)


def test_a_window_only_matters_where_figures_count():
    tumour = region("tumour", shapely.box(16200, 0, 32000, 25600))
    ground = full_ground(regions=[tumour], failed0=[IN_AREA])
    area = make_area(ground, VET, CENTRE0)
    found = blockers(
        figures(), area, ground, tumour=True, all_tissue_is_tumour=False, blurred0=[IN_AREA]
    )
    assert found == ()


def test_a_window_that_touches_the_border_does_not_matter_and_overlap_does():
    ground = full_ground()
    area = make_area(ground, VET, CENTRE0)
    left0 = area.polygon0.bounds[0]
    for reach0, count in ((0.0, 0), (0.5, 1)):
        window = shapely.box(left0 - 100, 12700, left0 + reach0, 12900)
        found = blockers(
            figures(), area, ground, tumour=True, all_tissue_is_tumour=False, blurred0=[window]
        )
        assert len(found) == count


def test_all_tissue_as_the_area_knows_of_what_could_not_be_read():
    for regions in ((), (region("tumour", shapely.box(0, 0, 3200, 3200)),)):
        ground = full_ground(
            rows=50, cols=50, regions=regions, failed0=[shapely.box(640, 640, 1280, 1280)]
        )
        area = make_proposer(ground, VET).area(())
        shown = figures_at([(100, 100)], in_area=True)
        found = blockers(shown, area, ground, tumour=True, all_tissue_is_tumour=False)
        assert [blocker.kind for blocker in found] == ["failed"]


def test_a_signature_freezes_its_origin():
    ground = full_ground()
    shown = figures(verdict=[MITOSIS, IMPOSTER, MITOSIS])
    proposer = make_proposer(ground, VET)
    area = make_area(ground, VET, CENTRE0, angle_deg=15)
    count = count_view(shown, area, VET, proposer.spots(shown), tumour=True)
    slide = StoredSlide(1, "quickhash-1", "ab" * 32, "secret.svs", "", "Slide 7", 1, 1, "", MPP, "")
    frozen = details(
        slide, ReaderRecord(3, "Ada"), DONE, ground, area, count,
        [region("tumour", IN_AREA, "t"), region("count_area", IN_AREA)],
        mpp_origin="typed", review_threshold=0.2, count_threshold=float("nan"),
        all_tissue_is_tumour=False, blur_acknowledged=True, app_version="0.1",
        checklist={"Look.": True, "Count.": False},
    )  # fmt: skip
    assert json.loads(json.dumps(frozen, allow_nan=False)) == frozen
    assert frozen["slide"] == {"name": "Slide 7", "hash": "ab" * 32, "hash_kind": "quickhash-1"}
    assert "secret" not in json.dumps(frozen)
    assert (frozen["mpp"], frozen["mpp_origin"]) == ([0.25, 0.25], "typed")
    assert "typed" in frozen["mpp_note"]
    assert frozen["models"]["classifier"]["sha256"] == "1" * 64
    assert frozen["models"]["detector_threshold"] == 0.1
    assert (frozen["review_threshold"], frozen["count_threshold"]) == (0.2, None)
    assert (frozen["reader"], frozen["app_version"]) == ("Ada", "0.1")
    assert frozen["protocol"]["source"] == VET.source
    assert frozen["area"]["planned_mm2"] == VET.area_mm2
    assert frozen["area"]["counted_mm2"] == pytest.approx(VET.area_mm2)
    assert shapely.from_wkt(frozen["area"]["outline0"]).equals_exact(area.polygon0, 1e-3)
    assert frozen["regions"] == [{"lineage": "t", "version": 1, "kind": "tumour"}]
    assert frozen["checklist"] == {"Look.": True, "Count.": False}
    assert frozen["tally"]["confirmed"] == 1


def test_a_pixel_size_that_somebody_typed_is_stated():
    assert stated_pixel_size("openslide.mpp") == ""
    assert stated_pixel_size("tiff resolution") == ""
    assert "a length" in stated_pixel_size("two points and a length")
    assert "unknown" in stated_pixel_size("")


# Pieces.


def three_pieces():
    mask = np.zeros((120, 200))
    mask[10:110, 10:90] = 1
    mask[10:60, 92:150] = 1  # two cells from the first
    mask[100:104, 180:184] = 1
    mask[104, 184] = 1  # touches at a corner
    return tissue_of(mask, MPP)


def test_pieces_are_listed_largest_first_with_their_mm2():
    found = pieces(three_pieces(), [])
    cell = 256e-6
    assert [piece.mm2 for piece in found] == pytest.approx([8000 * cell, 2900 * cell, 17 * cell])
    assert [piece.index for piece in found] == [0, 1, 2]
    assert not any(piece.excluded for piece in found)
    assert all(not a.polygon0.overlaps(b.polygon0) for a in found for b in found if a is not b)


def test_excluding_a_piece_takes_its_figures_and_its_margin_and_nothing_else():
    tissue = three_pieces()
    first, second, _ = pieces(tissue, [])
    polygon0, kept = exclusion(second)
    drawn = region("excluded", polygon0, "x", **kept)
    assert [piece.excluded for piece in pieces(tissue, [drawn])] == [False, True, False]
    assert excluding_region(second, [drawn]) is drawn
    ground = make_ground(tissue, MPP, [drawn])
    area = make_area(ground, VET, (90 * 64.0, 40 * 64.0), locked=False)
    x0 = np.array([80.0, 89.5, 92.5, 120.0]) * 64
    y0 = np.array([40.0, 40.0, 40.0, 9.0]) * 64  # the last lies 16 µm off the second piece
    assert holds(area, ground, x0, y0).tolist() == [True, True, False, False]
    assert ground.read.sum() == 8000 + 17
    assert excluding_region(first, [drawn]) is None


def test_a_region_drawn_by_hand_is_not_the_pieces_own_exclusion():
    tissue = three_pieces()
    drawn = region("excluded", shapely.box(0, 0, 1e5, 1e5))
    assert not any(piece.excluded for piece in pieces(tissue, [drawn]))
    assert PIECE not in drawn.properties


def test_a_slide_without_tissue_has_no_pieces():
    assert pieces(tissue_of(np.zeros((5, 5)), MPP), []) == ()

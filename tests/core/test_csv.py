"""What leaves as CSV and JSON: columns, guarded cells, whole files."""

import csv
import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import UserError
from core.exchange.csv import (
    RESEARCH_USE,
    CandidateCsvRow,
    SummaryRow,
    candidate_rows,
    guarded,
    summary_values,
    write_candidates,
    write_summary,
)
from core.geometry import Mpp
from core.review import current_states
from core.store import CandidateRecord, VerdictRecord

MOMENT = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
ROW = CandidateCsvRow(
    "a.svs", 7, -1.5, 2.0, -0.375, None, 0.5, 0.25, "imposter", "", "", None, False, 3
)
SUMMARY = SummaryRow(
    slide="=Schnitt ü 🔬, 1.svs",
    slide_hash="ab12",
    slide_hash_kind="quickhash-1",
    mpp_x=0.25,
    mpp_y=0.25,
    mpp_origin="typed",
    protocol="breast-mm2",
    protocol_source="a book, page 1",
    protocol_verified=True,
    planned_mm2=2.37,
    counted_mm2=2.37,
    shape="circle",
    mitoses=14,
    per_mm2=14 / 2.37,
    per_mm2_low=3.2,
    per_mm2_high=9.9,
    candidates=500,
    mitoses_on_slide=40,
    detector="d",
    detector_sha256="00",
    classifier="c",
    classifier_sha256="11",
    detector_threshold=0.1,
    review_threshold=0.2,
    count_threshold=0.5,
    app_version="0.1.0",
    device="cpu",
    precision="float32",
    backend="openslide",
    started_at=MOMENT,
    finished_at=MOMENT,
    read_s=1.0,
    forward_s=2.0,
    post_s=0.1,
    total_s=3.0,
    tissue_mm2=4.0,
    analysed_mm2=4.1,
    windows=10,
    failed_windows=0,
    blurred_mm2=0.0,
    run_id=3,
)


def read(path, encoding="utf-8"):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def test_candidate_columns_are_those_of_the_issue(tmp_path):
    path = tmp_path / "candidates.csv"
    assert write_candidates(path, [ROW]) == 1
    assert path.read_text("utf-8") == (
        "slide,candidate_id,x_px,y_px,x_um,y_um,detector_score,probability,label,verdict,reader,"
        "decided_at,in_count_area,run_id,atypical_probability,research_use\n"
        f"a.svs,7,-1.5,2.0,-0.375,,0.5,0.25,imposter,,,,false,3,,{RESEARCH_USE}\n"
    )


def test_summary_names_every_origin(tmp_path):
    path = tmp_path / "summary.csv"
    write_summary(path, [SUMMARY, replace(SUMMARY, slide="-2", per_mm2=None)])
    first, second = read(path)
    assert first["slide"] == "'=Schnitt ü 🔬, 1.svs"
    assert first["started_at"] == "2025-03-04T05:06:07Z"
    assert float(first["per_mm2"]) == 14 / 2.37
    assert first["research_use"] == RESEARCH_USE
    assert (second["slide"], second["per_mm2"]) == ("'-2", "")
    wanted = (
        "slide_hash mpp_x mpp_y mpp_origin protocol protocol_source planned_mm2 counted_mm2 shape "
        "mitoses per_mm2 per_mm2_low per_mm2_high category detector_sha256 classifier_sha256 "
        "detector_threshold review_threshold count_threshold app_version device read_s forward_s "
        "post_s failed_windows blurred_mm2 research_use"
    )
    assert set(wanted.split()) <= set(first)


def test_json_has_the_same_fields_and_plain_values():
    values = json.loads(json.dumps(summary_values(replace(SUMMARY, per_mm2_high=float("inf")))))
    assert values["slide"] == SUMMARY.slide
    assert values["mitoses"] == 14
    assert values["protocol_verified"] is True
    assert values["per_mm2_high"] is None
    assert values["finished_at"] == "2025-03-04T05:06:07Z"
    assert list(values) == list(SummaryRow.__slots__)


@given(st.text(max_size=8))
@example("=1+1")
@example("+1")
@example("-1")
@example("@SUM(A1)")
@example("\t=1")
@example(" =1")
@example("＝1")
def test_no_text_cell_begins_as_a_formula(text):
    cell = guarded(text)
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert guarded(cell) == cell


def test_numbers_stay_numbers_also_those_of_numpy(tmp_path):
    path = tmp_path / "c.csv"
    row = replace(ROW, x_px=np.float32(-1.5), candidate_id=np.int64(-4), y_px=float("nan"))
    write_candidates(path, [row])
    (cells,) = read(path)
    assert (cells["x_px"], cells["candidate_id"], cells["y_px"]) == ("-1.5", "-4", "")


def test_byte_order_mark_is_an_option(tmp_path):
    path = tmp_path / "c.csv"
    write_candidates(path, [ROW], bom=True)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfslide,")
    write_candidates(path, [ROW])
    assert path.read_bytes().startswith(b"slide,")


def test_names_of_undecodable_bytes_are_written(tmp_path):
    path = tmp_path / "c.csv"
    write_candidates(path, [replace(ROW, slide=os.fsdecode(b"a\xff.svs"))])
    assert read(path)[0]["slide"] in ("a\\udcff.svs", "aÿ.svs")


def test_a_failure_half_way_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "candidates.csv"
    write_candidates(path, [ROW])
    before = path.read_bytes()

    def rows():
        yield from [ROW] * 5000
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_candidates(path, rows())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["candidates.csv"]


def test_a_place_that_cannot_be_written_is_a_plain_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_candidates(tmp_path / "file" / "c.csv", [ROW])
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_candidates(tmp_path / "c.csv", [ROW])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["c.csv", "file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_is_a_plain_error(tmp_path, monkeypatch):
    path = tmp_path / "c.csv"
    (tmp_path / f".c.csv.{os.getpid()}.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left"):
        write_candidates(path, [ROW] * 100_000)
    assert not path.exists()


def said(n, value, reader, *, atypical=False):
    return VerdictRecord(
        n, 1, 5, reader, f"R{reader}", None, value, atypical, False, str(n), "key", None, MOMENT
    )


def test_rows_of_a_run_carry_the_verdict_that_counts():
    records = [
        CandidateRecord(1, 9, 100.123, 200.0, 0.5, 0.75, "mitosis", None),
        CandidateRecord(2, 9, 10.0, 20.0, 0.5, 0.1, "imposter", 5),
    ]
    inside = lambda x0, y0: x0 < 50 and y0 < 50  # noqa: E731
    states = current_states([said(1, "mitosis", 1, atypical=True)])
    first, second = candidate_rows("s", Mpp(0.25, 0.5), records, states, inside)
    assert (first.x_px, first.x_um, first.y_um) == (100.12, 25.031, 100.0)
    assert (first.verdict, first.reader, first.decided_at) == ("", "", None)
    assert not first.in_count_area
    assert (second.verdict, second.reader, second.decided_at) == ("atypical", "R1", MOMENT)
    assert (second.in_count_area, second.run_id) == (True, 9)
    states = current_states([said(1, "mitosis", 1), said(2, "imposter", 2)])
    (_, row) = candidate_rows("s", None, records, states, inside)
    assert (row.verdict, row.reader, row.x_um) == ("disputed", "", None)
    (_, row) = candidate_rows("s", None, records, states, inside, reader_id=2)
    assert (row.verdict, row.reader) == ("imposter", "R2")

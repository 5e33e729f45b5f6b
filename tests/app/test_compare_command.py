"""`mitoscope compare` on a store with two readers."""

import csv
import json

import pytest

from app.__main__ import main
from core.store import NewVerdict, SlideRecord, open_store


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store:
        ada, ben = store.add_reader("Ada"), store.add_reader("Ben")
        for name in ("a.svs", "b.svs", "c.svs"):
            slide = store.add_slide(
                SlideRecord("q", name, name, 9000, 9000, 0.25, 0.25, "typed", "x", "")
            )
            store.give_verdicts(
                slide,
                ada,
                [
                    NewVerdict("mitosis", place0=(100.0, 100.0)),
                    NewVerdict("mitosis", place0=(900.0, 100.0)),
                ],
            )
            if name != "c.svs":
                store.give_verdicts(
                    slide,
                    ben,
                    [
                        NewVerdict("mitosis", place0=(120.0, 100.0)),
                        NewVerdict("imposter", place0=(900.0, 110.0)),
                    ],
                )
    return path


def test_two_readers_are_compared_on_what_both_read(path, tmp_path, capsys):
    assert main(["compare", "--store", str(path), "--out", str(tmp_path / "t"), "--json"]) == 0
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert "c.svs: not read by" in told.err
    (pair,) = result["pairs"]
    assert (pair["both"], pair["only_first"], pair["neither"]) == (2, 2, 0)
    assert pair["f1"] == pytest.approx(2 / 3)
    assert pair["bias"] == -1
    with (tmp_path / "t" / "figures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["disputed"] for row in rows] == ["false", "true"] * 2
    assert (float(rows[0]["x_px"]), rows[1]["Ben"]) == (100.0, "imposter")


def test_the_table_is_for_reading(path, capsys):
    assert main(["compare", "Ada", "consensus", "--store", str(path)]) == 0
    out = capsys.readouterr().out
    assert "Ada, consensus" in out
    assert "7.5 µm" in out


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["Ada", "Eve"], "No slide was read by two"),
        (["--slide", "x.svs"], "no slide 'x.svs'"),
    ],
)
def test_who_did_not_read_cannot_be_compared(path, capsys, arguments, fault):
    assert main(["compare", *arguments, "--store", str(path)]) == 2
    assert fault in capsys.readouterr().err

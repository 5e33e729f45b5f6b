import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from blobs import BlobClassifier, BlobDetector, blob_slide

from app import analysing
from app.__main__ import main
from core.exchange.csv import RESEARCH_USE
from core.store import open_store


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "=Fall 7 größer 🔬.tif"
    blob_slide(path, 1600, 1200, count=24)
    return path


@pytest.fixture
def models(monkeypatch):
    monkeypatch.setattr(
        analysing,
        "load_models",
        lambda *_, **__: analysing.Models(BlobDetector(), BlobClassifier()),
    )


@pytest.fixture
def command(models, tmp_path):
    store = tmp_path / "results" / "store.sqlite"

    def run(*arguments) -> int:
        return main(["analyze", *map(str, arguments), "--store", str(store)])

    run.store = store
    return run


def rows_of(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_slide_from_file_to_csv(command, slide, capsys):
    assert command(slide, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    summary = rows_of(command.store.parent / "summary.csv")
    candidates = rows_of(command.store.parent / "candidates.csv")
    assert len(candidates) == 24
    assert len(summary) == 1
    assert shown["mitoses"] == int(summary[0]["mitoses"]) == 8
    assert sum(row["label"] == "mitosis" for row in candidates) == 8
    assert shown["slide"] == slide.name
    assert summary[0]["slide"] == f"'{slide.name}"
    assert summary[0]["research_use"] == RESEARCH_USE
    assert len(shown["slide_hash"]) >= 64
    assert set(shown) == set(summary[0])


def test_tissue_smaller_than_the_count_area_is_counted_whole_and_no_category_given(
    command, slide, capsys
):
    assert command(slide, "--json", "--protocol", "dog_mct_kiupel") == 0
    printed = capsys.readouterr()
    shown = json.loads(printed.out)
    assert shown["shape"] == "whole tissue"
    assert shown["counted_mm2"] == pytest.approx(shown["tissue_mm2"])
    assert 0.04 < shown["counted_mm2"] < 0.09
    assert shown["planned_mm2"] > 2
    assert shown["category"] == ""
    assert "not rescaled" in shown["category_note"]
    assert shown["protocol_value"] is None
    assert "short of" in printed.err
    assert "short of" in shown["warnings"]


def test_the_same_command_returns_what_was_found(command, slide, capsys):
    assert command(slide, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert command(slide, "--json") == 0
    assert json.loads(capsys.readouterr().out) == first
    assert command(slide, "--json", "--again") == 0
    assert json.loads(capsys.readouterr().out)["run_id"] != first["run_id"]
    with open_store(command.store) as store:
        assert len(store.counts(1)) == 2


def test_plain_words_without_json(command, slide, capsys):
    assert command(slide) == 0
    out = capsys.readouterr().out
    assert f"{slide.name}: 8 mitoses in " in out
    assert RESEARCH_USE in out


def test_one_bad_slide_does_not_stop_the_others(command, slide, tmp_path, capsys):
    bad = tmp_path / "none.svs"
    assert command(bad, slide, "--json") == 2
    printed = capsys.readouterr()
    shown = json.loads(printed.out)
    assert [entry["slide"] for entry in shown] == [slide.name, "none.svs"]
    assert "none.svs" in printed.err
    assert len(rows_of(command.store.parent / "candidates.csv")) == 24


def test_out_receives_the_csv(command, slide, tmp_path):
    out = tmp_path / "elsewhere" / "deep"
    assert command(slide, "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {"candidates.csv", "summary.csv"}


def test_a_region_limits_the_count(command, slide, tmp_path, capsys):
    region = tmp_path / "region.geojson"
    ring = [[0, 0], [800, 0], [800, 1200], [0, 1200], [0, 0]]
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert command(slide, "--region", region, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert 0 < shown["candidates"] < 24
    assert all(float(r["x_px"]) <= 800 for r in rows_of(command.store.parent / "candidates.csv"))


def test_verdicts_of_an_earlier_run_count_in_the_next(command, slide, capsys):
    from core.store import NewVerdict

    assert command(slide, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    with open_store(command.store) as store:
        reader = store.add_reader("Dr. Ada")
        called = [c for c in store.iter_candidates(first["run_id"]) if c.label == "mitosis"]
        store.give_verdicts(1, reader, [NewVerdict("imposter", candidate_id=called[0].id)])
    assert command(slide, "--json", "--again") == 0
    assert json.loads(capsys.readouterr().out)["mitoses"] == first["mitoses"] - 1
    rows = rows_of(command.store.parent / "candidates.csv")
    assert [row["reader"] for row in rows if row["verdict"]] == ["Dr. Ada"]


CHILD = """
import sys
import time
sys.path.insert(0, sys.argv[1])
from blobs import BlobClassifier, BlobDetector
from app import analysing
from app.__main__ import main

class Slow(BlobDetector):
    def detect(self, windows):
        print("window", file=sys.stderr, flush=True)
        time.sleep(0.3)
        return super().detect(windows)

analysing.load_models = lambda *_, **__: analysing.Models(Slow(), BlobClassifier())
sys.exit(main(["analyze", sys.argv[2], "--store", sys.argv[3]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise on Windows")
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(command, slide, capsys):
    support = Path(__file__).parents[1] / "support"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(support), str(slide), str(command.store)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("window"):
            break
    child.send_signal(signal.SIGINT)
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 130, said
    assert "run the same command again" in said
    assert command(slide, "--json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == 24
    with open_store(command.store) as store:
        assert len(store.runs(1)) == 1


def test_a_fault_of_the_program_goes_to_the_log(command, slide, tmp_path, monkeypatch, capsys):
    class Broken(BlobDetector):
        def detect(self, windows):
            raise ZeroDivisionError("boom")

    log = tmp_path / "logs" / "mitoscope.log"
    monkeypatch.setattr("app.__main__.log_file", lambda: log)
    monkeypatch.setattr(
        analysing, "load_models", lambda *_, **__: analysing.Models(Broken(), BlobClassifier())
    )
    assert command(slide) == 1
    said = capsys.readouterr().err
    assert "fault of Mitoscope" in said
    assert "Traceback" not in said
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")


def test_help_loads_neither_torch_nor_models():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    code = (
        "import sys; from app.__main__ import main; status = main(['analyze', '--help']); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert child.returncode == 0


def test_progress_speaks_of_time_left():
    from app.progress_bar import speed_text
    from core.analysis.progress import Progress

    assert speed_text(Progress("windows", 3, 9, 1.5, 0.5, 65.0)) == "1.5 mm², 0.50 mm²/s, 1:05 left"
    assert speed_text(Progress("windows", 3, 9, 1.5, 0.5, 7265.0)).endswith("2:01:05 left")
    assert speed_text(Progress("tissue")) == ""

"""The self-test: a whole installation passes; a broken part is named, and the rest goes on."""

import json
import shutil
import socket
import sys
import tempfile

import pytest

from app.__main__ import BUG, DONE, WORLD, main
from app.selftest import keeping, networks, outputs, parts, seeing
from app.selftest.bench import Check, WrongAnswerError
from core.exchange.formats import FORMATS
from models.registry import shipped, weights_folder


@pytest.fixture
def offline(monkeypatch):
    """Fails whatever asks for a network."""

    def refuse(self, address):
        pytest.fail(f"the self-test called {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the self-test keeps its files."""
    folder = tmp_path / "tmp ö 一"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def only(monkeypatch, **checks):
    """Leave out what a test does not need."""
    for module in (parts, seeing, keeping, outputs, networks):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "CHECKS", tuple(checks.get(name, ())))


def left(folder):
    """What the self-test left behind; torch makes a folder of its own there when it is loaded."""
    return [path.name for path in folder.iterdir() if not path.name.startswith("torchinductor_")]


def checks_of(module, *names):
    return [check for check in module.CHECKS if check.name in names]


def test_a_whole_installation_passes(qapp, tmp_path, temporary, offline, capsys):
    out = tmp_path / "报告.json"
    status = main(["self-test", str(out)])
    said = capsys.readouterr().out
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [check["detail"] for check in report["checks"] if not check["ok"]] == []
    assert (status, report["passed"], report["running"]) == (DONE, True, "")
    names = {check["name"] for check in report["checks"]}
    assert {"viewer", "audit trail", "LoRA merge", "detector", "analysis", "GPU"} <= names
    assert {f"export {id_}" for id_ in FORMATS} <= names
    assert "missing" not in report["parts"].values()
    assert {"torch", "Qt", "OpenSlide", "SQLite", "GEOS", "numpy"} <= report["parts"].keys()
    assert all(name in said for name in names)
    assert left(temporary) == []


def test_damaged_weights_fail_their_check_and_no_other(
    qapp, tmp_path, temporary, monkeypatch, capsys
):
    folder = tmp_path / "weights"
    folder.mkdir()
    name = shipped("detector")
    for suffix in (".json", ".safetensors"):
        shutil.copy(weights_folder() / f"{name}{suffix}", folder)
    with (folder / f"{name}.safetensors").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 16)
    monkeypatch.setattr("models.detector.weights_folder", lambda: folder)
    only(
        monkeypatch,
        networks=checks_of(networks, "detector", "atypical mitoses"),
        keeping=checks_of(keeping, "store made"),
    )
    out = tmp_path / "report.json"
    assert main(["self-test", str(out)]) == BUG  # exit status 1
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {check["name"]: check["ok"] for check in report["checks"]} == {
        "store made": True,
        "detector": False,
        "atypical mitoses": True,
    }
    (broken,) = (check for check in report["checks"] if not check["ok"])
    assert "damaged" in broken["detail"]
    assert report["passed"] is False
    said = capsys.readouterr().out
    assert "FAILED" in said
    assert "1 of 3 checks failed" in said
    assert left(temporary) == []


def test_a_crashing_check_is_named_with_its_trace(tmp_path, temporary, monkeypatch, capsys):
    def crash(bench):
        raise ZeroDivisionError("by nothing")

    only(monkeypatch, parts=[Check("crash", crash)], keeping=checks_of(keeping, "audit trail"))
    out = tmp_path / "report.json"
    assert main(["self-test", str(out)]) == 1
    crashed, other = json.loads(out.read_text(encoding="utf-8"))["checks"]
    assert crashed["detail"] == "ZeroDivisionError: by nothing"
    assert "in crash" in crashed["trace"]
    assert other["ok"]
    assert "ZeroDivisionError: by nothing" in capsys.readouterr().out


def test_the_report_names_what_runs_before_it_ends(tmp_path, temporary, monkeypatch):
    """What is known where a library takes the whole process with it."""
    out = tmp_path / "report.json"
    seen = []
    look = Check("look", lambda bench: seen.append(json.loads(out.read_text())) or "")
    only(monkeypatch, parts=[look])
    assert main(["self-test", str(out)]) == DONE
    assert (seen[0]["running"], seen[0]["passed"]) == ("look", False)


def test_a_program_without_a_terminal_still_writes_its_report(tmp_path, temporary, monkeypatch):
    only(monkeypatch, parts=[Check("nothing", lambda bench: "")])
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    out = tmp_path / "report.json"
    assert main(["self-test", str(out)]) == DONE
    assert json.loads(out.read_text())["passed"] is True


def test_a_report_that_cannot_be_written_is_said_at_once(tmp_path, temporary, monkeypatch, capsys):
    only(monkeypatch, parts=[Check("never", lambda bench: pytest.fail("it ran"))])
    (tmp_path / "file").touch()
    assert main(["self-test", str(tmp_path / "file" / "report.json")]) == WORLD
    assert "report.json" in capsys.readouterr().err
    assert left(temporary) == []


def test_answers_of_other_weights_are_refused():
    with pytest.raises(WrongAnswerError, match="other weights"):
        networks._same_weights({"sha256": "00"}, "11")


def test_fresh_answers_have_the_form_of_the_known_ones(temporary, monkeypatch, capsys):
    only(monkeypatch, seeing=checks_of(seeing, "slide rendered"))
    assert main(["self-test", "--fresh"]) == DONE
    said = capsys.readouterr()
    fresh = json.loads(said.out)
    assert fresh["slide"]["mitoses"] > 0
    assert fresh["made_by"].startswith("`mitoscope self-test --fresh`")
    assert "all is well" in said.err


def test_a_gpu_whose_memory_is_too_small_does_not_pass():
    with pytest.raises(WrongAnswerError, match="going on with the CPU"):
        networks._no_fallback(["The GPU's memory is too small: going on with the CPU."])

"""`mitoscope models` as its reader uses it."""

import json

import pytest
from safetensors.torch import load_file, save_file
from small_backbones import published_file, small

from app.__main__ import main
from app.paths import models_file
from models import hub


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "models_file", lambda: tmp_path / "data" / "models.json")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.fixture
def small_uni(monkeypatch):
    """The registry's UNI, shrunken."""
    entry = small("uni")
    for name in ("app.commands.models", "models.registry"):
        monkeypatch.setattr(f"{name}.backbone", lambda _id: _with_hash(entry))
    return entry


def _with_hash(entry):
    from dataclasses import replace

    return replace(entry, sha256=hub.sha256(entry))


def _json(capsys, *arguments):
    assert main(["models", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_says_what_there_is_and_where(capsys):
    content = _json(capsys, "list")
    rows = {row["id"]: row for row in content["models"]}
    assert rows["mitoscope-lite0"]["weights"] == "shipped"
    assert rows["virchow2"]["weights"] == "missing"
    assert rows["virchow2"]["gated"] is True
    assert rows["virchow2"]["dim"] == 2560
    assert "conch" in content["unsupported"]
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "Virchow2" in out
    assert "not supported: CONCH" in out


def test_info_names_constructor_and_licence(capsys):
    content = _json(capsys, "info", "uni")
    assert content["licence"] == "CC-BY-NC-ND-4.0"
    assert content["arguments"]["init_values"] == 1e-5
    assert content["registration"] is None
    assert main(["models", "info", "midnight-12k"]) == 0
    assert "licence: MIT" in capsys.readouterr().out


def test_an_unknown_model_is_said(capsys):
    assert main(["models", "info", "resnet51"]) == 2
    assert "no backbone" in capsys.readouterr().err
    assert main(["models", "info", "conch"]) == 2
    assert "CONCH" in capsys.readouterr().err


def test_add_then_verify_then_a_changed_file(small_uni, tmp_path, capsys):
    path, _ = published_file(small_uni, tmp_path)
    assert main(["models", "add", "uni", str(path)]) == 2
    assert "accept its licence" in capsys.readouterr().err
    assert main(["models", "add", "uni", str(tmp_path), "--accept-licence", "Dr. Test"]) == 0
    assert "accepted by Dr. Test" in capsys.readouterr().out
    assert models_file().is_file()

    assert main(["models", "verify", "uni"]) == 0
    assert "recorded now" in capsys.readouterr().out
    first = _json(capsys, "verify", "uni")
    assert first["passed"] is True
    info = _json(capsys, "info", "uni")
    assert info["weights"] == "registered"
    assert info["registration"]["licence"]["accepted_by"] == "Dr. Test"

    state = load_file(path)
    state["norm.weight"] += 0.5
    save_file(state, path)
    assert main(["models", "verify", "uni"]) == 2
    assert "not the file that was registered" in capsys.readouterr().err


def test_verify_of_a_network_that_answers_otherwise_names_it(small_uni, tmp_path, capsys):
    path, _ = published_file(small_uni, tmp_path)
    assert main(["models", "add", "uni", str(path), "--accept-licence", "Dr. Test"]) == 0
    assert main(["models", "verify", "uni"]) == 0
    content = json.loads(models_file().read_text("utf-8"))
    content["models"]["uni"]["fingerprint"]["norm"] *= 1.1
    models_file().write_text(json.dumps(content), "utf-8")
    capsys.readouterr()
    assert main(["models", "verify", "uni"]) == 2
    out, err = capsys.readouterr()
    assert "DIFFERS recorded embedding: norm" in out
    assert "recorded embedding" in err


def test_add_without_weights_and_with_two_sources(capsys, tmp_path):
    assert main(["models", "add", "vit-tiny"]) == 2
    assert "--download" in capsys.readouterr().err
    assert main(["models", "add", "vit-tiny", str(tmp_path), "--download"]) == 2
    assert "Give one" in capsys.readouterr().err
    assert main(["models", "add", "uni", "--download", "--accept-licence", "Dr. Test"]) == 2
    assert "no token" in capsys.readouterr().err


def test_add_refuses_another_network(tmp_path, capsys):
    path, _ = published_file(small("kaiko-s8"), tmp_path)
    assert main(["models", "add", "vit-tiny", str(path)]) == 2
    err = capsys.readouterr().err
    assert "does not fit" in err
    assert "patch_embed.proj.weight" in err
    assert not models_file().exists()

"""Where weights are looked for, what is kept of them, and what is said when something is wrong."""

import json
import os
import socket
from dataclasses import replace

import pytest
from small_backbones import published_file, small

from core.errors import ModelError
from models import hub, hub_download
from models.registry import backbone, build_backbone, file_sha256
from models.verify import register


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    """An empty list of registered models, an empty cache, no token, and no network."""
    monkeypatch.setattr(hub, "models_file", lambda: tmp_path / "data" / "models.json")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)

    def refused(*_arguments, **_keys):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def _cached(entry, tmp_path, content=b"weights"):
    """A file where the hub's cache keeps it: under its hash, linked by name."""
    repo = tmp_path / "cache" / f"models--{entry.hub.replace('/', '--')}"
    digest = "ab" * 32
    (repo / "blobs").mkdir(parents=True)
    (repo / "blobs" / digest).write_bytes(content)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c0ffee")
    folder = repo / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    (folder / entry.hub_file).symlink_to(repo / "blobs" / digest)
    return folder / entry.hub_file, digest


def test_nothing_registered_and_nothing_cached_is_missing():
    entry = backbone("vit-tiny")
    assert hub.locate(entry) is None
    assert hub.place(entry) == "missing"
    assert entry.sha256 == ""
    assert hub.place(backbone("mitoscope-lite0")) == "shipped"


def test_a_registered_file_comes_before_the_cache(tmp_path):
    entry = small("vit-tiny")
    cached, digest = _cached(entry, tmp_path)
    assert hub.locate(entry) == cached
    assert hub.place(entry) == "cache"
    assert backbone("vit-tiny").sha256 == digest
    path, _ = published_file(entry, tmp_path)
    register(entry, path)
    assert hub.locate(entry) == path
    assert hub.place(entry) == "registered"
    assert backbone("vit-tiny").sha256 == file_sha256(path)
    path.unlink()
    assert hub.locate(entry) == cached


def test_a_folder_is_searched_for_its_file(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    assert register(entry, tmp_path).path == str(path)
    odd = tmp_path / "odd"
    odd.mkdir()
    with pytest.raises(ModelError, match="no file of weights"):
        register(entry, odd)
    path.rename(odd / "mine.safetensors")
    assert register(entry, odd).path.endswith("mine.safetensors")
    (odd / "other.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="several files"):
        register(entry, odd)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ModelError, match="no file"):
        register(small("vit-tiny"), tmp_path / "nowhere.safetensors")
    with pytest.raises(ModelError, match="nothing to add"):
        register(backbone("mitoscope-lite0"), tmp_path)


def test_a_gated_licence_is_accepted_by_name_and_date(tmp_path):
    entry = small("uni")
    path, _ = published_file(entry, tmp_path)
    with pytest.raises(ModelError, match="accept its licence") as caught:
        register(entry, path)
    assert "--accept-licence" in caught.value.hint
    assert not hub.models_file().exists()
    done = register(entry, path, accepted_by="Dr. Ada Ångström")
    assert done.licence is not None
    assert done.licence.accepted_by == "Dr. Ada Ångström"
    assert done.licence.name == "CC-BY-NC-ND-4.0"
    assert done.licence.accepted_at.endswith("+00:00")
    content = json.loads(hub.models_file().read_text("utf-8"))
    assert content["models"]["uni"]["licence"]["accepted_by"] == "Dr. Ada Ångström"
    assert content["models"]["uni"]["sha256"] == file_sha256(path)
    # An acceptance stays when the file is registered again.
    assert register(entry, path).licence == done.licence


def test_gated_weights_in_the_cache_need_the_licence_too(tmp_path):
    entry = small("uni")
    _cached(entry, tmp_path)
    with pytest.raises(ModelError, match="accept its licence"):
        build_backbone(entry)


def test_an_exchanged_file_is_refused(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    register(entry, path)
    build_backbone(entry)
    published_file(entry, tmp_path, seed=1)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ModelError, match="not the file that was registered") as caught:
        build_backbone(entry)
    assert "models add vit-tiny" in caught.value.hint


def test_a_touched_file_is_still_the_same(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    register(entry, path)
    os.utime(path, ns=(1, 1))
    build_backbone(entry)


def test_the_publisher_s_hash_is_held(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    with pytest.raises(ModelError, match="not the file that was meant"):
        register(entry, path, sha256="00" * 32)
    register(entry, path, sha256=file_sha256(path).upper())


def test_one_file_is_not_two_backbones(tmp_path):
    path, _ = published_file(small("vit-tiny"), tmp_path)
    register(small("vit-tiny"), path)
    with pytest.raises(ModelError, match="registered as vit-tiny"):
        register(replace(small("vit-tiny"), id="vit-small"), path)


def test_a_gone_file_is_named(tmp_path):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    register(entry, path)
    path.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is gone"):
        build_backbone(entry)


@pytest.mark.parametrize("text", ["{", "[]", '{"models": {"uni": {}}}', '{"models": []}'])
def test_a_damaged_list_is_named_and_does_not_stop_what_ships(text):
    hub.models_file().parent.mkdir(parents=True)
    hub.models_file().write_text(text)
    with pytest.raises(ModelError, match="damaged"):
        backbone("uni")
    assert backbone("mitoscope-lite0").sha256


def test_a_list_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    entry = small("vit-tiny")
    path, _ = published_file(entry, tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(hub, "models_file", lambda: tmp_path / "file" / "models.json")
    with pytest.raises(ModelError, match=r"models\.json cannot be"):
        register(entry, path)


def test_a_download_needs_licence_and_token():
    entry = backbone("uni")
    with pytest.raises(ModelError, match="accept its licence"):
        hub_download.download(entry)
    with pytest.raises(ModelError, match="no token") as caught:
        hub_download.download(entry, "Dr. Test")
    assert "HF_TOKEN" in caught.value.hint
    with pytest.raises(ModelError, match="nothing to fetch"):
        hub_download.download(backbone("mitoscope-lite0"))


def test_a_hub_out_of_reach_is_said(monkeypatch):
    from huggingface_hub.errors import OfflineModeIsEnabled

    def offline(*_arguments, **_keys):
        raise OfflineModeIsEnabled("offline")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", offline)
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        hub_download.download(backbone("vit-tiny"))
    assert "models add vit-tiny PATH" in caught.value.hint


def test_a_download_takes_the_first_name_that_is_there(monkeypatch, tmp_path):
    from huggingface_hub.errors import RemoteEntryNotFoundError

    asked = []

    def metadata(url, **_keys):
        asked.append(url)
        if url.endswith("model.safetensors"):
            raise RemoteEntryNotFoundError.__new__(RemoteEntryNotFoundError)

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a, **k: str(tmp_path / a[1]))
    found = hub_download.download(replace(backbone("vit-tiny")))
    assert found == tmp_path / "pytorch_model.bin"
    assert len(asked) == 2

"""Every kind of bad input of the command: plain words, exit status 2, nothing lost."""

import errno
import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from blobs import BlobClassifier, BlobDetector, blob_slide

from app import __version__, analysing
from app.__main__ import main
from core.slides.pyramid import write_pyramid
from core.store import open_store

TISSUE = (225, 170, 200)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    blob_slide(path, 1200, 1200, count=12)
    return path


@pytest.fixture(autouse=True)
def models(monkeypatch):
    monkeypatch.setattr(
        analysing,
        "load_models",
        lambda *_, **__: analysing.Models(BlobDetector(), BlobClassifier()),
    )


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs the command, expects it to be refused in plain words, and returns these."""

    def run(*arguments, store: Path | None = None) -> str:
        store = store or tmp_path / "store.sqlite"
        assert main(["analyze", *map(str, arguments), "--store", str(store), "--json"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        assert "fault of Mitoscope" not in printed.err
        assert printed.err.strip()
        return printed.err

    return run


def test_missing_file(refused, tmp_path):
    assert "no slide" in refused(tmp_path / "missing 🫠.svs")


def test_folder(refused, tmp_path):
    assert "is a folder" in refused(tmp_path)


def test_empty_file(refused, tmp_path):
    path = tmp_path / "empty.svs"
    path.touch()
    assert "is empty" in refused(path)


def test_text_file(refused, tmp_path):
    path = tmp_path / "text.svs"
    path.write_text("not a slide\n" * 100)
    assert "not a slide" in refused(path)


def test_unsupported_tiff(refused, tmp_path):
    import tifffile

    path = tmp_path / "stripes.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint16))
    assert "no slide of a known kind" in refused(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_slide(refused, slide, tmp_path, share):
    path = tmp_path / "cut.tif"
    content = slide.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "cut" in refused(path)


@pytest.mark.real
def test_truncated_svs(refused, tmp_path):
    data = os.environ.get("MITOSCOPE_DATA")
    if not data:
        pytest.skip("MITOSCOPE_DATA is not set")
    content = (Path(data) / "slides" / "CMU-1-Small-Region.svs").read_bytes()
    path = tmp_path / "cut.svs"
    path.write_bytes(content[: len(content) // 2])
    assert "cut" in refused(path)


def test_slide_without_pixel_size_asks_for_it(refused, tmp_path, capsys):
    path = tmp_path / "no mpp.tif"
    rgb = np.full((1200, 1200, 3), 250, np.uint8)
    rgb[200:1000, 200:1000] = TISSUE
    write_pyramid(path, rgb, None)
    assert "--mpp" in refused(path)
    store = tmp_path / "typed.sqlite"
    assert main(["analyze", str(path), "--mpp", "0.25", "--store", str(store), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["mpp_x"], shown["mpp_origin"], shown["mitoses"]) == (0.25, "typed", 0)


@pytest.mark.parametrize("mpp", ["0", "-0.25", "1000", "0.00001", "nan", "inf"])
def test_absurd_pixel_size(refused, slide, mpp):
    assert "µm" in refused(slide, "--mpp", mpp)


def test_no_tissue(refused, tmp_path):
    path = tmp_path / "blank.tif"
    write_pyramid(path, np.full((1200, 1200, 3), 250, np.uint8), 0.25)
    assert "No tissue" in refused(path)


def polygon(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(polygon([9e6, 9e6], [9.1e6, 9e6], [9e6, 9.1e6])), "outside the slide"),
        (json.dumps(polygon([0, 0], [50, 0], [0, 50])), "no tissue in the region"),
        ("{not json", "not valid JSON"),
        ('{"type": "Apfel"}', "not GeoJSON"),
        ("[]", "no polygon"),
        ('{"type": "Point", "coordinates": [1, 2]}', "no polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "ill-formed"),
        ('{"type": "Polygon", "coordinates": [["a", "b"]]}', "ill-formed"),
        ('{"type": "Polygon", "coordinates": []}', "no area"),
        (json.dumps(polygon([0, 0], [1e400, 0], [0, 9])), "no finite"),
    ],
)
def test_bad_region(refused, slide, tmp_path, text, words):
    path = tmp_path / "region.geojson"
    path.write_text(text)
    assert words in refused(slide, "--region", path)


def test_one_region_file_for_two_slides(refused, slide, tmp_path):
    path = tmp_path / "region.geojson"
    path.write_text("{}", encoding="utf-8")
    assert "regions of one slide" in refused(slide, slide, "--region", path)


def test_missing_region_file(refused, slide, tmp_path):
    assert "no region file" in refused(slide, "--region", tmp_path / "none.geojson")


def test_unknown_protocol_lists_the_known(refused, slide):
    assert "vet_std" in refused(slide, "--protocol", "guess")


def test_unknown_device_and_backend(refused, slide):
    assert "cuda" in refused(slide, "--device", "tpu")
    assert "fastslide" in refused(slide, "--backend", "magic")


def test_store_of_a_newer_version_is_left_alone(refused, slide, tmp_path):
    path = tmp_path / "newer.sqlite"
    open_store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9999")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "newer" in refused(slide, store=path)
    assert path.read_bytes() == before


def test_damaged_store_is_left_alone(refused, slide, tmp_path):
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"no database at all, but somebody's file" * 100)
    before = path.read_bytes()
    refused(slide, store=path)
    assert path.read_bytes() == before


def test_store_that_is_a_folder(refused, slide, tmp_path):
    assert "folder" in refused(slide, store=tmp_path)


def test_read_only_store_keeps_its_results(refused, slide, tmp_path, monkeypatch, capsys):
    path = tmp_path / "kept" / "store.sqlite"
    assert main(["analyze", str(slide), "--store", str(path)]) == 0
    capsys.readouterr()
    # Whoever runs the tests may be root, for whom nothing is read-only: say that it is.
    monkeypatch.setattr("core.store.opening._writable", lambda _: False)
    assert "read-only" in refused(slide, "--again", store=path)
    monkeypatch.undo()
    with open_store(path) as store:
        assert [run.state for run in store.runs(1)] == ["done"]


def test_csv_folder_that_cannot_be_made_is_told_before_the_work(slide, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    store = tmp_path / "store.sqlite"
    out = ["--out", str(blocked / "below")]
    assert main(["analyze", str(slide), "--store", str(store), *out]) == 2
    assert "--out" in capsys.readouterr().err
    assert not store.exists()


@pytest.mark.parametrize("name", ["Fall 3 – größer.tif", "🔬 slide (1).tif", "=1+1.tif", "-x.tif"])
def test_odd_names_work(slide, tmp_path, name, capsys):
    path = tmp_path / name
    shutil.copy(slide, path)
    store = tmp_path / "🗂 results" / "store.sqlite"
    assert main(["analyze", "--store", str(store), "--json", "--", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["slide"] == name


def test_the_version_is_said(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"Mitoscope {__version__}. For Research Use Only")


def test_unknown_option_and_no_slide(capsys):
    assert main(["analyze"]) == 2
    assert main(["analyze", "x.svs", "--frobnicate"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_full_disk_is_told_in_plain_words_and_the_run_is_kept(slide, tmp_path, capsys, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = tmp_path / "store.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr("core.exchange.files.os.fsync", full)
        assert main(["analyze", str(slide), "--store", str(store)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.csv")) + list(tmp_path.glob(".*.partial"))
    with open_store(store) as opened:
        assert [run.state for run in opened.runs(1)] == ["done"]


@pytest.mark.parametrize(
    ("number", "status", "said"), [(errno.ENOSPC, 2, "The disk is full."), (errno.EPIPE, 130, "")]
)
def test_an_output_that_takes_no_more_is_no_fault_of_the_program(
    capsys, monkeypatch, number, status, said
):
    def refuse(*_args, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("app.__main__._run", refuse)
    assert main(["models", "list"]) == status
    assert said in capsys.readouterr().err

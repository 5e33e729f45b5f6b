import csv
import json

import pytest
from blobs import BlobClassifier, BlobDetector, blob_slide

from app import analysing
from app.__main__ import main

HEAD = "file,x,y,label,mpp\n"


@pytest.fixture
def files(tmp_path):
    candidates = tmp_path / "candidates.csv"
    candidates.write_text(
        "slide,x_px,y_px,probability,label\n"
        "a.tif,100,100,0.9,mitosis\n"
        "a.tif,500,500,0.7,mitosis\n"
        "a.tif,300,300,0.4,imposter\n"
        "'=b.tif,50,50,0.8,mitosis\n"
        "other.tif,1,1,0.8,mitosis\n"
    )
    truth = tmp_path / "truth.csv"
    truth.write_text(
        HEAD
        + "folder/a.tif,110,100,mitosis,0.25\n"
        + "a.tif,300,310,mitosis,0.25\n"
        + "a.tif,500,500,imposter,0.25\n"
        + "=b.tif,,,,0.25\n"
    )
    return candidates, truth


def evaluate(candidates, truth, *more):
    return main(["evaluate", "--candidates", str(candidates), "--truth", str(truth), *more])


def test_figures_per_file_and_pooled(files, capsys):
    assert evaluate(*files, "--json") == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["threshold"] == 0.7
    assert [(row["file"], row["tp"], row["fp"], row["fn"]) for row in report["files"]] == [
        ("=b.tif", 0, 1, 0),
        ("a.tif", 1, 1, 1),
    ]
    assert report["pooled"]["precision"] == pytest.approx(1 / 3)
    assert report["average_precision"] == pytest.approx((1 + 2 / 4) / 2)
    assert "other.tif" in printed.err
    assert evaluate(*files, "--json", "--threshold", "0.3") == 0
    assert json.loads(capsys.readouterr().out)["pooled"]["recall"] == 1


def test_area_from_width_and_height_gives_figures_per_mm2(files, capsys):
    lines = files[1].read_text().splitlines()
    sized = [lines[0] + ",width,height", *(f"{line},4000,2000" for line in lines[1:])]
    files[1].write_text("\n".join(sized) + "\n")
    assert evaluate(*files, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["area_mm2"] == pytest.approx(1.0)
    assert report["recall_at_candidates_per_mm2"]["25"] == 1
    low, high = report["average_precision_interval"]
    assert low <= report["average_precision"] <= high


def test_plain_words(files, capsys):
    assert evaluate(*files) == 0
    out = capsys.readouterr().out
    assert "a.tif: tp 1  fp 1  fn 1" in out
    assert "average precision 0.750" in out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y\n1,2\n", "lacks file, label, mpp"),
        (HEAD, "names no file"),
        (HEAD + "a.tif,one,2,mitosis,0.25\n", "line 2: x is 'one'"),
        (HEAD + "a.tif,1,2,mitose,0.25\n", "line 2: label is 'mitose'"),
        (HEAD + "a.tif,1,2,mitosis,0\n", "mpp 0 is not possible"),
        (HEAD + "a.tif,1,2,mitosis,0.25\na.tif,1,2,mitosis,0.5\n", "differs"),
    ],
)
def test_bad_truth(files, text, words, capsys):
    files[1].write_text(text)
    assert evaluate(*files) == 2
    assert words in capsys.readouterr().err


def test_missing_files(files, tmp_path, capsys):
    assert evaluate(tmp_path / "none.csv", files[1]) == 2
    assert evaluate(files[0], tmp_path / "none.csv") == 2
    assert "no file" in capsys.readouterr().err


def test_what_analyze_writes_is_what_evaluate_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        analysing,
        "load_models",
        lambda *_, **__: analysing.Models(BlobDetector(), BlobClassifier()),
    )
    slide = tmp_path / "-1 slide.tif"
    places, dark = blob_slide(slide, 1600, 1200, count=24)
    assert main(["analyze", "--store", str(tmp_path / "s.sqlite"), "--", str(slide)]) == 0
    truth = tmp_path / "truth.csv"
    with truth.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "x", "y", "label", "mpp"])
        for (x0, y0), is_dark in zip(places, dark, strict=True):
            writer.writerow([slide.name, x0, y0, "mitosis" if is_dark else "imposter", 0.25])
    capsys.readouterr()
    assert evaluate(tmp_path / "candidates.csv", truth, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pooled"]["f1"] == 1
    assert report["average_precision"] == 1

"""`mitoscope benchmark classify` on tiny made-up cells, with the shipped backbone."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.benchmarks.classify_data import case_of, load
from app.benchmarks.classify_design import HELD_OUT, split, training_domains
from app.benchmarks.classify_run import read_lines
from app.benchmarks.classify_tables import claims, summarise
from app.commands.benchmark import benchmark_app
from core.errors import InputError

COLUMNS = ["file", "dataset", "label", "subtype", "slide", "tissue", "scanner", "mpp", "size_px"]


@pytest.fixture
def data(tmp_path):
    """Two tumour types with five slides each; atypical cells are dark on the left."""
    folder = tmp_path / "data"
    (folder / "patches").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for k in range(60):
        rgb = rng.integers(150, 255, (96, 96, 3)).astype(np.uint8)
        subtype = "atypical" if k % 3 == 0 else "normal"
        rgb[40:56, 36:60] = (70, 30, 110) if subtype == "normal" else (20, 120, 60)
        name = f"patches/{k}.png"
        Image.fromarray(rgb).save(folder / name)
        tissue = "dog" if k % 2 else "man"
        slide = f"{tissue}{k % 10}"
        rows.append([name, "made", "mitosis", subtype, slide, tissue, "", "0.25", "96"])
    with (folder / "patches.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return folder


def _run(*arguments):
    return CliRunner().invoke(benchmark_app, [str(a) for a in arguments], catch_exceptions=True)


def _classify(data, out, *more):
    common = ["--task", "atypical", "--sources", "made", "--models", "mitoscope-lite0"]
    return _run("classify", "--data", data, *common, "--out", out, "--device", "cpu", *more)


def test_a_study_is_tabled_drawn_and_gone_on_with(data, tmp_path):
    out = tmp_path / "out"
    some = ["--modes", "probe", "--fractions", "0.5,1", "--seeds", 1]
    assert _classify(data, out, *some).exit_code == 0
    before = (out / "trials.jsonl").read_text().splitlines()
    assert len(before) == 2
    more = ["--modes", "probe,lora", "--fractions", "1", "--seeds", 2, "--steps", 2, "--batch", 4]
    refused = _classify(data, out, *more)
    assert isinstance(refused.exception, InputError)  # other steps: not the same study
    again = _classify(data, out, "--modes", "probe", "--fractions", "0.5,1", "--seeds", 2)
    assert again.exit_code == 0
    after = (out / "trials.jsonl").read_text().splitlines()
    assert after[:2] == before
    assert len(after) == 4
    assert "| mitoscope-lite0 | probe |" in (out / "table.md").read_text()
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert {row["fraction"] for row in rows} == {"0.5", "1.0"}
    assert float(rows[-1]["auroc"]) > 0.9  # the made-up classes differ in colour
    assert (out / "scaling.png").stat().st_size > 1000


def test_lora_learns_across_domains(data, tmp_path):
    out = tmp_path / "out"
    options = ["--modes", "lora", "--fractions", "1", "--seeds", 1, "--steps", 2, "--batch", 4]
    found = _classify(data, out, *options, "--train-on", "each")
    assert found.exit_code == 0
    lines = read_lines(out / "trials.jsonl")
    assert [set(line["tests"]) for line in lines] == [{HELD_OUT, "man"}, {HELD_OUT, "dog"}]
    assert lines[0]["tests"]["man"]["cells"] == 30
    assert (out / "matrix.png").exists()


def test_whole_slides_are_held_out_and_fractions_are_nested(data):
    labelled = load(data, "atypical", ["made"])
    small = split(labelled, ["man"], 0.3, 1, "slide")
    large = split(labelled, ["man"], 1.0, 1, "slide")
    slide = labelled.cells.slide
    assert set(small.train) < set(large.train)
    assert not set(slide[large.train]) & set(slide[large.tests[HELD_OUT]])
    assert set(large.tests) == {HELD_OUT, "dog"}
    assert {labelled.domain[i] for i in large.train} == {"man"}
    by_cell = split(labelled, ["man", "dog"], 1.0, 1, "annotation")
    assert len(by_cell.tests[HELD_OUT]) == 12


def test_what_cannot_be_asked_is_said(data):
    labelled = load(data, "atypical", ["made"])
    assert training_domains(labelled, "others") == [("man",), ("dog",)]
    with pytest.raises(InputError, match="no domain"):
        training_domains(labelled, "cat")
    with pytest.raises(InputError, match="one class is missing"):
        load(data, "mitosis", ["made"])
    with pytest.raises(InputError, match="no cells"):
        load(data, "atypical", ["nothing"])


def test_scans_of_one_case_are_one_slide():
    assert case_of("TUPAC16:04_stitched1.tif") == case_of("TUPAC16:04") == "TUPAC16:04"
    assert case_of("A04") == case_of("H04") == case_of("ATYPIA:A04") == "H04"
    assert case_of("MIDOG21:002.tiff") == "MIDOG21:002.tiff"


def test_a_midog_json_gives_domains(tmp_path):
    Image.fromarray(np.full((300, 400, 3), 200, np.uint8)).save(tmp_path / "001.tiff")
    boxes = [([10, 10, 60, 60], 1), ([300, 200, 350, 250], 2)]
    content = {
        "images": [{"id": 1, "file_name": "001.tiff", "tumor_type": "canine lymphoma"}],
        "annotations": [{"bbox": b, "category_id": c, "image_id": 1} for b, c in boxes],
    }
    path = tmp_path / "midog.json"
    path.write_text(json.dumps(content))
    labelled = load(path, "mitosis")
    assert labelled.cells.mitosis.tolist() == [True, False]
    assert labelled.domain.tolist() == ["canine lymphoma"] * 2
    assert labelled.cells.tiles.shape == (2, 128, 128, 3)
    path.write_text("{}")
    with pytest.raises(InputError, match="MIDOG"):
        load(path, "mitosis")


def _line(fraction, seed, auroc):
    trial = {"model": "m", "mode": "lora", "train_on": "d", "fraction": fraction, "seed": seed}
    test = dict.fromkeys(["accuracy", "balanced_accuracy", "kappa", "weighted_f1"], 0.5)
    test |= {"auroc": auroc, "cells": 9, "positives": 3}
    return {"trial": trial, "train_cells": 10, "tests": {"held out": test}}


def test_the_claim_is_read_from_the_means():
    lines = [_line(0.1, 0, 0.8), _line(0.1, 1, 0.84), _line(1.0, 0, 0.83), _line(1.0, 1, None)]
    rows = summarise(lines)
    assert [(r.fraction, r.seeds, r.auroc) for r in rows] == [(0.1, 2, 0.82), (1.0, 2, 0.83)]
    (claim,) = claims(rows)
    assert claim.holds
    assert claim.ratio == pytest.approx(0.82 / 0.83, abs=1e-4)


def test_a_line_that_was_cut_off_is_done_again(tmp_path):
    path = tmp_path / "trials.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    assert read_lines(path) == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n'
    path.write_text('{"b"\n{"a": 1}\n')
    with pytest.raises(InputError, match="Line 1"):
        read_lines(path)

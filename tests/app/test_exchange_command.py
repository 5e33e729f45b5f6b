"""`mitoscope export` and `mitoscope import` as a reader would use them."""

import json

import pytest
from blobs import blob_slide
from desks import PARAMETERS, candidate

from app.__main__ import main
from app.opening import stored_slide
from core.ports import ModelOrigin
from core.slides.reader import open_slide
from core.store import RunSpec, open_store

ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "Smith.tif"
    blob_slide(path, 1200, 1000, mpp=0.5, count=2, margin0=150)
    return path


@pytest.fixture
def store_file(tmp_path, slide_file):
    path = tmp_path / "s.sqlite"
    with open_store(path) as store, open_slide(slide_file, backend="openslide") as slide:
        stored = stored_slide(store, slide)
        parameters = PARAMETERS | {"slide": {"mpp_x": 0.5, "mpp_y": 0.5}}
        run = store.open_run(RunSpec("run", stored.id, parameters, ORIGIN, ORIGIN, "0.1.0"))
        store.save_candidates(run.id, [candidate(100, 100, 0.9), candidate(300, 100, 0.2)])
        store.finish_run(run.id, "done", {})
    return path


@pytest.fixture
def run(store_file, capsys):
    def call(*arguments, store=store_file):
        status = main([*map(str, arguments), "--store", str(store)])
        return status, capsys.readouterr()

    return call


def test_out_and_in_again_under_another_reader(run, store_file, slide_file, tmp_path):
    out = tmp_path / "out.geojson"
    status, said = run("export", slide_file, "--format", "qupath", "--out", out)
    assert status == 0
    assert "QuPath GeoJSON; 2 points" in said.out
    status, said = run("import", out, "--slide", slide_file, "--reader", "Ada")
    assert status == 0
    assert "taken in for Ada: 2 verdicts of figures" in said.out
    status, said = run("import", out, "--slide", "smith.TIF", "--reader", "Ada")
    assert "2 known already" in said.out
    with open_store(store_file) as store:
        assert [action.text for action in store.iter_actions(1, 1)] == ["import: 2 figures"]
    table = tmp_path / "out.csv"
    status, _ = run("export", "--format", "csv", "--out", table, "--what", "verdicts")
    assert status == 0
    assert [line.split(",")[9:11] for line in table.read_text().splitlines()[1:]] == [
        ["mitosis", "Ada"],
        ["imposter", "Ada"],
    ]


def test_the_alias_stands_for_the_name_and_can_be_demanded(run, store_file, slide_file, tmp_path):
    out = tmp_path / "out.json"
    arguments = ("export", slide_file, "--format", "midog", "--out", out)
    status, said = run(*arguments, "--alias")
    assert status == 2
    assert "has no alias" in said.err
    assert not out.exists()
    with open_store(store_file) as store:
        store.set_alias(1, "case 7")
    assert run(*arguments, "--alias")[0] == 0
    text = out.read_text()
    assert json.loads(text)["images"][0]["file_name"] == "case 7"
    assert "Smith" not in text
    assert str(slide_file.parent) not in text
    assert run("export", "case 7", "--format", "midog", "--out", out)[0] == 0


def test_every_fault_is_said_and_nothing_is_half_done(run, store_file, slide_file, tmp_path):
    bad = tmp_path / "bad.geojson"
    bad.write_text('{"type": "FeatureCollection", "features": [{"type": "Feature"')
    out = tmp_path / "out.x"
    faults = {
        ("import", bad, "--slide", slide_file, "--reader", "Ada"): "bad.geojson is not valid JSON",
        ("import", bad, "--slide", "absent", "--reader", "Ada"): "There is no slide absent",
        ("import", bad, "--slide", slide_file, "--reader", " "): "A reader needs a name",
        ("import", bad, "--slide", slide_file, "--reader", "A", "--as", "x"): "as 'x'",
        ("export", slide_file, "--format", "ndpa", "--out", out): "does not say where that is",
        ("export", slide_file, "--format", "x", "--out", out): "There is no format 'x'",
        ("export", slide_file, "--format", "csv", "--out", out, "--run", 9): "no run 9",
        ("export", slide_file, "--format", "csv", "--out", out, "--run", 2**63): "for '--run'",
        ("export", slide_file, "--format", "csv", "--out", out, "--reader", "Eve"): "no reader Eve",
        ("export", slide_file, "--format", "csv", "--out", out, "--what", "x"): "no 'x' to export",
        ("export", slide_file, "--out", out): "Say what to write where",
        ("export", bad, "--format", "csv", "--out", out): "not a slide in a format",
        ("export", "absent", "--format", "csv", "--out", out): "no slide absent",
    }
    for arguments, message in faults.items():
        status, said = run(*arguments)
        assert (status, said.out) == (2, ""), arguments
        assert message in said.err
    status, said = run("export", slide_file, "--format", "csv", "--out", out, store=tmp_path / "no")
    assert (status, "There is no store" in said.err) == (2, True)
    assert not out.exists()
    assert not (tmp_path / "no").exists()
    with open_store(store_file) as store:
        assert list(store.iter_verdicts(1)) == []


def test_a_slide_that_the_store_does_not_know_is_added_by_an_import(run, slide_file, tmp_path):
    table = tmp_path / "points.csv"
    table.write_text("x,y\n50,60\n70,80\n9000,1\n")
    other = tmp_path / "new.sqlite"
    broken = tmp_path / "broken.xml"
    broken.write_text("<Annotations>")
    assert run("import", broken, "--slide", slide_file, "--reader", "A", store=other)[0] == 2
    with open_store(other) as store:
        assert (store.slides(), store.readers()) == ([], [])
    arguments = ("import", table, "--slide", slide_file, "--reader", "Ada")
    status, said = run(*arguments, store=other)
    assert status == 2
    assert "of unknown class: 2" in said.err
    status, said = run(*arguments, "--as", "mitoses", store=other)
    assert status == 0
    assert "off the slide, left out: 1, at (9000, 1)" in said.err
    assert "2 figures placed" in said.out


def test_formats_without_a_foreign_sample_are_marked(capsys):
    assert main(["export", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line.partition(":")[0] for line in lines if "round trip with ourselves only" in line]
    assert "coco" in marked
    assert "qupath" not in marked


def test_a_laboratory_that_demands_aliases_is_heard(run, slide_file, tmp_path, monkeypatch):
    from app import laboratory

    rules = tmp_path / "laboratory.toml"
    rules.write_text("aliases_required = true")
    monkeypatch.setenv("MITOSCOPE_LABORATORY", str(rules))
    laboratory.laboratory.cache_clear()
    try:
        status, said = run("export", slide_file, "--format", "csv", "--out", tmp_path / "o.csv")
    finally:
        laboratory.laboratory.cache_clear()
    assert status == 2
    assert "has no alias" in said.err

"""Where labels come from: verdicts of a store, tables, MIDOG's JSON, folders of crops."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from blobs import blob_slide
from PIL import Image

from app.adapting.request import AdaptRequest, FolderSource, StoreSource
from app.adapting.sources import load
from core.cancel import CancelToken
from core.errors import InputError
from core.ports import ModelOrigin
from core.slides.crops import read_crop
from core.slides.reader import open_slide
from core.store import Candidate, NewVerdict, RunSpec, SlideRecord, open_store

ORIGIN = ModelOrigin("m", "0" * 64, "cpu", "float32")


def load_from(source, task="mitosis", crop_px=32, tile_px=48):
    request = AdaptRequest("efficientnet-lite0", "probe", source, Path("none"), task=task)
    told = []
    loaded = load(request, crop_px, tile_px, CancelToken(), lambda *at: told.append(at))
    assert told[-1][0] == len(loaded.examples)
    return loaded


def add_slide(store, path):
    with open_slide(path) as slide:
        record = SlideRecord(
            slide.identity.kind,
            slide.identity.digest,
            slide.name,
            slide.width0,
            slide.height0,
            slide.mpp.x,
            slide.mpp.y,
            slide.mpp_origin,
            slide.vendor,
            str(path),
        )
    return store.add_slide(record)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Two slides whose blobs two readers have looked at, and the places of the blobs."""
    folder = tmp_path_factory.mktemp("room")
    places = {}
    with open_store(folder / "store.sqlite") as store:
        ada, ben = store.add_reader("Ada"), store.add_reader("Ben")
        for k in range(2):
            path = folder / f"slide {k}.tif"
            places[k + 1], dark = blob_slide(path, 1200, 1000, count=18, seed=k)
            slide_id = add_slide(store, path)
            store.give_verdicts(
                slide_id,
                ada,
                [
                    NewVerdict(
                        "mitosis" if d else "imposter",
                        place0=(float(xy[0]), float(xy[1])),
                        atypical=bool(k and d),
                    )
                    for xy, d in zip(places[k + 1], dark, strict=True)
                ],
            )
            points = list(store.iter_points(slide_id))
            # Ben differs on the first, is unsure of the second and took the third back.
            for value, point in zip(("imposter", "unsure", "deleted"), points, strict=False):
                store.give_verdicts(slide_id, ben, [NewVerdict(value, point_id=point.id)])
            store.give_verdicts(slide_id, ben, [NewVerdict("cleared", point_id=points[2].id)])
            store.give_verdicts(
                slide_id, ben, [NewVerdict("imposter", point_id=points[0].id)], consensus=True
            )
            store.give_verdicts(slide_id, ada, [NewVerdict("deleted", point_id=points[5].id)])
    return folder / "store.sqlite", places


def test_verdicts_of_all_readers_by_the_rules_of_review(room):
    path, places = room
    loaded = load_from(StoreSource(path))
    examples = loaded.examples
    # Of 18 points each: one disputed (unsure against imposter), one deleted, one settled.
    assert len(examples) == 32
    assert examples.positive.sum() == 2 * 5
    assert loaded.origin == "verdicts of all readers"
    assert any("2 deleted, 2 disputed" in note for note in loaded.notes)
    assert np.isnan(examples.detector_score).all()
    with open_slide(path.parent / "slide 0.tif") as slide:
        x0, y0 = places[1][0]
        np.testing.assert_array_equal(examples.tiles[0], read_crop(slide, x0, y0, 48, 0.25))
    assert set(examples.slide) == {"slide 0.tif", "slide 1.tif"}
    assert len(set(loaded.identities.values())) == 2


def test_named_readers_the_consensus_and_chosen_slides(room):
    path, _ = room
    ada = load_from(StoreSource(path, (1,), ("Ada",)))
    assert len(ada.examples) == 17
    assert ada.examples.positive[0]
    assert "Ada" not in ada.origin
    with pytest.raises(InputError, match="All 2 labels say imposter"):
        load_from(StoreSource(path, None, "consensus"))
    with pytest.raises(InputError, match=r"no reader Eve.*Ada, Ben"):
        load_from(StoreSource(path, None, ("Eve",)))
    with pytest.raises(InputError, match=r"no slide 7.*slide 0\.tif"):
        load_from(StoreSource(path, (7,)))
    with pytest.raises(InputError, match="no store"):
        load_from(StoreSource(path.with_name("other.sqlite")))


def test_atypical_among_mitoses(room):
    path, _ = room
    examples = load_from(StoreSource(path, None, ("Ada",)), "atypical").examples
    assert set(examples.slide[examples.positive]) == {"slide 1.tif"}
    assert set(examples.slide[~examples.positive]) == {"slide 0.tif"}


def test_a_slide_that_is_gone_or_changed_is_named_and_left_out(room, tmp_path):
    path, _ = room
    store = tmp_path / "store.sqlite"
    for file in path.parent.glob("slide *.tif"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    store.write_bytes(path.read_bytes())
    with open_store(store) as opened:
        for k in (1, 2):
            opened.set_path(k, tmp_path / f"slide {k - 1}.tif")
    (tmp_path / "slide 0.tif").unlink()
    loaded = load_from(StoreSource(store))
    assert set(loaded.examples.slide) == {"slide 1.tif"}
    assert any("slide 0.tif, 16 verdicts" in note for note in loaded.notes)
    blob_slide(tmp_path / "slide 1.tif", 1200, 1000, count=18, seed=9)
    with pytest.raises(InputError, match=r"no labels.*slide 0\.tif.*Another slide"):
        load_from(StoreSource(store))


def test_candidates_keep_their_detector_scores(tmp_path):
    path = tmp_path / "a.tif"
    places, dark = blob_slide(path, 1200, 1000, count=18)
    with open_store(tmp_path / "s.sqlite") as store:
        slide_id, reader = add_slide(store, path), store.add_reader("Ada")
        run = store.open_run(RunSpec("k", slide_id, {}, ORIGIN, ORIGIN, "0"))
        store.save_candidates(
            run.id,
            [
                Candidate(float(x), float(y), 0.25 if d else 0.125, 0.5, "mitosis")
                for (x, y), d in zip(places[:16], dark, strict=False)
            ],
        )
        store.finish_run(run.id, "done", {})
        verdicts = [
            NewVerdict("mitosis" if row.detector_score > 0.2 else "imposter", candidate_id=row.id)
            for row in store.iter_candidates(run.id)
        ]
        by_hand = [NewVerdict("mitosis", place0=tuple(map(float, places[17])))]
        store.give_verdicts(slide_id, reader, verdicts + by_hand)
    examples = load_from(StoreSource(tmp_path / "s.sqlite")).examples
    assert len(examples) == 17
    known = ~np.isnan(examples.detector_score)
    assert known.sum() == 16
    assert (examples.detector_score[known] == np.where(examples.positive[known], 0.25, 0.125)).all()


def image(path, side=120, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(path)
    return rgb


def table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def tables(tmp_path):
    fields, patches = [], []
    for k, slide in enumerate(("H03", "H04", "H05")):
        image(tmp_path / f"{slide}.png", seed=k)
        for n in range(8):
            label = "mitosis" if n % 2 else "imposter"
            where = {"x": 60, "y": 50 + n, "label": label, "slide": slide, "mpp": 0.25}
            fields.append({"file": f"{slide}.png", "width": 120} | where)
    for dataset, label, subtype in (
        ("only", "mitosis", "normal"),
        ("both", "mitosis", "atypical"),
        ("both", "mitosis", "normal"),
        ("both", "imposter", ""),
        ("atnorm_br", "mitosis", "atypical"),
        ("atnorm_br", "mitosis", "normal"),
    ):
        for n in range(6):
            file = f"{dataset}-{subtype or label}-{n}.png"
            image(tmp_path / file, 64, seed=n)
            slide = f"{dataset}{n % 3}"
            of = {"label": label, "subtype": subtype, "tissue": "t", "mpp": 0.5, "slide": slide}
            patches.append({"file": file, "dataset": dataset} | of)
    table(tmp_path / "fields.csv", fields)
    table(tmp_path / "patches.csv", patches)
    return tmp_path


def test_tables_leave_out_the_test_slide_and_sets_of_one_class(tables):
    loaded = load_from(FolderSource(tables))
    examples = loaded.examples
    assert set(examples.slide) == {"H03", "H04", "both0", "both1", "both2"}
    assert len(examples) == 16 + 18
    said = " ".join(loaded.notes)
    assert "only" in said
    assert "H05" in said
    rgb = np.asarray(Image.open(tables / "H03.png"))
    np.testing.assert_array_equal(examples.tiles[0], rgb[26:74, 36:84])


def test_tables_for_atypical_mitoses(tables):
    loaded = load_from(FolderSource(tables), "atypical")
    assert set(loaded.examples.slide) == {"both0", "both1", "both2"}
    assert loaded.examples.positive.sum() == 6
    assert "kept for tests: atnorm_br" in " ".join(loaded.notes)
    with pytest.raises(InputError, match=r"no slide nowhere.*both0"):
        load_from(FolderSource(tables, ("nowhere",)), "atypical")


def test_midog_json_beside_its_images(tmp_path):
    boxes = []
    for k in range(3):
        if k < 2:
            image(tmp_path / ("images" if k else ".") / f"00{k}.tiff", 200, seed=k)
        for n in range(6):
            box = [50 + n, 60, 100 + n, 110]
            boxes.append({"bbox": box, "category_id": 1 + n % 2, "image_id": k, "id": len(boxes)})
    document = {
        "images": [
            {"id": k, "file_name": f"00{k}.tiff", "width": 200, "height": 200} for k in range(3)
        ],
        "categories": [
            {"id": 1, "name": "mitotic figure"},
            {"id": 2, "name": "not mitotic figure"},
        ],
        "annotations": boxes,
    }
    (tmp_path / "MIDOG.json").write_text(json.dumps(document), encoding="utf-8")
    for source in (tmp_path, tmp_path / "MIDOG.json"):
        loaded = load_from(FolderSource(source))
        assert set(loaded.examples.slide) == {"000", "001"}
        assert loaded.examples.positive.sum() == 6
        assert any("002.tiff" in note for note in loaded.notes)
    rgb = np.asarray(Image.open(tmp_path / "000.tiff"))
    np.testing.assert_array_equal(loaded.examples.tiles[0], rgb[61:109, 51:99])
    (tmp_path / "MIDOG.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="no MIDOG JSON"):
        load_from(FolderSource(tmp_path))


def test_crops_name_their_slide_before_the_first_underscore(tmp_path):
    for name in ("atypical", "normal"):
        for n in range(6):
            image(tmp_path / name / f"case{n % 2}_cell_{n}.png", 40, seed=n)
        (tmp_path / name / "notes.txt").write_text("no image", encoding="utf-8")
    examples = load_from(FolderSource(tmp_path), "atypical").examples
    assert set(examples.slide) == {"case0", "case1"}
    assert len(examples) == 12
    coarse = load_from(FolderSource(tmp_path, mpp=0.5), "atypical").examples
    assert coarse.tiles.shape == examples.tiles.shape
    assert not np.array_equal(coarse.tiles, examples.tiles)


def test_what_is_no_labelled_folder_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no labelled folder"):
        load_from(FolderSource(tmp_path / "empty"))
    with pytest.raises(InputError, match="There is no"):
        load_from(FolderSource(tmp_path / "nowhere"))
    (tmp_path / "mitosis").mkdir()
    (tmp_path / "mitosis" / "a_1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read"):
        load_from(FolderSource(tmp_path))
    head = "file,x,y,label,slide,mpp\n"
    for text, said in (
        ("x,y\n1,2\n", r"fields\.csv lacks the columns file, label, mpp, slide"),
        (head + "a.png,left,2,mitosis,S,0.25\n", r"fields\.csv.*“left” is no number"),
        (head + "a.png,1,2,mitosis,S,0\n", r"fields\.csv.*“0”"),
        (head + "a.png,1,2,mitosis\n", r"fields\.csv"),
    ):
        (tmp_path / "fields.csv").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=said):
            load_from(FolderSource(tmp_path))
    (tmp_path / "fields.csv").write_bytes(b"file,x\xff\n")
    with pytest.raises(InputError, match=r"fields\.csv"):
        load_from(FolderSource(tmp_path))

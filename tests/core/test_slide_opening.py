import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slidefiles import make_slide, textured, tile_spans

from core.errors import PixelSizeError, SlideError
from core.geometry import Mpp, Rect0
from core.slides import pixelsize, reader
from core.slides.levels import LevelScale, true_scales
from core.slides.reader import open_slide
from core.slides.stitch import stitch_field

needs_data = pytest.mark.skipif("MITOSCOPE_DATA" not in os.environ, reason="no MITOSCOPE_DATA")


@pytest.fixture
def tiff(tmp_path):
    return make_slide(tmp_path / "slide.tif")


def test_a_slide_says_what_it_is(tiff):
    with open_slide(tiff) as slide:
        assert (slide.width0, slide.height0) == (1500, 1300)
        assert slide.mpp == Mpp(0.25, 0.25)
        assert slide.mpp_origin == "openslide.mpp"
        assert slide.identity.kind == "quickhash-1"
        assert slide.level_downsamples == (1, 4, 16)
        assert slide.bounds == Rect0(0, 0, 1500, 1300)
        assert slide.vendor == "generic-tiff"
        assert slide.name == "slide.tif"


@pytest.mark.parametrize("name", ["a b.tif", "Präparat Ä.tif", "🔬 slide.tif", "=1+1.tif"])
def test_any_name_will_do(tmp_path, name):
    with open_slide(make_slide(tmp_path / name)) as slide:
        assert slide.read_at(0, 0, 8, 8, 0.25).shape == (8, 8, 3)


def test_unequal_axes_are_kept(tmp_path):
    with open_slide(make_slide(tmp_path / "s.tif", mpp=(0.25, 0.5))) as slide:
        assert slide.mpp.x == pytest.approx(0.25)
        assert slide.mpp.y == pytest.approx(0.5)


def test_a_typed_size_wins(tiff):
    with open_slide(tiff, mpp=0.5) as slide:
        assert slide.mpp == Mpp(0.5, 0.5)
        assert slide.mpp_origin == "typed"


@pytest.mark.parametrize("mpp", [0, -0.25, 0.01, 25, float("nan"), float("inf")])
def test_an_absurd_typed_size_is_refused(tiff, mpp):
    with pytest.raises(PixelSizeError):
        open_slide(tiff, mpp=mpp)


@pytest.mark.parametrize("stated", [None, 254.0])
def test_without_a_size_the_slide_opens_and_asks_for_one(tmp_path, stated):
    with open_slide(make_slide(tmp_path / "s.tif", mpp=stated)) as slide:
        assert slide.mpp is None
        assert slide.mpp_origin == ""
        with pytest.raises(PixelSizeError) as caught:
            slide.read_at(0, 0, 8, 8, 0.25)
        assert "--mpp" in caught.value.hint
        assert slide.thumbnail(100).shape == (87, 100, 3)


def tiff_resolution(value, unit):
    return {"tiff.XResolution": value, "tiff.YResolution": value, "tiff.ResolutionUnit": unit}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"openslide.mpp-x": "0.25", **tiff_resolution("72", "inch")}, (0.25, "openslide.mpp")),
        (tiff_resolution("40000", "centimeter"), (0.25, "tiff resolution")),
        (tiff_resolution("101600", "inch"), (0.25, "tiff resolution")),
        (tiff_resolution("40000", "none"), None),
        (tiff_resolution("72", "inch"), None),
        (tiff_resolution("0", "centimeter"), None),
        ({"openslide.mpp-x": "0", "openslide.mpp-y": "0"}, None),
        ({"openslide.mpp-x": "1000", "openslide.mpp-y": "0.25"}, None),
        ({"openslide.mpp-x": "nonsense"}, None),
    ],
)
def test_the_size_is_taken_from_where_it_can_be_trusted(properties, expected):
    mpp, origin = pixelsize.find_mpp(properties)
    if expected is None:
        assert (mpp, origin) == (None, "")
    else:
        assert (pytest.approx(mpp.x), origin) == expected


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.svs"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is no slide")
    elif kind == "plain tiff":
        Image.fromarray(textured(64, 64)).save(path, "TIFF")
    elif kind == "cut early":
        path.write_bytes(make_slide(folder / "whole.tif").read_bytes()[:5000])
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "plain tiff", "cut early"])
@pytest.mark.parametrize("backend", ["auto", "openslide", "turbo", "fastslide"])
def test_what_is_no_slide_is_named(tmp_path, kind, backend):
    with pytest.raises(SlideError) as caught:
        open_slide(bad_file(tmp_path, kind), backend=backend)
    assert kind in str(caught.value)
    assert caught.value.hint


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission_is_named(tiff):
    tiff.chmod(0)
    with pytest.raises(SlideError):
        open_slide(tiff)


def test_tiles_beyond_the_end_of_the_file_are_noticed_at_once(tmp_path):
    # Directories first and tiles behind, as scanners write them: OpenSlide opens such a stump.
    whole = make_slide(tmp_path / "whole.tif")
    data = whole.read_bytes()
    last, count = tile_spans(whole)[-1]
    moved = bytearray(data + data[last : last + count])
    at = moved.find(last.to_bytes(8, "little"), last)
    moved[at : at + 8] = len(data).to_bytes(8, "little")
    stump = tmp_path / "stump.tif"
    stump.write_bytes(moved)
    with open_slide(stump) as slide:
        slide.read_at(1400, 1200, 64, 64, 0.25)
    stump.write_bytes(moved[:-200])
    with pytest.raises(SlideError, match="cut off"):
        open_slide(stump)


def test_identity_without_quickhash_is_size_and_three_pieces(tmp_path):
    path = tmp_path / "big"
    content = np.random.default_rng(0).bytes(5 << 20)
    path.write_bytes(content)
    one = reader._identity(path, {})
    middle = len(content) // 2 - (1 << 19)
    pieces = content[: 1 << 20] + content[middle : middle + (1 << 20)] + content[-(1 << 20) :]
    assert one.kind == "size+sha256-3mib"
    assert one.digest == f"{len(content)}-{hashlib.sha256(pieces).hexdigest()}"


def test_bounds_are_clipped_to_the_slide_and_nonsense_is_ignored():
    def bounds(x, y, w, h):
        names = ("x", "y", "width", "height")
        values = {f"openslide.bounds-{n}": str(v) for n, v in zip(names, (x, y, w, h), strict=True)}
        return reader._bounds(values, (1000, 800))

    assert bounds(100, 50, 300, 200) == Rect0(100, 50, 300, 200)
    assert bounds(900, -10, 300, 200) == Rect0(900, 0, 100, 190)
    assert bounds(5000, 5000, 10, 10) == Rect0(0, 0, 1000, 800)


def test_rounded_level_sizes_do_not_stretch_the_slide():
    scales = true_scales(((2050, 1100), (513, 275), (128, 68)), (1.0, 3.998, 16.1))
    assert scales == (LevelScale(1, 1), LevelScale(4, 4), LevelScale(16, 16))
    odd = true_scales(((1000, 1000), (300, 300)), (1.0, 1000 / 300))
    assert odd[1].x == pytest.approx(1000 / 300)
    padded = true_scales(((1000, 1000), (512, 512)), (1.0, 2.5))
    assert padded[1] == LevelScale(2.5, 2.5)


@pytest.mark.real
@needs_data
def test_a_genuine_svs_opens_with_both_libraries(tmp_path):
    path = Path(os.environ["MITOSCOPE_DATA"]) / "slides" / "CMU-1-Small-Region.svs"
    with open_slide(path) as slide, open_slide(path, backend="openslide") as reference:
        assert slide.mpp == Mpp(0.499, 0.499)
        assert slide.vendor == "aperio"
        assert slide.backend == "turbo", slide.backend_note
        fast = slide.read_at(500, 900, 300, 300, 0.5)
        assert (fast == reference.read_at(500, 900, 300, 300, 0.5)).all()
    cut = tmp_path / "cut.svs"
    cut.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(SlideError, match="cut off"):
        open_slide(cut)


@pytest.mark.real
@needs_data
def test_a_field_is_stitched_with_its_frames_in_place(tmp_path):
    data = Path(os.environ["MITOSCOPE_DATA"])
    corners = stitch_field(data, "H05_03", tmp_path / "field.tif")
    assert len(corners) == 16
    assert corners["Aa"] == (0, 0)
    assert corners["Dd"][0] == 3 * corners["Ab"][0]
    with (
        open_slide(tmp_path / "field.tif", backend="openslide") as slide,
        Image.open(data / "fields" / "atypia14" / "H05_03Cb.webp") as frame,
    ):
        x0, y0 = corners["Cb"]
        expected = np.asarray(frame.convert("RGB"))[200:456, 300:556].astype(int)
        found = slide.read_at(x0 + 300, y0 + 200, 256, 256, 0.25)
        assert np.abs(found - expected).mean() < 4

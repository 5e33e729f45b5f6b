"""Round trips of every format, and detection by content."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.exchange.formats import FORMATS, detect
from core.exchange.marks import CALLED, Mark, Outline, Saying, SlideFrame, SlideMarks, meaning
from core.geometry import Mpp, Rect0

WIDTH0, HEIGHT0 = 20_000, 16_000
SLIDE = SlideFrame(
    "slide 7.svs", WIDTH0, HEIGHT0, Mpp(0.25, 0.26), Rect0(1000, 500, 18_000, 15_000), (-125.0, 40)
)

#: What each format can hold of a mark; the others of its fields come back empty.
HOLDS = {
    "csv": "label probability verdict reader uuid name score decided_at",
    "qupath": "label probability verdict reader uuid name score decided_at sayings",
    "midog": "called sayings",
    "coco": "called probability",
    "grand-challenge": "called probability",
    "sliderunner": "label probability verdict reader uuid name sayings",
    "asap": "called uuid",
    "imagescope": "called uuid",
    "ndpa": "called uuid probability",
}
#: Formats that keep a place only so closely, level-0 pixels.
CLOSENESS = {"midog": 0.5, "sliderunner": 0.5, "ndpa": 0.5 / 250}
NO_REGIONS = {"csv", "midog", "grand-challenge"}

_WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cn")),
    min_size=1,
    max_size=12,
)
_PLACES = st.floats(0, 1, width=32).map(lambda part: round(part, 6))


def _names():
    plain = _WORDS.filter(lambda word: not word.startswith("'"))
    return plain.filter(lambda word: not meaning(word) and word.casefold() not in ("unclassified",))


@st.composite
def marks(draw):
    verdict = draw(st.sampled_from(("", *CALLED[:4])))
    label = draw(st.sampled_from(("", *CALLED[:4])))
    reader = draw(_WORDS.filter(lambda word: not word.startswith("'"))) if verdict else ""
    moment = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 10**8)))
    return Mark(
        x0=draw(_PLACES) * WIDTH0,
        y0=draw(_PLACES) * HEIGHT0,
        label=label,
        probability=draw(st.none() | st.floats(0, 1)),
        verdict=verdict,
        reader=reader,
        uuid=str(draw(st.uuids())),
        name="" if verdict or label else draw(st.just("") | _names()),
        score=draw(st.none() | st.floats(0, 1)),
        decided_at=moment if verdict else None,
        sayings=(Saying(reader, verdict),) if verdict else (),
    )


@st.composite
def outlines(draw):
    x0, y0 = draw(st.integers(0, WIDTH0 - 400)), draw(st.integers(0, HEIGHT0 - 400))
    polygon = shapely.box(x0, y0, x0 + draw(st.integers(10, 400)), y0 + draw(st.integers(10, 400)))
    kind = draw(st.sampled_from(("tumour", "excluded", "count_area")))
    return Outline(kind, polygon, uuid=str(draw(st.uuids())))


@pytest.mark.parametrize("id_", HOLDS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(given_marks=st.lists(marks(), max_size=6, unique_by=lambda m: m.uuid), drawn=st.data())
def test_what_a_format_can_hold_comes_back(id_, given_marks, drawn):
    shapes = drawn.draw(st.lists(outlines(), max_size=3, unique_by=lambda o: o.uuid))
    if id_ == "midog":
        given_marks = [m for m in given_marks if m.called in ("mitosis", "imposter")]
    with TemporaryDirectory() as folder:
        path = Path(folder, f"marks{FORMATS[id_].extensions[0]}")
        FORMATS[id_].write(path, SlideMarks(SLIDE, given_marks, shapes))
        assert detect(path).id == id_ or not (given_marks or shapes)
        back = FORMATS[id_].read(path, SLIDE)
    assert len(back.marks) == len(given_marks)
    found, drawn_shapes = back.outlines, shapes
    if "uuid" in HOLDS[id_]:  # where places are told by ids, their order is free
        by_id = {mark.uuid: mark for mark in back.marks}
        back = replace(back, marks=[by_id[mark.uuid] for mark in given_marks])
        found = sorted(found, key=lambda outline: outline.uuid)
        drawn_shapes = sorted(shapes, key=lambda outline: outline.uuid)
    near = CLOSENESS.get(id_, 0) + 1e-6
    for was, now in zip(given_marks, back.marks, strict=True):
        assert (now.x0, now.y0) == (
            pytest.approx(was.x0, abs=near),
            pytest.approx(was.y0, abs=near),
        )
        for field in HOLDS[id_].split():
            assert _value(now, field, id_) == _value(was, field, id_), field
    if id_ not in NO_REGIONS:
        assert [o.kind for o in found] == [o.kind for o in drawn_shapes]
        for was, now in zip(drawn_shapes, found, strict=True):
            assert now.polygon0.hausdorff_distance(was.polygon0) <= near + 1e-6


def _value(mark, field, id_):
    if field != "called":
        value = getattr(mark, field)
        if field == "sayings" and id_ == "midog":
            kept = ("mitosis", "imposter")
            two = {"atypical": "mitosis"}
            said = [two.get(s.verdict, s.verdict) for s in value]
            return [one for one in said if one in kept]
        return value
    word = mark.called or mark.name
    if id_ in ("midog", "grand-challenge"):
        return {"atypical": "mitosis"}.get(word, word)
    return mark.called if id_ == "coco" else word


def test_every_format_reads_and_writes_or_says_so():
    for format_ in FORMATS.values():
        assert format_.reads or format_.writes
        assert format_.extensions[0].startswith(".")
        assert replace(format_, foreign_sample=False).described.endswith("ourselves only)")

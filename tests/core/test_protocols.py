"""The shipped protocols are sound, and every broken rule is refused by name."""

import math

import pytest

from core.counting.protocols import (
    DEFAULT_PROTOCOL,
    custom_protocol,
    get_protocol,
    load_protocols,
)
from core.counting.shapes import CountShape
from core.errors import ProtocolError

GOOD = """
[[protocols]]
id = "a"
name = "A"
area_mm2 = 2
shape = "square"
unit_mm2 = 1
fixed_area = true
whole_numbers = true
verified = true
source = "S"
[[protocols.categories]]
name = "low"
min = 0
max = 3
[[protocols.categories]]
name = "high"
min = 4
"""


def load(tmp_path, text):
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    return load_protocols(path)


def test_shipped_protocols_load_and_the_default_is_veterinary():
    protocols = load_protocols()
    default = get_protocol()
    assert default.id == DEFAULT_PROTOCOL == "vet_std"
    assert default.area_mm2 == 2.37
    assert default.shape.width_um / default.shape.height_um == pytest.approx(4 / 3)
    assert all(p.shape.area_mm2 == pytest.approx(p.area_mm2) for p in protocols.values())
    assert all(p.source for p in protocols.values())


def test_what_was_not_verified_says_so():
    unverified = {p.id for p in load_protocols().values() if not p.verified}
    assert {"meningioma", "gist", "sts_fnclcc"} <= unverified
    assert "vet_std" not in unverified


def test_every_shipped_protocol_gives_every_whole_count_at_most_one_category():
    for protocol in load_protocols().values():
        for count in range(120):
            value = protocol.value(count, protocol.area_mm2)
            held = [c.name for c in protocol.categories if c.holds(value)]
            assert len(held) == bool(protocol.categories), (protocol.id, count)


def test_units_in_words():
    assert get_protocol("net_gep").unit == "per 2 mm²"
    assert get_protocol("melanoma").unit == "per mm²"


def test_unknown_protocol_lists_the_known():
    with pytest.raises(ProtocolError, match="vet_std"):
        get_protocol("nope")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("area_mm2 = 2", "area_mm2 = -2", "area_mm2 must be above 0"),
        ("area_mm2 = 2", "area_mm2 = nan", "area_mm2 must be above 0"),
        ("area_mm2 = 2", 'area_mm2 = "2"', "area_mm2 must be of type float"),
        ("area_mm2 = 2", "", "area_mm2 is missing"),
        ('source = "S"', 'source = ""', "source is empty"),
        ('source = "S"', 'source = "S"\ncutoff = 3', "cutoff is not a known key"),
        ('"square"', '"hexagon"', "Unknown shape"),
        ('"square"', '"rectangle-0:3"', "Unknown shape"),
        ("verified = true", "verified = 1", "verified must be of type bool"),
        ("min = 4", "min = 3", "overlap"),
        ("min = 4", "min = 5", "gap between"),
        ("whole_numbers = true", "whole_numbers = false", "gap between"),
        ("min = 4", "min = 4\nmax = 9", "last category must have no max"),
        ("min = 0", "min = 1", "first category must begin at 0"),
        ("max = 3", "max = -1", "ends"),
        ('"high"', '"low"', "two categories have one name"),
    ],
)
def test_a_broken_rule_is_named(tmp_path, old, new, fault):
    assert load(tmp_path, GOOD)["a"].categories[0].name == "low"
    with pytest.raises(ProtocolError, match=fault):
        load(tmp_path, GOOD.replace(old, new, 1))


def test_twice_the_same_id_not_toml_and_missing_file(tmp_path):
    with pytest.raises(ProtocolError, match="there twice"):
        load(tmp_path, GOOD + GOOD)
    with pytest.raises(ProtocolError, match="cannot be read"):
        load(tmp_path, "id = ")
    with pytest.raises(ProtocolError, match="cannot be read"):
        load_protocols(tmp_path / "none.toml")
    with pytest.raises(ProtocolError, match="nothing else"):
        load(tmp_path, "")


def test_open_ends_meet_without_gap(tmp_path):
    text = GOOD.replace("max = 3", "max = 4\nmax_closed = false").replace(
        "whole_numbers = true", "whole_numbers = false"
    )
    low, high = load(tmp_path, text)["a"].categories
    assert (low.holds(3.999), low.holds(4), high.holds(4), high.max) == (
        True,
        False,
        True,
        math.inf,
    )
    with pytest.raises(ProtocolError, match="gap between"):
        load(tmp_path, text.replace("min = 4", "min = 4\nmin_closed = false"))


def test_custom_protocol_refuses_the_impossible():
    assert custom_protocol(1.5, "circle").shape.kind == "circle"
    with pytest.raises(ProtocolError, match="not possible"):
        custom_protocol(0.0)


def test_shapes_count_their_border():
    box = CountShape("rectangle", 4.0, 2.0)
    inside = box.contains([[2, 1], [2.001, 0], [-2, -1], [0, 1.001]], (0.0, 0.0))
    assert inside.tolist() == [True, False, True, False]
    circle = CountShape("circle", 10.0, 10.0)
    assert circle.contains([[3, 4], [3.001, 4]], (0.0, 0.0)).tolist() == [True, False]
    assert circle.polygon_um((7.0, 8.0)).area == pytest.approx(25 * math.pi, rel=2e-5)
    assert box.polygon_um((7.0, 8.0)).bounds == (5.0, 7.0, 9.0, 9.0)


def test_every_shipped_protocol_has_points_to_confirm_and_a_file_may_leave_them_out(tmp_path):
    assert all(protocol.checklist for protocol in load_protocols().values())
    assert load(tmp_path, GOOD)["a"].checklist == ()
    with_points = GOOD.replace('source = "S"', 'source = "S"\nchecklist = ["Look.", "Count."]')
    assert load(tmp_path, with_points)["a"].checklist == ("Look.", "Count.")
    for bad in ('["Look.", ""]', "[1]"):
        text = GOOD.replace('source = "S"', f'source = "S"\nchecklist = {bad}')
        with pytest.raises(ProtocolError, match="point of the checklist"):
            load(tmp_path, text)

"""The shipped protocols are sound, and every broken rule is refused by name."""

import math

import pytest

from core.counting.hpf import (
    circle_area_mm2,
    field_area_mm2,
    field_diameter_mm,
)
from core.counting.protocols import (
    DEFAULT_PROTOCOL,
    EDITED,
    OWN,
    FieldRule,
    catalogue,
    custom_protocol,
    get_protocol,
    laboratory_fault,
    load_protocols,
    read_catalogue,
    use_field_diameter,
    use_laboratory,
)
from core.counting.rules import rule_text
from core.counting.shapes import CountShape
from core.errors import InputError, ProtocolError

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


def test_what_was_not_verified_says_so_and_says_what():
    unverified = {p.id for p in load_protocols().values() if not p.verified}
    assert {"meningioma", "gist", "sts_fnclcc", "uterine_smc", "dog_sts", "dog_oral_mel"} <= (
        unverified
    )
    assert "vet_std" not in unverified
    assert all("Not verified: " in load_protocols()[name].note for name in unverified)


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


# Smallest counts of score 2 and score 3 in ten fields, from 0.40 mm in steps of 0.01 mm.
NOTTINGHAM = """5 10  5 10  6 11  6 11  6 12  6 12  7 13  7 13  7 14  7 14
8 15  8 15  8 16  9 17  9 17  9 18  9 18  10 19  10 20  10 20
11 21  11 22  12 23  12 23  12 24  13 25  13 25  13 26  14 27  14 28"""


def test_the_nottingham_table_follows_its_rule_for_every_diameter():
    protocol, numbers = get_protocol("breast_10hpf"), iter(map(int, NOTTINGHAM.split()))
    for hundredths, least in enumerate(zip(numbers, numbers, strict=True), start=40):
        at = protocol.at_diameter(hundredths / 100)
        low, middle, high = at.categories
        assert (middle.min, high.min) == least
        assert (low.max, middle.max) == (least[0] - 1, least[1] - 1)
        assert at.area_mm2 == at.unit_mm2 == pytest.approx(10 * circle_area_mm2(hundredths / 100))
        assert (at.fields.count, at.fields.contiguous) == (10, False)
        assert at.fields.field_mm2 == circle_area_mm2(hundredths / 100)
        assert at.field_text.endswith(f" {hundredths / 100:g} mm in diameter")
    assert hundredths == 69
    assert at.at_diameter(0.55) == protocol


@pytest.mark.parametrize("diameter_mm", [0.39, 0.7, math.nan])
def test_a_diameter_without_a_row_and_a_rule_without_diameters_are_refused(diameter_mm):
    with pytest.raises(ProtocolError, match="outside the table"):
        get_protocol("breast_10hpf").at_diameter(diameter_mm)
    with pytest.raises(ProtocolError, match="do not follow"):
        get_protocol("gist").at_diameter(0.5)


@pytest.mark.parametrize(
    ("number", "area"), [(18, 0.159), (20, 0.196), (22, 0.238), (25, 0.307), (26.5, 0.345)]
)
def test_the_field_follows_from_field_number_and_objective(number, area):
    assert field_area_mm2(number, 40) == pytest.approx(area, abs=5e-4)
    assert field_diameter_mm(number, 40) == number / 40
    for bad in (0, -1, math.inf, math.nan):
        with pytest.raises(InputError, match="not possible"):
            field_area_mm2(bad, 40)
        with pytest.raises(InputError, match="not possible"):
            field_area_mm2(22, bad)


def test_cut_offs_are_not_taken_to_another_area():
    with pytest.raises(ProtocolError, match="not rescaled"):
        get_protocol("dog_mct_kiupel").with_area(1.0)
    breast = get_protocol("breast_mm2")
    assert breast.area_mm2 == 2.37
    smaller = breast.with_area(1.0)
    assert (smaller.area_mm2, smaller.categories) == (1.0, breast.categories)
    with pytest.raises(ProtocolError, match="not possible"):
        breast.with_area(-1.0)


def test_a_rule_in_words_names_fields_sets_and_what_is_done_in_gaps():
    assert "10 consecutive fields of 0.237 mm²" in rule_text(get_protocol("vet_std"))
    assert "not necessarily side by side" in rule_text(get_protocol("breast_10hpf"))
    assert "from 3 to 4 and from 7 to 8" in rule_text(get_protocol("breast_mm2"))
    uterine = rule_text(get_protocol("uterine_smc"))
    assert "in 4 sets, the highest of which counts" in uterine
    assert "(not verified)" in uterine


FIELDS = "[protocols.fields]\ncount = 10\nfield_mm2 = 0.2\ncontiguous = true\n"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("0.2", "0.3", "10 fields of 0.3 mm² are 3 mm² and not 2 mm²"),
        ("count = 10", "count = 0", "count must be above 0"),
        ("count = 10", "count = 10.0", "count must be of type int"),
        ("contiguous = true", "", "contiguous is missing"),
    ],
)
def test_broken_fields_are_named(tmp_path, old, new, fault):
    text = GOOD.replace("[[protocols.cat", FIELDS + "[[protocols.cat", 1)
    assert load(tmp_path, text)["a"].fields == FieldRule(10, 0.2, contiguous=True)
    with pytest.raises(ProtocolError, match=fault):
        load(tmp_path, text.replace(old, new, 1))


BY_DIAMETER = """
[[protocols]]
id = "d"
name = "D"
shape = "square"
fixed_area = true
whole_numbers = true
verified = true
source = "S"
[protocols.by_diameter]
default_mm = 0.5
from_mm = 0.4
to_mm = 0.6
fields = 10
contiguous = true
reference_mm2 = 2.0
borders = [5, 9]
names = ["a", "b", "c"]
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("default_mm = 0.5", "default_mm = 0.7", "outside the table"),
        ("[5, 9]", "[9, 5]", "ascending whole numbers"),
        ("[5, 9]", "[5, 9.5]", "ascending whole numbers"),
        ('"c"]', "]", "one more than the borders"),
        ('"c"]', '"b"]', "one more than the borders"),
        ("reference_mm2 = 2.0", "reference_mm2 = 0", "must be above 0"),
        ("reference_mm2 = 2.0", "reference_mm2 = 90.0", "two categories begin at one count"),
        ('source = "S"', 'source = "S"\narea_mm2 = 2.0', "area_mm2 is not a known key"),
    ],
)
def test_a_broken_rule_by_diameter_is_named(tmp_path, old, new, fault):
    assert load(tmp_path, BY_DIAMETER)["d"].field_diameter_mm == 0.5
    with pytest.raises(ProtocolError, match=fault):
        load(tmp_path, BY_DIAMETER.replace(old, new, 1))


@pytest.fixture
def laboratory(tmp_path):
    yield tmp_path / "protocols.toml"
    use_laboratory(None)


def test_a_laboratory_shadows_a_shipped_protocol_visibly_and_adds_its_own(laboratory):
    shadow = GOOD.replace('"a"', '"gist"', 1)
    laboratory.write_text(shadow + GOOD, encoding="utf-8")
    use_laboratory(laboratory)
    gist, own = get_protocol("gist"), get_protocol("a")
    assert (gist.area_mm2, gist.origin, gist.source) == (2, EDITED, f"S ({EDITED})")
    assert (own.origin, own.source) == (OWN, f"S ({OWN})")
    assert list(catalogue()) == [*load_protocols(), "a"]
    assert get_protocol("melanoma").origin == "shipped"
    use_laboratory(None)
    assert get_protocol("gist") == load_protocols()["gist"]


def test_a_broken_laboratory_file_leaves_the_shipped_ones_but_never_replaces_its_own(laboratory):
    text = GOOD + GOOD.replace('"a"', '"gist"', 1).replace("min = 4", "min = 3")
    laboratory.write_text(text, encoding="utf-8")
    use_laboratory(laboratory)
    fault = laboratory_fault()
    assert fault is not None
    assert fault.message.startswith("protocols.toml: Line 20: In protocol 'gist'")
    assert get_protocol("melanoma").origin == "shipped"
    for held in ("gist", "a"):
        assert held not in catalogue()
        with pytest.raises(ProtocolError, match=r"cannot be used: protocols\.toml: Line 20"):
            get_protocol(held)
    laboratory.write_text("id = \nx = 1", encoding="utf-8")
    assert "line 1" in str(read_catalogue(laboratory).fault)
    laboratory.write_bytes(b"\xff\xfe")
    assert "cannot be read" in str(read_catalogue(laboratory).fault)
    assert read_catalogue(laboratory.with_name("none.toml")).fault is None


def test_the_field_diameter_of_the_reader_is_taken_where_the_table_has_it(laboratory):
    use_laboratory(laboratory, 0.59)
    assert get_protocol("breast_10hpf").field_diameter_mm == 0.59
    assert get_protocol("vet_std") == load_protocols()["vet_std"]
    use_field_diameter(0.5)
    assert get_protocol("breast_10hpf").field_diameter_mm == 0.5
    use_laboratory(laboratory, 0.9)
    assert get_protocol("breast_10hpf").field_diameter_mm == 0.55

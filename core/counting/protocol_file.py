"""Reading and checking a file of protocols.

A file that breaks a rule is refused as a whole, with the protocol, its line and the fault named: a
wrong border would be a wrong grade.
"""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise
from math import inf, isclose, isfinite, isnan
from pathlib import Path
from typing import Any

from core.counting.rules import OWN, SHIPPED, Category, DiameterRule, FieldRule, Protocol
from core.counting.shapes import CountShape
from core.errors import ProtocolError

_ENTRY = re.compile(r"^[ \t]*\[\[[ \t]*protocols[ \t]*\]\]", re.MULTILINE)
_ID = re.compile(r"[A-Za-z0-9_.-]+")
# The parts of an area agree with it within this fraction: sources print three digits.
_AREA_ROUNDING = 5e-3

_AREAS: dict[str, type] = {"area_mm2": float, "unit_mm2": float}
_REQUIRED: dict[str, type] = {
    "id": str,
    "name": str,
    "shape": str,
    "fixed_area": bool,
    "whole_numbers": bool,
    "verified": bool,
    "source": str,
}
_OPTIONAL: dict[str, type] = {
    "note": str,
    "gap_rule": str,
    "sets": int,
    "checklist": list,
    "categories": list,
    "fields": dict,
}
_DERIVED: dict[str, type] = {"by_diameter": dict}
_CATEGORY: dict[str, type] = {
    "name": str,
    "min": float,
    "max": float,
    "min_closed": bool,
    "max_closed": bool,
}
_FIELDS: dict[str, type] = {"count": int, "field_mm2": float, "contiguous": bool}
_BY_DIAMETER: dict[str, type] = {
    "default_mm": float,
    "from_mm": float,
    "to_mm": float,
    "fields": int,
    "contiguous": bool,
    "reference_mm2": float,
    "borders": list,
    "names": list,
}


def load_protocols(path: Path | None = None) -> dict[str, Protocol]:
    """Read and check a protocol file.

    Args:
        path: a file of the laboratory; None for the shipped one.

    Returns:
        Protocols by id, in the order of the file; those of a laboratory say so in `origin`.

    Raises:
        ProtocolError: unreadable file, not TOML, or a rule is broken; names the fault.
    """
    return parse_protocols(protocol_text(path), SHIPPED if path is None else OWN)


def protocol_text(path: Path | None = None) -> str:
    """The text of a protocol file; None for the shipped one.

    Raises:
        ProtocolError: it cannot be read.
    """
    try:
        if path is None:
            return files("resources").joinpath("protocols.toml").read_text(encoding="utf-8")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"The protocols cannot be read: {error}.") from error


def parse_protocols(text: str, origin: str = SHIPPED) -> dict[str, Protocol]:
    """Check the text of a protocol file; as `load_protocols`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProtocolError(f"The protocols cannot be read: {error}.") from error
    entries = data.get("protocols")
    if not isinstance(entries, list) or not entries or set(data) != {"protocols"}:
        raise ProtocolError("A protocol file holds [[protocols]] entries and nothing else.")
    lines = [text.count("\n", 0, found.start()) + 1 for found in _ENTRY.finditer(text)]
    protocols: dict[str, Protocol] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            protocol = _protocol(entry, number, origin)
            if protocol.id in protocols:
                raise ProtocolError(f"The protocol id {protocol.id!r} is there twice.")
        except ProtocolError as error:
            if len(lines) != len(entries):  # written in another way than [[protocols]]
                raise
            where = f"Line {lines[number - 1]}: {error.message}"
            raise ProtocolError(where, error.hint) from error
        protocols[protocol.id] = protocol
    return protocols


def entry_text(text: str, protocol_id: str) -> str | None:
    """The lines of one protocol in a file's text, as they are; None if it is not there."""
    starts = [found.start() for found in _ENTRY.finditer(text)]
    for start, end in pairwise([*starts, len(text)]):
        block = text[start:end]
        if tomllib.loads(block)["protocols"][0].get("id") == protocol_id:
            return block.rstrip() + "\n"
    return None


def renamed(block: str, protocol_id: str) -> str:
    """The lines of one protocol with another id.

    Raises:
        ProtocolError: the id is none.
    """
    if not _ID.fullmatch(protocol_id):
        raise ProtocolError(f"{protocol_id!r} is no id.", "Use letters, digits and _ . - only.")
    line = re.compile(r"^[ \t]*id[ \t]*=.*$", re.MULTILINE)
    return line.sub(f'id = "{protocol_id}"', block, count=1)


def _protocol(entry: Any, number: int, origin: str) -> Protocol:
    where = f"protocol {number}"
    if isinstance(entry, dict) and isinstance(entry.get("id"), str):
        where = f"protocol {entry['id']!r}"
    if isinstance(entry, dict) and "by_diameter" in entry:
        return _derived(entry, where, origin)
    given = _typed(entry, _REQUIRED | _AREAS | _OPTIONAL, {*_REQUIRED, *_AREAS}, where)
    _check_texts(given, where)
    for key in _AREAS:
        _check_above_0(given, key, where)
    _check_shape(given["shape"], given["area_mm2"], where)
    categories = tuple(
        _category(item, f"category {position} of {where}")
        for position, item in enumerate(given.get("categories", ()), start=1)
    )
    _check_categories(categories, whole_numbers=given["whole_numbers"], where=where)
    return Protocol(
        **_common(given, where, origin),
        area_mm2=given["area_mm2"],
        unit_mm2=given["unit_mm2"],
        categories=categories,
        fields=_fields(given, where),
    )


def _derived(entry: dict[str, Any], where: str, origin: str) -> Protocol:
    """A protocol whose area, fields and categories follow the diameter of the field."""
    optional = {key: kind for key, kind in _OPTIONAL.items() if key not in ("categories", "fields")}
    given = _typed(entry, _REQUIRED | optional | _DERIVED, {*_REQUIRED, *_DERIVED}, where)
    _check_texts(given, where)
    _check_shape(given["shape"], 1.0, where)
    at = f"by_diameter of {where}"
    by = _typed(given["by_diameter"], _BY_DIAMETER, set(_BY_DIAMETER), at)
    for key in ("from_mm", "to_mm", "reference_mm2", "fields"):
        _check_above_0(by, key, at)
    borders, names = by["borders"], by["names"]
    if (
        not borders
        or not all(type(border) is int for border in borders)
        or not all(low < high for low, high in pairwise([0, *borders]))
    ):
        raise ProtocolError(f"In {at}, borders must be ascending whole numbers above 0.")
    unnamed = not all(isinstance(name, str) and name.strip() for name in names)
    if unnamed or len(names) != len(borders) + 1 or len(set(names)) < len(names):
        raise ProtocolError(f"In {at}, names must be texts, one more than the borders.")
    rule = DiameterRule(
        by["fields"],
        by["contiguous"],
        by["from_mm"],
        by["to_mm"],
        by["reference_mm2"],
        tuple(borders),
        tuple(names),
    )
    base = Protocol(
        **_common(given, where, origin),
        area_mm2=1.0,
        unit_mm2=1.0,
        categories=(),
        by_diameter=rule,
    )
    protocol = base.at_diameter(by["default_mm"])
    least = [category.min for category in rule.categories(rule.from_mm)]
    if len(set(least)) < len(least):
        raise ProtocolError(f"In {at}, two categories begin at one count for from_mm.")
    return protocol


def _common(given: Mapping[str, Any], where: str, origin: str) -> dict[str, Any]:
    """What every kind of protocol has."""
    checklist = tuple(given.get("checklist", ()))
    if not all(isinstance(point, str) and point.strip() for point in checklist):
        raise ProtocolError(f"In {where}, every point of the checklist must be a text.")
    sets = given.get("sets", 1)
    if sets < 1:
        raise ProtocolError(f"In {where}, sets must be 1 or more.")
    return {
        "id": given["id"],
        "name": given["name"],
        "shape_name": given["shape"],
        "fixed_area": given["fixed_area"],
        "whole_numbers": given["whole_numbers"],
        "verified": given["verified"],
        "source": given["source"],
        "note": given.get("note", ""),
        "gap_rule": given.get("gap_rule", ""),
        "sets": sets,
        "checklist": checklist,
        "origin": origin,
    }


def _fields(given: Mapping[str, Any], where: str) -> FieldRule | None:
    if "fields" not in given:
        return None
    at = f"fields of {where}"
    fields = _typed(given["fields"], _FIELDS, set(_FIELDS), at)
    for key in ("count", "field_mm2"):
        _check_above_0(fields, key, at)
    together = fields["count"] * fields["field_mm2"]
    if not isclose(together, given["area_mm2"], rel_tol=_AREA_ROUNDING):
        raise ProtocolError(
            f"In {at}, {fields['count']} fields of {fields['field_mm2']:g} mm² are "
            f"{together:g} mm² and not {given['area_mm2']:g} mm²."
        )
    return FieldRule(fields["count"], fields["field_mm2"], fields["contiguous"])


def _check_texts(given: Mapping[str, Any], where: str) -> None:
    for key in ("id", "name", "source"):
        if not given[key].strip():
            raise ProtocolError(f"In {where}, {key} is empty.")
    if given["id"] == "custom" or not _ID.fullmatch(given["id"]):
        raise ProtocolError(f"In {where}, id must be of letters, digits and _ . - and not custom.")


def _check_above_0(given: Mapping[str, Any], key: str, where: str) -> None:
    if not (isfinite(given[key]) and given[key] > 0):
        raise ProtocolError(f"In {where}, {key} must be above 0.")


def _check_shape(name: str, area_mm2: float, where: str) -> None:
    try:
        CountShape.from_name(name, area_mm2)
    except ProtocolError as error:
        raise ProtocolError(f"In {where}: {error.message}", error.hint) from error


def _category(entry: Any, where: str) -> Category:
    given = _typed(entry, _CATEGORY, {"name", "min"}, where)
    category = Category(
        name=given["name"],
        min=given["min"],
        max=given.get("max", inf),
        min_closed=given.get("min_closed", True),
        max_closed=given.get("max_closed", "max" in given),
    )
    ends = (category.min, category.max)
    empty = category.max < category.min or (
        category.max == category.min and not (category.min_closed and category.max_closed)
    )
    if not category.name.strip() or not isfinite(ends[0]) or isnan(ends[1]) or empty:
        raise ProtocolError(f"In {where}, the name or the ends {ends[0]:g} to {ends[1]:g} are bad.")
    return category


def _check_categories(categories: tuple[Category, ...], *, whole_numbers: bool, where: str) -> None:
    """Refuse overlaps, gaps (but those between whole numbers) and values without a category."""
    if not categories:
        return
    if categories[0].min != 0 or not categories[0].min_closed:
        raise ProtocolError(f"In {where}, the first category must begin at 0, included.")
    if categories[-1].max != inf:
        raise ProtocolError(f"In {where}, the last category must have no max.")
    if len({category.name for category in categories}) < len(categories):
        raise ProtocolError(f"In {where}, two categories have one name.")
    for lower, upper in pairwise(categories):
        pair = f"{lower.name!r} and {upper.name!r}"
        touch = lower.max == upper.min
        if lower.max > upper.min or (touch and lower.max_closed and upper.min_closed):
            raise ProtocolError(f"In {where}, the categories {pair} overlap.")
        if touch and (lower.max_closed or upper.min_closed):
            continue
        neighbours = (
            whole_numbers
            and lower.max_closed
            and upper.min_closed
            and lower.max == int(lower.max)
            and upper.min == lower.max + 1
        )
        if not neighbours:
            raise ProtocolError(f"In {where}, there is a gap between {pair}.")


def _typed(entry: Any, kinds: Mapping[str, type], required: set[str], where: str) -> dict[str, Any]:
    """The entry with its keys and types checked; whole numbers become floats where asked."""
    if not isinstance(entry, dict):
        raise ProtocolError(f"In {where}, a table is needed.")
    if missing := sorted(required - set(entry)):
        raise ProtocolError(f"In {where}, {', '.join(missing)} is missing.")
    if unknown := sorted(set(entry) - set(kinds)):
        raise ProtocolError(f"In {where}, {', '.join(unknown)} is not a known key.")
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        kind = kinds[key]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ProtocolError(f"In {where}, {key} must be of type {kind.__name__}.")
        fields[key] = value
    return fields

"""Counting protocols: area, unit, categories and source of each rule, from `protocols.toml`.

A file that breaks a rule is refused as a whole, with the protocol and the fault named: a wrong
border would be a wrong grade. Cutoffs are never rescaled here; a protocol for another area is
another protocol.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from math import inf, isfinite, isnan
from pathlib import Path
from typing import Any

from core.counting.shapes import CountShape
from core.errors import ProtocolError

DEFAULT_PROTOCOL = "vet_std"
CUSTOM_PROTOCOL = "custom"

_REQUIRED: dict[str, type] = {
    "id": str,
    "name": str,
    "area_mm2": float,
    "shape": str,
    "unit_mm2": float,
    "fixed_area": bool,
    "whole_numbers": bool,
    "verified": bool,
    "source": str,
}
_OPTIONAL: dict[str, type] = {"note": str, "checklist": list, "categories": list}
_CATEGORY: dict[str, type] = {
    "name": str,
    "min": float,
    "max": float,
    "min_closed": bool,
    "max_closed": bool,
}


@dataclass(frozen=True, slots=True)
class Category:
    """One class of a protocol: an interval of the value with open or closed ends.

    Attributes:
        name: as printed, with its borders.
        min: lower end in the protocol's unit.
        max: upper end, infinite for the last category.
        min_closed: whether `min` itself belongs to it.
        max_closed: whether `max` itself belongs to it.
    """

    name: str
    min: float
    max: float
    min_closed: bool
    max_closed: bool

    def holds(self, value: float) -> bool:
        """Whether the value lies in this category."""
        above = value >= self.min if self.min_closed else value > self.min
        below = value <= self.max if self.max_closed else value < self.max
        return above and below


@dataclass(frozen=True, slots=True)
class Protocol:
    """One counting rule; the fields are explained at the head of `resources/protocols.toml`."""

    id: str
    name: str
    area_mm2: float
    shape_name: str
    unit_mm2: float
    fixed_area: bool
    whole_numbers: bool
    verified: bool
    source: str
    note: str
    categories: tuple[Category, ...]
    checklist: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit of the value in words: `per 2 mm²`."""
        return "per mm²" if self.unit_mm2 == 1 else f"per {self.unit_mm2:g} mm²"

    @property
    def shape(self) -> CountShape:
        """The default outline at the planned area."""
        return CountShape.from_name(self.shape_name, self.area_mm2)

    def value(self, count: int, counted_area_mm2: float) -> float:
        """The count in the protocol's unit: the plain count where unit and area agree."""
        if counted_area_mm2 == self.unit_mm2:
            return float(count)
        return count * self.unit_mm2 / counted_area_mm2


def load_protocols(path: Path | None = None) -> dict[str, Protocol]:
    """Read and check a protocol file.

    Args:
        path: a file of the reader; None for the shipped one.

    Returns:
        Protocols by id, in the order of the file.

    Raises:
        ProtocolError: unreadable file, not TOML, or a rule is broken; names the fault.
    """
    try:
        if path is None:
            text = files("resources").joinpath("protocols.toml").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolError(f"The protocols cannot be read: {error}.") from error
    entries = data.get("protocols")
    if not isinstance(entries, list) or not entries or set(data) != {"protocols"}:
        raise ProtocolError("A protocol file holds [[protocols]] entries and nothing else.")
    protocols: dict[str, Protocol] = {}
    for number, entry in enumerate(entries, start=1):
        protocol = _protocol(entry, number)
        if protocol.id in protocols:
            raise ProtocolError(f"The protocol id {protocol.id!r} is there twice.")
        protocols[protocol.id] = protocol
    return protocols


def get_protocol(protocol_id: str = DEFAULT_PROTOCOL) -> Protocol:
    """One shipped protocol.

    Raises:
        ProtocolError: unknown id; the hint lists those there are.
    """
    protocols = load_protocols()
    if protocol_id not in protocols:
        raise ProtocolError(
            f"There is no protocol {protocol_id!r}.", f"Known: {', '.join(protocols)}."
        )
    return protocols[protocol_id]


def custom_protocol(area_mm2: float, shape_name: str = "rectangle-4:3") -> Protocol:
    """A protocol without categories, for an area that the reader chose.

    Raises:
        ProtocolError: impossible area or unknown shape.
    """
    CountShape.from_name(shape_name, area_mm2)
    return Protocol(
        id=CUSTOM_PROTOCOL,
        name=f"Custom count area of {area_mm2:g} mm²",
        area_mm2=area_mm2,
        shape_name=shape_name,
        unit_mm2=area_mm2,
        fixed_area=True,
        whole_numbers=True,
        verified=False,
        source="chosen by the reader",
        note="",
        categories=(),
    )


def _protocol(entry: Any, number: int) -> Protocol:
    where = f"protocol {number}"
    if isinstance(entry, dict) and isinstance(entry.get("id"), str):
        where = f"protocol {entry['id']!r}"
    fields = _typed(entry, _REQUIRED | _OPTIONAL, set(_REQUIRED), where)
    for key in ("id", "name", "source"):
        if not fields[key].strip():
            raise ProtocolError(f"In {where}, {key} is empty.")
    for key in ("area_mm2", "unit_mm2"):
        if not (isfinite(fields[key]) and fields[key] > 0):
            raise ProtocolError(f"In {where}, {key} must be above 0.")
    try:
        CountShape.from_name(fields["shape"], fields["area_mm2"])
    except ProtocolError as error:
        raise ProtocolError(f"In {where}: {error.message}", error.hint) from error
    categories = tuple(
        _category(item, f"category {position} of {where}")
        for position, item in enumerate(fields.get("categories", ()), start=1)
    )
    _check_categories(categories, whole_numbers=fields["whole_numbers"], where=where)
    checklist = tuple(fields.get("checklist", ()))
    if not all(isinstance(point, str) and point.strip() for point in checklist):
        raise ProtocolError(f"In {where}, every point of the checklist must be a text.")
    return Protocol(
        id=fields["id"],
        name=fields["name"],
        area_mm2=fields["area_mm2"],
        shape_name=fields["shape"],
        unit_mm2=fields["unit_mm2"],
        fixed_area=fields["fixed_area"],
        whole_numbers=fields["whole_numbers"],
        verified=fields["verified"],
        source=fields["source"],
        note=fields.get("note", ""),
        categories=categories,
        checklist=checklist,
    )


def _category(entry: Any, where: str) -> Category:
    fields = _typed(entry, _CATEGORY, {"name", "min"}, where)
    category = Category(
        name=fields["name"],
        min=fields["min"],
        max=fields.get("max", inf),
        min_closed=fields.get("min_closed", True),
        max_closed=fields.get("max_closed", "max" in fields),
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

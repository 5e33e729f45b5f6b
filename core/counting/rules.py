"""What a counting protocol is made of: area, fields, sets, unit, categories and their source.

Cut-offs are never rescaled. The one rule that changes with the area is `DiameterRule`: there the
source itself gives its borders by the diameter of the microscope's field.
"""

from dataclasses import dataclass, field, replace
from math import ceil, inf

from core.counting.hpf import circle_area_mm2
from core.counting.shapes import CountShape
from core.errors import ProtocolError

SHIPPED = "shipped"
EDITED = "edited by the laboratory"
OWN = "the laboratory's own"

# A border that its rule puts within this of a whole number is that number (10 x 2.74 / 2.74).
_WHOLE = 1e-9


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
class FieldRule:
    """The microscope's fields that make up a protocol's area.

    Attributes:
        count: how many.
        field_mm2: area of one; `count` of them are the protocol's area.
        contiguous: whether they must be consecutive: one outline then stands for all of them. Else
            each may lie on its own.
    """

    count: int
    field_mm2: float
    contiguous: bool

    @property
    def text(self) -> str:
        """In words: `10 consecutive fields of 0.237 mm²`."""
        kind = "consecutive fields" if self.contiguous else "fields"
        apart = "" if self.contiguous else ", not necessarily side by side"
        return f"{self.count} {kind} of {self.field_mm2:.4g} mm²{apart}"


@dataclass(frozen=True, slots=True)
class DiameterRule:
    """Borders that follow the diameter of the microscope's field.

    The source states them for one area; for another they are rescaled and rounded up to the next
    whole number, which is the least count of the category.

    Attributes:
        fields: how many are counted.
        contiguous: as in `FieldRule`.
        from_mm, to_mm: the diameters for which the source has a table.
        reference_mm2: the area for which the borders are stated.
        borders: least counts of the second and the following categories on that area.
        names: of the categories; their borders are added.
    """

    fields: int
    contiguous: bool
    from_mm: float
    to_mm: float
    reference_mm2: float
    borders: tuple[int, ...]
    names: tuple[str, ...]

    def categories(self, diameter_mm: float) -> tuple[Category, ...]:
        """The categories of the count in all fields of this diameter."""
        share = self.fields * circle_area_mm2(diameter_mm) / self.reference_mm2
        least = [0, *(ceil(border * share - _WHOLE) for border in self.borders)]
        found = []
        for name, low, above in zip(self.names, least, [*least[1:], None], strict=True):
            if above is None:
                found.append(Category(f"{name} (>={low})", low, inf, True, False))
            else:
                borders = f"{name} ({low}-{above - 1})"
                found.append(Category(borders, low, above - 1, True, True))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One counting rule; the fields are explained at the head of `resources/protocols.toml`.

    Attributes not there:
        field_diameter_mm: of the microscope's field, where categories follow it; else None.
        origin: `shipped`, `edited by the laboratory` or `the laboratory's own`.
    """

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
    fields: FieldRule | None = None
    sets: int = 1
    gap_rule: str = ""
    by_diameter: DiameterRule | None = None
    field_diameter_mm: float | None = None
    origin: str = field(default=SHIPPED)

    @property
    def unit(self) -> str:
        """The unit of the value in words: `per 2 mm²`."""
        return "per mm²" if self.unit_mm2 == 1 else f"per {self.unit_mm2:.4g} mm²"

    @property
    def shape(self) -> CountShape:
        """The default outline at the planned area."""
        return CountShape.from_name(self.shape_name, self.area_mm2)

    @property
    def field_text(self) -> str:
        """The fields in words, with their diameter where the rule follows it; else empty."""
        if self.fields is None:
            return ""
        if self.field_diameter_mm is None:
            return self.fields.text
        return f"{self.fields.text}, {self.field_diameter_mm:g} mm in diameter"

    @property
    def doubt(self) -> str:
        """What of an unverified rule is not verified, in words; empty for a verified one."""
        if self.verified:
            return ""
        start = self.note.find("Not verified: ")
        return self.note[start:] if start >= 0 else "Not verified: its file does not say what."

    def value(self, count: int, counted_area_mm2: float) -> float:
        """The count in the protocol's unit: the plain count where unit and area agree."""
        if counted_area_mm2 == self.unit_mm2:
            return float(count)
        return count * self.unit_mm2 / counted_area_mm2

    def with_area(self, area_mm2: float) -> "Protocol":
        """The same rule on another area, where its source gives a rate without an area.

        Raises:
            ProtocolError: the categories hold for one area only, or the area is impossible.
        """
        if area_mm2 == self.area_mm2:
            return self
        if self.fixed_area:
            raise ProtocolError(
                f"{self.name!r} holds for {self.area_mm2:g} mm² only: cut-offs are not rescaled.",
                "Use --protocol custom for a count without categories on another area.",
            )
        CountShape.from_name(self.shape_name, area_mm2)
        return replace(self, area_mm2=area_mm2, fields=None)

    def at_diameter(self, diameter_mm: float) -> "Protocol":
        """The same rule for a microscope's field of this diameter.

        Raises:
            ProtocolError: the rule does not follow the field, or has no borders for this one.
        """
        rule = self.by_diameter
        if rule is None:
            raise ProtocolError(f"The categories of {self.name!r} do not follow a field diameter.")
        if not rule.from_mm - _WHOLE <= diameter_mm <= rule.to_mm + _WHOLE:
            raise ProtocolError(
                f"A field diameter of {diameter_mm:g} mm is outside the table of {self.name!r}.",
                f"It goes from {rule.from_mm:g} to {rule.to_mm:g} mm.",
            )
        field_mm2 = circle_area_mm2(diameter_mm)
        area_mm2 = rule.fields * field_mm2
        return replace(
            self,
            area_mm2=area_mm2,
            unit_mm2=area_mm2,
            categories=rule.categories(diameter_mm),
            fields=FieldRule(rule.fields, field_mm2, rule.contiguous),
            field_diameter_mm=diameter_mm,
        )


def rule_text(protocol: Protocol) -> str:
    """A protocol in words: area, fields, unit, categories, the rule in their gaps, and source."""
    area = f"{protocol.area_mm2:.4g} mm²"
    if protocol.fields is not None:
        area += f" ({protocol.field_text})"
    if protocol.sets > 1:
        area += f" in {protocol.sets} sets, the highest of which counts"
    parts = [f"{area}, reported {protocol.unit}"]
    if protocol.categories:
        parts.append("; ".join(category.name for category in protocol.categories))
    else:
        parts.append("a count without categories")
    if protocol.gap_rule:
        parts.append(protocol.gap_rule.removesuffix("."))
    source = f"source: {protocol.source}"
    return ". ".join([*parts, source if protocol.verified else f"{source} (not verified)"]) + "."

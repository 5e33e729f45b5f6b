"""The protocols there are: the shipped ones and, over them, those of the laboratory.

The program says once at its start where the laboratory's file lies and how wide the reader's field
is (`use_laboratory`); from then on `catalogue` and `get_protocol` see them everywhere, and no file
is read again. A laboratory's protocol with the id of a shipped one takes its place and says so in
its source. A laboratory's file that is broken is not used at all, and the fault is told.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from core.counting.protocol_file import load_protocols, parse_protocols, protocol_text
from core.counting.rules import (
    EDITED,
    OWN,
    SHIPPED,
    Category,
    DiameterRule,
    FieldRule,
    Protocol,
)
from core.counting.shapes import CountShape
from core.errors import ProtocolError

__all__ = [
    "CUSTOM_PROTOCOL",
    "DEFAULT_PROTOCOL",
    "EDITED",
    "OWN",
    "SHIPPED",
    "Catalogue",
    "Category",
    "DiameterRule",
    "FieldRule",
    "Protocol",
    "catalogue",
    "custom_protocol",
    "get_protocol",
    "laboratory_fault",
    "load_protocols",
    "read_catalogue",
    "use_field_diameter",
    "use_laboratory",
]

DEFAULT_PROTOCOL = "vet_std"
CUSTOM_PROTOCOL = "custom"

_ID_LINE = re.compile(r"""^[ \t]*id[ \t]*=[ \t]*["']([^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All protocols that can be counted by.

    Attributes:
        protocols: by id; shipped ones in their order, then the laboratory's own.
        fault: what is wrong with the laboratory's file; None if nothing is.
        withheld: ids that a broken file of the laboratory names. They cannot be counted by: the
            shipped rule must not quietly take the place of the laboratory's.
    """

    protocols: Mapping[str, Protocol]
    fault: ProtocolError | None = None
    withheld: frozenset[str] = frozenset()

    def get(self, protocol_id: str) -> Protocol:
        """One protocol.

        Raises:
            ProtocolError: unknown id, with those there are; or one that a broken file names.
        """
        if protocol_id in self.withheld and self.fault is not None:
            raise ProtocolError(
                f"The laboratory has a protocol {protocol_id!r}, but its file cannot be used: "
                f"{self.fault.message}",
                self.fault.hint,
            )
        if protocol_id not in self.protocols:
            raise ProtocolError(
                f"There is no protocol {protocol_id!r}.",
                f"Known: {', '.join(self.protocols)}.",
            )
        return self.protocols[protocol_id]


def read_catalogue(path: Path | None = None, field_diameter_mm: float | None = None) -> Catalogue:
    """The shipped protocols and those of a laboratory's file over them.

    Args:
        path: of the laboratory's file; it need not exist. None for the shipped ones only.
        field_diameter_mm: of the reader's microscope, for protocols that follow it and have this
            diameter in their table; None for what each names itself.

    Returns:
        With a `fault` where the file cannot be used; then only shipped protocols are there.
    """
    protocols = dict(_shipped())
    fault: ProtocolError | None = None
    withheld: frozenset[str] = frozenset()
    if path is not None and path.exists():
        text = ""
        try:
            text = protocol_text(path)
            for one in parse_protocols(text, OWN).values():
                protocols[one.id] = _of_laboratory(one, edited=one.id in _shipped())
        except ProtocolError as error:
            protocols = dict(_shipped())
            fault = ProtocolError(f"{path.name}: {error.message}", error.hint)
            withheld = frozenset(_ID_LINE.findall(text))
            protocols = {key: one for key, one in protocols.items() if key not in withheld}
    if field_diameter_mm is not None:
        protocols = {key: _at(one, field_diameter_mm) for key, one in protocols.items()}
    return Catalogue(protocols, fault, withheld)


@cache
def _shipped() -> Mapping[str, Protocol]:
    return load_protocols()


def _of_laboratory(protocol: Protocol, *, edited: bool) -> Protocol:
    origin = EDITED if edited else OWN
    return replace(protocol, origin=origin, source=f"{protocol.source} ({origin})")


def _at(protocol: Protocol, diameter_mm: float) -> Protocol:
    rule = protocol.by_diameter
    if rule is None or not rule.from_mm <= diameter_mm <= rule.to_mm:
        return protocol
    return protocol.at_diameter(diameter_mm)


_current: Catalogue | None = None


def use_laboratory(path: Path | None, field_diameter_mm: float | None = None) -> Catalogue:
    """Take a laboratory's file and field diameter from now on; as `read_catalogue`."""
    global _current
    _current = read_catalogue(path, field_diameter_mm)
    return _current


def use_field_diameter(diameter_mm: float) -> None:
    """Take another field diameter from now on; no file is read."""
    global _current
    now = _catalogue()
    _current = replace(
        now, protocols={key: _at(one, diameter_mm) for key, one in now.protocols.items()}
    )


def _catalogue() -> Catalogue:
    return _current if _current is not None else Catalogue(_shipped())


def catalogue() -> dict[str, Protocol]:
    """The protocols that can be counted by, by id; no file is read."""
    return dict(_catalogue().protocols)


def laboratory_fault() -> ProtocolError | None:
    """What is wrong with the laboratory's file; None if nothing is."""
    return _catalogue().fault


def get_protocol(protocol_id: str = DEFAULT_PROTOCOL) -> Protocol:
    """One protocol of the catalogue; no file is read.

    Raises:
        ProtocolError: unknown id; the hint lists those there are.
    """
    return _catalogue().get(protocol_id)


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
        origin="chosen by the reader",
    )

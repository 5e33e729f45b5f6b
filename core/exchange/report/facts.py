"""A count with what belongs to it, and how its words and numbers are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from core.exchange.report.model import printable
from core.geometry import Mpp
from core.store.records import CountRecord, EventRecord


@dataclass(frozen=True, slots=True)
class Facts:
    """A count and what belongs to it, as the sections take it.

    Attributes:
        count: with frozen details.
        slide: what the slide is called.
        size0: width and height, level-0 pixels.
        vendor: OpenSlide's name of the format.
        mpp: µm per level-0 pixel of the count.
        zone: of the local times; None for this computer's.
        signature: the line of the audit trail that signed it; None for a draft.
        audit_head: of the trail now.
        reopened: when and why an earlier signature was taken back; empty where none was.
    """

    count: CountRecord
    slide: str
    size0: tuple[int, int]
    vendor: str
    mpp: Mpp
    zone: tzinfo | None
    signature: EventRecord | None
    audit_head: str
    reopened: str

    @property
    def signed(self) -> bool:
        """Whether a reader signed it."""
        return self.count.state == "signed"

    @property
    def details(self) -> Mapping[str, Any]:
        """What was frozen."""
        return self.count.details

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The rule, as it was."""
        found: Mapping[str, Any] = self.details["protocol"]
        return found

    @property
    def area(self) -> Mapping[str, Any]:
        """The count area."""
        found: Mapping[str, Any] = self.details["area"]
        return found

    @property
    def figures(self) -> Sequence[Mapping[str, Any]] | None:
        """The counted mitoses; None of a count signed before they were kept."""
        return self.details.get("figures")

    def time(self, moment: datetime | str | None) -> str:
        """A moment in UTC and in local time."""
        if not moment:
            return ""
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        local = when.astimezone(self.zone)
        text, zone = f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", local.strftime("%z")
        if not local.utcoffset():
            return f"{text} (local time is UTC)"
        return f"{text} (local {local:%Y-%m-%d %H:%M}, UTC{zone[:3]}:{zone[3:5]})"


def signs(text: str) -> str:
    """A protocol's text as it is printed in books."""
    return printable(text).replace(">=", "≥").replace("<=", "≤")


def number_of(number: int, what: str) -> str:
    """A number of things, with an s where there are several."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

"""How many labels the verdicts of a store give, slide by slide: read on another thread."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.listing import shown_name
from core.review import PointState, current_states
from core.store import Store, VerdictRecord
from core.store.base import paged

#: Whose verdicts: of all readers where they agree, or only what they settled on.
ALL, CONSENSUS = "all", "consensus"


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many points are called what."""

    mitoses: int = 0
    atypical: int = 0
    imposters: int = 0

    def __add__(self, other: "LabelCount") -> "LabelCount":
        return LabelCount(
            self.mitoses + other.mitoses,
            self.atypical + other.atypical,
            self.imposters + other.imposters,
        )

    @property
    def total(self) -> int:
        """Mitoses, atypical ones among them, and imposters."""
        return self.mitoses + self.imposters


@dataclass(frozen=True, slots=True)
class SlideLabels:
    """A slide with verdicts.

    Attributes:
        slide_id: the store's.
        name: for the screen.
        by_reader: counts by reader's name.
        all: of what all readers of a point say alike, or settled on.
        consensus: of what they settled on.
    """

    slide_id: int
    name: str
    by_reader: Mapping[str, LabelCount]
    all: LabelCount
    consensus: LabelCount

    def count(self, who: str, reader: str = "") -> LabelCount:
        """The labels of one choice: `ALL`, `CONSENSUS`, or one reader's."""
        if reader:
            return self.by_reader.get(reader, LabelCount())
        return self.consensus if who == CONSENSUS else self.all


def count_labels(store: Store, *, hide_names: bool) -> tuple[SlideLabels, ...]:
    """The slides of a store that have verdicts, by name.

    Args:
        store: where they are kept.
        hide_names: whether file names are hidden on the screen.
    """
    found = []
    for slide in paged(store.slides):
        states = current_states(store.iter_verdicts(slide.id)).values()
        if not states:
            continue
        names = {v.reader for state in states for v in state.by_reader.values()}
        labels = SlideLabels(
            slide.id,
            shown_name(slide, hidden=hide_names),
            {name: _count([_said(state, name) for state in states]) for name in sorted(names)},
            _count([state.counting() for state in states]),
            _count([state.consensus for state in states]),
        )
        if labels.all.total or any(count.total for count in labels.by_reader.values()):
            found.append(labels)
    return tuple(sorted(found, key=lambda labels: labels.name))


def _said(state: PointState, reader: str) -> VerdictRecord | None:
    return next((v for v in state.by_reader.values() if v.reader == reader), None)


def _count(verdicts: list[VerdictRecord | None]) -> LabelCount:
    said = [verdict for verdict in verdicts if verdict is not None]
    mitoses = [verdict for verdict in said if verdict.value == "mitosis"]
    return LabelCount(
        len(mitoses),
        sum(verdict.atypical for verdict in mitoses),
        sum(verdict.value == "imposter" for verdict in said),
    )

"""Colours and styles, light and dark: the one place where a colour has a value."""

from dataclasses import dataclass

from PySide6.QtGui import QColor


@dataclass(frozen=True, slots=True)
class MarkColours:
    """Colours on the slide; the same in both themes, chosen to stand out from H&E.

    They differ in lightness as well as in hue, and marks also differ in shape, for readers who
    tell colours poorly.
    """

    mitosis: QColor
    atypical: QColor
    imposter: QColor
    unsure: QColor
    candidate: QColor
    count_area: QColor
    hot_spot: QColor
    tumour: QColor
    excluded: QColor
    tissue: QColor
    selected: QColor


MARKS = MarkColours(
    mitosis=QColor("#00c853"),
    atypical=QColor("#00b8d4"),
    imposter=QColor("#8d8d8d"),
    unsure=QColor("#ffab00"),
    candidate=QColor("#2962ff"),
    count_area=QColor("#111111"),
    hot_spot=QColor("#ff6d00"),
    tumour=QColor("#aa00ff"),
    excluded=QColor("#d50000"),
    tissue=QColor("#607d8b"),
    selected=QColor("#ffea00"),
)

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

#: The density of mitoses from few to many, with alpha: blue-green to yellow stays apart from H&E,
#: and lightness rises with density for readers who tell colours poorly.
HEAT = (
    QColor(38, 60, 140, 0),
    QColor(38, 60, 140, 110),
    QColor(24, 122, 148, 165),
    QColor(60, 182, 122, 190),
    QColor(180, 218, 60, 205),
    QColor(255, 240, 80, 215),
)
#: Behind and around marks, so that they stand out from dark nuclei and from glass alike.
CASING = QColor(255, 255, 255, 170)
LABEL_GROUND = QColor(20, 22, 26, 200)
LABEL_TEXT = QColor(250, 250, 250)
SHADE = QColor(20, 22, 26, 70)

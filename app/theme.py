"""Colours and styles, light and dark: the one place where a colour has a value."""

from dataclasses import dataclass
from importlib.resources import files
from string import Template

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication


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
    QColor(38, 60, 140, 40),
    QColor(24, 122, 148, 120),
    QColor(60, 182, 122, 175),
    QColor(180, 218, 60, 205),
    QColor(255, 240, 80, 220),
)
#: Behind and around marks, so that they stand out from dark nuclei and from glass alike.
CASING = QColor(255, 255, 255, 170)
LABEL_GROUND = QColor(20, 22, 26, 200)
LABEL_TEXT = QColor(250, 250, 250)
SHADE = QColor(20, 22, 26, 70)


#: A dot beside a slide; its state also stands there in words.
SLIDE_STATES = {
    "new": QColor("#9aa1ab"),
    "running": QColor("#3d8bfd"),
    "analysed": QColor("#e0a300"),
    "reviewed": QColor("#20a4b8"),
    "signed": QColor("#2fae60"),
    "missing": QColor("#d84a4a"),
}


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of everything beside the slide, as #rrggbb.

    Attributes:
        window: behind panels.
        base: behind lists and text fields.
        raised: buttons, headings.
        line: thin borders.
        text, faint: written on any of these.
        accent, on_accent: what is selected or to be pressed, and what is written on it.
        warning, error, good: grounds of notes, to be written on in `text`.
        glass: behind the slide.
    """

    window: str
    base: str
    raised: str
    line: str
    text: str
    faint: str
    accent: str
    on_accent: str
    warning: str
    error: str
    good: str
    glass: str


DARK = Theme(
    window="#1f2226",
    base="#17191c",
    raised="#2b2f35",
    line="#3a3f46",
    text="#e4e6ea",
    faint="#9aa1ab",
    accent="#3d8bfd",
    on_accent="#ffffff",
    warning="#5a4310",
    error="#5c2326",
    good="#1d4a32",
    glass="#2a2c30",
)
LIGHT = Theme(
    window="#f3f4f6",
    base="#ffffff",
    raised="#e7e9ed",
    line="#cdd1d8",
    text="#1b1e23",
    faint="#626a76",
    accent="#1a66d6",
    on_accent="#ffffff",
    warning="#fdf0c8",
    error="#fbdcdc",
    good="#d8f2e1",
    glass="#dfe1e5",
)

# Every font size follows the system's; only spacing and lines are set here.
_STYLE = Template(
    """
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 3px 5px; }
QMainWindow::separator { background: $line; width: 1px; height: 1px; }
QMainWindow::separator:hover { background: $accent; }
QDockWidget { titlebar-close-icon: none; font-weight: 600; }
QDockWidget::title { background: $window; padding: 5px 8px; border-bottom: 1px solid $line; }
QTabBar::tab { background: $window; color: $faint; padding: 5px 11px; border: none;
  border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QTabBar::tab:hover { color: $text; }
QStatusBar { border-top: 1px solid $line; }
QStatusBar::item { border: none; }
QMenuBar { background: $window; }
QMenuBar::item { padding: 4px 9px; background: transparent; }
QMenuBar::item:selected { background: $raised; }
QMenu { background: $base; border: 1px solid $line; padding: 4px 0; }
QMenu::item { padding: 5px 26px 5px 24px; }
QMenu::item:selected { background: $accent; color: $on_accent; }
QMenu::item:disabled { color: $faint; background: transparent; }
QMenu::separator { height: 1px; background: $line; margin: 4px 0; }
QToolBar { border: none; border-bottom: 1px solid $line; spacing: 2px; padding: 2px 6px; }
QToolButton { border: 1px solid transparent; border-radius: 4px; padding: 4px 7px; }
QToolButton:hover { background: $raised; }
QToolButton[chip="true"] { background: $raised; border-color: $line; padding: 2px 6px; }
QToolButton:checked, QToolButton[chip="true"]:checked { background: $accent; color: $on_accent; }
QPushButton { background: $raised; border: 1px solid $line; border-radius: 4px;
  padding: 5px 12px; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QPushButton:hover { border-color: $accent; }
QPushButton:pressed { background: $line; }
QPushButton:default { background: $accent; color: $on_accent; border-color: $accent; }
QPushButton:disabled { color: $faint; background: $window; border-color: $line; }
QPushButton:default:disabled { color: $faint; background: $window; border-color: $line; }
QLineEdit, QPlainTextEdit, QSpinBox, QDoubleSpinBox, QComboBox { background: $base;
  border: 1px solid $line; border-radius: 4px; padding: 3px 6px; min-height: 1.2em;
  selection-background-color: $accent; selection-color: $on_accent; }
QLineEdit:focus, QPlainTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
  border-color: $accent; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox::down-arrow { image: url("$style/down-$name.svg"); width: 11px; height: 11px; }
QSpinBox::up-button, QDoubleSpinBox::up-button, QSpinBox::down-button,
QDoubleSpinBox::down-button { border: none; width: 16px; background: transparent; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url("$style/up-$name.svg"); width: 9px;
  height: 9px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url("$style/down-$name.svg");
  width: 9px; height: 9px; }
QToolButton::menu-indicator { image: none; width: 0; }
QCheckBox::indicator, QRadioButton::indicator, QTreeView::indicator, QListView::indicator {
  width: 14px; height: 14px; border: 1px solid $faint; border-radius: 3px; background: $base; }
QRadioButton::indicator { border-radius: 8px; }
QRadioButton::indicator:checked { width: 6px; height: 6px; border: 5px solid $accent;
  background: $on_accent; }
QCheckBox::indicator:checked, QTreeView::indicator:checked,
QListView::indicator:checked { background: $accent; border-color: $accent;
  image: url("$style/check.svg"); }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: $line; }
QCheckBox:disabled, QRadioButton:disabled { color: $faint; }
QComboBox QAbstractItemView { background: $base; border: 1px solid $line;
  selection-background-color: $accent; selection-color: $on_accent; }
QListView, QTreeView, QTableView { background: $base; border: 1px solid $line;
  border-radius: 4px; }
QHeaderView::section { background: $window; color: $faint; border: none;
  border-bottom: 1px solid $line; padding: 3px 6px; }
QProgressBar { background: $base; border: 1px solid $line; border-radius: 4px; height: 14px;
  text-align: center; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QGroupBox { border: none; margin-top: 1.5em; font-weight: 600; }
QGroupBox::title { subcontrol-origin: margin; left: 0; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $line; border-radius: 4px; margin: 2px; min-height: 26px;
  min-width: 26px; }
QScrollBar::handle:hover { background: $faint; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
  background: none; width: 0; height: 0; }
QScrollArea { border: none; }
QLabel[faint="true"] { color: $faint; }
QLabel[strong="true"] { font-weight: 600; }
QFrame[note="warning"] { background: $warning; border-radius: 4px; }
QFrame[note="error"] { background: $error; border-radius: 4px; }
QFrame[note="good"] { background: $good; border-radius: 4px; }
"""
)


def theme_in_use() -> Theme:
    """The theme that the application was last given."""
    application = QApplication.instance()
    name = application.property("mitoscope-theme") if application is not None else None
    return DARK if name == "dark" else LIGHT


def apply_theme(application: QApplication, name: str) -> Theme:
    """Give the application its colours.

    Args:
        application: gets style, palette and style sheet.
        name: `light`, `dark`, or `system` to follow the system's.
    """
    if name == "system":
        scheme = application.styleHints().colorScheme()
        name = "dark" if scheme == Qt.ColorScheme.Dark else "light"
    theme = DARK if name == "dark" else LIGHT
    if application.property("mitoscope-theme") == name:
        return theme
    application.setProperty("mitoscope-theme", name)
    application.setStyle("Fusion")  # the same on every system, and it obeys the palette
    application.setPalette(palette(theme))
    application.setStyleSheet(style_sheet(theme))
    return theme


def palette(theme: Theme) -> QPalette:
    """The theme as Qt's palette, for whatever paints itself."""
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.window,
        role.Base: theme.base,
        role.AlternateBase: theme.window,
        role.Button: theme.raised,
        role.WindowText: theme.text,
        role.Text: theme.text,
        role.ButtonText: theme.text,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.PlaceholderText: theme.faint,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.on_accent,
        role.Accent: theme.accent,
        role.Link: theme.accent,
        role.Mid: theme.line,
        role.Midlight: theme.line,
        role.Dark: theme.line,
        role.Light: theme.raised,
        role.Shadow: theme.line,
        role.BrightText: theme.on_accent,
    }
    made = QPalette()
    for key, colour in colours.items():
        made.setColor(key, QColor(colour))
    for key in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, key, QColor(theme.faint))
    return made


def style_sheet(theme: Theme) -> str:
    """The theme as Qt's style sheet."""
    colours = {name: getattr(theme, name) for name in Theme.__slots__}
    # Quoted in the style sheet: "C:/Program Files (x86)" would end the whole of it.
    folder = str(files("resources") / "style").replace("\\", "/").replace('"', '\\"')
    return _STYLE.substitute(colours, style=folder, name="dark" if theme is DARK else "light")

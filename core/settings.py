"""What a reader may set: a frozen record, kept as JSON that holds only what differs from defaults.

A file that cannot be read is kept aside, never overwritten; a value of the wrong kind falls back to
its default. Both are told in plain words, and the program starts all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.counting.protocols import DEFAULT_PROTOCOL
from core.exchange.files import replacing
from core.ports import DEVICES
from core.slides.choice import BACKENDS

THEMES = ("system", "light", "dark")
#: How many slides are remembered as recent.
RECENT = 12

_CHOICES = {"theme": THEMES, "device": DEVICES, "backend": BACKENDS}
#: The diameters of a microscope's field for which Nottingham has a table, smallest and largest.
FIELD_DIAMETERS_MM = (0.40, 0.69)
# What a crop, an idle time and a picture setting may sensibly be.
_LIMITS = {
    "crop_um": (16.0, 256.0),
    "idle_minutes": (1, 480),
    "field_diameter_mm": FIELD_DIAMETERS_MM,
    "brightness": (-1.0, 1.0),
    "contrast": (0.1, 5.0),
    "gamma": (0.1, 5.0),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A reader's settings.

    Attributes:
        theme: `system`, `light` or `dark`.
        reader: name of the last reader; empty: the account's name.
        store: path of the store; empty: the default one.
        device: where networks run, `auto` for the best.
        backend: pixel library for slides.
        protocol: counting rule of the next slide.
        adapter: folder of the classifier of the next analyses; empty: the shipped one.
        field_diameter_mm: of the reader's microscope, for protocols that follow it.
        keys: action id → key sequences in Qt's portable text, where they differ from the defaults.
        hide_names: whether file names are hidden on the screen.
        recent: slide files, the newest first.
        crop_um: side of a gallery crop in µm.
        idle_minutes: after so long without a key the reader is asked who reads.
        icc: whether the slide's colour profile is applied on the screen.
        brightness, contrast, gamma: of the screen's picture; 0, 1, 1 is unchanged.
        window, layout: Qt's geometry and dock layout, base64.
        notice_accepted: when the research-use notice was accepted, ISO 8601 in UTC; empty: never.
        notice_version: of Mitoscope at that time.
    """

    theme: str = "system"
    reader: str = ""
    store: str = ""
    device: str = "auto"
    backend: str = "auto"
    protocol: str = DEFAULT_PROTOCOL
    adapter: str = ""
    field_diameter_mm: float = 0.55
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hide_names: bool = False
    recent: tuple[str, ...] = ()
    crop_um: float = 64.0
    idle_minutes: int = 15
    icc: bool = True
    brightness: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0
    window: str = ""
    layout: str = ""
    notice_accepted: str = ""
    notice_version: str = ""


def load_settings(path: Path) -> tuple[Settings, str]:
    """Read settings.

    Args:
        path: of the JSON file; it need not exist.

    Returns:
        The settings, and in plain words what could not be used; empty if all was well.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, UnicodeDecodeError) as error:
        return Settings(), _aside(path, str(error))
    try:
        values = json.loads(text)
    except ValueError as error:
        return Settings(), _aside(path, str(error))
    if not isinstance(values, dict):
        return Settings(), _aside(path, "it holds no settings")
    good: dict[str, Any] = {}
    bad: list[str] = []
    for name, value in values.items():
        checked = _checked(name, value)
        if checked is None:
            bad.append(name)
        else:
            good[name] = checked
    note = f"These settings in {path} were not understood and are not used: " if bad else ""
    return Settings(**good), note + ", ".join(sorted(bad)) + ("." if bad else "")


def save_settings(path: Path, settings: Settings) -> None:
    """Write what differs from the defaults, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    default = Settings()
    changed = {
        item.name: getattr(settings, item.name)
        for item in fields(Settings)
        if getattr(settings, item.name) != getattr(default, item.name)
    }
    with replacing(path) as file:
        json.dump(changed, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def with_recent(recent: tuple[str, ...], path: str) -> tuple[str, ...]:
    """The recent slides after one more was opened."""
    return (path, *(other for other in recent if other != path))[:RECENT]


def _checked(name: str, value: Any) -> Any:
    """The value in the setting's own type, or None where it cannot be one."""
    if name not in {item.name for item in fields(Settings)}:
        return None
    default = getattr(Settings(), name)
    if name == "keys":
        return _keys(value)
    if isinstance(default, tuple):
        return tuple(value) if _is_texts(value) else None
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default) or value not in _CHOICES.get(name, (value,)):
        return None
    if name in _LIMITS and not _LIMITS[name][0] <= value <= _LIMITS[name][1]:
        return None
    return value


def _keys(value: Any) -> dict[str, tuple[str, ...]] | None:
    if not isinstance(value, dict) or not all(map(_is_texts, value.values())):
        return None
    return {str(name): tuple(texts) for name, texts in value.items()}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _aside(path: Path, why: str) -> str:
    aside = path.with_name(f"{path.name}.unreadable")
    try:
        path.replace(aside)
    except OSError:
        return f"The settings {path} cannot be read ({why}); the defaults are used."
    return f"The settings {path} cannot be read ({why}); they were kept as {aside.name}."

"""What the keys do: every action with its default keys, and the reader's own keys over them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QKeySequence

log = logging.getLogger(__name__)

#: Where a key works: everywhere in the window, or only while that part of it has the focus.
Context = Literal["window", "gallery", "viewer"]


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """Something that a key can do.

    Attributes:
        id: stable; settings keep the reader's keys under it.
        text: English, marked for translation; `title()` gives it in the reader's language.
        keys: the default keys in Qt's portable text; may be empty.
        group: heading on the sheet of keys, English, marked for translation.
        context: where the keys work.
        repeats: whether holding the key down does it again. Never so for a verdict.
        checkable: whether it is a switch.
    """

    id: str
    text: str
    keys: tuple[str, ...]
    group: str
    context: Context = "window"
    repeats: bool = False
    checkable: bool = False

    def title(self) -> str:
        """The action in the reader's language."""
        return QCoreApplication.translate("Actions", self.text)

    def heading(self) -> str:
        """The group in the reader's language."""
        return QCoreApplication.translate("Actions", self.group)


def _row(id_: str, text: str, *keys: str, **how: Any) -> ActionSpec:
    return ActionSpec(id_, text, keys, "", **how)


# lupdate finds QT_TRANSLATE_NOOP only with literals, so it is spelled out each time.
# fmt: off
_GROUPS: tuple[tuple[str, tuple[ActionSpec, ...]], ...] = (
    (QT_TRANSLATE_NOOP("Actions", "Review"), (
        _row("verdict.mitosis", QT_TRANSLATE_NOOP("Actions", "Mitosis"), "M"),
        _row("verdict.atypical", QT_TRANSLATE_NOOP("Actions", "Atypical mitosis"), "A"),
        _row("verdict.imposter", QT_TRANSLATE_NOOP("Actions", "Imposter"), "X"),
        _row("verdict.unsure", QT_TRANSLATE_NOOP("Actions", "Unsure"), "Q"),
        _row("verdict.clear", QT_TRANSLATE_NOOP("Actions", "Take the verdict off"), "Backspace"),
        _row("figure.join", QT_TRANSLATE_NOOP("Actions", "Join as one figure"), "Ctrl+J"),
        _row("field.done", QT_TRANSLATE_NOOP("Actions", "This field is done"), "Return", "Enter"),
        _row("edit.undo", QT_TRANSLATE_NOOP("Actions", "Undo"), "U", "Ctrl+Z"),
        _row("edit.redo", QT_TRANSLATE_NOOP("Actions", "Redo"), "Ctrl+Shift+Z"),
    )),
    (QT_TRANSLATE_NOOP("Actions", "Go through the figures"), (
        _row("nav.next", QT_TRANSLATE_NOOP("Actions", "Next figure"), "J", repeats=True),
        _row("nav.previous", QT_TRANSLATE_NOOP("Actions", "Previous figure"), "K", repeats=True),
        _row("nav.next_unreviewed", QT_TRANSLATE_NOOP("Actions", "Next figure to review"),
             "Tab", repeats=True),
        _row("gallery.next", QT_TRANSLATE_NOOP("Actions", "Next figure, in the gallery"),
             "Right", "Down", context="gallery", repeats=True),
        _row("gallery.previous", QT_TRANSLATE_NOOP("Actions", "Previous figure, in the gallery"),
             "Left", "Up", context="gallery", repeats=True),
        _row("gallery.select_all", QT_TRANSLATE_NOOP("Actions", "Select all, in the gallery"),
             "Ctrl+A", context="gallery"),
    )),
    (QT_TRANSLATE_NOOP("Actions", "Look"), (
        _row("view.mag_2_5", QT_TRANSLATE_NOOP("Actions", "2.5×"), "Shift+1"),
        _row("view.mag_5", QT_TRANSLATE_NOOP("Actions", "5×"), "Shift+2"),
        _row("view.mag_10", QT_TRANSLATE_NOOP("Actions", "10×"), "Shift+3"),
        _row("view.mag_20", QT_TRANSLATE_NOOP("Actions", "20×"), "Shift+4"),
        _row("view.mag_40", QT_TRANSLATE_NOOP("Actions", "40×"), "Shift+5"),
        _row("view.fit", QT_TRANSLATE_NOOP("Actions", "Whole slide"), "0"),
        _row("view.zoom_in", QT_TRANSLATE_NOOP("Actions", "Zoom in"), "+", "=", repeats=True),
        _row("view.zoom_out", QT_TRANSLATE_NOOP("Actions", "Zoom out"), "-", repeats=True),
        _row("view.pan_left", QT_TRANSLATE_NOOP("Actions", "Move left, in the viewer"),
             "Left", context="viewer", repeats=True),
        _row("view.pan_right", QT_TRANSLATE_NOOP("Actions", "Move right, in the viewer"),
             "Right", context="viewer", repeats=True),
        _row("view.pan_up", QT_TRANSLATE_NOOP("Actions", "Move up, in the viewer"),
             "Up", context="viewer", repeats=True),
        _row("view.pan_down", QT_TRANSLATE_NOOP("Actions", "Move down, in the viewer"),
             "Down", context="viewer", repeats=True),
        _row("view.rotate_cw", QT_TRANSLATE_NOOP("Actions", "Turn clockwise"), ".", repeats=True),
        _row("view.rotate_ccw", QT_TRANSLATE_NOOP("Actions", "Turn counter-clockwise"),
             ",", repeats=True),
        _row("view.goto", QT_TRANSLATE_NOOP("Actions", "Go to a place…"), "Ctrl+G"),
        _row("view.full_screen", QT_TRANSLATE_NOOP("Actions", "Full screen"),
             "F11", checkable=True),
    )),
    (QT_TRANSLATE_NOOP("Actions", "Tools"), (
        _row("tool.select", QT_TRANSLATE_NOOP("Actions", "Select and move"), "V", checkable=True),
        _row("tool.add_mitosis", QT_TRANSLATE_NOOP("Actions", "Add a mitosis"),
             "P", checkable=True),
        _row("tool.polygon", QT_TRANSLATE_NOOP("Actions", "Draw a region"), "T", checkable=True),
        _row("tool.rectangle", QT_TRANSLATE_NOOP("Actions", "Rectangular region"),
             "R", checkable=True),
        _row("tool.edit", QT_TRANSLATE_NOOP("Actions", "Edit a region"), "E", checkable=True),
        _row("tool.area", QT_TRANSLATE_NOOP("Actions", "Place the count area"),
             "C", checkable=True),
        _row("tool.ruler", QT_TRANSLATE_NOOP("Actions", "Ruler"), "L", checkable=True),
        _row("tool.calibrate", QT_TRANSLATE_NOOP("Actions", "Set the pixel size"), checkable=True),
    )),
    (QT_TRANSLATE_NOOP("Actions", "Layers and panels"), (
        _row("layer.tissue", QT_TRANSLATE_NOOP("Actions", "Tissue"), "Shift+T", checkable=True),
        _row("layer.regions", QT_TRANSLATE_NOOP("Actions", "Regions"), "Shift+R", checkable=True),
        _row("layer.figures", QT_TRANSLATE_NOOP("Actions", "Figures"), "Shift+F", checkable=True),
        _row("layer.area", QT_TRANSLATE_NOOP("Actions", "Count area"), "Shift+C", checkable=True),
        _row("layer.spots", QT_TRANSLATE_NOOP("Actions", "Hot spots"), "Shift+H", checkable=True),
        _row("layer.density", QT_TRANSLATE_NOOP("Actions", "Density"), "Shift+D", checkable=True),
        _row("layer.fields", QT_TRANSLATE_NOOP("Actions", "Fields"), "Shift+G", checkable=True),
        _row("layer.viewed", QT_TRANSLATE_NOOP("Actions", "Viewed areas"),
             "Shift+V", checkable=True),
        _row("panel.next", QT_TRANSLATE_NOOP("Actions", "Next panel"), "F6"),
        _row("panel.previous", QT_TRANSLATE_NOOP("Actions", "Previous panel"), "Shift+F6"),
    )),
    (QT_TRANSLATE_NOOP("Actions", "Slide and program"), (
        _row("file.open", QT_TRANSLATE_NOOP("Actions", "Open a slide…"), "Ctrl+O"),
        _row("file.export", QT_TRANSLATE_NOOP("Actions", "Export…"), "Ctrl+E"),
        _row("file.import", QT_TRANSLATE_NOOP("Actions", "Import…"), "Ctrl+I"),
        _row("file.report", QT_TRANSLATE_NOOP("Actions", "Report…"), "Ctrl+P"),
        _row("slide.next", QT_TRANSLATE_NOOP("Actions", "Next slide"), "Ctrl+PgDown"),
        _row("slide.previous", QT_TRANSLATE_NOOP("Actions", "Previous slide"), "Ctrl+PgUp"),
        _row("slide.label", QT_TRANSLATE_NOOP("Actions", "Show the slide's label"), checkable=True),
        _row("analysis.start", QT_TRANSLATE_NOOP("Actions", "Analyse the slide"), "F5"),
        _row("count.sign", QT_TRANSLATE_NOOP("Actions", "Sign the count…"), "Ctrl+Return"),
        _row("help.keys", QT_TRANSLATE_NOOP("Actions", "All keys"), "F1"),
    )),
)
# fmt: on

ACTIONS: tuple[ActionSpec, ...] = tuple(
    replace(spec, group=group) for group, specs in _GROUPS for spec in specs
)

BY_ID: Mapping[str, ActionSpec] = {spec.id: spec for spec in ACTIONS}


class Keymap(QObject):
    """Which keys do what: the defaults, and the reader's own keys where they chose others.

    Args:
        overrides: action id → keys in Qt's portable text, as `overrides()` gave them. Entries that
            no longer make sense are left out and logged.

    Signals:
        changed: some actions have other keys now.
    """

    changed = Signal()

    def __init__(
        self,
        overrides: Mapping[str, Sequence[str]] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._own: dict[str, tuple[str, ...]] = {}
        for id_, keys in (overrides or {}).items():
            known = [key for key in map(_portable, keys) if key]
            if id_ in BY_ID and len(known) == len(keys):
                self._own[id_] = tuple(known)
            else:
                log.warning("keys of the settings left out: %s %s", id_, list(keys))

    def keys(self, id_: str) -> tuple[str, ...]:
        """The keys of an action in portable text, the main one first.

        A default key that the reader gave to another action is no longer among them.
        """
        own = self._own.get(id_)
        if own is not None:
            return own
        spec = BY_ID[id_]
        taken = {
            key for other, keys in self._own.items() if _meet(BY_ID[other], spec) for key in keys
        }
        return tuple(key for key in spec.keys if key not in taken)

    def sequences(self, id_: str) -> list[QKeySequence]:
        """The keys of an action, as a QAction takes them."""
        return [QKeySequence.fromString(key, _PORTABLE) for key in self.keys(id_)]

    def shown(self, id_: str) -> str:
        """The main key as this platform writes it; empty without one."""
        sequences = self.sequences(id_)
        return sequences[0].toString(QKeySequence.SequenceFormat.NativeText) if sequences else ""

    def conflicts(self, id_: str, key: str) -> tuple[ActionSpec, ...]:
        """The other actions that a key does already where this action would work."""
        here = BY_ID[id_]
        return tuple(
            spec
            for spec in ACTIONS
            if spec.id != id_ and _meet(spec, here) and _portable(key) in self.keys(spec.id)
        )

    def all_conflicts(self) -> dict[str, tuple[str, ...]]:
        """Key → ids of actions that share it where both work; Qt would do neither."""
        found: dict[str, tuple[str, ...]] = {}
        for spec in ACTIONS:
            for key in self.keys(spec.id):
                if others := self.conflicts(spec.id, key):
                    found.setdefault(key, (spec.id, *(other.id for other in others)))
        return found

    def set_keys(self, id_: str, keys: Sequence[str]) -> None:
        """Give an action other keys; takes each from whoever had it.

        Raises:
            ValueError: a key that Qt does not know.
        """
        wanted = tuple(_portable(key) for key in keys)
        if not all(wanted):
            raise ValueError(f"no such key in {list(keys)}")
        for key in wanted:
            for other in self.conflicts(id_, key):
                if other.id in self._own:
                    kept = tuple(k for k in self._own[other.id] if k != key)
                    self._own[other.id] = kept
        self._own[id_] = wanted
        if wanted == BY_ID[id_].keys:
            del self._own[id_]
        self.changed.emit()

    def reset(self, id_: str | None = None) -> None:
        """Go back to the defaults of one action, or of all."""
        if id_ is None:
            self._own.clear()
        else:
            self._own.pop(id_, None)
        self.changed.emit()

    def overrides(self) -> dict[str, list[str]]:
        """What differs from the defaults: what the settings keep."""
        return {id_: list(keys) for id_, keys in sorted(self._own.items())}


_PORTABLE = QKeySequence.SequenceFormat.PortableText


@cache
def _portable(key: str) -> str:
    """A key as Qt writes it; empty where Qt does not know it."""
    sequence = QKeySequence.fromString(key, _PORTABLE)
    if sequence.isEmpty() or sequence[0].key() == Qt.Key.Key_unknown:
        return ""
    return sequence.toString(_PORTABLE)


def _meet(one: ActionSpec, other: ActionSpec) -> bool:
    return one.context == other.context or "window" in (one.context, other.context)

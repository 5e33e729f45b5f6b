"""The laboratory's own protocols and the reader's field, taken once as the program starts."""

from pathlib import Path

import typer

from app.laboratory import laboratory
from app.paths import protocols_file, settings_file
from core.counting.protocols import Protocol, catalogue, use_laboratory
from core.errors import InputError
from core.settings import Settings, load_settings


def own_protocols_file() -> Path:
    """Where the laboratory's own protocols lie; it need not exist.

    Raises:
        InputError: the laboratory's file of rules cannot be used.
    """
    named = laboratory().protocol_file
    return Path(named) if named else protocols_file()


def offered_protocols() -> dict[str, Protocol]:
    """Those of the catalogue that the laboratory lets be chosen.

    Raises:
        InputError: the laboratory's file of rules cannot be used.
    """
    return {key: one for key, one in catalogue().items() if laboratory().allows_protocol(key)}


def use_own_protocols(settings: Settings) -> str:
    """Let the whole program count by the laboratory's file and the reader's field.

    Args:
        settings: of the reader.

    Returns:
        In plain words why the file is not used, or which protocols the laboratory's rules name
        in vain; empty if all is well.

    Raises:
        InputError: the laboratory's file of rules cannot be used, or names no protocol that there
            is: a slip of the pen must not open the lock.
    """
    fault = use_laboratory(own_protocols_file(), settings.field_diameter_mm).fault
    named = laboratory().protocols
    missing = [key for key in named if key not in catalogue()]
    if named and len(missing) == len(named):
        raise InputError(
            f"The laboratory's file names no protocol that there is: {', '.join(missing)}.",
            "Whoever keeps that file must mend it.",
        )
    if fault is not None:
        return f"The laboratory's protocols are not used. {fault}"
    if not missing:
        return ""
    return f"The laboratory's file names protocols that there are not: {', '.join(missing)}."


def start_commands() -> None:
    """What comes before every command: own protocols, with a word where they cannot be used."""
    settings, note = load_settings(settings_file())
    for text in (note, use_own_protocols(settings)):
        if text:
            typer.echo(text, err=True)

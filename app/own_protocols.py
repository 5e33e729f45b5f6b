"""The laboratory's own protocols and the reader's field, taken once as the program starts."""

import typer

from app.paths import protocols_file, settings_file
from core.counting.protocols import use_laboratory
from core.settings import Settings, load_settings


def use_own_protocols(settings: Settings) -> str:
    """Let the whole program count by the laboratory's file and the reader's field.

    Args:
        settings: of the reader.

    Returns:
        In plain words why the file is not used; empty if it is, or if there is none.
    """
    fault = use_laboratory(protocols_file(), settings.field_diameter_mm).fault
    if fault is None:
        return ""
    return f"The laboratory's protocols are not used. {fault}"


def start_commands() -> None:
    """What comes before every command: own protocols, with a word where they cannot be used."""
    settings, note = load_settings(settings_file())
    for text in (note, use_own_protocols(settings)):
        if text:
            typer.echo(text, err=True)

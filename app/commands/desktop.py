"""`mitoscope` and `mitoscope SLIDE…`: the reading room on the screen."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer


def desktop(
    slides: Annotated[
        list[Path] | None, typer.Argument(metavar="SLIDE…", help="Slide files to open.")
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Result store.")] = None,
) -> None:
    """Open the desktop; without a command, and with slide files only, this is what runs."""
    status = open_desktop(slides or [], store)
    if status:
        raise typer.Exit(status)


def open_desktop(slides: Sequence[Path], store: Path | None = None) -> int:
    """Show the desktop until it is closed; returns the exit status."""
    _load_torch_libraries_first()
    from app.desktop import run_desktop

    return run_desktop(slides, store)


def only_slides(arguments: Sequence[str]) -> list[Path] | None:
    """The slides, where the arguments name no command, as after a double click; else None.

    What is neither a file nor looks like one is left to the command line, which says what commands
    there are.
    """
    if any(text.startswith("-") or not _looks_like_file(text) for text in arguments):
        return None
    return [Path(text) for text in arguments]


def _looks_like_file(text: str) -> bool:
    return bool(Path(text).suffix) or Path(text).is_file()


def _load_torch_libraries_first() -> None:
    """On Windows, torch's c10.dll fails to load after Qt's libraries; so it goes before them.

    Torch itself is imported much later. https://github.com/pytorch/pytorch/issues/166628
    """
    if sys.platform != "win32":
        return
    import ctypes

    found = find_spec("torch")
    if found is not None and found.origin is not None:
        library = Path(found.origin).parent / "lib" / "c10.dll"
        if library.exists():
            ctypes.CDLL(str(library))

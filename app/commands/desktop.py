"""`mitoscope` and `mitoscope SLIDE…`: the reading room on the screen."""

import sys
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
    _load_torch_libraries_first()
    from app.desktop import run_desktop

    status = run_desktop(slides or [], store)
    if status:
        raise typer.Exit(status)


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

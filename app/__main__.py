"""`mitoscope` and `python -m app`: the border where every failure becomes an exit status.

0 done; 2 something in the world stands in the way (a `UserError`, or a wrong option), said in plain
words; 130 stopped by Ctrl-C; 1 a fault of the program, with its traceback in the log file.
"""

import errno
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from app import __version__
from app.commands.desktop import only_slides, open_desktop
from app.paths import log_file
from core.cancel import Cancelled
from core.errors import UserError

DONE, BUG, WORLD, STOPPED = 0, 1, 2, 130

# Typer brought its own copy of click at some version: take the class from what Typer itself raises.
_UsageFault: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status.

    Args:
        arguments: without the program's name; None for those of the process.
    """
    # A slide's name may hold what the terminal cannot show: never fail on printing it.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(arguments)
    except UserError as error:
        say(error)
        return WORLD
    except _UsageFault as error:
        error.show()
        return int(error.exit_code)
    except (Cancelled, KeyboardInterrupt, typer.Abort):
        typer.echo("Stopped.", err=True)
        return STOPPED
    except BrokenPipeError:  # `mitoscope models list | head`: who asked has seen enough
        return STOPPED
    except Exception as error:  # noqa: BLE001  the outermost border: a bug is logged and named
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            say(UserError("The disk is full.", "Free some space on it, then ask again."))
            return WORLD
        _log_bug()
        return BUG


def _run(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    slides = only_slides(given)
    if slides is not None:  # without loading what the other commands need
        return open_desktop(slides)
    from app.cli import app

    status = app(given, prog_name="mitoscope", standalone_mode=False)
    return status if isinstance(status, int) else DONE


def say(error: UserError, prefix: str = "") -> None:
    """Print a failure of the world on stderr, with its hint on a line of its own."""
    typer.echo(f"{prefix}{error.message}", err=True)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)


def _log_bug() -> None:
    report = traceback.format_exc()
    path = log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC).isoformat()} mitoscope {__version__}\n{report}\n")
    except OSError:
        typer.echo(report, err=True)
        typer.echo("This is a fault of Mitoscope. Please report the lines above.", err=True)
        return
    last = report.strip().rsplit("\n", 1)[-1]
    typer.echo(f"This is a fault of Mitoscope: {last}", err=True)
    typer.echo(f"  Details are in {path}; please report it.", err=True)


if __name__ == "__main__":
    sys.exit(main())

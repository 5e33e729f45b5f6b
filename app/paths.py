"""Where Mitoscope keeps its own files on this computer."""

from pathlib import Path

import platformdirs

APP = "mitoscope"


def default_store() -> Path:
    """The store that is used when none is named."""
    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "mitoscope.sqlite"


def log_file() -> Path:
    """Where faults of the program are written with their tracebacks."""
    return Path(platformdirs.user_log_dir(APP, appauthor=False)) / "mitoscope.log"

"""Where Mitoscope keeps its own files on this computer."""

import os
from pathlib import Path

import platformdirs

from models import hub

APP = "mitoscope"


def default_store() -> Path:
    """The store that is used when none is named."""
    return Path(platformdirs.user_data_dir(APP, appauthor=False)) / "mitoscope.sqlite"


def log_file() -> Path:
    """Where faults of the program are written with their tracebacks."""
    return Path(platformdirs.user_log_dir(APP, appauthor=False)) / "mitoscope.log"


def settings_file() -> Path:
    """What the reader changed from the defaults, as JSON."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "settings.json"


def protocols_file() -> Path:
    """The laboratory's own protocols, as TOML; it need not exist."""
    return settings_file().with_name("protocols.toml")


def desktop_log_file() -> Path:
    """The desktop's log; older ones lie beside it with a number."""
    return log_file().with_name("desktop.log")


def adapters_folder() -> Path:
    """Where adapters are kept when no folder is named."""
    return default_store().with_name("adapters")


def cache_folder() -> Path:
    """What can be computed again, embeddings for instance; may be emptied at any time."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def laboratory_file() -> Path:
    """What the laboratory lays down for all readers of this computer.

    `MITOSCOPE_LABORATORY` names another place, for programs that are not installed for everybody.
    """
    named = os.environ.get("MITOSCOPE_LABORATORY")
    folder = platformdirs.site_config_dir(APP, appauthor=False)
    return Path(named) if named else Path(folder) / "laboratory.toml"


def models_file() -> Path:
    """Weights that the reader registered, with hashes and accepted licences, as JSON."""
    return hub.models_file()

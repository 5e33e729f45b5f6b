"""The texts of the licences, wherever this installation keeps them."""

from importlib import metadata, resources
from pathlib import Path

from app.panels.welcome import Licences
from core.errors import ModelError
from models.registry import weights_folder

_ELSEWHERE = (
    "Apache License, Version 2.0\nhttps://www.apache.org/licenses/LICENSE-2.0\n\n"
    "The file with its text is missing from this installation."
)


def read_licences() -> Licences:
    """Read them; where the text of the program's is missing, say which one it is.

    Raises:
        ModelError: that of the weights is missing, without which they may not be used.
    """
    path = weights_folder() / "LICENSE-WEIGHTS.md"
    try:
        weights = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"The licence of the weights cannot be read: {error.strerror}.",
            "Install Mitoscope again.",
        ) from error
    found = next((path for path in _places() if path.is_file()), None)
    program = _ELSEWHERE if found is None else found.read_text(encoding="utf-8")
    return Licences(program, weights)


def _places() -> list[Path]:
    """Where the licence of the program may lie: in a checkout, or beside an installed package."""
    places = [Path(str(resources.files("resources"))).parent / "LICENSE"]
    try:
        listed = metadata.distribution("mitoscope").files or []
    except metadata.PackageNotFoundError:
        listed = []
    places += [Path(str(file.locate())) for file in listed if file.name == "LICENSE"]
    return places

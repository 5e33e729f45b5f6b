"""Where a backbone's weights lie on this computer, and whose licence its reader accepted.

A file that the reader registered comes first, then the hub's cache; the network is never asked here
(see `models.hub_download`). What was registered is kept in one JSON file in the reader's data
folder: path, SHA-256, accepted licence, and the embedding of a fixed image for later comparison.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import platformdirs

from core.errors import ModelError
from models.registry import Backbone, file_sha256

#: Where the weights of a backbone are.
Place = Literal["shipped", "package", "registered", "cache", "missing"]

#: Names under which publishers put weights, the safest first.
FILE_NAMES = ("model.safetensors", "pytorch_model.bin")

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Licence:
    """Who accepted a gated licence, and when.

    Attributes:
        name: of the licence.
        accepted_by: the reader.
        accepted_at: UTC, ISO 8601.
    """

    name: str
    accepted_by: str
    accepted_at: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The embedding of a fixed image, for comparison: its first values and its norm."""

    values: tuple[float, ...]
    norm: float


@dataclass(frozen=True, slots=True)
class Registration:
    """Weights that the reader made known.

    Attributes:
        path: of the file.
        sha256: of the file.
        size: in bytes; `changed_ns`: its time of change. While both stay, so does the hash.
        added_at: UTC, ISO 8601.
        licence: None for weights that are not gated.
        fingerprint: None before the first `verify`.
    """

    path: str
    sha256: str
    size: int
    changed_ns: int
    added_at: str
    licence: Licence | None = None
    fingerprint: Fingerprint | None = None


def models_file() -> Path:
    """The JSON file of what was registered."""
    return Path(platformdirs.user_data_dir("mitoscope", appauthor=False)) / "models.json"


def registered() -> dict[str, Registration]:
    """All registered weights by backbone.

    Raises:
        ModelError: the file cannot be read.
    """
    path = models_file()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: _registration(value) for key, value in content["models"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}, which lists the registered models, is damaged.",
            "Move it away and register the models again with `mitoscope models add`.",
        ) from error


def _registration(value: dict[str, Any]) -> Registration:
    licence, fingerprint = value.pop("licence"), value.pop("fingerprint")
    return Registration(
        **value,
        licence=None if licence is None else Licence(**licence),
        fingerprint=None
        if fingerprint is None
        else Fingerprint(tuple(fingerprint["values"]), fingerprint["norm"]),
    )


def write(backbone_id: str, registration: Registration) -> None:
    """Add or replace a registration; the file is written whole or not at all.

    Raises:
        ModelError: it cannot be written.
    """
    everything = {**registered(), backbone_id: registration}
    content = {"version": _VERSION, "models": {k: asdict(v) for k, v in everything.items()}}
    path = models_file()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written: {error.strerror}.") from error


def place(entry: Backbone) -> Place:
    """Where the weights of a backbone are, without opening them."""
    if entry.file:
        return "shipped"
    if entry.package:
        return "package" if find_spec(entry.package) is not None else "missing"
    known = registered().get(entry.id)
    if known is not None and Path(known.path).is_file():
        return "registered"
    return "missing" if cached(entry) is None else "cache"


def locate(entry: Backbone) -> Path | None:
    """The weights file on this computer: registered, else in the hub's cache, else None."""
    known = registered().get(entry.id)
    if known is not None and Path(known.path).is_file():
        return Path(known.path)
    return cached(entry)


def cached(entry: Backbone) -> Path | None:
    """The weights file in the hub's cache; asks no network."""
    if not entry.hub:
        return None
    from huggingface_hub import try_to_load_from_cache

    for name in dict.fromkeys((entry.hub_file, *FILE_NAMES)):
        found = try_to_load_from_cache(entry.hub, name)
        if isinstance(found, str):
            return Path(found)
    return None


def weights(entry: Backbone) -> Path:
    """The weights file to load, after its licence and its hash were looked at.

    Raises:
        ModelError: there is none, its licence is not accepted, or the file changed.
    """
    known = registered().get(entry.id)
    path = locate(entry)
    if path is None:
        gone = "" if known is None else f" The file {known.path} is gone."
        raise ModelError(
            f"The weights of {entry.title} are not on this computer.{gone}",
            f"Fetch them from huggingface.co/{entry.hub} and name the file or folder: "
            f"mitoscope models add {entry.id} PATH; or mitoscope models add {entry.id} --download.",
        )
    check_licence(entry, "")
    if known is not None and path == Path(known.path):
        _unchanged(entry, known, path)
    return path


def check_licence(entry: Backbone, accepted_by: str) -> None:
    """Hold that a gated licence is accepted, by `accepted_by` now or by somebody before.

    Raises:
        ModelError: it is not.
    """
    known = registered().get(entry.id)
    if not entry.gated or accepted_by or (known is not None and known.licence is not None):
        return
    raise ModelError(
        f"{entry.title} may be used only by those who accept its licence, {entry.licence}.",
        f"Read it at huggingface.co/{entry.hub}, then name yourself: "
        f'mitoscope models add {entry.id} … --accept-licence "YOUR NAME"',
    )


def _unchanged(entry: Backbone, known: Registration, path: Path) -> None:
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (known.size, known.changed_ns):
        return
    found = file_sha256(path)
    if found != known.sha256:
        raise ModelError(
            f"{path.name} is not the file that was registered for {entry.id} "
            f"(SHA-256 {found[:12]}…, registered {known.sha256[:12]}…).",
            f"If the change is meant: mitoscope models add {entry.id} {path}",
        )


def sha256(entry: Backbone) -> str:
    """The hash of a backbone's weights without reading them; empty if there are none.

    The hub's cache keeps large files under their hash.
    """
    known = registered().get(entry.id)
    if known is not None and Path(known.path).is_file():
        return known.sha256
    path = cached(entry)
    name = "" if path is None else path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else ""


def new_registration(entry: Backbone, path: Path, accepted_by: str) -> Registration:
    """Hash a weights file and note who accepted its licence; `write` keeps it.

    An acceptance that was given before is kept.

    Raises:
        ModelError: the file cannot be read, or a gated licence is not accepted.
    """
    check_licence(entry, accepted_by)
    known = registered().get(entry.id)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    licence = None if known is None else known.licence
    if accepted_by:
        licence = Licence(entry.licence, accepted_by, now)
    digest = file_sha256(path)
    status = path.stat()
    fresh = Registration(
        str(path.resolve()), digest, status.st_size, status.st_mtime_ns, now, licence
    )
    if known is not None and known.sha256 == digest:
        return replace(fresh, fingerprint=known.fingerprint)
    return fresh


def weights_in(folder: Path, entry: Backbone, suffixes: Iterable[str]) -> Path:
    """The weights file in a folder: the published name, else the only one of its kind.

    Raises:
        ModelError: there is none, or several.
    """
    for name in dict.fromkeys((entry.hub_file, *FILE_NAMES)):
        if (folder / name).is_file():
            return folder / name
    try:
        files = sorted(p for p in folder.iterdir() if p.is_file())
    except OSError as error:
        raise ModelError(f"{folder} cannot be read: {error.strerror}.") from error
    for suffix in suffixes:
        found = [p for p in files if p.suffix == suffix]
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(
                f"{folder} holds several files of weights: {', '.join(p.name for p in found)}.",
                "Name the file instead of the folder.",
            )
    raise ModelError(
        f"{folder} holds no file of weights.", f"Expected {entry.hub_file or FILE_NAMES[0]}."
    )

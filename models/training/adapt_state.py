"""The file that a stopped training goes on from."""

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from core.errors import UserError

log = logging.getLogger(__name__)


def save_state(path: Path, key: dict[str, Any], state: dict[str, Any]) -> None:
    """Write a state whole or not at all.

    Args:
        path: of the file.
        key: what the state is of.
        state: tensors, numbers, texts, lists and dicts of them.

    Raises:
        UserError: the disk refuses.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            torch.save({"key": key, **state}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Check the folder, its permissions and the free space.",
        ) from error


def load_state(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """What `save_state` wrote under the same key; None where there is none, or it is damaged."""
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        log.warning("%s is damaged and is not gone on from: %s", path.name, error)
        return None
    return found if found.pop("key", None) == key else None

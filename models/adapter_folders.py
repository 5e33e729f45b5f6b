"""Adapters in folders, for choosing one: read without loading any network library."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHTS = "adapter.safetensors"
MANIFEST = "manifest.json"
CARD = "MODEL-CARD.md"
MODES = ("probe", "lora", "full")
TASKS = ("mitosis", "atypical")


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """An adapter's folder as a list shows it.

    Attributes:
        folder: the adapter's.
        name: as its manifest says, else the folder's.
        backbone, mode, task, made_at: from the manifest; empty where it cannot be read.
        f1_shipped, f1_new: cross-validated; None where nothing was compared.
        balanced_accuracy_shipped, balanced_accuracy_new: likewise.
        cells, slides: how many it learnt from.
        warnings: what limits the comparison.
        fault: why it cannot be used, in plain words; empty if nothing was found.
    """

    folder: Path
    name: str
    backbone: str = ""
    mode: str = ""
    task: str = ""
    made_at: str = ""
    f1_shipped: float | None = None
    f1_new: float | None = None
    balanced_accuracy_shipped: float | None = None
    balanced_accuracy_new: float | None = None
    cells: int = 0
    slides: int = 0
    warnings: tuple[str, ...] = ()
    fault: str = ""


def list_adapters(folder: Path) -> list[AdapterInfo]:
    """The adapters in a folder's folders, by name; damaged ones with what is wrong with them.

    The weights are hashed, so it belongs on a worker thread. Folders without a manifest, and those
    whose name starts with a dot (an adapting under way), are passed over.
    """
    if not folder.is_dir():
        return []
    found = [
        path.parent
        for path in sorted(folder.glob(f"*/{MANIFEST}"))
        if not path.parent.name.startswith(".")
    ]
    return [read_info(path) for path in found]


def read_info(folder: Path) -> AdapterInfo:
    """What a list shows of one adapter's folder; what is wrong with it is in `fault`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        return AdapterInfo(folder, folder.name, fault=f"{MANIFEST}: {error.strerror}.")
    except ValueError:
        return AdapterInfo(folder, folder.name, fault=f"{MANIFEST} is not valid JSON.")
    try:
        return _info(folder, manifest)
    except (
        AttributeError,
        TypeError,
        ValueError,
    ):  # no table, or a key holds another kind of value
        return AdapterInfo(folder, folder.name, fault=f"{MANIFEST} is not an adapter's manifest.")


def _info(folder: Path, manifest: dict[str, Any]) -> AdapterInfo:
    mode, task = mode_of(manifest), str(manifest.get("task", "mitosis"))
    rows = {row.get("metric"): row for row in manifest.get("comparison", {}).get("rows", [])}
    f1, balanced = rows.get("f1", {}), rows.get("balanced_accuracy", {})
    data = manifest.get("data", {})
    return AdapterInfo(
        folder=folder,
        name=str(manifest.get("name", folder.name)),
        backbone=str(manifest.get("backbone", "")),
        mode=mode,
        task=task,
        made_at=str(manifest.get("made_at", "")),
        f1_shipped=f1.get("shipped"),
        f1_new=f1.get("new"),
        balanced_accuracy_shipped=balanced.get("shipped"),
        balanced_accuracy_new=balanced.get("new"),
        cells=int(data.get("cells", 0)),
        slides=len(data.get("slides", [])),
        warnings=tuple(manifest.get("comparison", {}).get("warnings", [])),
        fault=_fault(folder, manifest, mode, task),
    )


def mode_of(manifest: dict[str, Any]) -> str:
    """How an adapter was made; manifests older than the word have LoRA."""
    return str(manifest.get("mode", "lora" if "lora" in manifest else ""))


def _fault(folder: Path, manifest: dict[str, Any], mode: str, task: str) -> str:
    missing = [key for key in ("backbone", "backbone_sha256", "sha256") if key not in manifest]
    if missing:
        return f"The manifest lacks {', '.join(missing)}."
    if mode not in MODES:
        return f"It is of the unknown mode “{mode}”."
    if task not in TASKS:
        return f"It is for the unknown task “{task}”."
    try:
        with (folder / WEIGHTS).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"{WEIGHTS}: {error.strerror}."
    return "" if found == manifest["sha256"] else f"{WEIGHTS} is damaged or was exchanged."

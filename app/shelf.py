"""The adapters of this computer beside the shipped classifier, read on another thread."""

import logging
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app.bridge import GuiBridge, WorkThread
from app.laboratory import laboratory
from app.paths import adapters_folder
from core.errors import ModelError, UserError
from models.adapter_folders import MANIFEST, AdapterInfo, list_adapters
from models.registry import file_sha256, shipped, weights_folder

log = logging.getLogger(__name__)


#: How long closing waits for a file that is being hashed.
STOP_S = 2.0
#: Around an adapter's name: the folder of an adapting that was stopped.
UNFINISHED = ".{}.adapting"


@dataclass(frozen=True, slots=True)
class ListedClassifier:
    """A classifier that can be chosen.

    Attributes:
        folder: of its adapter; None for the shipped one.
        name: for the screen.
        sha256: of its manifest, by which runs know it; empty where it cannot be read.
        info: what its manifest says; None for the shipped one.
    """

    folder: Path | None
    name: str
    sha256: str
    info: AdapterInfo | None = None

    @property
    def fault(self) -> str:
        """Why it cannot be used; empty if nothing was found."""
        return "" if self.info is None else self.info.fault


def list_unfinished(folder: Path) -> frozenset[str]:
    """The adapters in a folder that were begun and not ended, by the names of their folders."""
    before, after = UNFINISHED.split("{}")
    found = folder.glob(UNFINISHED.format("*"))
    return frozenset(path.name.removeprefix(before).removesuffix(after) for path in found)


def list_classifiers(folder: Path) -> tuple[ListedClassifier, ...]:
    """The shipped classifier, then the adapters for mitoses in a folder, by name."""
    name = shipped("classifier")
    found = [ListedClassifier(None, name, _sha256(weights_folder() / name))]
    for info in list_adapters(folder):
        if info.task in ("", "mitosis") and laboratory().allows_adapter(info.name):
            found.append(ListedClassifier(info.folder, info.name, _sha256(info.folder), info))
    return tuple(found)


def _sha256(folder: Path) -> str:
    try:
        return file_sha256(folder / MANIFEST)
    except (OSError, ModelError) as error:
        log.warning("the manifest in %s cannot be read: %s", folder, error)
        return ""


class Shelf(QObject):
    """Knows which classifiers can be chosen.

    Args:
        bridge: brings the answers.
        folder: of the adapters; None for the usual one.

    Attributes:
        work_thread: reads; hashing a large adapter must not hold up the opening of a slide.
        classifiers: what was found last.
        unfinished: folders' names of adapters that were begun and not ended.

    Signals:
        listed: tuple of `ListedClassifier`, the shipped one first.
    """

    listed = Signal(object)

    def __init__(
        self, bridge: GuiBridge, folder: Path | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.work_thread = WorkThread("shelf", bridge)
        self.folder = folder or adapters_folder()
        self.classifiers: tuple[ListedClassifier, ...] = ()
        self.unfinished: frozenset[str] = frozenset()

    @Slot()
    def renew(self) -> None:
        """Read the folder anew."""
        folder = self.folder
        self.work_thread.submit(
            lambda: (list_classifiers(folder), list_unfinished(folder)),
            self._take,
            self._not_listed,
        )

    def shutdown(self) -> bool:
        """End the thread; whether it ended in time."""
        return self.work_thread.close(timeout_s=STOP_S)

    def find(self, folder: str) -> ListedClassifier | None:
        """The classifier of a setting: an adapter's folder, or empty for the shipped one."""
        wanted = Path(folder) if folder else None
        return next((found for found in self.classifiers if found.folder == wanted), None)

    def _take(self, found: tuple[tuple[ListedClassifier, ...], frozenset[str]]) -> None:
        self.classifiers, self.unfinished = found
        self.listed.emit(self.classifiers)

    def _not_listed(self, error: UserError) -> None:
        log.warning("adapters could not be listed: %s", error)

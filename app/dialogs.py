"""Dialogs: a message in plain words, a fault of the program, opening, about."""

import platform
import traceback
from importlib import metadata
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app import __version__
from core.errors import UserError
from core.exchange.csv import RESEARCH_USE

#: What OpenSlide 4 reads, for the file dialog.
SUFFIXES = "svs tif tiff ndpi mrxs scn bif vms vmu svslide dcm czi"

_PARTS = (
    ("PySide6-Essentials", "LGPL-3.0"),
    ("openslide-python", "LGPL-2.1"),
    ("openslide-bin", "LGPL-2.1"),
    ("fastslide", "Apache-2.0"),
    ("numpy", "BSD-3-Clause"),
    ("scipy", "BSD-3-Clause"),
    ("shapely", "BSD-3-Clause"),
    ("SQLAlchemy", "MIT"),
    ("pillow", "MIT-CMU"),
    ("tifffile", "BSD-3-Clause"),
    ("defusedxml", "PSF-2.0"),
    ("torch", "BSD-3-Clause"),
    ("timm", "Apache-2.0"),
    ("peft", "Apache-2.0"),
    ("safetensors", "Apache-2.0"),
)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Dialogs", text)


def show_error(parent: QWidget | None, error: UserError) -> None:
    """Say what is wrong, and what can be done about it."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Mitoscope")
    box.setText(error.message)
    box.setInformativeText(error.hint)
    box.exec()


def choose_slides(parent: QWidget, folder: str) -> list[Path]:
    """Ask for slide files."""
    patterns = " ".join(f"*.{suffix} *.{suffix.upper()}" for suffix in SUFFIXES.split())
    names, _ = QFileDialog.getOpenFileNames(
        parent,
        _tr("Open slides"),
        folder,
        f"{_tr('Slides')} ({patterns});;{_tr('All files')} (*)",
    )
    return [Path(name) for name in names]


class CrashDialog(QDialog):
    """A fault of the program: what it was, where the log lies, go on or quit.

    Args:
        error: the exception.
        log_path: of the log file.
        parent: the window.
    """

    def __init__(self, error: BaseException, log_path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("A fault of Mitoscope"))
        self.setMinimumWidth(560)
        last = traceback.format_exception_only(error)[-1].strip()
        what = QLabel(
            self.tr(
                "Something in Mitoscope went wrong. Your verdicts are on disk: each was written "
                "before it was shown."
            ),
            wordWrap=True,
        )
        what.setProperty("strong", True)
        detail = QPlainTextEdit(last, readOnly=True)
        detail.setMaximumHeight(90)
        where = QLabel(
            self.tr("The log with all details is {0}. Please report it.").format(log_path),
            wordWrap=True,
        )
        where.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox()
        self.go_on = buttons.addButton(self.tr("Go on"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.quit = buttons.addButton(self.tr("Quit"), QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (what, detail, where, buttons):
            layout.addWidget(widget)


class AboutDialog(QDialog):
    """What this program is, what it is made of, and what it must not be used for.

    Args:
        parts: as `versions` gives them, which looks at files.
        store_note: where the results are kept, and how.
        parent: the window.
    """

    def __init__(self, parts: str, store_note: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About Mitoscope"))
        self.setMinimumSize(520, 480)
        title = QLabel(f"Mitoscope {__version__}")
        title.setProperty("strong", True)
        text = QLabel(
            self.tr(
                "Counts mitoses on whole-slide images. Apache-2.0; the shipped weights have a "
                "licence of their own, see resources/weights."
            ),
            wordWrap=True,
        )
        use = QLabel(RESEARCH_USE, wordWrap=True)
        use.setProperty("strong", True)
        listed = QPlainTextEdit(parts, readOnly=True)
        store = QLabel(store_note, wordWrap=True)
        store.setProperty("faint", True)
        store.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (title, text, use, listed, store, buttons):
            layout.addWidget(widget)


def versions() -> str:
    """The versions and licences of all native parts, a line each.

    Torch's is read from its metadata: importing it here would take seconds on the GUI thread.
    """
    lines = [f"Python {platform.python_version()} ({platform.system()} {platform.machine()}), PSF"]
    for name, licence in _PARTS:
        try:
            lines.append(f"{name} {metadata.version(name)}, {licence}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name}: not installed")
    return "\n".join(lines)

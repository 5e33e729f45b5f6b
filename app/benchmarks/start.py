"""From starting the program to the painted window, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.desktop import build
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class StartUp:
    """Seconds from starting the process to the painted window.

    Attributes:
        starts: how often it was started; the first is not counted, it warms the disk's cache.
        median_s, worst_s: by the clock.
        torch_imported: whether torch was; it ought to wait for the first analysis.
    """

    starts: int
    median_s: float
    worst_s: float
    torch_imported: bool


def start_qt() -> QApplication:
    """The application, without a screen where there is none."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    return app


def measure_start(rounds: int = 5) -> StartUp:
    """Start the desktop on an empty store `rounds` + 1 times, one after another."""
    taken, torch_imported = [], False
    for _ in range(rounds + 1):
        started_s = time.time()
        code = "from app.benchmarks.start import tell_start; tell_start()"
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        )
        said = json.loads(answer.stdout)
        taken.append(said["painted_s"] - started_s)
        torch_imported |= said["torch"]
    return StartUp(rounds, median(taken[1:]), max(taken[1:]), torch_imported)


def tell_start() -> None:
    """Show the window, and print as JSON when it was painted (seconds since the epoch)."""
    application = start_qt()
    with tempfile.TemporaryDirectory(prefix="mitoscope-", ignore_cleanup_errors=True) as folder:
        desktop = build(Path(folder) / "store.sqlite", Settings(reader="benchmark"))
        desktop.window.show()
        desktop.window.repaint()
        painted_s = time.time()
        QTimer.singleShot(0, desktop.stop)
        application.exec()
    sys.stdout.write(json.dumps({"painted_s": painted_s, "torch": "torch" in sys.modules}))

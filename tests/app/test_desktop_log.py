import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blobs import blob_slide
from PySide6.QtCore import qWarning

from app.logs import Aliases, start_logging, stop_logging


@pytest.fixture
def logged(tmp_path):
    root = logging.getLogger()
    level = root.level
    handler, aliases, note = start_logging(tmp_path / "logs" / "desktop.log")
    assert note == ""
    yield tmp_path / "logs" / "desktop.log", aliases
    stop_logging(handler)
    root.setLevel(level)


def test_slides_stand_in_the_log_under_their_aliases(logged):
    path, aliases = logged
    aliases.set("/slides/Smith John 12.svs", "Case 7")
    log = logging.getLogger("test")
    log.warning("cannot read %s", "/slides/Smith John 12.svs")
    try:
        raise OSError("Smith John 12.svs is gone")
    except OSError:
        log.exception("failed")
    text = path.read_text()
    assert "Smith" not in text
    assert "cannot read Case 7" in text
    assert "OSError: Case 7 is gone" in text


def test_qt_messages_go_into_the_log(logged):
    path, _ = logged
    qWarning("a layout too small")
    assert "a layout too small" in path.read_text()


def test_a_log_that_cannot_be_written_is_told_and_nothing_stops(tmp_path):
    (tmp_path / "file").touch()
    handler, _, note = start_logging(tmp_path / "file" / "desktop.log")
    stop_logging(handler)
    assert "No log can be written" in note


def test_the_longest_name_is_replaced_first():
    aliases = Aliases()
    aliases.set("/a/1.svs", "one")
    aliases.set("/b/11.svs", "eleven")
    assert aliases.hidden("/b/11.svs 11.svs 1.svs") == "eleven eleven one"


PROGRAM = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from app.desktop import run_desktop

application = QApplication(["mitoscope"])
seen = []

def boom():
    raise ZeroDivisionError("a fault in a slot")

def tick():
    windows = application.topLevelWidgets()
    crash = [w for w in windows if type(w).__name__ == "CrashDialog" and w.isVisible()]
    shown = [w for w in windows if type(w).__name__ == "Window" and w.isVisible()]
    if not seen and shown and shown[0].room.view is not None:
        seen.append("slide")
        QTimer.singleShot(0, boom)
    elif crash:
        seen.append("crash")
        crash[0].go_on.click()
        shown[0].close()

timer = QTimer(interval=50)
timer.timeout.connect(tick)
timer.start()
QTimer.singleShot(90_000, application.quit)
status = run_desktop([Path(sys.argv[1])])
assert seen == ["slide", "crash"], seen
sys.exit(status)
"""


def test_the_program_runs_shows_a_fault_goes_on_and_ends_in_order(tmp_path):
    blob_slide(tmp_path / "slide.tif", 900, 700, count=3, margin0=150)
    home = {name: str(tmp_path / name) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    home["XDG_STATE_HOME"] = str(tmp_path / "state")
    settings = tmp_path / "XDG_CONFIG_HOME" / "mitoscope" / "settings.json"
    settings.parent.mkdir(parents=True)  # of a reader who was welcomed before
    settings.write_text('{"notice_accepted": "2026-01-02T03:04:05+00:00"}')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "slide.tif"],
        env=os.environ | home | {"QT_QPA_PLATFORM": "offscreen"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    logs = list(tmp_path.rglob("desktop.log"))
    assert len(logs) == 1, done.stderr
    text = logs[0].read_text()
    assert "ZeroDivisionError: a fault in a slot" in text
    assert "mitoscope ends with 1 faults" in text
    assert list(tmp_path.rglob("settings.json"))
    assert list(tmp_path.rglob("mitoscope.sqlite"))

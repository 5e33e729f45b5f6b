"""The real window on a real X server, with keys and wheel as a keyboard and a mouse send them."""

import os
import queue
import shutil
import subprocess
import sys
import threading
from ctypes.util import find_library
from pathlib import Path

import pytest
from blobs import blob_slide

from core.store import open_store

LONG_S = 60
# What Qt's plugin for X links to and does not bring along.
LIBRARIES = ("xcb-cursor", "xcb-icccm", "xcb-keysyms", "xkbcommon-x11")
MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
MISSING += [name for name in LIBRARIES if find_library(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs an X server"),
]


@pytest.fixture
def display():
    """A screen of 1280 × 720 that nobody sees."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x720x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


class Program:
    """The desktop in its own process, and what it said so far."""

    def __init__(self, display, *arguments):
        self._environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parents[1] / "support" / "x_desktop.py", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def wait_for(self, start):
        said = []
        while True:
            line = self._lines.get(timeout=LONG_S)
            said.append(line)
            assert line is not None, (said, self.process.stderr.read())
            assert not line.startswith("bug"), said
            if line.startswith(start):
                return line

    def send(self, *words):
        subprocess.run(["xdotool", *words], env=self._environment, check=True, timeout=LONG_S)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def program(display, tmp_path):
    blob_slide(tmp_path / "slide.tif", 1200, 900, count=12, margin0=150)
    program = Program(display, tmp_path / "slide.tif", tmp_path / "s.sqlite")
    yield program
    program.end()


def test_keys_and_wheel_of_a_real_keyboard_and_mouse_reach_the_desk(program, tmp_path):
    program.wait_for("ready")
    program.send("key", "F5")
    program.wait_for("view done 0")
    program.send("key", "Tab")
    program.wait_for("selected 1")
    program.send("key", "m")
    program.wait_for("view done 1")
    program.send("key", "u")
    program.wait_for("view done 0")
    program.send("mousemove", "600", "300", "click", "4")
    program.wait_for("zoom")
    program.send("key", "shift+4")
    program.wait_for("zoom 20.0")
    program.send("key", "m")
    program.wait_for("view done 1")
    program.send("key", "ctrl+q")
    assert program.process.wait(LONG_S) == 0
    with open_store(tmp_path / "s.sqlite") as store:
        values = [verdict.value for verdict in store.iter_verdicts(1)]
    assert values == ["mitosis", "cleared", "mitosis"]


def test_a_kill_in_the_middle_of_reviewing_loses_no_acknowledged_verdict(program, tmp_path):
    program.wait_for("ready")
    program.send("key", "F5")
    program.wait_for("view done 0")
    program.send("key", "Tab")
    for number in range(1, 4):
        program.send("key", "m")
        program.wait_for(f"view done {number}")
    program.process.kill()
    program.process.wait(10)
    with open_store(tmp_path / "s.sqlite") as store:
        values = [verdict.value for verdict in store.iter_verdicts(1)]
    assert values == ["mitosis"] * 3

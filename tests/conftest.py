"""Shared by all tests: helpers on the path, no screen needed, nothing left running."""

import gc
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings

# No test asserts a time, hypothesis's own deadline included: machines differ and are busy. The same
# examples every time; `pytest --hypothesis-profile=explore` looks for others, and for longer.
settings.register_profile("mitoscope", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("mitoscope")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No test sees, or changes, what whoever runs it keeps in the places of this computer."""
    folder = tmp_path_factory.getbasetemp() / "home"
    for name in ("DATA", "CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("MITOSCOPE_LABORATORY", str(folder / "laboratory.toml"))


@pytest.fixture(autouse=True)
def nothing_left_running(request):
    """Fail a test that leaves a thread, or with a window also a timer or a visible widget."""
    before = set(threading.enumerate())
    with_window = {"qtbot", "qapp"} & set(request.fixturenames)
    if with_window:
        request.getfixturevalue("qapp")
    yield
    # A thread that was told to end may need a moment to do so.
    deadline = time.monotonic() + 5
    while left := [t for t in set(threading.enumerate()) - before if _ours(t)]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads left running: {sorted(t.name for t in left)}")
        time.sleep(0.01)
    if with_window:
        _check_window_parts()


def _ours(thread):
    """Alive, and not the watch that tqdm (of torch's friends) starts once for a whole process."""
    return thread.is_alive() and thread.name != "tqdm_monitor"


def _check_window_parts():
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    # Not isinstance: it asks every object for its __class__, and torch has some that then warn.
    timers = [o for o in gc.get_objects() if issubclass(type(o), QTimer) and _active(o)]
    assert not timers, f"timers left running: {timers}"
    shown = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
    assert not shown, f"widgets left open: {shown}"


def _active(timer):
    try:
        return timer.isActive()
    except RuntimeError:  # its C++ part is gone
        return False

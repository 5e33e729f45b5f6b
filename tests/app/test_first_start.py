"""The first start: the notice once, the demo slide, device and places; and the help."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from desktops import LONG_MS, HeldDetector, guard_gui_thread, tiny_models
from PySide6.QtCore import Qt

from app import __version__, demo_slide
from app.desktop import build
from app.laboratory import laboratory
from app.requests import DeviceNews
from app.welcome import Welcome
from core.cancel import Cancelled, CancelToken
from core.errors import InputError, SlideError
from core.laboratory import load_laboratory
from core.settings import Settings, load_settings


@pytest.fixture
def start(qtbot, tmp_path, monkeypatch):
    """A desktop as it starts, with a device that needs no torch."""
    made = []

    def make(settings=None, **how):
        path = tmp_path / "settings.json"
        desktop = build(
            tmp_path / "s.sqlite",
            settings or Settings(reader="A. Reader", backend="openslide", theme="light"),
            load=tiny_models(HeldDetector()),
            settings_path=path,
            log_path=tmp_path / "desktop.log",
            **how,
        )
        monkeypatch.setattr(
            desktop.worker,
            "ask_device",
            lambda name, done: done(DeviceNews("cpu", f"CPU, asked for {name}")),
        )
        made.append(desktop)
        desktop.window.show()
        desktop.window.first_start.begin()
        return desktop, path

    yield make
    for desktop in made:
        assert desktop.stop()


def test_a_new_reader_accepts_the_notice_once(start, qtbot):
    desktop, path = start()
    welcome = desktop.window.first_start.welcome
    assert welcome is not None
    assert not welcome.begin_button.isEnabled()
    assert not welcome.demo_button.isEnabled()
    qtbot.waitUntil(lambda: "Apache License" in welcome.program_licence.toPlainText())
    assert "research" in welcome.weights_licence.toPlainText()
    qtbot.waitUntil(lambda: welcome.device.text() == "CPU, asked for auto")
    welcome.tick.setChecked(True)
    qtbot.mouseClick(welcome.begin_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(path.exists)
    kept, note = load_settings(path)
    assert (kept.notice_version, note) == (__version__, "")
    assert kept.notice_accepted.endswith("+00:00")
    assert desktop.window.isVisible()
    desktop.window.first_start.begin()
    assert desktop.window.first_start.welcome is None


def test_refusing_the_notice_ends_the_program(start, qtbot):
    desktop, path = start()
    welcome = desktop.window.first_start.welcome
    qtbot.mouseClick(welcome.quit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not desktop.window.isVisible(), timeout=LONG_MS)
    assert not path.exists() or "notice_accepted" not in json.loads(path.read_text())


def test_who_accepted_sees_when_and_may_close(start, qtbot):
    accepted = Settings(
        reader="A", notice_accepted="2026-01-02T03:04:05+00:00", notice_version="0.0.9"
    )
    desktop, _ = start(accepted)
    first = desktop.window.first_start
    assert first.welcome is None
    desktop.window.menus.welcome.trigger()
    assert first.welcome.tick.isHidden()
    assert first.welcome.quit_button is None
    assert first.welcome.begin_button.isEnabled()
    first.welcome.reject()
    assert first.welcome is None
    assert desktop.window.isVisible()


def test_it_names_where_data_lie(start, qtbot):
    desktop, _ = start()
    first = desktop.window.first_start
    places = set(first._places().values())
    assert desktop.store.path in places
    assert desktop.shelf.folder in places
    assert len(places) == 4


def test_no_laboratory_can_skip_the_notice(tmp_path):
    path = tmp_path / "laboratory.toml"
    for key in ("notice_accepted", "notice", "skip_notice"):
        path.write_text(f"{key} = true\n")
        with pytest.raises(InputError, match="unknown keys"):
            load_laboratory(path)
    assert not any("notice" in name for name in type(laboratory()).__slots__)


def test_the_device_is_found_on_the_worker_thread(qtbot, tmp_path, monkeypatch):
    desktop = build(tmp_path / "s.sqlite", Settings(reader="A"), log_path=tmp_path / "l.log")
    asked = []

    def pick(name):
        asked.append((name, threading.current_thread().name))
        return replace(device, why="as it is")

    from models.device import Device, pick_device

    device: Device = pick_device("cpu")
    monkeypatch.setattr("models.device.pick_device", pick)
    news = []
    desktop.worker.ask_device("cpu", news.append)
    qtbot.waitUntil(lambda: bool(news))
    assert asked == [("cpu", "gpu")]
    assert news[0] == DeviceNews("cpu", "as it is")
    assert desktop.stop()


def quick_demo(monkeypatch):
    """A small slide in place of the large one."""
    from core.slides import synthetic

    whole = synthetic.render_demo_slide
    monkeypatch.setattr(
        synthetic, "render_demo_slide", lambda path, **how: whole(path, side_mm=0.3, **how)
    )


def test_one_click_makes_and_opens_the_demo_slide(start, qtbot, monkeypatch, tmp_path):
    quick_demo(monkeypatch)
    desktop, _ = start()
    first = desktop.window.first_start
    monkeypatch.setattr(first.demo, "_folder", tmp_path / "Demo ö")
    shown = []
    first.demo.progressed.connect(lambda done, total: shown.append((done, total)))
    offences = guard_gui_thread(monkeypatch)
    first.welcome.tick.setChecked(True)
    qtbot.mouseClick(first.welcome.demo_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desktop.room.view is not None, timeout=LONG_MS)
    assert offences == []
    monkeypatch.undo()
    assert desktop.room.opened.slide.name == demo_slide.NAME
    assert shown[0][1] > 0
    assert shown[-1] == (0, 0)
    assert [path.name for path in (tmp_path / "Demo ö").iterdir()] == [demo_slide.NAME]


def test_the_demo_slide_is_made_only_once(tmp_path, monkeypatch):
    quick_demo(monkeypatch)
    made = demo_slide.make_demo(tmp_path, CancelToken())
    at = made.stat().st_mtime_ns
    assert demo_slide.make_demo(tmp_path, CancelToken()) == made
    assert made.stat().st_mtime_ns == at


def test_a_demo_slide_given_up_leaves_nothing(tmp_path):
    token = CancelToken()
    with pytest.raises(Cancelled):
        demo_slide.make_demo(tmp_path, token, lambda done, total: token.cancel())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SlideError, match="demo slide cannot be written"):
        demo_slide.make_demo(tmp_path / "file", CancelToken())


def test_the_page_shows_how_far_the_demo_slide_is(qtbot):
    page = Welcome()
    qtbot.addWidget(page)
    page.show()
    page.show_progress(3, 8)
    assert page.progress.isVisible()
    assert not page.demo_button.isEnabled()
    page.show_progress(0, 0)
    assert page.progress.isHidden()
    assert page.demo_button.isEnabled()


def test_help_stands_beside_the_window_and_ends_with_it(start, qtbot, monkeypatch):
    desktop, _ = start(Settings(reader="A", notice_accepted="2026-01-02T03:04:05+00:00"))
    offences = guard_gui_thread(monkeypatch)
    first = desktop.window.first_start
    desktop.window.menus.workflow.trigger()
    qtbot.waitUntil(lambda: first.help.topics.count() > 0)
    assert offences == []
    monkeypatch.undo()
    beside = first.help
    assert beside.parent() is None  # else the welcome would block it
    assert desktop.stop()
    assert first.help is None
    assert beside.isHidden()


PROGRAM = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from app.desktop import run_desktop

application = QApplication(["mitoscope"])
seen = []

def tick():
    for shown in application.topLevelWidgets():
        if type(shown).__name__ == "WelcomeDialog" and shown.isVisible() and not seen:
            seen.append("torch" in sys.modules)
            if sys.argv[1] == "accept":
                shown.tick.setChecked(True)
                window = shown.parent()
                shown.begin_button.click()
                QTimer.singleShot(0, window.close)
            else:
                shown.quit_button.click()

timer = QTimer(interval=50)
timer.timeout.connect(tick)
timer.start()
QTimer.singleShot(90_000, lambda: application.exit(9))
status = run_desktop([])
sys.stdout.write(f"{seen}")
sys.exit(status)
"""


@pytest.mark.parametrize(("answer", "kept"), [("refuse", False), ("accept", True)])
def test_the_program_greets_before_torch_is_loaded(tmp_path, answer, kept):
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    home = {name: str(tmp_path / name) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, answer],
        env=os.environ | home | {"QT_QPA_PLATFORM": "offscreen"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[False]"), done.stderr
    settings = [path.read_text() for path in tmp_path.rglob("settings.json")]
    assert any("notice_accepted" in text for text in settings) is kept

import json

import pytest

from app.bridge import GuiBridge, WorkThread
from app.preferences import Preferences
from core.settings import RECENT, Settings, load_settings, save_settings, with_recent


def test_only_what_differs_from_the_defaults_is_kept(tmp_path):
    path = tmp_path / "settings.json"
    save_settings(path, Settings(theme="dark", keys={"verdict.mitosis": ("N",)}, recent=("a", "b")))
    assert set(json.loads(path.read_text())) == {"theme", "keys", "recent"}
    loaded, note = load_settings(path)
    assert note == ""
    assert (loaded.theme, loaded.recent) == ("dark", ("a", "b"))
    assert loaded.keys == {"verdict.mitosis": ("N",)}


def test_without_a_file_the_defaults_hold(tmp_path):
    assert load_settings(tmp_path / "none.json") == (Settings(), "")


@pytest.mark.parametrize("text", ["{not json", "[1, 2]", "\udcff"])
def test_an_unreadable_file_is_kept_aside_and_told(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    loaded, note = load_settings(path)
    assert loaded == Settings()
    assert "settings.json.unreadable" in note
    assert not path.exists()
    assert (tmp_path / "settings.json.unreadable").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "blue"),
        ("crop_um", 4000),
        ("idle_minutes", True),
        ("recent", "a"),
        ("keys", {"x": "M"}),
        ("no such setting", 1),
    ],
)
def test_a_value_of_the_wrong_kind_falls_back_and_is_named(tmp_path, name, value):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({name: value, "reader": "A"}))
    loaded, note = load_settings(path)
    assert loaded == Settings(reader="A")
    assert name in note


def test_a_whole_number_is_taken_where_a_fraction_is_expected(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"crop_um": 96}')
    assert load_settings(path) == (Settings(crop_um=96.0), "")


def test_recent_slides_have_the_newest_first_once_and_an_end():
    recent = ()
    for number in range(20):
        recent = with_recent(recent, f"slide {number}")
    recent = with_recent(recent, "slide 15")
    assert recent[:2] == ("slide 15", "slide 19")
    assert len(recent) == RECENT == len(set(recent))


def test_preferences_are_told_at_once_and_kept(qtbot, tmp_path):
    io = WorkThread("io", GuiBridge())
    path = tmp_path / "settings.json"
    preferences = Preferences(Settings(), path, io)
    with qtbot.waitSignal(preferences.changed):
        preferences.change(theme="dark")
    with qtbot.assertNotEmitted(preferences.changed):
        preferences.change(theme="dark")
    qtbot.waitUntil(path.exists)
    assert io.close()
    assert load_settings(path)[0].theme == "dark"

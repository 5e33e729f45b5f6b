"""The laboratory's protocols and the reader's field in the desktop: opened, recounted, told."""

import pytest
from reading_room import LONG_MS, asked, close_room, open_room, small_slide

from app.__main__ import main
from app.bridge import GuiBridge, WorkThread
from app.laboratory import laboratory
from app.own_protocols import offered_protocols, use_own_protocols
from app.panels.settings import SettingsDialog
from app.preferences import Preferences
from app.room import Room
from core.counting.protocols import get_protocol, load_protocols, use_laboratory
from core.errors import InputError, ProtocolError
from core.settings import Settings
from core.store import open_store

OWN = """
[[protocols]]
id = "ours"
name = "Ours"
area_mm2 = 1.0
shape = "square"
unit_mm2 = 1.0
fixed_area = true
whole_numbers = true
verified = false
source = "our own cases"
"""


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    return small_slide(tmp_path_factory.mktemp("slides") / "s.tif")


@pytest.fixture(autouse=True)
def shipped_again():
    yield
    use_laboratory(None)


def test_a_slide_is_counted_by_the_laboratorys_protocol_and_the_result_says_so(
    qtbot, tmp_path, slide_file
):
    path = tmp_path / "protocols.toml"
    path.write_text(OWN, encoding="utf-8")
    use_laboratory(path)
    room = open_room(qtbot, tmp_path, slide_file, protocol_id="ours")
    try:
        count = room.view.count
        assert count.protocol.id == "ours"
        assert "our own cases (the laboratory's own) (not verified)" in count.rule
        assert count.protocol.doubt == "Not verified: its file does not say what."
    finally:
        close_room(room)


def test_a_slide_opens_by_another_rule_when_its_own_is_gone_and_tells_it(
    qtbot, tmp_path, slide_file
):
    told = []
    store = open_store(tmp_path / "s.sqlite")
    room = Room(store, GuiBridge(), "Ada", backend="openslide", protocol_id="gone")
    room.failed.connect(told.append)
    try:
        room.open(slide_file)
        qtbot.waitUntil(lambda: bool(told) and room.view is not None, timeout=LONG_MS)
        assert isinstance(told[0], ProtocolError)
        assert "There is no protocol 'gone'" in told[0].message
        assert load_protocols()["vet_std"].name in told[0].hint
        assert room.protocol_id == "vet_std"
    finally:
        close_room(room)


def test_the_field_is_a_setting(qtbot, tmp_path):
    io = WorkThread("io", GuiBridge())
    preferences = Preferences(Settings(), None, io)
    dialog = SettingsDialog(preferences, "")
    qtbot.addWidget(dialog)
    assert dialog.field.value() == 0.55
    dialog.field.setValue(0.59)
    assert preferences.settings.field_diameter_mm == 0.59
    dialog.field.setValue(2.0)
    assert preferences.settings.field_diameter_mm == 0.69
    assert io.close()


def test_the_desk_counts_anew_by_another_field(qtbot, tmp_path, slide_file):
    from core.counting.protocols import use_field_diameter

    room = open_room(qtbot, tmp_path, slide_file, protocol_id="breast_10hpf")
    try:
        before = room.view.count.protocol
        use_field_diameter(0.4)
        view = asked(qtbot, room, lambda desk: desk.set_protocol("breast_10hpf"))
        assert before.field_diameter_mm == 0.55
        assert view.count.protocol == get_protocol("breast_10hpf")
        assert view.area.planned_mm2 == pytest.approx(1.2566, abs=1e-4)
    finally:
        close_room(room)


@pytest.fixture
def rules(monkeypatch, tmp_path):
    """The laboratory's rules of these tests: where its protocols lie, and which are offered."""
    path = tmp_path / "laboratory.toml"
    own = tmp_path / "ours.toml"
    own.write_text(OWN, encoding="utf-8")
    path.write_text(f'protocols = ["ours", "gist"]\nprotocol_file = "{own.as_posix()}"\n')
    monkeypatch.setenv("MITOSCOPE_LABORATORY", str(path))
    laboratory.cache_clear()
    yield path
    laboratory.cache_clear()


def test_a_laboratory_names_its_file_and_the_only_rules_to_count_by(
    rules, qtbot, tmp_path, slide_file
):
    assert use_own_protocols(Settings()) == ""
    assert list(offered_protocols()) == ["gist", "ours"]
    told = []
    store = open_store(tmp_path / "s.sqlite")
    room = Room(store, GuiBridge(), "Ada", backend="openslide", protocol_id="vet_std")
    room.failed.connect(told.append)
    try:
        room.open(slide_file)
        qtbot.waitUntil(lambda: bool(told) and room.view is not None, timeout=LONG_MS)
        assert "does not count by 'Veterinary" in told[0].message
        assert room.protocol_id == "gist"
    finally:
        close_room(room)
    assert main(["analyze", "nowhere.svs", "--protocol", "vet_std"]) == 2


def test_rules_that_a_laboratory_names_in_vain_are_told(rules):
    rules.write_text(rules.read_text().replace("gist", "gits"), encoding="utf-8")
    note = use_own_protocols(Settings())
    assert note == "The laboratory's file names protocols that there are not: gits."
    assert list(offered_protocols()) == ["ours"]


def test_rules_that_are_all_named_in_vain_open_nothing(rules):
    rules.write_text('protocols = ["gits"]\n', encoding="utf-8")
    laboratory.cache_clear()
    with pytest.raises(InputError, match="names no protocol that there is: gits"):
        use_own_protocols(Settings())
    assert offered_protocols() == {}

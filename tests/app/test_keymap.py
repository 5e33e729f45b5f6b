import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app.actions import ACTIONS, BY_ID, Keymap
from app.shortcuts import WindowActions


def test_the_defaults_do_not_conflict_and_ids_are_unique():
    assert len(BY_ID) == len(ACTIONS)
    assert Keymap().all_conflicts() == {}
    assert Keymap().overrides() == {}


def test_a_verdict_is_one_plain_key_and_never_repeats():
    keymap = Keymap()
    assert [keymap.keys(f"verdict.{v}")[0] for v in ("mitosis", "atypical", "imposter")] == [
        "M",
        "A",
        "X",
    ]
    assert not any(spec.repeats for spec in ACTIONS if spec.id.startswith(("verdict", "field")))


def test_a_conflict_is_named_before_the_key_is_taken():
    keymap = Keymap()
    assert [spec.id for spec in keymap.conflicts("verdict.unsure", "x")] == ["verdict.imposter"]
    assert keymap.conflicts("verdict.unsure", "?") == ()
    keymap.set_keys("verdict.unsure", ["x"])
    assert keymap.keys("verdict.unsure") == ("X",)
    assert keymap.keys("verdict.imposter") == ()
    assert keymap.all_conflicts() == {}


def test_arrows_go_with_the_focus_and_do_not_conflict():
    keymap = Keymap()
    assert "Left" in keymap.keys("gallery.previous")
    assert "Left" in keymap.keys("view.pan_left")
    assert keymap.conflicts("gallery.previous", "Left") == ()
    assert {spec.id for spec in keymap.conflicts("nav.next", "Left")} == {
        "gallery.previous",
        "view.pan_left",
    }


def test_only_what_differs_is_kept_and_survives():
    keymap = Keymap()
    keymap.set_keys("verdict.mitosis", ["1"])
    assert keymap.overrides() == {"verdict.mitosis": ["1"]}
    again = Keymap(keymap.overrides())
    assert again.keys("verdict.mitosis") == ("1",)
    again.reset("verdict.mitosis")
    assert again.overrides() == {}
    keymap.reset()
    assert keymap.keys("verdict.mitosis") == ("M",)


def test_settings_that_make_no_sense_leave_the_defaults(caplog):
    keymap = Keymap({"verdict.mitosis": ["Nonsense"], "no.such": ["B"]})
    assert keymap.keys("verdict.mitosis") == ("M",)
    assert keymap.overrides() == {}
    assert len(caplog.records) == 2
    with pytest.raises(ValueError, match="Nonsense"):
        keymap.set_keys("verdict.mitosis", ["Nonsense"])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(BY_ID)), st.lists(st.sampled_from("MAXQJKUVPTZ+0"))),
        max_size=12,
    )
)
def test_no_sequence_of_changes_leaves_one_key_with_two_actions(changes):
    keymap = Keymap()
    for id_, keys in changes:
        keymap.set_keys(id_, list(dict.fromkeys(keys)))
        assert keymap.keys(id_) == tuple(dict.fromkeys(keys))
    assert keymap.all_conflicts() == {}
    assert Keymap(keymap.overrides()).overrides() == keymap.overrides()


class Window(QWidget):
    def __init__(self, keymap):
        super().__init__()
        self.line, self.spin, self.plain = QLineEdit(), QSpinBox(), QWidget()
        self.plain.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box = QVBoxLayout(self)
        for widget in (self.line, self.spin, self.plain):
            box.addWidget(widget)
        self.actions_ = WindowActions(keymap, self)
        self.done = []
        for spec in ACTIONS:
            self.actions_[spec.id].triggered.connect(lambda *_, i=spec.id: self.done.append(i))


@pytest.fixture
def window(qtbot):
    window = Window(Keymap())
    window.actions_.add_to(window.plain, "gallery")
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    window.plain.setFocus()
    qtbot.waitUntil(window.plain.hasFocus)
    return window


def test_keys_reach_their_actions(window, qtbot):
    for key in (Qt.Key.Key_M, Qt.Key.Key_Tab, Qt.Key.Key_Return, Qt.Key.Key_Right):
        qtbot.keyClick(window.plain, key)
    qtbot.keyClick(window.plain, Qt.Key.Key_1, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(window.plain, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.done == [
        "verdict.mitosis",
        "nav.next_unreviewed",
        "field.done",
        "gallery.next",
        "view.mag_2_5",
        "edit.undo",
    ]


@pytest.mark.parametrize("name", ["line", "spin"])
def test_keys_stay_in_a_text_field_that_has_the_focus(window, qtbot, name):
    field = getattr(window, name)
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    for key in (Qt.Key.Key_M, Qt.Key.Key_X, Qt.Key.Key_Backspace, Qt.Key.Key_Return):
        qtbot.keyClick(field, key)
    qtbot.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(field, Qt.Key.Key_5)
    assert window.done == []
    qtbot.keyClick(field, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(field, Qt.Key.Key_F5)
    assert window.done == ["file.open", "analysis.start"]
    window.plain.setFocus()
    qtbot.waitUntil(window.plain.hasFocus)
    qtbot.keyClick(window.plain, Qt.Key.Key_M)
    assert window.done[-1] == "verdict.mitosis"


def test_a_rebound_key_works_at_once_and_the_old_one_no_longer(window, qtbot):
    keymap = window.actions_.keymap
    keymap.set_keys("verdict.mitosis", ["1"])
    qtbot.keyClick(window.plain, Qt.Key.Key_M)
    assert window.done == []
    qtbot.keyClick(window.plain, Qt.Key.Key_1)
    assert window.done == ["verdict.mitosis"]

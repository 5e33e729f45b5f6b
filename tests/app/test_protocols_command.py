"""Protocols on the command line, the laboratory's file at the start, and options of a count."""

import pytest

from app.__main__ import main
from app.commands.analyze import chosen_protocol
from app.own_protocols import use_own_protocols
from core.counting.protocols import get_protocol, load_protocols, use_laboratory
from core.errors import InputError, ProtocolError
from core.settings import Settings


@pytest.fixture(autouse=True)
def own_file(monkeypatch, tmp_path):
    """The laboratory's file of these tests; the settings lie beside it."""
    path = tmp_path / "config" / "protocols.toml"
    monkeypatch.setattr("app.paths.settings_file", lambda: path.with_name("settings.json"))
    monkeypatch.setattr("app.own_protocols.settings_file", lambda: path.with_name("settings.json"))
    yield path
    use_laboratory(None)


def test_every_protocol_is_listed_and_shown(capsys):
    assert main(["protocols", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in load_protocols())
    for name, protocol in load_protocols().items():
        assert main(["protocols", "show", name]) == 0
        shown = capsys.readouterr().out
        assert protocol.source in shown
        assert all(category.name in shown for category in protocol.categories)
        assert ("not verified" in shown) != protocol.verified
    assert main(["protocols", "show", "nope"]) == 2
    assert "Known: vet_std" in capsys.readouterr().err


@pytest.mark.parametrize("name", load_protocols())
def test_a_copy_takes_the_place_of_the_shipped_one_and_says_so(name, own_file, capsys):
    assert main(["protocols", "copy", name]) == 0
    assert main(["protocols", "check"]) == 0
    assert "1 protocols, all sound" in capsys.readouterr().out
    assert main(["protocols", "show", name]) == 0
    assert "edited by the laboratory" in capsys.readouterr().out
    copied, shipped = get_protocol(name), load_protocols()[name]
    assert (copied.categories, copied.area_mm2) == (shipped.categories, shipped.area_mm2)
    assert main(["protocols", "copy", name]) == 2
    assert "already" in capsys.readouterr().err


def test_copies_of_copies_and_new_names(own_file, capsys):
    assert main(["protocols", "copy", "gist", "--as", "our_gist"]) == 0
    text = own_file.read_text(encoding="utf-8").replace("max = 5\n", "max = 4\n")
    own_file.write_text(text.replace("min = 6", "min = 5"), encoding="utf-8")
    assert main(["protocols", "copy", "our_gist", "--as", "ours.2"]) == 0
    assert main(["protocols", "list"]) == 0
    assert get_protocol("ours.2").categories[0].max == 4
    assert get_protocol("gist").origin == "shipped"
    for bad in ("custom", "two words", 'x"'):
        assert main(["protocols", "copy", "gist", "--as", bad]) == 2
    assert main(["protocols", "check"]) == 0
    assert "2 protocols" in capsys.readouterr().out


def test_a_broken_file_is_told_at_every_start_and_never_written_over(own_file, capsys):
    assert main(["protocols", "copy", "gist"]) == 0
    broken = own_file.read_text(encoding="utf-8").replace("max = 5", "max = 6")
    own_file.write_text(broken, encoding="utf-8")
    for command in (["check"], ["list"], ["show", "gist"], ["copy", "melanoma"]):
        assert main(["protocols", *command]) == 2
        said = capsys.readouterr().err
        assert "The laboratory's protocols are not used" in said
        assert "In protocol 'gist', the categories" in said
        assert "Line " in said
    assert own_file.read_text(encoding="utf-8") == broken
    assert main(["protocols", "show", "melanoma"]) == 0
    assert "are not used" in use_own_protocols(Settings())


def test_the_readers_field_is_taken_from_the_settings(own_file, capsys):
    own_file.parent.mkdir()
    own_file.with_name("settings.json").write_text('{"field_diameter_mm": 0.59}')
    assert main(["protocols", "show", "breast_10hpf"]) == 0
    assert "score 2 (10-19)" in capsys.readouterr().out
    assert main(["protocols", "check"]) == 0
    assert "only shipped protocols" in capsys.readouterr().out


def test_the_field_of_a_microscope(capsys):
    assert main(["protocols", "field", "22"]) == 0
    assert "0.55 mm across, 0.2376 mm²" in capsys.readouterr().out
    assert main(["protocols", "field", "22", "0"]) == 2
    assert "not possible" in capsys.readouterr().err


def test_options_choose_area_shape_and_field():
    custom = chosen_protocol("custom", 1.5, "circle", None)
    assert (custom.area_mm2, custom.shape.kind, custom.categories) == (1.5, "circle", ())
    assert chosen_protocol("breast_mm2", 1.0, None, None).area_mm2 == 1.0
    assert chosen_protocol("breast_10hpf", None, None, 0.4).categories[2].min == 10
    assert chosen_protocol("vet_std", 2.37, None, None) == get_protocol("vet_std")


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("custom", None, None, None), InputError, "needs its area"),
        (("custom", 1.0, None, 0.5), InputError, "no field diameter"),
        (("custom", -1.0, None, None), ProtocolError, "not possible"),
        (("custom", 1.0, "star", None), ProtocolError, "Unknown shape"),
        (("gist", None, "circle", None), InputError, "its own"),
        (("gist", 1.0, None, None), ProtocolError, "not rescaled"),
        (("gist", None, None, 0.5), ProtocolError, "do not follow"),
        (("breast_10hpf", None, None, 0.9), ProtocolError, "outside the table"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, kind, said):
    with pytest.raises(kind, match=said):
        chosen_protocol(*options)

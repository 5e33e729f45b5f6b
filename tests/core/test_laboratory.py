"""The laboratory's file: what it locks, and that a slip of the pen opens nothing."""

import pytest

from core.errors import InputError
from core.laboratory import Laboratory, load_laboratory


@pytest.fixture
def path(tmp_path):
    return tmp_path / "laboratory.toml"


def test_without_a_file_nothing_is_locked(path):
    rules = load_laboratory(path)
    assert rules == Laboratory()
    assert rules.allows_protocol("anything")
    assert rules.allows_adapter("anything")


def test_what_is_laid_down_holds(path):
    path.write_text(
        'name = "Institut für Pathologie"\nprotocols = ["vet_std"]\nadapters = []\n'
        "aliases_required = true\n",
        encoding="utf-8",
    )
    rules = load_laboratory(path)
    assert rules.name == "Institut für Pathologie"
    assert rules.allows_protocol("vet_std")
    assert not rules.allows_protocol("gist")
    assert not rules.allows_adapter("Stain 2026")
    assert rules.aliases_required


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('protocol = ["vet_std"]', "unknown keys: protocol"),
        ('protocols = "vet_std"', "list of texts"),
        ("adapters = [1]", "list of texts"),
        ("aliases_required = 1", "true or false"),
        ("store = true", "a text"),
        ("store = ", "cannot be read"),
    ],
)
def test_a_slip_of_the_pen_is_told(path, text, fault):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=fault):
        load_laboratory(path)

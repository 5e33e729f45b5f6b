"""What follows from a laboratory's file for commands."""

from pathlib import Path

import pytest

from app.laboratory import check_adapter, check_protocol, chosen_store, laboratory
from core.errors import InputError


@pytest.fixture
def rules(tmp_path, monkeypatch):
    path = tmp_path / "laboratory.toml"
    monkeypatch.setenv("MITOSCOPE_LABORATORY", str(path))
    laboratory.cache_clear()
    yield path
    laboratory.cache_clear()


def test_the_store_is_the_readers_choice_where_nothing_is_laid_down(rules):
    assert chosen_store(Path("a.sqlite"), "b.sqlite") == Path("a.sqlite")
    assert chosen_store(None, "b.sqlite") == Path("b.sqlite")


def test_the_laboratorys_store_is_the_only_one(rules, tmp_path):
    place = tmp_path / "lab.sqlite"
    rules.write_text(f"store = '{place}'", encoding="utf-8")
    assert chosen_store(None, "b.sqlite") == place
    assert chosen_store(place) == place
    with pytest.raises(InputError, match="only"):
        chosen_store(Path("a.sqlite"))


def test_only_the_laboratorys_protocols_are_counted_by(rules):
    rules.write_text('protocols = ["vet_std"]', encoding="utf-8")
    check_protocol("vet_std")
    with pytest.raises(InputError, match="does not count by gist"):
        check_protocol("gist")


def test_only_the_laboratorys_adapters_classify(rules):
    check_adapter("anything")
    laboratory.cache_clear()
    rules.write_text('adapters = ["Stain 2026"]', encoding="utf-8")
    check_adapter("Stain 2026")
    with pytest.raises(InputError, match="does not classify with the adapter other"):
        check_adapter("other")

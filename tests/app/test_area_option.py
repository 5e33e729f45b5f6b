"""`analyze --area`: what a protocol does not let be counted is refused before anything is read."""

import pytest
from typer.testing import CliRunner

from app.commands.analyze import _plan
from core.counting.protocols import get_protocol
from core.errors import InputError, ProtocolError


@pytest.mark.parametrize(
    ("protocol", "area", "plan"),
    [
        ("vet_std", None, None),
        ("vet_std", "one", "one"),
        ("vet_std", "fields", "fields"),
        ("breast_10hpf", "one", "one"),
        ("breast_mm2", "whole-tumour", "whole"),
    ],
)
def test_what_the_protocol_allows_is_counted(protocol, area, plan):
    assert _plan(area, get_protocol(protocol)) == plan


def test_what_it_does_not_allow_is_refused_in_plain_words():
    with pytest.raises(ProtocolError, match="whole tumour cannot"):
        _plan("whole-tumour", get_protocol("vet_std"))
    with pytest.raises(ProtocolError, match="cannot be counted in this way"):
        _plan("fields", get_protocol("breast_mm2"))
    with pytest.raises(InputError, match="no count area"):
        _plan("whole", get_protocol("breast_mm2"))


def test_the_command_line_names_it():
    from app.cli import app

    shown = CliRunner().invoke(app, ["analyze", "--help"], env={"COLUMNS": "200"})
    assert "--area" in shown.output
    assert "whole-tumour" in shown.output

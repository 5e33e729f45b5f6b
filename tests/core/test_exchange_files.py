"""Output files are the old one or the whole new one."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.exchange.files import replacing, replacing_bytes


def test_bytes_take_the_place_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "report.pdf"
    with replacing_bytes(path) as file:
        file.write(b"%PDF old")
    with replacing_bytes(path) as file:
        file.write(b"%PDF new")
        assert path.read_bytes() == b"%PDF old"
    assert path.read_bytes() == b"%PDF new"
    assert [other.name for other in path.parent.iterdir()] == ["report.pdf"]


def test_a_failure_leaves_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), replacing_bytes(path) as file:
        file.write("no bytes")  # type: ignore[call-overload]
    assert path.read_bytes() == b"old"
    assert [other.name for other in tmp_path.iterdir()] == ["report.pdf"]


@pytest.mark.parametrize("opening", [replacing, replacing_bytes])
def test_a_folder_in_the_place_of_the_file_is_said_plainly(tmp_path: Path, opening: Any) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="taken cannot be written"), opening(tmp_path / "taken"):
        pass

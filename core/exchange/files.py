"""Writing an output file so that it is either the old one or the whole new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TextIO

from core.errors import UserError


@contextmanager
def replacing(path: Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Open a text file that takes the place of `path` when the block ends well.

    It is written beside `path`, brought to disk, then renamed; a failure leaves the old one.

    Args:
        path: of the file; missing folders are made.
        encoding: `utf-8`, or `utf-8-sig` for a byte order mark.

    Raises:
        UserError: the file cannot be written: no permission, disk full.
    """
    # backslashreplace: a file name of undecodable bytes has characters that UTF-8 lacks.
    with (
        _replaced(path) as partial,
        partial.open("w", encoding=encoding, errors="backslashreplace", newline="") as file,
    ):
        yield file
        _sync(file)


@contextmanager
def replacing_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends well; see `replacing`.

    Args:
        path: of the file; missing folders are made.

    Raises:
        UserError: the file cannot be written: no permission, disk full.
    """
    with _replaced(path) as partial, partial.open("w+b") as file:
        yield file
        _sync(file)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A path beside `path` whose file takes its place when the block ends well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield partial
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _sync(file: IO[str] | IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be written: {error.strerror or error}.",
        "Check the folder, its permissions and the free space, or choose another with --out.",
    )


def _sync_folder(folder: Path) -> None:
    """Bring a rename to disk; Windows has no such call and does not need it."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Reading foreign text files: encodings, JSON and XML, each fault a `UserError` with the name."""

import gc
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

from core.errors import InputError

#: Files of points are far smaller; a larger one is a mistake, and would fill the memory.
MAX_BYTES = 512 * 2**20
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Characters that XML 1.0 has no way of writing.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_file(path: Path) -> None:
    """Refuse what no format can be read from.

    Raises:
        InputError: it is missing, a folder, unreadable or far too large.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder.", "Name the file inside it.")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path.name} is larger than {MAX_BYTES // 2**20} MB.")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", "Check the name.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_bytes(path: Path) -> bytes:
    """A whole file.

    Raises:
        InputError: it is missing, a folder, unreadable, empty or far too large.
    """
    check_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data.strip(b" \t\r\n\0"):
        raise InputError(f"{path.name} is empty.")
    return data


def decoded(path: Path, data: bytes) -> tuple[str, str]:
    """The text of a file, and a note where its encoding had to be guessed.

    By its byte order mark, else UTF-8, else UTF-16 where every other byte is null, else Windows'
    Latin-1, which reads every byte and so is only tried for what looks like text.

    Raises:
        InputError: it is no text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strictly(path, data, encoding), ""
    head = data[:4096]
    for nulls, others, encoding in ((1, 0, "utf-16-le"), (0, 1, "utf-16-be")):
        if len(head) > 3 and head[nulls::2].count(0) > 4 * max(1, head[others::2].count(0)):
            return _strictly(path, data, encoding), f"{path.name} was read as UTF-16"
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        if b"\0" in head:
            raise InputError(f"{path.name} is no text file.") from None
        return data.decode("cp1252", "replace"), f"{path.name} is not UTF-8; read as Latin-1"


def _strictly(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} says that it is {encoding.removesuffix('-sig').upper()}, but is not.",
            "Save it anew as UTF-8.",
        ) from error


def read_json(path: Path) -> tuple[Any, str]:
    """A JSON document, and a note on its encoding.

    Raises:
        InputError: it is none, or nested too deeply.
    """
    text, note = decoded(path, read_bytes(path))
    return parse_json(path, text), note


def parse_json(path: Path, text: str) -> Any:
    """A JSON document from its text; as `read_json`."""
    try:
        with _many_objects():
            return json.loads(text)
    except RecursionError:
        raise InputError(f"{path.name} is nested too deeply to be a list of points.") from None
    except ValueError as error:
        raise InputError(f"{path.name} is not valid JSON: {error}.") from error


def xml_root(path: Path, data: bytes) -> Element:
    """The root of an XML document with its attributes, before what is in it is read.

    Raises:
        InputError: it is ill-formed up to there, or declares a document type or entities.
    """
    # Only where needed: it loads a second, pure-Python parser.
    import defusedxml.ElementTree
    from defusedxml.common import DefusedXmlException

    events = defusedxml.ElementTree.iterparse(io.BytesIO(data), ("start",), forbid_dtd=True)
    try:
        root: Element = next(events)[1]
    except DefusedXmlException as error:
        raise InputError(
            f"{path.name} declares a document type or entities, which no annotation file needs "
            "and which can be misused; it was not read."
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise _no_xml(path, error) from error
    return root


def parse_xml(path: Path, data: bytes) -> Element:
    """The root of an XML document without document type, entities or references to other files.

    Raises:
        InputError: it is ill-formed, or holds one of these.
    """
    # A document type can stand before the root only; once there is none, no entity can be declared
    # and the parser in C is as safe as the other, and several times as fast.
    xml_root(path, data)
    try:
        with _many_objects():
            return ElementTree.fromstring(data)
    except (ParseError, ValueError, LookupError) as error:
        raise _no_xml(path, error) from error


def _no_xml(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path.name} is not valid XML: {error}.",
        "It may be cut off, or be saved in another encoding than it names.",
    )


@contextmanager
def _many_objects() -> Iterator[None]:
    """Put the garbage collector off: it would walk millions of new objects again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parts(element: Element | None) -> dict[str, Element]:
    """The first child of each name, in small letters; none of None."""
    if element is None:
        return {}
    return {str(child.tag).casefold(): child for child in reversed(element)}


def children(element: Element | None, name: str) -> list[Element]:
    """The children of a name in small letters, whatever its capitals; none of None."""
    if element is None:
        return []
    return [child for child in element if str(child.tag).casefold() == name]


def xml_text(text: str) -> str:
    """A text that XML can hold, escaped for an attribute in double quotes or an element."""
    legal = _NOT_XML.sub("\ufffd", text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        legal = legal.replace(character, entity)
    # Else a parser makes blanks of them in attributes.
    return legal.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")

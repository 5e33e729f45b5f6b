"""SlideRunner's SQLite database: spots, areas and polygons, with the label that each person gave.

Schema: `SlideRunner_dataAccess/database.py` (1.0.9; databases of 1.31 have no `coordinateZ`).
Places are whole level-0 pixels. Its triggers call functions of the program that opens the database
(`pycurrent_time`, `generate_uuid`, `randcolor`), so every connection registers these: without them
each insert into such a database fails.
"""

import random
import re
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.errors import InputError
from core.exchange.classes import (
    FIGURE_CLASSES,
    REGION_CLASSES,
    figure_class,
    hex_colour,
    plain_rings,
)
from core.exchange.collecting import Collector, fraction, number, text, unreadable
from core.exchange.files import replacing_bytes
from core.exchange.marks import Mark, Saying, SlideFrame, SlideMarks, meaning
from core.exchange.texts import check_file

SPOT, AREA, POLYGON, SPECIAL_SPOT, CIRCLE = 1, 2, 3, 4, 5
USER_VERSION = 1
#: The person under whom the labels of Mitoscope's models stand.
LABELLER = "Mitoscope (label)"
_PROBABILITY = re.compile(r"probability ([0-9.eE+-]+)")
_NEEDED = {
    "Slides": {"uid", "filename"},
    "Annotations": {"uid", "slide", "type"},
    "Annotations_coordinates": {"coordinateX", "coordinateY", "annoId"},
    "Annotations_label": {"person", "class", "annoId"},
    "Classes": {"uid", "name"},
    "Persons": {"uid", "name"},
}
_TABLES = """
CREATE TABLE Slides (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, filename TEXT, width INTEGER,
    height INTEGER, EXACTUSER INTEGER DEFAULT 0, directory TEXT, uuid TEXT, exactImageID TEXT);
CREATE TABLE Persons (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT,
    isExactUser INTEGER DEFAULT 0);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, name TEXT,
    clickable INTEGER DEFAULT 1, color TEXT);
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, slide INTEGER, guid TEXT,
    lastModified REAL, deleted INTEGER DEFAULT 0, type INTEGER, agreedClass INTEGER,
    description TEXT, clickable INTEGER DEFAULT 1);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE,
    coordinateX INTEGER, coordinateY INTEGER, coordinateZ INTEGER DEFAULT 0, slide INTEGER,
    annoId INTEGER, orderIdx INTEGER);
CREATE TABLE Annotations_label (uid INTEGER PRIMARY KEY AUTOINCREMENT UNIQUE, person INTEGER,
    class INTEGER, exact_id INTEGER, annoId INTEGER);
CREATE TABLE Log (uid INTEGER PRIMARY KEY AUTOINCREMENT, dateTime FLOAT, labelId INTEGER);
"""
_TOUCHED = (
    ("fromLabel", "Annotations_label", "annoId"),
    ("fromCoords", "Annotations_coordinates", "annoId"),
    ("", "Annotations", "uid"),
)


def _triggers() -> str:
    """SlideRunner's triggers: the time of the last change, ids and colours that nobody gave."""
    touching = [
        f"CREATE TRIGGER updateAnnotation_{source}{event} AFTER {event} ON {table} BEGIN "
        f"UPDATE Annotations SET lastModified=pycurrent_time() WHERE uid==new.{key}; END;"
        for event in ("UPDATE", "INSERT")
        for source, table, key in _TOUCHED
    ]
    return "\n".join(touching) + (
        "CREATE TRIGGER updateAnnotation_ins AFTER INSERT ON Annotations BEGIN UPDATE Annotations "
        "SET guid=generate_uuid() WHERE uid==new.uid AND guid IS NULL; END;"
        "CREATE TRIGGER setRandomcolor AFTER INSERT ON Classes BEGIN UPDATE Classes "
        "SET color=randcolor() WHERE uid==new.uid AND color IS NULL; END;"
    )


def _register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the triggers call."""
    connection.create_function("pycurrent_time", 0, time.time)
    connection.create_function("generate_uuid", 0, lambda: str(uuid.uuid4()))
    connection.create_function("randcolor", 0, _random_colour)


def _random_colour() -> str:
    return "#{:02x}{:02x}{:02x}".format(*(random.randrange(30, 255) for _ in range(3)))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database to read from, every fault of it with the file's name."""
    check_file(path)
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            # Nothing that a foreign schema declares may call functions with side effects.
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            _register(connection)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of sqlite3's own messages
        raise unreadable(path, f"cannot be read as a SQLite database: {error}") from error


def read(path: Path, slide: SlideFrame) -> SlideMarks:
    """Read the annotations of a slide with the labels of each person.

    The class that the persons agree on becomes the verdict; an annotation without labels has a
    class only, which becomes its label. Deleted ones are passed over.

    Raises:
        InputError: the file is missing, no such database, or does not know the slide.
    """
    with _opened(path) as connection:
        columns = {table: _columns(connection, table) for table in _NEEDED}
        for table, needed in _NEEDED.items():
            if not needed <= columns[table]:
                raise unreadable(path, "is a SQLite database, but not SlideRunner's")
        slide_id = _slide_of(path, slide, connection, columns["Slides"])
        into = Collector(path, slide)
        _Annotations(connection, columns, slide_id).take(into)
    return into.done()


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table; of a view, none."""
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name=?", (table,)).fetchone()
    if kind is None or kind[0] != "table":
        return set()
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _slide_of(
    path: Path, slide: SlideFrame, connection: sqlite3.Connection, columns: set[str]
) -> Any:
    """The database's id of a slide, by its name, else of the only one."""
    size = "width, height" if {"width", "height"} <= columns else "NULL, NULL"
    rows = connection.execute(f"SELECT uid, filename, {size} FROM Slides").fetchall()
    wanted = {slide.name.casefold(), Path(slide.name).stem.casefold()}
    named = [row for row in rows if {_base(row[1]), Path(_base(row[1])).stem} & wanted]
    if not named and len(rows) != 1:
        raise unreadable(
            path,
            f"has {len(rows)} slides, and none is named {slide.name}",
            "Give the slide this name, or as its alias.",
        )
    uid, _, width, height = (named or rows)[0]
    size0 = number(width), number(height)
    if size0[0] > 0 and size0[1] > 0 and size0 != (slide.width0, slide.height0):
        raise InputError(
            f"The slide of {path.name} has {size0[0]:g} × {size0[1]:g} pixels, and {slide.name} "
            f"has {slide.width0} × {slide.height0}.",
            "Its positions would not fit.",
        )
    return uid


def _base(filename: Any) -> str:
    return text(filename).replace("\\", "/").rpartition("/")[2].casefold()


class _Annotations:
    """The annotations of one slide.

    Args:
        connection: to read from.
        columns: of the tables; older databases lack some.
        slide_id: the database's.
    """

    def __init__(
        self, connection: sqlite3.Connection, columns: Mapping[str, set[str]], slide_id: Any
    ) -> None:
        own = "IN (SELECT uid FROM Annotations WHERE slide=?)"
        order = "orderIdx" if "orderIdx" in columns["Annotations_coordinates"] else "uid"
        kept = ("agreedClass", "guid", "deleted", "description")
        chosen = [name if name in columns["Annotations"] else f"NULL AS {name}" for name in kept]
        self._rows = connection.execute(
            f"SELECT uid, type, {', '.join(chosen)} FROM Annotations WHERE slide=? ORDER BY uid",
            (slide_id,),
        ).fetchall()
        self._places: dict[Any, list[tuple[float, float]]] = defaultdict(list)
        for uid, x, y in connection.execute(
            "SELECT annoId, coordinateX, coordinateY FROM Annotations_coordinates "
            f"WHERE annoId {own} ORDER BY annoId, {order}",
            (slide_id,),
        ):
            self._places[uid].append((number(x), number(y)))
        self._labels: dict[Any, list[tuple[Any, Any]]] = defaultdict(list)
        for uid, person, class_ in connection.execute(
            f"SELECT annoId, person, class FROM Annotations_label WHERE annoId {own} ORDER BY uid",
            (slide_id,),
        ):
            self._labels[uid].append((person, class_))
        self._classes = _named(connection, "Classes")
        self._persons = _named(connection, "Persons")

    def take(self, into: Collector) -> None:
        """Take them in."""
        for uid, kind, agreed, guid, deleted, description in self._rows:
            places = self._places.get(uid, [])
            if deleted:
                into.passed_over("deleted annotations")
            elif kind in (SPOT, SPECIAL_SPOT, CIRCLE) or self._is_figure(kind, uid, agreed):
                x0, y0 = _middle(places)
                into.mark(x0, y0, **self._fields(uid, agreed, guid, description))
            elif kind in (AREA, POLYGON):
                class_ = self._classes.get(agreed) or self._any_class(uid)
                into.outline([[_corners(places)]], class_, text(guid))
            else:
                into.passed_over("annotations of other kinds")

    def _is_figure(self, kind: Any, uid: Any, agreed: Any) -> bool:
        """Whether an area or polygon is drawn around a figure, as some people do."""
        class_ = self._classes.get(agreed) or self._any_class(uid)
        return kind in (AREA, POLYGON) and bool(meaning(class_))

    def _any_class(self, uid: Any) -> str:
        labels = self._labels.get(uid, [])
        return self._classes.get(labels[0][1], "") if labels else ""

    def _fields(self, uid: Any, agreed: Any, guid: Any, description: Any) -> dict[str, Any]:
        """What is said of a spot, as fields of `Mark`."""
        said = [
            (self._persons.get(person, ""), self._classes.get(class_, ""))
            for person, class_ in self._labels.get(uid, [])
        ]
        class_ = self._classes.get(agreed, "")
        sayings = [Saying(p, meaning(c)) for p, c in said if p != LABELLER and meaning(c)]
        words = {saying.verdict for saying in sayings}
        verdict = (meaning(class_) or (words.pop() if len(words) == 1 else "")) if sayings else ""
        label = next((meaning(c) for p, c in said if p == LABELLER), "")
        if not sayings and not label:
            label = meaning(class_)
        unknown = "" if verdict or label or sayings else class_ or self._any_class(uid)
        probability = _PROBABILITY.search(text(description))
        return {
            "label": label,
            "verdict": verdict,
            "reader": sayings[0].reader if verdict and len(sayings) == 1 else "",
            "uuid": text(guid),
            "name": "" if unknown == FIGURE_CLASSES[""] else unknown,
            "probability": fraction(probability[1]) if probability else None,
            "sayings": tuple(sayings),
        }


def _named(connection: sqlite3.Connection, table: str) -> dict[Any, str]:
    return {uid: text(name) for uid, name in connection.execute(f"SELECT uid, name FROM {table}")}


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    if not places:
        return number(None), number(None)
    xs, ys = zip(*places, strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _corners(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A polygon's corners; of an area, which has two, all four."""
    if len(places) != 2:
        return places
    (ax, ay), (bx, by) = places
    return [(ax, ay), (bx, ay), (bx, by), (ax, by)]


def write(path: Path, marks: SlideMarks) -> tuple[str, ...]:
    """Write a database of one slide; returns what it could not hold.

    Raises:
        UserError: the file cannot be written.
    """
    rings, notes = plain_rings(marks.outlines)
    with closing(sqlite3.connect(":memory:")) as connection:
        _register(connection)
        connection.executescript(_TABLES)
        filling = _Filling(connection, marks.slide)
        filling.points(marks.marks)
        for ring in rings:
            corners = [*ring.corners0, ring.corners0[0]]
            filling.add(POLYGON, corners, filling.class_id(ring.name), ring.uuid, "")
        filling.finish()
        # Last: the triggers would run for every row above, and set the time that is given there.
        connection.executescript(_triggers())
        connection.execute(f"PRAGMA user_version={USER_VERSION}")
        connection.commit()
        data = connection.serialize()
    with replacing_bytes(path) as file:
        file.write(data)
    return notes


class _Filling:
    """Rows for a new database, gathered and inserted together."""

    def __init__(self, connection: sqlite3.Connection, slide: SlideFrame) -> None:
        self._connection = connection
        self._now = time.time()
        self._classes: dict[str, int] = {}
        self._persons: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._places: list[tuple[Any, ...]] = []
        self._labels: list[tuple[int, int, int]] = []
        for name in (*FIGURE_CLASSES.values(), *REGION_CLASSES.values()):
            self.class_id(name)
        connection.execute(
            "INSERT INTO Slides (uid, filename, width, height, directory, uuid) "
            "VALUES (1, ?, ?, ?, '', ?)",
            (slide.name, slide.width0, slide.height0, str(uuid.uuid4())),
        )

    def points(self, marks: Iterable[Mark]) -> None:
        """Add points with the labels that readers and models gave them."""
        for mark in marks:
            known = mark.probability is not None
            description = f"probability {mark.probability!r}" if known else ""
            agreed = self.class_id(figure_class(mark))
            uid = self.add(SPOT, [(mark.x0, mark.y0)], agreed, mark.uuid, description)
            if mark.label:
                self._label(uid, LABELLER, mark.label)
            for said in mark.sayings:
                self._label(uid, said.reader, said.verdict)
            if mark.verdict and mark.reader and not mark.sayings:
                self._label(uid, mark.reader, mark.verdict)

    def add(
        self,
        kind: int,
        places: Sequence[tuple[float, float]],
        class_id: int,
        guid: str,
        description: str,
    ) -> int:
        """Add an annotation; its id."""
        uid = len(self._rows) + 1
        self._rows.append((uid, guid or str(uuid.uuid4()), self._now, kind, class_id, description))
        self._places += [(round(x), round(y), uid, order) for order, (x, y) in enumerate(places, 1)]
        return uid

    def class_id(self, name: str) -> int:
        """The id of a class, which is made if need be."""
        return self._classes.setdefault(name, len(self._classes) + 1)

    def _label(self, uid: int, person: str, word: str) -> None:
        person_id = self._persons.setdefault(person, len(self._persons) + 1)
        self._labels.append((person_id, self.class_id(FIGURE_CLASSES[word]), uid))

    def finish(self) -> None:
        """Insert them all."""
        many = self._connection.executemany
        many(
            "INSERT INTO Classes (uid, name, color) VALUES (?, ?, ?)",
            [(uid, name, hex_colour(name)) for name, uid in self._classes.items()],
        )
        many(
            "INSERT INTO Persons (uid, name) VALUES (?, ?)",
            [(uid, name) for name, uid in self._persons.items()],
        )
        many(
            "INSERT INTO Annotations (uid, slide, guid, lastModified, type, agreedClass, "
            "description) VALUES (?, 1, ?, ?, ?, ?, ?)",
            self._rows,
        )
        many(
            "INSERT INTO Annotations_coordinates (coordinateX, coordinateY, slide, annoId, "
            "orderIdx) VALUES (?, ?, 1, ?, ?)",
            self._places,
        )
        many("INSERT INTO Annotations_label (person, class, annoId) VALUES (?, ?, ?)", self._labels)

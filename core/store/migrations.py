"""The ladder of store versions (`PRAGMA user_version`), and backups before it is climbed.

A step is a plain function of a bare connection that lifts a store by one version. A new store
climbs from 0, so creation and migration are one path. Each step is one transaction; the version
changes inside it, so a store is never between two versions.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import StoreError
from core.store.backup import back_up
from core.store.engine import APPLICATION_ID
from core.store.v1 import STATEMENTS as V1_STATEMENTS
from core.store.v2 import STATEMENTS as V2_STATEMENTS

Step = Callable[[sqlite3.Connection], None]


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in V1_STATEMENTS:
        connection.execute(statement)


def _add_reading(connection: sqlite3.Connection) -> None:
    """Version 2: cases, actions (the undo steps), acknowledgements, view states, viewed areas.

    Every table is made anew and takes over its rows: SQLite cannot add the new references and
    checks to a table that is there.
    """
    old = _set_aside(connection)
    for statement in V2_STATEMENTS:
        connection.execute(statement)
    _add_actions_of_verdicts(connection, "old_verdicts")
    for table in old:
        kept = [name for name in _columns(connection, f"old_{table}") if name != "action"]
        source = ", ".join(kept)
        into, values = source, source
        if table == "verdicts":
            into += ", action_id"
            values += ", (SELECT id FROM temp.action_ids WHERE action = old_verdicts.action)"
        connection.execute(f"INSERT INTO {table} ({into}) SELECT {values} FROM old_{table}")
        connection.execute(f"DROP TABLE old_{table}")
    connection.execute("DROP TABLE temp.action_ids")


def _set_aside(connection: sqlite3.Connection) -> list[str]:
    """Drop triggers and indexes, and put `old_` before the name of every table; their names."""
    rows = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL"
    ).fetchall()
    for kind in ("trigger", "index"):
        for name in (name for of, name in rows if of == kind):
            connection.execute(f"DROP {kind.upper()} {name}")
    tables = [name for of, name in rows if of == "table"]
    for name in tables:
        connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    return tables


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]


def _add_actions_of_verdicts(connection: sqlite3.Connection, verdicts: str) -> None:
    """An action for each that verdicts named by a text; `temp.action_ids` maps text to id."""
    connection.execute("CREATE TEMP TABLE action_ids (action TEXT PRIMARY KEY, id INTEGER)")
    connection.execute(
        f"INSERT INTO temp.action_ids SELECT action, row_number() OVER (ORDER BY min(id)) "
        f"FROM {verdicts} GROUP BY action"
    )
    connection.execute(
        "INSERT INTO actions (id, slide_id, reader_id, text, undoes_id, acted_at) "
        "SELECT m.id, v.slide_id, v.reader_id, v.value, "
        "(SELECT n.id FROM temp.action_ids n "
        f"JOIN {verdicts} u ON u.action = n.action WHERE u.id = v.undoes_id), v.decided_at "
        f"FROM temp.action_ids m JOIN {verdicts} v ON v.id = "
        f"(SELECT min(w.id) FROM {verdicts} w WHERE w.action = m.action) ORDER BY m.id"
    )


def _add_subtypes(connection: sqlite3.Connection) -> None:
    """Version 3: atypical mitoses, the model that tells them, and tombstones of cases."""
    connection.execute("ALTER TABLE scores ADD COLUMN atypical_probability REAL")
    connection.execute("ALTER TABLE runs ADD COLUMN subtype TEXT")
    connection.execute("ALTER TABLE cases ADD COLUMN deleted_at TEXT")


# Step n lifts version n to n + 1. Never edit one that was released: add the next.
LADDER: tuple[Step, ...] = (_create, _add_reading, _add_subtypes)


def store_version(connection: sqlite3.Connection) -> int:
    """The version that a store's file carries; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The store's version, if this program can use it.

    Raises:
        StoreError: the file is another program's database, or of a newer Mitoscope.
    """
    version = store_version(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (application_id or tables or version):
        raise StoreError(
            f"{path} is a database of another program.",
            "It was left as it is. Choose another file with --store.",
        )
    if version > newest:
        raise StoreError(
            f"The store {path} has version {version}, but this Mitoscope knows only {newest}.",
            "It was left as it is. Update Mitoscope, or choose another file with --store.",
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, ladder: Sequence[Step] = LADDER) -> None:
    """Lift a store to the newest version, backed up first if it holds anything.

    Args:
        connection: bare, in autocommit, outside a transaction.
        path: of the store.
        ladder: the steps; tests inject their own.

    Raises:
        StoreError: wrong or newer file; SQLite's own errors pass to the caller.
    """
    version = check_version(connection, path, len(ladder))
    if version == len(ladder):
        return
    if version > 0:
        back_up(connection, path, f"v{version}")
    # A step may rebuild a table that others refer to; this pragma is ignored in a transaction.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        while _climb(connection, ladder):
            pass
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _climb(connection: sqlite3.Connection, ladder: Sequence[Step]) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = store_version(connection)  # another process may have climbed meanwhile
        if version >= len(ladder):
            connection.execute("ROLLBACK")
            return False
        ladder[version](connection)
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"step {version} leaves broken references: {broken[:3]}")
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True

"""`mitoscope store …`: check, back up and restore a store."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.laboratory import existing_store
from core.errors import StoreError
from core.store import open_store
from core.store.backup import Backup, back_up, backups, restore
from core.store.engine import connect, plain_errors
from core.store.migrations import LADDER

store_app = typer.Typer(help="Check, back up and restore a store.", no_args_is_help=True)

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="The store's file.")]


@store_app.command("check")
def check(store: StoreArgument) -> None:
    """Look for damage in the whole file, and for faults in its audit trail."""
    with plain_errors(store), closing(connect(existing_store(store), read_only=True)) as connection:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    if found != ["ok"]:
        raise StoreError(
            f"The store {store} is damaged: {'; '.join(found)}.",
            "`mitoscope store restore` puts a backup in its place and keeps this file.",
        )
    with open_store(store, read_only=True) as opened:
        findings = opened.verify_events()
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)
    typer.echo("The store is whole, and so is its audit trail.")


@store_app.command("backups")
def list_backups(store: StoreArgument) -> None:
    """List the backups beside a store, oldest first."""
    for backup in _known(store):
        typer.echo(f"{_told(backup)}  {backup.path.name}")


@store_app.command("backup")
def make_backup(store: StoreArgument) -> None:
    """Copy a store now, beside whoever works with it."""
    with plain_errors(store), closing(connect(existing_store(store), read_only=True)) as connection:
        made = back_up(connection, store.absolute(), "asked")
    typer.echo(made.name)


@store_app.command("restore")
def restore_backup(
    store: StoreArgument,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="BACKUP", help="Which one; else the newest."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the place of a store; the present file is kept under another name."""
    path = store.absolute()
    if source is None:
        known = _known(path)
        if not known:
            raise StoreError(f"There is no backup beside {path}.", "Name one with --from.")
        source = known[-1].path
        typer.echo(f"Backup of {_told(known[-1])}: {source.name}", err=True)
    if not yes:
        typer.confirm("What was entered since then is not in it. Go on?", abort=True)
    aside = restore(path, source, len(LADDER))
    with open_store(path) as opened:
        opened.note_restored(source.name, "" if aside is None else aside.name)
    typer.echo(f"{path.name} is the backup now.")
    if aside is not None:
        typer.echo(f"The file that was there is kept as {aside.name}.")


def _told(backup: Backup) -> str:
    age = datetime.now(UTC) - backup.made_at
    moment = backup.made_at.astimezone().isoformat(" ", "minutes")
    return f"{moment} ({age.days} days old, {backup.tag})"


def _known(store: Path) -> list[Backup]:
    if not store.absolute().parent.is_dir():
        raise StoreError(f"There is no folder {store.absolute().parent}.")
    return backups(store.absolute())

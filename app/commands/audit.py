"""`mitoscope audit …`: whether a store's trail is whole, and the trail as a file."""

import csv
import json
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Annotated

import typer

from app.laboratory import existing_store
from core.errors import StoreError
from core.exchange.csv import guarded
from core.exchange.files import replacing
from core.store import EventRecord, Store, open_store

ALTERED = 1

audit_app = typer.Typer(help="Check and export the audit trail of a store.", no_args_is_help=True)

StoreArgument = Annotated[Path, typer.Argument(metavar="STORE", help="The store's file.")]


@audit_app.command("verify")
def verify(
    store: StoreArgument,
    head: Annotated[
        str,
        typer.Option("--head", metavar="DIGEST", help="Digest that a report or `audit head` gave."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Name every altered, missing or reordered line; exit status 1 if there is any.

    Without --head, a cut end or a trail written anew as a whole cannot be seen: compare with a
    digest that was printed when all was well.
    """
    digest = head.strip().lower()
    if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
        raise StoreError(
            f"{head!r} is no digest.", "It has 64 characters, 0 to 9 and a to f; copy all of them."
        )
    with open_store(existing_store(store), read_only=True) as opened:
        findings, newest = opened.verify_events(digest), opened.audit_head()
    if as_json:
        typer.echo(json.dumps({"whole": not findings, "findings": findings, "head": newest}))
    else:
        for finding in findings:
            typer.echo(finding)
        if not findings:
            against = " and holds the digest" if digest else ""
            typer.echo(f"The trail is whole{against}. Its head is {newest}.")
    if findings:
        raise typer.Exit(ALTERED)


@audit_app.command("head")
def head(store: StoreArgument) -> None:
    """Print the digest that stands for the whole trail up to now; keep it elsewhere."""
    with open_store(existing_store(store), read_only=True) as opened:
        typer.echo(opened.audit_head())


@audit_app.command("export")
def export(
    store: StoreArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="A .csv or .jsonl file to write.")
    ],
) -> None:
    """Write every line of the trail, oldest first, as CSV or as one JSON object a line."""
    writers = {".csv": _write_csv, ".jsonl": _write_lines}
    write = writers.get(out.suffix.lower())
    if write is None:
        raise StoreError(
            f"A trail is not written as {out.suffix or 'a file without ending'}.",
            "Name a .csv or a .jsonl file.",
        )
    with open_store(existing_store(store), read_only=True) as opened:
        lines = write(out, opened)
    typer.echo(f"{lines} lines written to {out}", err=True)


def _write_csv(out: Path, store: Store) -> int:
    lines = 0
    with replacing(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EventRecord.__slots__)
        for event in store.iter_events():
            lines += 1
            writer.writerow(
                [guarded(value) if isinstance(value, str) else value for value in astuple(event)]
            )
    return lines


def _write_lines(out: Path, store: Store) -> int:
    lines = 0
    with replacing(out) as file:
        for event in store.iter_events():
            lines += 1
            file.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
    return lines

"""`mitoscope models list|info|add|verify`: which backbones there are, whose weights are here."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from app.paths import models_file
from core.errors import InputError, ModelError
from models import hub
from models.registry import Backbone, backbone, backbones, unsupported

models_app = typer.Typer(
    help="Foundation models and other backbones: what there is, and where its weights are.",
    no_args_is_help=True,
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `models list` shows it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, nothing else.")]


@models_app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """All backbones, with parameters, licence, and where the weights are.

    Weights are `shipped` with Mitoscope, in an installed `package`, `registered` by the reader, in
    the `cache` of huggingface.co, or `missing`.
    """
    rows = [_row(entry) for entry in backbones().values()]
    if as_json:
        content = {"models": rows, "unsupported": unsupported()}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    typer.echo(_line("id", "params", "dim", "commercial", "gated", "weights", "licence, title"))
    for row in rows:
        typer.echo(
            _line(
                row["id"],
                f"{row['params_m']:.{0 if row['params_m'] >= 10 else 1}f} M",
                str(row["dim"]),
                "yes" if row["commercial"] else "no",
                "yes" if row["gated"] else "no",
                row["weights"],
                f"{row['licence']}; {row['title']}",
            )
        )
    for reason in unsupported().values():
        typer.echo(f"not supported: {reason}")


@models_app.command("info")
def info(model: IdArgument, as_json: JsonOption = False) -> None:
    """All that the registry knows of a backbone, and what was registered for it."""
    entry = backbone(model)
    known = hub.registered().get(entry.id)
    path = hub.locate(entry)
    content: dict[str, Any] = {
        **asdict(entry),
        "weights": hub.place(entry),
        "path": None if path is None else str(path),
        "registration": None if known is None else asdict(known),
    }
    if as_json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    del content["registration"]
    for key, value in content.items():
        if value not in ("", None, {}):
            typer.echo(f"{key}: {_plain(value)}")
    if known is not None:
        typer.echo(f"registered: {known.added_at}")
        if known.licence is not None:
            typer.echo(
                f"licence accepted: {known.licence.accepted_by}, {known.licence.accepted_at}"
            )
        typer.echo(f"verified: {'no' if known.fingerprint is None else 'yes'}")


@models_app.command("add")
def add(
    model: IdArgument,
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="File or folder with the weights.")
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Fetch from huggingface.co with your own token."),
    ] = False,
    accept_licence: Annotated[
        str, typer.Option(metavar="NAME", help="Your name: you accept the licence of the weights.")
    ] = "",
    sha256: Annotated[str, typer.Option(help="Hash that the file has to have.")] = "",
) -> None:
    """Make weights known: a file or folder, or what the cache of huggingface.co holds.

    They are loaded once, strictly, before they are registered. Nothing is fetched without
    --download.
    """
    entry = backbone(model)
    if path is not None and download:
        raise InputError("A path and --download were given.", "Give one of them.")
    hub.check_licence(entry, accept_licence.strip())
    if download:
        from models.hub_download import download as fetch

        path = fetch(entry, accept_licence.strip())
    elif path is None:
        path = hub.locate(entry)
    if path is None:
        raise ModelError(
            f"The weights of {entry.title} are not on this computer.",
            f"Name a file or folder, or fetch them: mitoscope models add {entry.id} --download.",
        )
    from models.verify import register

    done = register(
        entry, path.expanduser(), accepted_by=accept_licence.strip(), sha256=sha256.strip()
    )
    typer.echo(f"{entry.id}: {done.path}")
    typer.echo(f"SHA-256 {done.sha256}")
    if done.licence is not None:
        licence = done.licence
        typer.echo(f"{licence.name}, accepted by {licence.accepted_by} on {licence.accepted_at}")
    typer.echo(f"Noted in {models_file()}. Next: mitoscope models verify {entry.id}")


@models_app.command("verify")
def verify(model: IdArgument, as_json: JsonOption = False) -> None:
    """Load the weights strictly and compare hash, parameters and the embedding of a fixed image.

    The first time after `models add` the embedding is recorded, later it is compared.
    """
    from models.verify import verify as verified

    result = verified(backbone(model))
    if as_json:
        content = {**asdict(result), "passed": result.passed}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"{result.id}: {result.path}")
        for check in result.checks:
            typer.echo(f"  {'ok     ' if check.passed else 'DIFFERS'} {check.name}: {check.detail}")
    if not result.passed:
        names = ", ".join(check.name for check in result.checks if not check.passed)
        raise ModelError(
            f"{model} is not what it was or should be: {names}.",
            f"Register the right file: mitoscope models add {model} PATH.",
        )


def _row(entry: Backbone) -> dict[str, Any]:
    return {
        "id": entry.id,
        "title": entry.title,
        "params_m": entry.params_m,
        "dim": entry.dim,
        "licence": entry.licence,
        "gated": entry.gated,
        "commercial": entry.commercial,
        "weights": hub.place(entry),
    }


def _line(*cells: str) -> str:
    widths = (19, 7, 5, 11, 6, 11)
    return " ".join([c.ljust(w) for c, w in zip(cells[:-1], widths, strict=True)] + [cells[-1]])


def _plain(value: Any) -> str:
    """A value in one line: a mapping as key = value."""
    if isinstance(value, dict):
        return ", ".join(f"{k} = {v}" for k, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value)
    return str(value)

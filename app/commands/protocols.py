"""`mitoscope protocols …`: the counting rules there are, and the laboratory's own copies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.own_protocols import own_protocols_file
from core.counting.hpf import field_area_mm2, field_diameter_mm
from core.counting.protocol_file import (
    entry_text,
    load_protocols,
    parse_protocols,
    protocol_text,
    renamed,
)
from core.counting.protocols import EDITED, OWN, Protocol, catalogue, get_protocol, laboratory_fault
from core.counting.rules import rule_text
from core.errors import ProtocolError
from core.exchange.files import replacing

protocols_app = typer.Typer(
    help="List counting protocols, show one, and keep the laboratory's own.", no_args_is_help=True
)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `protocols list` names it.")]

_HEAD = """# Protocols of this laboratory. One with the id of a shipped protocol takes its place.
# Check it after each change with: mitoscope protocols check
"""


@protocols_app.command("list")
def list_protocols() -> None:
    """All protocols, with area, origin, and whether they were checked against a source."""
    table = Table()
    for column in ("id", "protocol", "mm²", "categories", "verified", "origin"):
        table.add_column(column, justify="right" if column == "mm²" else "left")
    for protocol in catalogue().values():
        table.add_row(
            protocol.id,
            protocol.name,
            f"{protocol.area_mm2:.4g}",
            str(len(protocol.categories) or "none"),
            "yes" if protocol.verified else "no",
            protocol.origin,
        )
    Console(width=150).print(table)
    typer.echo("custom: any area, without categories (analyze --protocol custom --area-mm2 N).")
    typer.echo(f"The laboratory's own: {own_protocols_file()}")
    _refuse_fault()


@protocols_app.command("show")
def show(protocol_id: IdArgument) -> None:
    """One protocol with its rule, source, what is not verified, and its checklist."""
    typer.echo("\n".join(_lines(get_protocol(protocol_id))))


@protocols_app.command("copy")
def copy(
    protocol_id: IdArgument,
    new_id: Annotated[
        str | None, typer.Option("--as", metavar="NEW", help="Id of the copy; else the same.")
    ] = None,
) -> None:
    """Put a copy into the laboratory's file, to be edited there.

    A copy with the same id takes the place of the shipped protocol, and results say so.
    """
    path = own_protocols_file()
    before = protocol_text(path) if path.exists() else ""
    own = parse_protocols(before, OWN) if before.strip() else {}
    target = new_id or protocol_id
    if target in own:
        raise ProtocolError(f"The laboratory has a protocol {target!r} already.", f"Edit {path}.")
    block = entry_text(before, protocol_id) if protocol_id in own else None
    block = block or entry_text(protocol_text(), protocol_id)
    if block is None:
        get_protocol(protocol_id)  # says which there are
        raise ProtocolError(f"{protocol_id!r} has no entry that can be copied.")
    head = before.rstrip() or f"{_HEAD}#\n{_keys()}"
    text = f"{head}\n\n{renamed(block, target)}"
    parse_protocols(text, OWN)
    with replacing(path) as file:
        file.write(text)
    typer.echo(f"{target} is now in {path}: edit it there, then run `mitoscope protocols check`.")


@protocols_app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Else the laboratory's own.")
    ] = None,
) -> None:
    """Say whether a protocol file can be used, and if not, which line and rule is wrong."""
    path = file or own_protocols_file()
    if file is None and not path.exists():
        typer.echo(f"There is no {path}: only shipped protocols are used.")
        return
    found = load_protocols(path)
    shipped = load_protocols()
    for protocol in found.values():
        origin = EDITED if protocol.id in shipped else OWN
        typer.echo(f"{protocol.id}: {rule_text(protocol)} [{origin}]")
    typer.echo(f"{path}: {len(found)} protocols, all sound.")


@protocols_app.command("field")
def field(
    field_number: Annotated[float, typer.Argument(metavar="FN", help="Of the eyepiece, mm.")],
    objective: Annotated[float, typer.Argument(metavar="OBJECTIVE", help="40 for 40x.")] = 40.0,
) -> None:
    """Diameter and area of a microscope's high-power field."""
    area_mm2 = field_area_mm2(field_number, objective)
    typer.echo(
        f"{field_diameter_mm(field_number, objective):.3g} mm across, {area_mm2:.4g} mm²; "
        f"ten fields are {10 * area_mm2:.4g} mm², 1 mm² is {1 / area_mm2:.3g} fields."
    )


def _keys() -> str:
    """What the shipped file says of its keys."""
    text = protocol_text()
    start, end = text.index("# area_mm2"), text.index("#\n# Left out")
    return text[start:end].rstrip()


def _lines(protocol: Protocol) -> list[str]:
    lines = [f"{protocol.id}: {protocol.name} ({protocol.origin})", "", rule_text(protocol)]
    for category in protocol.categories:
        low = f"{'from' if category.min_closed else 'above'} {category.min:g}"
        word = "up to" if category.max_closed else "below"
        high = "" if category.max == float("inf") else f" {word} {category.max:g}"
        lines.append(f"  {category.name}: {low}{high} {protocol.unit}")
    where = "on this area only" if protocol.fixed_area else "on any area that is stated"
    if protocol.categories:
        lines.append(f"Categories hold {where}; cut-offs are never rescaled.")
    if protocol.by_diameter is not None:
        rule = protocol.by_diameter
        lines.append(
            f"Fields of {rule.from_mm:g} to {rule.to_mm:g} mm: analyze --field-diameter MM, or the "
            "desktop's settings."
        )
    lines += [protocol.note] if protocol.note else []
    lines += ["", "To confirm before signing:"] if protocol.checklist else []
    return lines + [f"  - {point}" for point in protocol.checklist]


def _refuse_fault() -> None:
    fault = laboratory_fault()
    if fault is not None:
        raise fault

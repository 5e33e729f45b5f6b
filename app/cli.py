"""The command line as a table: one line for each subcommand, whose module says the rest."""

from typing import Annotated

import typer

from app import __version__
from app.commands.adapt import adapt
from app.commands.analyze import analyze
from app.commands.audit import audit_app
from app.commands.benchmark import benchmark_app
from app.commands.compare import compare_readers
from app.commands.demo import demo
from app.commands.desktop import desktop
from app.commands.evaluate import evaluate
from app.commands.exchange import export, import_
from app.commands.models import models_app
from app.commands.protocols import protocols_app
from app.commands.report import report
from app.commands.self_test import self_test
from app.commands.store import store_app
from app.commands.train import train_app
from app.own_protocols import start_commands
from core.exchange.csv import RESEARCH_USE

app = typer.Typer(
    name="mitoscope",
    help=f"Count mitoses on whole-slide images. {RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"Mitoscope {__version__}. {RESEARCH_USE}")
        raise typer.Exit


@app.callback()
def before(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """What comes before every command."""
    start_commands()


app.command("desktop")(desktop)
app.command("analyze")(analyze)
app.command("adapt")(adapt)
app.command("evaluate")(evaluate)
app.command("compare")(compare_readers)
app.command("demo")(demo)
app.command("report")(report)
app.command("self-test")(self_test)
app.command("export")(export)
app.command("import")(import_)
app.add_typer(train_app, name="train")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(models_app, name="models")
app.add_typer(store_app, name="store")
app.add_typer(audit_app, name="audit")
app.add_typer(protocols_app, name="protocols")

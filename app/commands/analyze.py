"""`mitoscope analyze SLIDE…`: from slides to mitotic counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from app import analysing
from app.analysing import Models, Question, SlideResult
from app.laboratory import check_protocol, chosen_store
from app.progress_bar import ProgressBar
from app.stopping import ctrl_c_cancels
from core.analysis.count import check_plan
from core.cancel import Cancelled, CancelToken
from core.counting.protocols import (
    CUSTOM_PROTOCOL,
    DEFAULT_PROTOCOL,
    Protocol,
    custom_protocol,
    get_protocol,
    load_protocols,
)
from core.errors import InputError, StoreError, UserError
from core.exchange.csv import RESEARCH_USE
from core.reading.view import Plan
from core.slides.choice import BACKENDS, Backend
from core.store import Store, open_store

FAILED, STOPPED = 2, 130
AREAS: dict[str, Plan] = {"one": "one", "fields": "fields", "whole-tumour": "whole"}


def analyze(
    slides: Annotated[list[Path], typer.Argument(metavar="SLIDE…", help="Slide files.")],
    protocol: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help=f"Counting protocol: {', '.join(load_protocols())}, {CUSTOM_PROTOCOL}, or one of "
            "the laboratory's own.",
        ),
    ] = DEFAULT_PROTOCOL,
    area_mm2: Annotated[
        float | None,
        typer.Option(metavar="N", help="Count area, for custom and protocols of any area."),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="S", help="circle, square or rectangle-W:H, for custom."),
    ] = None,
    area: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="one, fields or whole-tumour, where the protocol allows it.",
        ),
    ] = None,
    field_diameter: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Of the microscope's field, for breast_10hpf."),
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(metavar="GEOJSON", help="Tumour and excluded regions as QuPath writes them."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="µm per pixel, where the slide does not say it.")
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Result store.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the CSV files; else beside the store."),
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A laboratory's own, in place of the shipped classifier."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    backend: Annotated[str, typer.Option(help="auto, openslide, turbo or fastslide.")] = "auto",
    again: Annotated[
        bool, typer.Option("--again", help="Analyse anew, even if there is a result.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on stdout, nothing else.")
    ] = False,
) -> None:
    """Find, classify and count mitoses on slides.

    Results are kept in the store: the same command goes on where it was stopped, or returns what
    it found before.
    """
    analysing.check_device(device)
    check_protocol(protocol)
    rule = chosen_protocol(protocol, area_mm2, shape, field_diameter)
    plan = _plan(area, rule)
    question = replace(_question(slides, rule, region, mpp, backend, again=again), plan=plan)
    path = chosen_store(store)
    if out is not None:
        analysing.make_folder(out)
    with open_store(path) as opened, ctrl_c_cancels() as token:
        if opened.read_only:
            raise StoreError(f"The store {path} is read-only.", "Choose another with --store.")
        batch = _Batch(opened, question, device, token, adapter)
        batch.run(slides)
        if batch.results:
            files = analysing.write_results(out or path.parent, opened, batch.results)
            typer.echo(f"Written: {files[0]}, {files[1]}", err=True)
    _print(batch, as_json=as_json, single=len(slides) == 1)
    if batch.stopped:
        typer.echo(
            f"Stopped. What is finished is kept in {path}: run the same command again to go on.",
            err=True,
        )
        raise typer.Exit(STOPPED)
    if batch.failures:
        raise typer.Exit(FAILED)


def _plan(area: str | None, protocol: Protocol) -> Plan | None:
    """What `--area` asks for; None without it.

    Raises:
        InputError: there is no such area.
        ProtocolError: the protocol does not allow it.
    """
    if area is None:
        return None
    if area not in AREAS:
        raise InputError(f"There is no count area {area!r}.", f"Choose {', '.join(AREAS)}.")
    check_plan(protocol, AREAS[area])
    return AREAS[area]


def chosen_protocol(
    protocol_id: str, area_mm2: float | None, shape: str | None, field_diameter_mm: float | None
) -> Protocol:
    """The rule that the options name.

    Raises:
        ProtocolError: unknown id, or a rule that does not hold for such an area or field.
        InputError: an option that does not go with the protocol.
    """
    if protocol_id == CUSTOM_PROTOCOL:
        if area_mm2 is None:
            raise InputError("A custom count needs its area.", "Add --area-mm2 N.")
        if field_diameter_mm is not None:
            raise InputError("A custom count has no field diameter.", "Leave it out.")
        return custom_protocol(area_mm2, shape or "rectangle-4:3")
    if shape is not None:
        raise InputError(f"The shape of {protocol_id} is its own.", "Leave --shape out.")
    protocol = get_protocol(protocol_id)
    if field_diameter_mm is not None:
        protocol = protocol.at_diameter(field_diameter_mm)
    return protocol if area_mm2 is None else protocol.with_area(area_mm2)


def _question(
    slides: Sequence[Path],
    protocol: Protocol,
    region: Path | None,
    mpp: float | None,
    backend: str,
    *,
    again: bool,
) -> Question:
    """What to ask of every slide; options that cannot be are refused."""
    if backend not in BACKENDS:
        raise InputError(f"There is no backend {backend!r}.", f"Choose {', '.join(BACKENDS)}.")
    if region is not None and len(slides) > 1:
        raise InputError(
            f"{region.name} holds the regions of one slide, and {len(slides)} slides are given.",
            "Give each slide its own command with its own --region.",
        )
    return Question(protocol, region, mpp, cast("Backend", backend), again)


@dataclass(slots=True)
class _Batch:
    """Slides one after another; one that fails does not keep the others from their turn."""

    store: Store
    question: Question
    device: str
    token: CancelToken
    adapter: Path | None = None
    models: Models | None = None
    results: list[SlideResult] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False

    def run(self, slides: Sequence[Path]) -> None:
        """Analyse them all, or until the token is cancelled."""
        for path in slides:
            try:
                self.results.append(self._one(path))
            except Cancelled:
                self.stopped = True
                return
            except UserError as error:
                self.failures.append(
                    {"slide": path.name, "error": error.message, "hint": error.hint}
                )
                typer.echo(f"{path.name}: {error.message}", err=True)
                if error.hint:
                    typer.echo(f"  {error.hint}", err=True)

    def _one(self, path: Path) -> SlideResult:
        self.token.check()
        slide, regions = analysing.open_for(path, self.question)
        with slide:
            if self.models is None:
                self.models = analysing.load_models(self.device, adapter=self.adapter)
            with ProgressBar(path.name) as bar:
                result = analysing.analyse_slide(
                    slide,
                    regions,
                    self.question,
                    self.models,
                    self.store,
                    progress=bar.show,
                    token=self.token,
                )
        for note in (*result.summary.notes, *result.count.notes):
            typer.echo(f"{path.name}: warning: {note}", err=True)
        return result


def _print(batch: _Batch, *, as_json: bool, single: bool) -> None:
    rows = [result.row for result in batch.results]
    if as_json:
        if rows or not single:
            typer.echo(analysing.to_json([*rows, *batch.failures], single=single))
        return
    for row in rows:
        typer.echo(analysing.summary_text(row))
    if rows:
        typer.echo(RESEARCH_USE)

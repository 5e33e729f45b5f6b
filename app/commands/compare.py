"""`mitoscope compare`: how far readers, or readers and the model, agree."""

import csv
import json
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from shapely.geometry.base import BaseGeometry

from app.analysing import make_folder
from app.laboratory import chosen_store, existing_store
from app.reporting.making import slide_file
from core.analysis.agreement import Agreement, compare
from core.analysis.evaluate import MATCH_RADIUS_UM
from core.analysis.raters import CONSENSUS, MODEL, Readings, readings
from core.errors import InputError, SlideError
from core.exchange.csv import RESEARCH_USE, guarded
from core.exchange.files import replacing
from core.exchange.geojson import read_regions
from core.store import Store, StoredSlide, open_store
from core.store.base import paged

RULE = (
    f"Marks within {MATCH_RADIUS_UM} µm, one to one, are one figure; who marked nothing there, or "
    "an imposter, does not call it a mitosis. κ depends on how many imposters were marked."
)


def compare_readers(
    raters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="READER…", help=f"Names of readers, {MODEL} or {CONSENSUS}; else all readers."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Result store.")] = None,
    slides: Annotated[
        list[str] | None, typer.Option("--slide", metavar="NAME", help="Only these slides.")
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(metavar="GEOJSON", help="Only in its tumour regions, less the excluded ones."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for tables as CSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Agreement on single figures (F1, Cohen's and Fleiss' κ) and on counts (Bland-Altman)."""
    path = existing_store(chosen_store(store))
    with open_store(path, read_only=True) as opened:
        chosen = _chosen(opened, slides or [])
        if region is not None and len(chosen) > 1:
            raise InputError(f"{region.name} holds the regions of one slide.", "Name one --slide.")
        region0 = None if region is None or not chosen else _region0(region, chosen[0])
        read = readings(opened, chosen, raters or [], region0)
    agreement = compare(read.slides)
    for line in read.left_out:
        typer.echo(f"Left out: {line}", err=True)
    if out is not None:
        make_folder(out)
        _write(out, agreement, read)
        typer.echo(f"Written: {', '.join(TABLES)} in {out}", err=True)
    if as_json:
        typer.echo(json.dumps(_plain(agreement), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(agreement)


def _chosen(store: Store, names: list[str]) -> list[StoredSlide]:
    slides: list[StoredSlide] = list(paged(store.slides))
    if not names:
        return slides
    unknown = [name for name in names if not any(name in (s.name, s.alias) for s in slides)]
    if unknown:
        raise InputError(f"The store has no slide {unknown[0]!r}.")
    return [slide for slide in slides if slide.name in names or slide.alias in names]


def _region0(path: Path, stored: StoredSlide) -> BaseGeometry:
    """What the regions of a file leave of a slide, level-0 pixels."""
    with slide_file(stored, None) as (slide, why):
        if slide is None:
            raise SlideError(
                f"Regions count pixels from a corner that only the slide's file tells: {why}",
                "Put it back where it was, or open it on the desktop where it lies now.",
            )
        bounds = slide.bounds
    regions = read_regions(path, (bounds.x0, bounds.y0))
    for note in regions.notes:
        typer.echo(f"Note: {note}", err=True)
    return regions.region0(bounds.polygon())


def _show(agreement: Agreement) -> None:
    console = Console(width=140)
    counts = Table(title="Mitoses by slide")
    for column in ("slide", *agreement.raters):
        counts.add_column(column)
    for slide, by_rater in agreement.counts.items():
        counts.add_row(slide, *(str(by_rater[rater]) for rater in agreement.raters))
    console.print(counts)
    pairs = Table(title="Agreement")
    for column in ("", "both", "only first", "only second", "neither", "F1", "κ", "bias (limits)"):
        pairs.add_column(column)
    for pair in agreement.pairs:
        low, high = pair.limits
        limits = f" ({low:+.1f} to {high:+.1f})" if isfinite(low) else ""
        pairs.add_row(
            f"{pair.first}, {pair.second}",
            *(str(n) for n in (pair.both, pair.only_first, pair.only_second, pair.neither)),
            _told(pair.f1),
            _told(pair.kappa),
            f"{pair.bias:+.1f}{limits}",
        )
    console.print(pairs)
    if len(agreement.raters) > 2:
        typer.echo(f"Fleiss' κ of all: {_told(agreement.fleiss_kappa)}")
    typer.echo(f"{len(agreement.disagreements)} of {len(agreement.figures)} figures are disputed.")
    typer.echo(RULE)
    typer.echo(RESEARCH_USE)


def _told(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "none"


TABLES = ("agreement.csv", "counts.csv", "figures.csv")


def _write(out: Path, agreement: Agreement, read: Readings) -> None:
    pairs: list[list[Any]] = [
        [
            *("first", "second", "both", "only_first", "only_second", "neither", "f1", "kappa"),
            *("bias", "limit_low", "limit_high", "fleiss_kappa_of_all", "research_use"),
        ]
    ]
    for pair in agreement.pairs:
        values = {**asdict(pair)}
        low, high = values.pop("limits")
        figures = [*values.values(), low, high, agreement.fleiss_kappa]
        pairs.append([*figures, RESEARCH_USE])
    counts: list[list[Any]] = [["slide", *agreement.raters]]
    counts += [[slide, *by_rater.values()] for slide, by_rater in agreement.counts.items()]
    rows: list[list[Any]] = [["slide", "x_px", "y_px", "disputed", *agreement.raters]]
    words = {True: "mitosis", False: "imposter", None: ""}
    for one in agreement.figures:
        mpp = read.mpp[one.slide]
        place = [round(one.x_um / mpp.x, 2), round(one.y_um / mpp.y, 2)]
        said = [words[one.said[rater]] for rater in agreement.raters]
        rows.append([one.slide, *place, str(one.disputed).lower(), *said])
    for name, table in zip(TABLES, (pairs, counts, rows), strict=True):
        with replacing(out / name) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([_cell(value) for value in row] for row in table)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else ""
    return guarded(value) if isinstance(value, str) else value


def _plain(agreement: Agreement) -> dict[str, Any]:
    """The agreement as JSON-able values; what is not defined is null."""

    def known(value: Any) -> Any:
        return None if isinstance(value, float) and not isfinite(value) else value

    pairs = []
    for pair in agreement.pairs:
        values = {name: known(value) for name, value in asdict(pair).items()}
        values["limits"] = [known(end) for end in pair.limits]
        pairs.append(values)
    return {
        "match_radius_um": MATCH_RADIUS_UM,
        "raters": list(agreement.raters),
        "counts": {slide: dict(by_rater) for slide, by_rater in agreement.counts.items()},
        "pairs": pairs,
        "fleiss_kappa": known(agreement.fleiss_kappa),
        "figures": len(agreement.figures),
        "disagreements": [
            {"slide": one.slide, "x_um": one.x_um, "y_um": one.y_um, "said": dict(one.said)}
            for one in agreement.disagreements
        ],
        "research_use": RESEARCH_USE,
    }

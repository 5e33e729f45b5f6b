"""`mitoscope export` and `mitoscope import`: points and regions to other programs and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.exchange import files
from app.laboratory import chosen_store, existing_store
from app.opening import newest_run, stored_slide
from app.reporting.making import slide_file
from core.counting.protocols import DEFAULT_PROTOCOL
from core.errors import InputError, StoreError
from core.exchange.csv import RESEARCH_USE
from core.exchange.formats import FORMATS, OURSELVES_ONLY, get_format
from core.exchange.gathering import CONSENSUS, WHAT, Choice, What, frame_of, frame_of_file
from core.exchange.marks import SlideFrame
from core.reading.desk import Desk
from core.reading.taking import AS
from core.slides.reader import Slide, open_slide
from core.store import Store, StoredSlide, open_store
from core.store.base import paged
from core.store.records import MAX_ROW_ID

_TRIED = ", ".join(one.id for one in FORMATS.values() if not one.foreign_sample)
_IDS = f"{', '.join(FORMATS)}" + (f" ({OURSELVES_ONLY}: {_TRIED})" if _TRIED else "")

StoreOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Result store.")]


def export(
    slide: Annotated[
        str | None,
        typer.Argument(
            metavar="SLIDE", help="The slide's file, or its name or alias in the store."
        ),
    ] = None,
    store: StoreOption = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="ID", help=f"One of {_IDS}.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write.")] = None,
    run: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=MAX_ROW_ID, help="Of which run; else the newest."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Whose verdicts: a reader's, or {CONSENSUS}; else what counts of all.",
        ),
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            help="candidates (labels, no verdicts), verdicts (no scores), or all with regions."
        ),
    ] = "all",
    alias: Annotated[
        bool, typer.Option("--alias", help="Refuse a slide that has no alias.")
    ] = False,
    formats: Annotated[
        bool, typer.Option("--list", help="List the formats, and nothing else.")
    ] = False,
) -> None:
    """Write a slide's candidates, verdicts and regions for another program.

    The slide goes by its alias once it has one. Without SLIDE, the store must hold one slide.
    """
    if formats:
        typer.echo(files.list_formats())
        return
    if format_ is None or out is None:
        raise InputError(
            "Say what to write where.", "Give --format and --out; --list shows the formats."
        )
    chosen = get_format(format_)
    choice = Choice(_what(what), run, reader)
    with _store(store) as opened:
        known = _known(opened, slide)
        with slide_file(known, _file(slide)) as (own, _):
            done = files.export(opened, known, own, out, chosen, choice, alias=alias)
    for note in done.notes:
        typer.echo(f"Note: {note}", err=True)
    regions = f" and {done.regions} regions" if done.regions else ""
    typer.echo(f"Written: {out} ({chosen.title}; {done.points} points{regions})")
    typer.echo(RESEARCH_USE)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File of another program.")],
    slide: Annotated[
        str, typer.Option(metavar="SLIDE", help="The slide's file, or its name in the store.")
    ],
    reader: Annotated[
        str, typer.Option(metavar="NAME", help="Reader in whose name the marks are taken in.")
    ],
    store: StoreOption = None,
    as_: Annotated[
        str,
        typer.Option(
            "--as",
            help="labels: each mark gets the verdict that its class names. mitoses: marks without "
            "a known class are mitoses too, and all that is none is left out.",
        ),
    ] = "labels",
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="ID", help=f"Else told by its content; {_IDS}."),
    ] = None,
) -> None:
    """Take in points as a reader's verdicts, and outlines as regions.

    Points within 7.5 µm of a figure are verdicts of it, others are placed by hand. All of it is one
    action: one undo on the desktop takes it back. Taking a file in twice adds nothing.
    """
    if as_ not in AS:
        raise InputError(f"Marks cannot be taken in as {as_!r}.", f"Choose {' or '.join(AS)}.")
    if not reader.strip():
        raise InputError("A reader needs a name.")
    chosen = None if format_ is None else get_format(format_)
    new = _file(slide) is not None
    with _store(store, new=new) as opened, _own(opened, slide) as (known, own):
        found = files.read(file, _frame(known, own), chosen)
        if known is None:  # only now: a file that cannot be read leaves the store as it was
            assert own is not None  # else the store would have to know it
            known = stored_slide(opened, own)
        desk = Desk(opened, known.id, opened.add_reader(reader), protocol_id=DEFAULT_PROTOCOL)
        desk.use_run(newest_run(opened, known.id))
        taken = desk.take_in(found.marks, as_)
    for note in taken.notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"{file.name} ({found.format.title}), taken in for {reader.strip()}: {taken.text}")
    typer.echo(RESEARCH_USE)


def _what(what: str) -> What:
    if what not in WHAT:
        raise InputError(f"There is no {what!r} to export.", f"Choose {', '.join(WHAT)}.")
    return what


@contextmanager
def _store(named: Path | None, *, new: bool = False) -> Iterator[Store]:
    """The store; it is made only if `new`."""
    path = chosen_store(named)
    if not new:
        existing_store(path, "Name it with --store.")
    with open_store(path) as opened:
        if new and opened.read_only:
            raise StoreError(f"The store {path} is read-only.", "Choose another with --store.")
        yield opened


def _file(slide: str | None) -> Path | None:
    """The slide's file, if that is what was named."""
    return Path(slide) if slide is not None and Path(slide).is_file() else None


@contextmanager
def _own(store: Store, slide: str) -> Iterator[tuple[StoredSlide | None, Slide | None]]:
    """A slide of the store and its file; one of them may be missing."""
    path = _file(slide)
    if path is None:
        known = _known(store, slide)
        with slide_file(known, None) as (own, _):
            yield known, own
        return
    with open_slide(path, backend="openslide") as own:
        identity = (own.identity.kind, own.identity.digest)
        yield _identified(store, identity), own


def _identified(store: Store, identity: tuple[str, str]) -> StoredSlide | None:
    slides: Iterator[StoredSlide] = paged(store.slides)
    return next((s for s in slides if (s.identity_kind, s.identity) == identity), None)


def _frame(known: StoredSlide | None, own: Slide | None) -> SlideFrame:
    if known is not None:
        return frame_of(known, own)
    assert own is not None  # else the store would have to know it
    return frame_of_file(own)


def _known(store: Store, slide: str | None) -> StoredSlide:
    """The store's slide of a file, a name, an alias, or the only one.

    Raises:
        InputError: it is none of these.
        StoreError: the store does not know the file.
    """
    slides: list[StoredSlide] = list(paged(store.slides))
    names = ", ".join(one.shown_name for one in slides[:8]) or "none"
    path = _file(slide)
    if path is not None:
        with open_slide(path, backend="openslide") as own:
            identity = (own.identity.kind, own.identity.digest)
        same = _identified(store, identity)
        if same is None:
            raise StoreError(
                f"The store {store.path} does not know the slide {path.name}.",
                "Analyse or read it first, or name another store with --store.",
            )
        return same
    if slide is None:
        found = slides
    else:
        wanted = slide.casefold()
        found = [
            one for one in slides if wanted in (one.name.casefold(), (one.alias or "").casefold())
        ]
    if len(found) == 1:
        return found[0]
    if slide is None:
        raise InputError(f"The store holds {len(slides)} slides.", f"Name one: {names}.")
    if found:
        raise InputError(f"Several slides are named {slide}.", "Name the slide's file.")
    raise InputError(
        f"There is no slide {slide}: no such file, nor a slide of this name in the store.",
        f"The store holds {names}.",
    )

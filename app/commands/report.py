"""`mitoscope report SLIDE`: the report of a count, as PDF or HTML."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.laboratory import check_protocol, chosen_store, existing_store
from app.opening import newest_run
from app.reporting.making import check_name, make_report, slide_file, write_report
from core.counting.protocols import DEFAULT_PROTOCOL, get_protocol
from core.errors import InputError, SlideError, StoreError
from core.exchange.csv import RESEARCH_USE
from core.reading.desk import Desk
from core.slides.reader import Slide, open_slide
from core.slides.tissue import find_tissue
from core.store import CountRecord, ReaderRecord, Store, StoredSlide, open_store
from core.store.base import paged
from core.store.records import MAX_ROW_ID


def report(
    slide: Annotated[Path | None, typer.Argument(metavar="SLIDE", help="The slide's file.")] = None,
    slide_id: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MAX_ROW_ID, help="The slide's number in the store instead."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="Result store.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Counting protocol; else that of the newest signed count."),
    ] = None,
    reader: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose count, where several read.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .pdf or .html file; else a PDF beside the store."),
    ] = None,
    letter: Annotated[bool, typer.Option("--letter", help="US Letter instead of A4.")] = False,
) -> None:
    """Write the report of a count: PDF or HTML.

    A signed count is printed as it was signed. Without one, what was read so far is printed as a
    draft, which says on every page that it is not signed.
    """
    if (slide is None) == (slide_id is None):
        raise InputError("Name one slide: its file, or its number in the store with --slide-id.")
    if protocol is not None:
        get_protocol(protocol)
    path = existing_store(chosen_store(store), "Name it with --store.")
    if out is not None:
        check_name(out)
    with open_store(path) as opened:
        stored = _stored(opened, slide, slide_id)
        count = _signed(opened, stored, protocol, reader)
        if count is None:
            count = _draft(opened, stored, slide, protocol, reader)
        target = out or path.parent / f"report-{stored.id}.pdf"
        made = make_report(opened, count, path=slide)
        keep: list[object] = []  # Qt's application, until the PDF is written
        if target.suffix.lower() == ".pdf":
            from app.reporting.pdf import fonts, missing_signs

            keep.append(fonts())
            if signs := missing_signs(made):
                typer.echo(f"No font of this computer has these signs: {signs}", err=True)
        write_report(target, made, letter=letter)
    said = "signed" if made.signed else "draft, not signed"
    typer.echo(f"Written: {target} ({said})")
    typer.echo(RESEARCH_USE)


def _stored(store: Store, path: Path | None, slide_id: int | None) -> StoredSlide:
    """The store's slide of a file or a number."""
    if path is None:
        assert slide_id is not None  # one of them is given
        return store.slide(slide_id)
    with open_slide(path, backend="openslide") as slide:
        identity = slide.identity
    for known in _slides(store):
        if (known.identity_kind, known.identity) == (identity.kind, identity.digest):
            return known
    raise StoreError(
        f"The store {store.path} does not know the slide {path.name}.",
        "Analyse or read it first, or name another store with --store.",
    )


def _slides(store: Store) -> Iterator[StoredSlide]:
    yield from paged(store.slides)


def _signed(
    store: Store, stored: StoredSlide, protocol: str | None, reader: str | None
) -> CountRecord | None:
    """The newest signed count that was asked for, if there is one."""
    found = [
        count
        for count in store.counts(stored.id)
        if count.state == "signed"
        and protocol in (None, count.protocol)
        and reader in (None, count.details["reader"])
    ]
    return max(found, key=lambda count: count.id, default=None)


def _draft(
    store: Store,
    stored: StoredSlide,
    path: Path | None,
    protocol: str | None,
    reader: str | None,
) -> CountRecord:
    """What a reader read so far, not signed."""
    who = _reader(store, stored, reader)
    with _own_slide(stored, path) as slide:
        state = store.view_state(stored.id, who.id)
        rule = protocol or (state.protocol if state is not None else "") or DEFAULT_PROTOCOL
        check_protocol(rule)
        desk = Desk(store, stored.id, who.id, protocol_id=rule)
        view = desk.use_run(newest_run(store, stored.id))
        slide.mpp, slide.mpp_origin = view.mpp, view.mpp_origin
        slide.require_mpp()
        desk.set_tissue(find_tissue(slide))
        # The ticks are kept with a signature only.
        return desk.draft(dict.fromkeys(get_protocol(rule).checklist, False))


@contextmanager
def _own_slide(stored: StoredSlide, path: Path | None) -> Iterator[Slide]:
    with slide_file(stored, path) as (slide, why):
        if slide is None:
            raise SlideError(
                f"No count of this slide is signed, and a draft needs its file: {why}",
                "Name the file where it lies now.",
            )
        yield slide


def _reader(store: Store, stored: StoredSlide, name: str | None) -> ReaderRecord:
    """Whose draft it is: the one named, else the only one who gave verdicts on the slide."""
    known = {reader.id: reader for reader in store.readers()}
    if name is not None and not known and not store.read_only:
        return ReaderRecord(store.add_reader(name), name)
    names = ", ".join(reader.name for reader in known.values())
    if name is not None:
        found = [reader for reader in known.values() if reader.name == name]
        if not found:
            raise InputError(f"The store has no reader {name!r}.", f"Known: {names or 'nobody'}.")
        return found[0]
    said = {verdict.reader_id for verdict in store.iter_verdicts(stored.id)}
    reading = [known[reader_id] for reader_id in sorted(said)] or list(known.values())
    if len(reading) == 1:
        return reading[0]
    if not reading:
        raise InputError("Nobody has read this slide yet.", "Say whose draft it is with --reader.")
    raise InputError("Several readers read this slide.", f"Say whose count with --reader: {names}.")

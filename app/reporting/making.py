"""Making a report: the slide's file for its pictures, then the file in the format that is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.laboratory import check_alias
from core.cancel import CancelToken
from core.errors import InputError, SlideError
from core.exchange.report.gather import Progress, gather
from core.exchange.report.html import write_html
from core.exchange.report.model import Report
from core.geometry import Mpp
from core.slides.reader import Slide, open_slide
from core.store import CountRecord, Store, StoredSlide

SUFFIXES = (".pdf", ".html", ".htm")


def check_name(path: Path) -> None:
    """Refuse a file whose name does not say which format it is.

    Raises:
        InputError: it does not.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"A report is a PDF or an HTML file, and {path.name} is neither.",
            "Give the file a name that ends with .pdf or .html.",
        )


def make_report(
    store: Store,
    count: CountRecord,
    *,
    path: Path | None = None,
    name: str = "",
    token: CancelToken | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """The report of a count, with pictures where the slide's file is there.

    Args:
        store: that holds the slide.
        count: signed, or a draft.
        path: of the slide's file; None for where it was seen last.
        name: to call the slide by; empty for its alias or name.
        token: to stop it.
        progress: told how many of the pictures are made.

    Raises:
        Cancelled: the token was.
        InputError: the laboratory demands an alias, and the slide has none.
    """
    stored = store.slide(count.slide_id)
    check_alias(stored)
    with slide_file(stored, path) as (slide, why):
        if slide is not None:
            slide.mpp = Mpp(*count.details["mpp"])
            slide.mpp_origin = count.details["mpp_origin"]
        return gather(
            store, count, slide, why_no_slide=why, name=name, token=token, progress=progress
        )


@contextmanager
def slide_file(stored: StoredSlide, path: Path | None) -> Iterator[tuple[Slide | None, str]]:
    """The slide's file, open, if it is there and still the same; else why not, without its name."""
    try:
        # The report has a handle of its own: the desktop may close its slide meanwhile.
        slide = open_slide(path or Path(stored.path), backend="openslide")
    except SlideError:
        yield None, "the slide's file is gone or cannot be read."
        return
    with slide:
        if (slide.identity.kind, slide.identity.digest) != (stored.identity_kind, stored.identity):
            yield None, "another file lies where the slide's file was."
            return
        yield slide, ""


def write_report(path: Path, report: Report, *, letter: bool = False) -> None:
    """Write a report as its file's name says.

    Args:
        path: ends with .pdf or .html.
        report: to write.
        letter: US Letter instead of A4, for a PDF.

    Raises:
        UserError: the name says no format, or the file cannot be written.
    """
    check_name(path)
    if path.suffix.lower() == ".pdf":
        from app.reporting.pdf import write_pdf

        write_pdf(path, report, letter=letter)
    else:
        write_html(path, report)

"""From a count to its report. A signed count's words come from what its signature froze.

So a signed report printed again says the same, whatever became of verdicts and models since; only
an alias that the slide was given later takes the place of its file name. Pictures are made from the
slide's file; without it the report says so and has none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from core.cancel import CancelToken
from core.exchange.csv import RESEARCH_USE
from core.exchange.report import captions, pictures, sections
from core.exchange.report.facts import Facts
from core.exchange.report.model import Crop, Picture, Report, Row, Section, printable
from core.geometry import Mpp
from core.slides.reader import Slide
from core.store import Store
from core.store.records import CountRecord, EventRecord

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The report's pictures; `why` says why there are none."""

    slide: tuple[Picture, ...] = ()
    area: tuple[Picture, ...] = ()
    crops: tuple[bytes | None, ...] = ()
    why: str = ""


def gather(
    store: Store,
    count: CountRecord,
    slide: Slide | None,
    *,
    why_no_slide: str = "",
    name: str = "",
    zone: tzinfo | None = None,
    token: CancelToken | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Make the report of a count.

    Args:
        store: that holds the slide.
        count: signed, or a draft of `Desk.draft`.
        slide: open, for the pictures; None for a report without them.
        why_no_slide: why there is no slide, in a sentence.
        name: to call the slide by; empty for its alias, or its name where it has none.
        zone: of the local times; None for this computer's.
        token: to stop it.
        progress: told how many of the pictures are made.

    Raises:
        Cancelled: the token was.
        StoreError: the store has no such slide.
    """
    stored = store.slide(count.slide_id)
    details = count.details
    frozen = str(details["slide"]["name"])
    facts = Facts(
        count=count,
        slide=printable(name or stored.alias or frozen),
        size0=(stored.width0, stored.height0),
        vendor=stored.vendor,
        mpp=Mpp(*details["mpp"]),
        zone=zone,
        signature=_signature(store, count),
        audit_head=store.audit_head(),
        reopened=_reopened(store, count),
    )
    drawn = Drawn(why=why_no_slide or "The slide's file was not at hand.")
    if slide is not None:
        regions = _regions(store, count)
        drawn = _draw(facts, slide, regions, token or CancelToken(), progress)
    return _report(facts, drawn)


def _report(facts: Facts, drawn: Drawn) -> Report:
    parts = [
        sections.result(facts),
        sections.rule(facts),
        sections.checklist(facts),
        _place(facts, drawn),
        sections.readers(facts),
        _mitoses(facts, drawn),
        sections.pixel_size(facts),
        sections.analysis(facts),
        sections.record(facts),
    ]
    return Report(
        slide=facts.slide,
        protocol=printable(facts.protocol["name"]),
        signed=facts.signed,
        status=sections.status(facts),
        number=str(facts.count.mitoses),
        area=f"{facts.count.counted_mm2:.2f} mm²",
        rate=sections.rate(facts),
        category=sections.category(facts),
        warnings=sections.warnings(facts),
        sections=tuple(part for part in parts if part is not None),
        footer=RESEARCH_USE,
    )


def _place(facts: Facts, drawn: Drawn) -> Section:
    """Where on the slide was counted."""
    notes = () if drawn.slide else (f"No picture of the slide: {drawn.why}",)
    rows = sections.area_rows(facts)
    return Section("Slide and count area", rows=rows, pictures=drawn.slide, notes=notes)


def _mitoses(facts: Facts, drawn: Drawn) -> Section:
    """Each counted mitosis with picture, score and verdicts; without pictures as a table."""
    title, figures = "Counted mitoses", facts.figures
    if not figures:
        note = "There are none in the count area."
        if figures is None:
            note = "This count was signed before the single mitoses were kept with a signature."
        return Section(title, pictures=drawn.area, notes=(note,))
    said = [captions.figure_texts(figure, facts.details["reader"]) for figure in figures]
    notes = ["p is the classifier's probability of a mitosis."]
    if any(figure.get("atypical_probability") is not None for figure in figures):
        notes.append("a is the probability that it is an atypical one, if it is a mitosis.")
    if not drawn.crops:
        rows = tuple(
            Row(f"{number}, x {figure['x0']:.0f}, y {figure['y0']:.0f}", "; ".join((score, *lines)))
            for number, (figure, (score, lines)) in enumerate(zip(figures, said, strict=True), 1)
        )
        notes.append(f"No pictures: {drawn.why}")
        return Section(title, rows=rows, notes=(" ".join(notes),))
    notes.insert(
        0,
        f"Each picture is {pictures.CROP_UM:g} µm wide; numbers as in the picture of the area.",
    )
    if unread := sum(data is None for data in drawn.crops):
        notes.append(f"{unread} of them could not be read from the slide.")
    crops = tuple(
        Crop(number, data, score, lines, captions.is_atypical(figure))
        for number, (figure, data, (score, lines)) in enumerate(
            zip(figures, drawn.crops, said, strict=True), start=1
        )
    )
    return Section(title, pictures=drawn.area, crops=crops, notes=(" ".join(notes),))


# Pictures.


def _draw(
    facts: Facts,
    slide: Slide,
    regions: Mapping[str, Sequence[BaseGeometry]],
    token: CancelToken,
    progress: Progress,
) -> Drawn:
    marks = [
        pictures.Mark(number, figure["x0"], figure["y0"], captions.is_atypical(figure))
        for number, figure in enumerate(facts.figures or (), start=1)
    ]
    area = facts.area
    outline = shapely.from_wkt(area["outline0"]) if area["outline0"] else None
    outlines = pictures.Outlines(
        regions.get("tumour", ()), regions.get("excluded", ()), outline, _fields(area)
    )
    total, done = len(marks) + 2, 0

    def step() -> None:
        nonlocal done
        token.check()
        progress(done, total)
        done += 1

    step()
    whole = pictures.draw_slide(slide, facts.mpp, outlines, captions.slide_caption(facts))
    step()
    bounds0 = outline.bounds if outline is not None else _middle_bounds(area, facts.mpp)
    near = pictures.draw_area(
        slide, facts.mpp, bounds0, outlines, marks, captions.area_caption(facts)
    )
    crops = pictures.draw_crops(slide, marks, step)
    progress(total, total)
    return Drawn((whole,), (near,), tuple(crops))


def _fields(area: Mapping[str, Any]) -> tuple[BaseGeometry, ...]:
    """The outlines of the fields, where the count area is made of single ones."""
    return tuple(shapely.from_wkt(text) for text in area.get("fields0", ()))


def _middle_bounds(area: Mapping[str, Any], mpp: Mpp) -> tuple[float, float, float, float]:
    """Where all tissue is counted: the box around it, level-0 pixels."""
    x0, y0 = area["centre0"]
    half_x, half_y = area["width_um"] / mpp.x / 2, area["height_um"] / mpp.y / 2
    return x0 - half_x, y0 - half_y, x0 + half_x, y0 + half_y


def _regions(store: Store, count: CountRecord) -> dict[str, list[BaseGeometry]]:
    """The regions as they were: versions stay in the store for good."""
    wanted = {(r["lineage"], r["version"]): r["kind"] for r in count.details["regions"]}
    found: dict[str, list[BaseGeometry]] = {}
    for version in store.region_versions(count.slide_id):
        kind = wanted.get((version.lineage, version.version))
        if kind is not None and version.wkb is not None:
            found.setdefault(kind, []).append(shapely.from_wkb(version.wkb))
    return found


# The trail.


def _signature(store: Store, count: CountRecord) -> EventRecord | None:
    """The line of the audit trail that signed a count."""
    if count.state != "signed":
        return None
    after = -1
    while page := store.events(after):
        for event in page:
            if (event.kind, event.object) == ("count signed", f"count {count.id}"):
                return event
        after = page[-1].id
    return None


def _reopened(store: Store, count: CountRecord) -> str:
    """Why an earlier signature of a draft was taken back; empty where there was none."""
    if count.state == "signed":
        return ""
    for other in store.counts(count.slide_id):
        same = (other.reader_id, other.protocol) == (count.reader_id, count.protocol)
        if same and other.state == "reopened":
            when = other.created_at or datetime.now(UTC)
            reason = printable(str(other.details.get("reason", "")))
            return f"{when:%Y-%m-%d %H:%M} UTC: {reason}"
    return ""

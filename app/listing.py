"""The slides of the store in the order in which they are read: by case, then by name."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from app.opening import reader_id
from core.errors import SlideError
from core.slides.reader import open_slide
from core.store import Store, StoredSlide
from core.store.base import PAGE
from core.store.desk_records import SlideState


@dataclass(frozen=True, slots=True)
class ListedSlide:
    """A slide of the list; `missing` when its file is not where it was last seen."""

    state: SlideState
    missing: bool


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A case with its slides; the last one of the list, without a name, holds all others."""

    case_id: int | None
    name: str
    slides: tuple[ListedSlide, ...]


def load_listing(store: Store, reader: str) -> tuple[ListedCase, ...]:
    """All cases with their slides, as a reader sees them; looks at the files too.

    Args:
        store: holds them.
        reader: whose progress is shown.
    """
    names = {case.id: case.name for case in store.cases()}
    who = reader_id(store, reader)
    states: list[SlideState] = []
    while page := store.slide_states(who, states[-1].slide.id if states else 0, PAGE):
        states.extend(page)
    listed = (ListedSlide(state, not Path(state.slide.path).is_file()) for state in states)

    def order(one: ListedSlide) -> tuple[bool, str, int, str, int]:
        case_id = one.state.slide.case_id
        name = names.get(case_id or 0, "")
        return (
            case_id is None,
            name,
            case_id or 0,
            (one.state.slide.alias or one.state.slide.name).casefold(),
            one.state.slide.id,
        )

    rows = sorted(listed, key=order)
    return tuple(
        ListedCase(case_id, names.get(case_id or 0, ""), tuple(group))
        for case_id, group in groupby(rows, key=lambda one: one.state.slide.case_id)
    )


def neighbour(cases: Iterable[ListedCase], slide_id: int | None, step: int) -> StoredSlide | None:
    """The next (`step` 1) or previous (-1) slide whose file is there; None at the end.

    Args:
        cases: as `load_listing` gives them.
        slide_id: where to start; None before the first.
        step: 1 or -1.
    """
    slides = [one for case in cases for one in case.slides]
    ids = [one.state.slide.id for one in slides]
    at = ids.index(slide_id) if slide_id in ids else (-1 if step > 0 else len(ids))
    for one in slides[at + 1 :] if step > 0 else reversed(slides[:at]):
        if not one.missing:
            return one.state.slide
    return None


def shown_name(stored: StoredSlide, *, hidden: bool) -> str:
    """What a slide is called on the screen.

    Args:
        stored: the slide.
        hidden: whether file names, which may name a patient or a diagnosis, are hidden.
    """
    return stored.alias or (f"Slide {stored.id}" if hidden else stored.name)


def relocate(store: Store, slide_id: int, path: Path, reader: str) -> None:
    """Note that a slide's file lies elsewhere now.

    Raises:
        SlideError: the file is no slide, or another one.
        StoreError: the store cannot be written.
    """
    stored = store.slide(slide_id)
    with open_slide(path, backend="openslide") as slide:
        identity = (slide.identity.kind, slide.identity.digest)
    if identity != (stored.identity_kind, stored.identity):
        raise SlideError(
            f"{path.name} is another slide than the one that was here.",
            "Choose the same file, wherever it lies now.",
        )
    store.set_path(slide_id, path, reader)

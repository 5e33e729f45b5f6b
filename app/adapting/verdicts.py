"""A store's verdicts as labelled points, by the rules of `core.review`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from app.adapting.request import StoreSource, Task
from core.errors import InputError
from core.review import PointState, current_states
from core.store import Store, StoredSlide, VerdictRecord


@dataclass(frozen=True, slots=True)
class LabelledPoint:
    """A point of a slide that readers called one thing or the other.

    Attributes:
        point_id: the store's.
        x0, y0: level-0 pixels.
        positive: mitosis, or atypical.
        detector_score: NaN where no candidate of the newest run lies there.
    """

    point_id: int
    x0: float
    y0: float
    positive: bool
    detector_score: float


def chosen_slides(store: Store, source: StoreSource) -> list[StoredSlide]:
    """The slides of a source in order of their ids.

    Raises:
        InputError: the store has no such slide.
    """
    slides: list[StoredSlide] = []
    while page := store.slides(slides[-1].id if slides else 0):
        slides += page
    if source.slide_ids is None:
        return slides
    missing = set(source.slide_ids) - {slide.id for slide in slides}
    if missing:
        raise InputError(
            f"The store has no slide {', '.join(map(str, sorted(missing)))}.",
            f"It has {', '.join(f'{s.id} ({s.shown_name})' for s in slides) or 'none'}.",
        )
    return [slide for slide in slides if slide.id in source.slide_ids]


def check_readers(store: Store, source: StoreSource) -> None:
    """Refuse readers whom the store does not know."""
    if isinstance(source.readers, str):
        return
    known = [reader.name for reader in store.readers()]
    missing = [name for name in source.readers if name not in known]
    if missing:
        raise InputError(
            f"The store has no reader {', '.join(missing)}.",
            f"It has {', '.join(known) or 'none'}.",
        )


def labelled_points(
    store: Store, slide: StoredSlide, source: StoreSource, task: Task
) -> tuple[list[LabelledPoint], Counter[str]]:
    """The points of a slide with a label, and how many were left out, by reason.

    Unsure, deleted and cleared points have none, nor do those on which the readers differ.
    """
    states = current_states(_heard(store.iter_verdicts(slide.id), source))
    scores = _detector_scores(store, slide.id)
    points, left_out = [], Counter[str]()
    for point in store.iter_points(slide.id):
        state = states.get(point.id, PointState())
        verdict = state.consensus if source.readers == "consensus" else state.counting(None)
        if verdict is None:
            left_out["disputed"] += source.readers != "consensus" and state.disputed
            continue
        positive = _label(verdict, task)
        if positive is None:
            left_out[verdict.value] += 1
            continue
        score = scores.get(point.id, float("nan"))
        points.append(LabelledPoint(point.id, point.x0, point.y0, positive, score))
    return points, left_out


def _heard(verdicts: Iterable[VerdictRecord], source: StoreSource) -> Iterable[VerdictRecord]:
    """The verdicts that a source listens to: of named readers only what they said themselves."""
    if isinstance(source.readers, str):
        return verdicts
    return [v for v in verdicts if v.reader in source.readers and not v.consensus]


def _label(verdict: VerdictRecord, task: Task) -> bool | None:
    if task == "atypical":
        return verdict.atypical if verdict.value == "mitosis" else None
    return {"mitosis": True, "imposter": False}.get(verdict.value)


def _detector_scores(store: Store, slide_id: int) -> dict[int, float]:
    """The newest finished run's detector scores by point."""
    finished = [run for run in store.runs(slide_id) if run.state == "done"]
    if not finished:
        return {}
    return {
        row.point_id: row.detector_score
        for row in store.iter_candidates(finished[-1].id)
        if row.point_id is not None
    }

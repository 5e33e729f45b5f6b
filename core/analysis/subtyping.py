"""The last look at likely mitoses: atypical or normal.

It comes after levelling, because only then is it known which candidates a reader must look at: all
with a final probability from the review threshold on are asked, few enough to read their crops
again. What was told is on disk batch by batch, so that a stopped run does not ask twice.
"""

from collections.abc import Mapping
from dataclasses import replace

from core.analysis.classifying import label_of
from core.analysis.cropping import SAVE_CHUNK, CandidatePlace, CandidateWork
from core.analysis.levelling import FinalScores
from core.ports import Classifier, SubtypeClassifier


def with_subtypes(
    final: FinalScores,
    classifier: Classifier,
    subtype: SubtypeClassifier | None,
    work: CandidateWork,
    known: Mapping[int, float] | None = None,
) -> FinalScores:
    """Label the atypical ones among the mitoses of a run whose probabilities are final.

    Args:
        final: all candidates of the run.
        classifier: whose thresholds hold.
        subtype: what is asked; None leaves everything as it is.
        work: the run.
        known: what the same model said of these candidates in another run, by id.

    Returns:
        The same scores, with labels that say `atypical`.

    Raises:
        Cancelled: the token was cancelled.
    """
    if subtype is None:
        return final
    told, places = _told_before(work)
    asked = {of: p for of, p, _ in final.rows if p >= classifier.review_threshold}
    fresh = {of: p for of, p in (known or {}).items() if of in asked and of not in told}
    told |= fresh
    todo = [places[of] for of in asked if of not in told]
    done = len(asked) - len(todo)
    work.reporter.candidates("subtypes", done, len(asked))

    def save() -> None:
        nonlocal fresh
        rows = [(of, p, label_of(asked[of], classifier, subtype, p)) for of, p in fresh.items()]
        work.store.save_subtypes(work.run_id, rows)
        fresh = {}

    try:
        for crops in work.crops(todo, subtype):
            with work.times.measure("classify_s"):
                answers = subtype.atypical(crops.pixels) if crops.ids else ()
            fresh |= {of: float(p) for of, p in zip(crops.ids, answers, strict=True)}
            told |= fresh
            done += len(crops.ids) + crops.unreadable
            work.reporter.candidates("subtypes", done, len(asked))
            if len(fresh) >= SAVE_CHUNK:
                save()
    finally:
        save()
    return replace(
        final,
        rows=[(of, p, label_of(p, classifier, subtype, told.get(of))) for of, p, _ in final.rows],
    )


def _told_before(work: CandidateWork) -> tuple[dict[int, float], dict[int, CandidatePlace]]:
    """What this run has on disk already, and where every candidate lies, by id."""
    told: dict[int, float] = {}
    places: dict[int, CandidatePlace] = {}
    for row in work.store.iter_candidates(work.run_id):
        places[row.id] = (row.id, row.x0, row.y0, row.detector_score)
        if row.atypical_probability is not None:
            told[row.id] = row.atypical_probability
    return told, places

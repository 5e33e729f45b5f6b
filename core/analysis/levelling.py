"""The last step of a run: probabilities made up for the slide's stain and scanner."""

from dataclasses import dataclass

import numpy as np

from core.analysis.classifying import label_of
from core.ports import Classifier
from core.store import Store

#: From this shift on, in log odds, the reader is told: none of the nine training slides with whole
#: frames lies farther from their median.
NOTABLE_SHIFT = 1.5


@dataclass(frozen=True, slots=True)
class FinalScores:
    """What a run's candidates get in the end.

    Attributes:
        rows: (candidate id, probability, label) of all candidates.
        note: for the reader, in plain words; empty if the slide looks as those of the training.
    """

    rows: list[tuple[int, float, str]]
    note: str


def final_scores(store: Store, run_id: int, classifier: Classifier) -> FinalScores:
    """Level the probabilities of a run whose candidates are all classified."""
    rows = [(row.id, row.probability, row.detector_score) for row in store.iter_candidates(run_id)]
    if not rows:
        return FinalScores([], "")
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    levelled = classifier.level(values[:, 0], values[:, 1])
    note = ""
    if abs(levelled.shift) >= NOTABLE_SHIFT:
        side = "more" if levelled.shift > 0 else "less"
        note = (
            f"all candidates look {side} like mitoses than on the training slides (by "
            f"{abs(levelled.shift):.1f} in log odds): probabilities were levelled, check them"
        )
    return FinalScores(
        [
            (row[0], probability, label_of(probability, classifier))
            for row, probability in zip(rows, levelled.probabilities.tolist(), strict=True)
        ],
        note,
    )

"""What a classifier says of candidates: statements on a connection that the store hands in."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, update

from core.store.run_schema import ScoreRow


def change_scores(
    connection: Connection, run_id: int, scores: Sequence[tuple[int, float, str]]
) -> None:
    """Put other probabilities and labels in the place of a run's."""
    if not scores:
        return
    query = (
        update(ScoreRow)
        .where(ScoreRow.run_id == run_id, ScoreRow.candidate_id == bindparam("of"))
        .values(probability=bindparam("p"), label=bindparam("called"))
    )
    connection.execute(query, [{"of": of, "p": p, "called": called} for of, p, called in scores])


def save_scores(
    connection: Connection, run_id: int, scores: Sequence[tuple[int, float, str]]
) -> None:
    """Write (candidate id, probability, label) of candidates that exist."""
    connection.execute(
        insert(ScoreRow),
        [
            {
                "run_id": run_id,
                "candidate_id": candidate_id,
                "probability": float(probability),
                "label": label,
            }
            for candidate_id, probability, label in scores
        ],
    )


def save_subtypes(
    connection: Connection, run_id: int, rows: Sequence[tuple[int, float, str]]
) -> None:
    """Write (candidate id, probability of being atypical, label) of scored candidates."""
    if not rows:
        return
    query = (
        update(ScoreRow)
        .where(ScoreRow.run_id == run_id, ScoreRow.candidate_id == bindparam("of"))
        .values(atypical_probability=bindparam("p"), label=bindparam("called"))
    )
    connection.execute(query, [{"of": of, "p": p, "called": called} for of, p, called in rows])

"""What stands below the pictures of a report."""

from collections.abc import Mapping
from typing import Any

from core.exchange.report.facts import Facts
from core.exchange.report.model import printable


def slide_caption(facts: Facts) -> str:
    """Below the picture of the slide."""
    drawn = ["black: count area"] if facts.area["outline0"] else ["all of its tissue is counted"]
    kinds = {region["kind"] for region in facts.details["regions"]}
    drawn += [f"{colour}: {kind} region" for kind, colour in _REGION_COLOURS if kind in kinds]
    return f"The slide; {', '.join(drawn)}."


def area_caption(facts: Facts) -> str:
    """Below the picture of the count area."""
    atypical = "; blue: atypical" if facts.details["tally"]["atypical"] else ""
    return f"The count area with its {facts.count.mitoses} counted mitoses, numbered{atypical}."


_REGION_COLOURS = (("tumour", "purple"), ("excluded", "red"))


def figure_texts(figure: Mapping[str, Any], reader: str) -> tuple[str, tuple[str, ...]]:
    """The score of a mitosis, and what each reader said of it, first the one whose count it is."""
    probability = figure["probability"]
    if probability is not None:
        score = f"p {probability:.2f}"
        if (atypical := figure.get("atypical_probability")) is not None:
            score += f", a {atypical:.2f}"
    else:
        score = "by hand" if figure["key"] < 0 else "hidden"
    said = sorted(figure["by_reader"], key=lambda one: one["reader"] != reader)
    lines = [f"{one['verdict']} · {printable(one['reader'])}" for one in said]
    if figure["consensus"] is not None:
        lines.append(f"{figure['consensus']['verdict']} · consensus")
    return score, tuple(lines) or ("by the model, not reviewed",)


def is_atypical(figure: Mapping[str, Any]) -> bool:
    """Whether a mitosis counts as an atypical one: by its verdict, else by its label."""
    said, label = figure["verdict"], figure["label"]
    return bool(said == "atypical" or (said == "none" and label == "atypical"))

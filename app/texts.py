"""Numbers as the reader sees them, the same everywhere."""

from math import floor


def percent(probability: float) -> str:
    """A probability as percent, as exact as it is useful; never 100 for what is not certain."""
    value = 100 * probability
    if value >= 9.95:
        return f"{floor(value)} %"
    return "<0.1 %" if 0 < value < 0.05 else f"{value:.1f} %"

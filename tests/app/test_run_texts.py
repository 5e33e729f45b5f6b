import pytest

from app.panels.run_texts import duration, rate_text
from core.analysis.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (61, "1 min"), (3590, "60 min"), (3700, "1 h 2 min")],
)
def test_a_time_has_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_speed_and_time_left_are_said_once_known():
    assert rate_text(Progress("tissue")) == ""
    assert rate_text(Progress("windows", 0, 88)) == "0 of 88 windows"
    text = rate_text(Progress("windows", 31, 88, 0.72, 0.55, 143.0))
    assert text == "31 of 88 windows · 0.55 mm²/s · 2 min left"
    assert "left" not in rate_text(Progress("windows", 88, 88, 2.04, 0.55, 0.0))


def test_another_look_at_known_candidates_tells_how_many_and_what_the_count_area_gives():
    progress = Progress("scores", 120, 800, seconds_left=45.0, in_area=12)
    text = rate_text(progress)
    assert text == "120 of 800 candidates · 45 s left · count area, before levelling: 12"
    assert rate_text(Progress("subtypes", 3, 9)) == "3 of 9 candidates"
    assert rate_text(Progress("candidates")) == ""

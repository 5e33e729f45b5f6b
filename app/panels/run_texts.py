"""How far a run is, in words."""

from PySide6.QtCore import QCoreApplication

from core.analysis.progress import Progress

_MINUTE_S, _HOUR_S = 60, 3600


def _tr(text: str) -> str:
    return QCoreApplication.translate("RunTexts", text)


def rate_text(progress: Progress) -> str:
    """Area, speed and time left in one line."""
    if progress.phase != "windows":
        return ""
    parts = [_tr("{0} of {1} windows").format(progress.done, progress.total)]
    if progress.mm2_per_s > 0:
        parts.append(_tr("{0} mm²/s").format(f"{progress.mm2_per_s:.2f}"))
    if progress.seconds_left is not None and progress.done < progress.total:
        parts.append(_tr("{0} left").format(duration(progress.seconds_left)))
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time in two units at most: `50 s`, `3 min`, `2 h 5 min`."""
    if seconds < _MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR_S:
        return f"{round(seconds / _MINUTE_S)} min"
    hours, rest = divmod(round(seconds / _MINUTE_S), 60)
    return f"{hours} h {rest} min"

"""How far a run is, in words."""

from PySide6.QtCore import QCoreApplication

from core.analysis.progress import Progress
from core.reading.view import DeskView

_MINUTE_S, _HOUR_S = 60, 3600


def _tr(text: str) -> str:
    return QCoreApplication.translate("RunTexts", text)


def rate_text(progress: Progress) -> str:
    """Area, speed and time left in one line."""
    if progress.phase in ("scores", "subtypes"):
        parts = [_tr("{0} of {1} candidates").format(progress.done, progress.total)]
    elif progress.phase == "windows":
        parts = [_tr("{0} of {1} windows").format(progress.done, progress.total)]
    else:
        return ""
    if progress.mm2_per_s > 0:
        parts.append(_tr("{0} mm²/s").format(f"{progress.mm2_per_s:.2f}"))
    if progress.seconds_left is not None and progress.done < progress.total:
        parts.append(_tr("{0} left").format(duration(progress.seconds_left)))
    if progress.in_area is not None:
        # Not yet made up for the slide's stain and scanner, which takes all candidates.
        parts.append(_tr("count area, before levelling: {0}").format(progress.in_area))
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time in two units at most: `50 s`, `3 min`, `2 h 5 min`."""
    if seconds < _MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR_S:
        return f"{round(seconds / _MINUTE_S)} min"
    hours, rest = divmod(round(seconds / _MINUTE_S), 60)
    return f"{hours} h {rest} min"


def result_text(view: DeskView, *, computing: bool) -> str:
    """What the run of a slide gave, with links to windows that went wrong.

    Args:
        view: of the slide.
        computing: whether this window computes it.
    """
    run = view.run
    if run is None:
        return _tr("Not analysed yet.") if view.mpp else _tr("Set the pixel size first.")
    states = {
        "running": _tr("running") if computing else _tr("not finished"),
        "cancelled": _tr("stopped; what is finished is kept"),
        "done": _tr("done"),
        "failed": _tr("failed: {0}").format(run.message),
    }
    candidates = int((view.figures.key > 0).sum())
    lines = [_tr("{0} candidates. Analysis {1}.").format(candidates, states[run.state])]
    if failed := len(view.failed_windows0):
        text = _tr("{0} windows could not be read").format(failed)
        lines.append(f'<a href="failed">{text}</a>')
    if blurred := len(view.blurred_windows0):
        text = _tr("{0} windows are out of focus").format(blurred)
        lines.append(f'<a href="blurred">{text}</a>')
    return "<br>".join(lines)


def models_text(view: DeskView) -> str:
    """The names of the models of a slide's run; empty without one."""
    if view.run is None:
        return ""
    models = (view.run.detector, view.run.classifier, view.run.subtype)
    return ", ".join(model.name for model in models if model is not None)

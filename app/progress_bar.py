"""A run's progress on stderr."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from core.analysis.progress import Progress as RunProgress

_PHASES = {
    "tissue": "looking for tissue",
    "windows": "analysing",
    "candidates": "taking up earlier candidates",
    "scores": "classifying anew",
    "subtypes": "telling atypical mitoses apart",
    "done": "done",
}


class ProgressBar:
    """A bar with speed and time left; silent where stderr is no terminal."""

    def __init__(self, slide: str) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[slide]}", markup=False),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, slide=slide, speed="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, report: RunProgress) -> None:
        """Take a report; a `core.analysis.progress.Listener`."""
        self._bar.update(
            self._task,
            description=_PHASES[report.phase],
            completed=report.done,
            total=report.total or None,
            speed=speed_text(report),
        )


def speed_text(report: RunProgress) -> str:
    """`12.3 mm², 0.82 mm²/s, 1:05 left`."""
    parts = [f"{report.mm2_done:.1f} mm²"] if report.mm2_done > 0 else []
    if report.phase in ("scores", "subtypes"):
        parts = [f"{report.done} of {report.total} candidates"]
    if report.mm2_per_s > 0:
        parts.append(f"{report.mm2_per_s:.2f} mm²/s")
    if report.seconds_left is not None:
        minutes, seconds = divmod(round(report.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        parts.append(f"{clock} left")
    return ", ".join(parts)

"""`mitoscope demo`: a synthetic slide, analysed, against what was planted in it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from app import analysing
from app.analysing import Question, SlideResult
from app.progress_bar import ProgressBar
from app.stopping import ctrl_c_cancels
from core.analysis.evaluate import MATCH_RADIUS_UM, match
from core.cancel import Cancelled
from core.counting.protocols import get_protocol
from core.exchange.csv import RESEARCH_USE, summary_values
from core.slides.synthetic import DemoTruth, render_demo_slide
from core.store import Store, open_store

STOPPED = 130


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for slide, store and CSV.")
    ] = Path("mitoscope-demo"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, nothing else.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic tissue.")] = 0,
    side_mm: Annotated[
        float, typer.Option(min=0.3, max=10.0, help="Side of the synthetic slide in mm.")
    ] = 2.0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
) -> None:
    """Render a synthetic H&E slide, analyse it, and compare with what was planted."""
    analysing.check_device(device)
    analysing.make_folder(out)
    typer.echo(f"Rendering a synthetic slide of {side_mm:g} × {side_mm:g} mm …", err=True)
    truth = render_demo_slide(out / f"demo-{seed}.tif", seed=seed, side_mm=side_mm)
    with open_store(out / "mitoscope.sqlite") as store:
        try:
            result = _analyse(truth, store, device)
        except Cancelled:
            typer.echo("Stopped. Run the same command again to go on.", err=True)
            raise typer.Exit(STOPPED) from None
        analysing.write_results(out, store, [result])
        score = _score(truth, store, result)
    if as_json:
        values: dict[str, Any] = {
            "folder": str(out.resolve()),
            "seed": seed,
            "summary": summary_values(result.row),
            "planted": score.as_dict(),
        }
        typer.echo(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))
        return
    typer.echo(analysing.summary_text(result.row))
    typer.echo(score.text())
    typer.echo(f"Slide, store and CSV are in {out.resolve()}")
    typer.echo(RESEARCH_USE)


def _analyse(truth: DemoTruth, store: Store, device: str) -> SlideResult:
    question = Question(get_protocol())
    slide, regions = analysing.open_for(truth.path, question)
    with slide, ctrl_c_cancels() as token, ProgressBar(truth.path.name) as bar:
        models = analysing.load_models(device)
        return analysing.analyse_slide(
            slide, regions, question, models, store, progress=bar.show, token=token
        )


@dataclass(frozen=True, slots=True)
class PlantedScore:
    """What was planted against what was labelled a mitosis, matched one to one at 7.5 µm."""

    mitoses: int
    imposters: int
    found: int
    false_alarms: int
    imposters_called_mitosis: int

    @property
    def recall(self) -> float | None:
        """Share of the planted mitoses that were found."""
        return self.found / self.mitoses if self.mitoses else None

    @property
    def precision(self) -> float | None:
        """Share of what was called a mitosis that was planted as one."""
        called = self.found + self.false_alarms
        return self.found / called if called else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "mitoses": self.mitoses,
            "imposters": self.imposters,
            "found": self.found,
            "false_alarms": self.false_alarms,
            "imposters_called_mitosis": self.imposters_called_mitosis,
            "recall": self.recall,
            "precision": self.precision,
            "match_radius_um": MATCH_RADIUS_UM,
        }

    def text(self) -> str:
        """One line of plain words."""
        recall, precision = (
            "none" if value is None else f"{value:.2f}" for value in (self.recall, self.precision)
        )
        return (
            f"  planted: {self.mitoses} mitoses, {self.imposters} imposters; found "
            f"{self.found} of the mitoses with {self.false_alarms} false alarms "
            f"({self.imposters_called_mitosis} of them imposters): recall {recall}, "
            f"precision {precision}"
        )


def _score(truth: DemoTruth, store: Store, result: SlideResult) -> PlantedScore:
    called = [
        row
        for row in store.iter_candidates(result.summary.run.id)
        if row.label in ("mitosis", "atypical")
    ]
    xy_um = np.array([(row.x0, row.y0) for row in called]).reshape(-1, 2) * truth.mpp
    scores = np.array([row.probability for row in called])
    hits = match(xy_um, scores, truth.mitoses * truth.mpp).hit
    wrong = match(xy_um[~hits], scores[~hits], truth.imposters * truth.mpp).hit
    return PlantedScore(
        mitoses=len(truth.mitoses),
        imposters=len(truth.imposters),
        found=int(hits.sum()),
        false_alarms=int((~hits).sum()),
        imposters_called_mitosis=int(wrong.sum()),
    )

"""What the Adapt panel says in plain words."""

from PySide6.QtCore import QCoreApplication

from app.adapting.request import AdaptProgress, AdaptReport, MetricRow, Mode
from app.panels.run_texts import duration


def _tr(text: str) -> str:
    return QCoreApplication.translate("Adapt", text)


def mode_names() -> dict[Mode, str]:
    """The ways of adapting, the quickest first."""
    return {
        "probe": _tr("Probe"),
        "lora": _tr("LoRA"),
        "full": _tr("Full tuning"),
    }


def mode_text(mode: Mode) -> str:
    """What a way of adapting does, and what it asks for."""
    texts = {
        "probe": _tr(
            "The backbone stays as it is; only the last layer learns from your labels. Quick, also "
            "without a GPU, and hard to spoil with few labels."
        ),
        "lora": _tr(
            "Small matrices inside the backbone learn as well. Takes longer; a GPU helps. The way "
            "of the published study, for some hundred labels and more."
        ),
        "full": _tr(
            "Every weight of the backbone learns. Takes longest and needs the most memory and "
            "labels; the adapter is as large as the backbone."
        ),
    }
    return texts[mode] + _tr(
        " The time left shows once it has begun; it can be stopped and goes on."
    )


def progress_text(progress: AdaptProgress) -> str:
    """How far an adapting is, in one line."""
    parts = {
        "reading": _tr("Reading the labelled cells"),
        "embedding": _tr("Computing what the backbone sees"),
        "comparing": _tr("Comparing on slides held out"),
        "training": _tr("Learning from all labels"),
        "saving": _tr("Saving"),
    }
    text = parts[progress.part]
    if progress.seconds_left is not None:
        text += " · " + _tr("at most {0} left").format(duration(progress.seconds_left))
    return text


def metric_names() -> dict[str, tuple[str, str]]:
    """Name and plain meaning of each figure of the comparison."""
    return {
        "f1": (_tr("F1"), _tr("Mitoses found and called rightly, in one number")),
        "balanced_accuracy": (
            _tr("Balanced accuracy"),
            _tr("Share called rightly, both kinds weighing the same"),
        ),
        "auroc": (_tr("AUROC"), _tr("How often a mitosis gets the higher probability of the two")),
        "brier": (_tr("Brier score"), _tr("Squared error of the probabilities; less is better")),
        "calibration_error": (
            _tr("Calibration error"),
            _tr("How far probabilities lie from what comes true; less is better"),
        ),
    }


def number(value: float | None) -> str:
    """A figure with three decimals; a dash for none."""
    return "–" if value is None else f"{value:.3f}"


def difference(value: float | None, low: float | None, high: float | None) -> str:
    """A difference with its interval."""
    if value is None:
        return "–"
    text = signed(value)
    if low is None or high is None:
        return text
    return f"{text} ({_tr('{0} to {1}').format(signed(low), signed(high))})"


def signed(value: float) -> str:
    """A number with its sign, a true minus for negative ones."""
    return f"{value:+.3f}".replace("-", "−")


def outcome(row: MetricRow, current: str, held_out: str = "slide") -> tuple[str, str]:
    """What the comparison says in a sentence, and the tone to say it in.

    Args:
        row: the figure that it goes by.
        current: name of the model compared with.
        held_out: what was held out together: `slide` or `cell`.

    Returns:
        The sentence, and `good` or `warning`.
    """
    if row.difference is None or row.low is None or row.high is None:
        return _tr("There is nothing to compare the new adapter with."), "warning"
    low, high = (row.low, row.high) if row.higher_is_better else (-row.high, -row.low)
    if low > 0 and held_out == "cell":
        text = _tr("The new adapter is better than {0}, but on cells of slides that it knows.")
        return text.format(current), "warning"
    if low > 0 and not _beats_refitted(row):
        text = _tr(
            "The new adapter is better than {0} as it is, but not clearly better than {0} with a "
            "threshold fitted to these labels."
        )
        return text.format(current), "warning"
    if low > 0:
        return _tr("The new adapter is better than {0} on these labels.").format(current), "good"
    if high < 0:
        return _tr("The new adapter is worse than {0} on these labels.").format(current), "warning"
    text = _tr("These labels cannot tell the new adapter and {0} apart.")
    return text.format(current), "warning"


def _beats_refitted(row: MetricRow) -> bool:
    if row.refitted_low is None or row.refitted_high is None:
        return True
    return (row.refitted_low if row.higher_is_better else -row.refitted_high) > 0


def basis(report: AdaptReport) -> str:
    """On how much the comparison rests."""
    if report.held_out == "slide":
        held = _tr("Each slide was judged by an adapter that had not seen it.")
    else:
        held = _tr("Cells were held out, not slides: that flatters the new adapter.")
    slides = len(report.slides)
    of = _tr("1 slide") if slides == 1 else _tr("{0} slides").format(slides)
    counted = _tr("{0} labelled cells ({1} mitoses) of {2}.").format(
        report.cells, report.positives, of
    )
    return f"{counted} {held}"


def refitted_text(row: MetricRow, current: str) -> str:
    """The comparison with the same model at a threshold of the reader's own labels."""
    if row.refitted is None:
        return ""
    return _tr(
        "Against {0} with threshold and calibration fitted to your labels ({1}): {2}."
    ).format(
        current,
        number(row.refitted),
        difference(row.refitted_difference, row.refitted_low, row.refitted_high),
    )

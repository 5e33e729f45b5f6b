"""What the checks share, and how they are run one after the other whatever each of them finds."""

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.slides.synthetic import DemoTruth, TissuePlan, render_demo_slide

#: Every path of the test holds signs of other scripts, whatever the temporary folder is called.
FOLDER = "Prüfung Ωμέγα 組織"
RUNNING = "running"


class WrongAnswerError(Exception):
    """A part works, but gives something else than it should."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is tried.

    Attributes:
        name: short, stable.
        run: does it, and says in a few words what was seen; any exception is a failure.
    """

    name: str
    run: "Callable[[Bench], str]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended.

    Attributes:
        name: of the check.
        ok: whether all was as it should be.
        seconds: of wall time.
        detail: what was seen, or in plain words what was wrong.
        trace: of an exception that is no `UserError`; else empty.
    """

    name: str
    ok: bool
    seconds: float
    detail: str
    trace: str = ""


class Bench:
    """What the checks share.

    Attributes:
        folder: for files; its name is not ASCII.
        known: the known answers, as `resources/selftest.json` holds them.
        fresh: what was measured in place of them, in the same form.
        parts: versions of the parts, by name.
    """

    def __init__(self, folder: Path, known: Mapping[str, Any]) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(parents=True)
        self.known = known
        self.fresh: dict[str, Any] = {}
        self.parts: dict[str, str] = {}
        self.application: object = None  # Qt's, kept until the end

    @cached_property
    def truth(self) -> DemoTruth:
        """The synthetic slide, rendered when it is first wanted."""
        slide = self.known["slide"]
        plan = TissuePlan(
            mitoses_per_mm2=slide["mitoses_per_mm2"], imposters_per_mm2=slide["imposters_per_mm2"]
        )
        return render_demo_slide(
            self.folder / "Präparat 切片.tif",
            seed=slide["seed"],
            side_mm=slide["side_mm"],
            plan=plan,
        )


def known_answers() -> dict[str, Any]:
    """The content of `resources/selftest.json`."""
    text = files("resources").joinpath("selftest.json").read_text(encoding="utf-8")
    answers: dict[str, Any] = json.loads(text)
    return answers


def run_checks(
    checks: Sequence[Check], bench: Bench, tell: Callable[[Sequence[Outcome], str], None]
) -> list[Outcome]:
    """Run them all; one that fails does not keep the others from running.

    Args:
        checks: in order.
        bench: what they share.
        tell: hears of what has ended so far, and of the name of what begins; "" at the end.
    """
    outcomes: list[Outcome] = []
    for check in checks:
        tell(outcomes, check.name)
        began_s = time.perf_counter()
        ok, detail, trace = _outcome(check, bench)
        outcomes.append(Outcome(check.name, ok, time.perf_counter() - began_s, detail, trace))
    tell(outcomes, "")
    return outcomes


def _outcome(check: Check, bench: Bench) -> tuple[bool, str, str]:
    try:
        return True, check.run(bench), ""
    except (WrongAnswerError, UserError) as error:
        return False, str(error), ""
    except Exception as error:  # noqa: BLE001  the test's own border: whatever breaks is its answer
        said = traceback.format_exception_only(error)[-1].strip()
        return False, said, traceback.format_exc()


def expect(holds: bool, wrong: str) -> None:
    """Raise with `wrong` unless something holds.

    Raises:
        WrongAnswerError: it does not.
    """
    if not holds:
        raise WrongAnswerError(wrong)

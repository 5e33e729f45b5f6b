"""`mitoscope self-test`: whether this installation works, part by part."""

import json
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app import __version__
from core.exchange.files import replacing

FAILED = 1


def self_test(
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT.json", help="Where the report goes, as JSON.")
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Print the answers found here, as resources/selftest.json."),
    ] = False,
) -> None:
    """Try every part of this installation on data with known answers.

    Reads and paints a synthetic slide, makes, migrates and restores stores, signs a count, writes
    exports and reports, and runs the networks on the CPU and, where there is one, on the GPU. All
    of it in a temporary folder; nothing of the reader's is touched, and no network is used.
    Exit status 0 when all is well, 1 when something is not.
    """
    from app.selftest import keeping, networks, outputs, parts, seeing
    from app.selftest.bench import Bench, Outcome, known_answers, run_checks

    known = known_answers()
    checks = (*parts.CHECKS, *seeing.CHECKS, *keeping.CHECKS, *outputs.CHECKS, *networks.CHECKS)
    began = datetime.now(UTC)

    # SQLite, Qt and torch may hold files a moment longer than their owners; Windows then refuses.
    with tempfile.TemporaryDirectory(
        prefix="mitoscope-self-test-", ignore_cleanup_errors=True
    ) as folder:
        bench = Bench(Path(folder), known)

        def tell(outcomes: Sequence[Outcome], running: str) -> None:
            if outcomes and not fresh:
                typer.echo(_line(outcomes[-1]))
            if out is not None:  # also before each check: what is known if a library crashes
                _write(out, _report(bench.parts, outcomes, began, running))

        outcomes = run_checks(checks, bench, tell)
        answers = {**known, "made_by": _made_by(bench.parts), **bench.fresh}
    if fresh:
        typer.echo(_compact(json.dumps(answers, indent=2, ensure_ascii=False)))
    failed = [outcome.name for outcome in outcomes if not outcome.ok]
    seconds = sum(outcome.seconds for outcome in outcomes)
    said = f"{len(failed)} of {len(outcomes)} checks failed" if failed else "all is well"
    typer.echo(f"Mitoscope {__version__}: {said} ({seconds:.0f} s).", err=fresh)
    if failed:
        raise typer.Exit(FAILED)


def _compact(text: str) -> str:
    """JSON with every innermost list on a line of its own."""
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text)


def _line(outcome: Any) -> str:
    mark = "ok    " if outcome.ok else "FAILED"
    return f"{mark} {outcome.seconds:6.1f} s  {outcome.name}: {outcome.detail}"


def _report(
    parts: dict[str, str], outcomes: Sequence[Any], began: datetime, running: str
) -> dict[str, Any]:
    return {
        "mitoscope": __version__,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "frozen": bool(getattr(sys, "frozen", False)),
        "began_at": began.isoformat(timespec="seconds"),
        "running": running,
        "passed": not running and all(outcome.ok for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 2),
        "parts": parts,
        "checks": [{**asdict(one), "seconds": round(one.seconds, 3)} for one in outcomes],
    }


def _write(path: Path, report: dict[str, Any]) -> None:
    with replacing(path) as file:
        json.dump(report, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _made_by(parts: dict[str, str]) -> str:
    names = ("torch", "numpy", "OpenSlide")
    versions = ", ".join(f"{name} {parts.get(name, '?')}" for name in names)
    return (
        f"`mitoscope self-test --fresh` of version {__version__} on {platform.system()} "
        f"{platform.machine()}: {versions}"
    )

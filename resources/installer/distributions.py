"""What Mitoscope needs of the installed distributions: its requirements and theirs, no extras.

The environment that freezes may hold more (tests, notebooks). What is not needed stays out, so the
frozen folder is the same from a developer's environment as from a fresh one.
"""

import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROGRAM = "mitoscope"
_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"

#: Required by torch, and not needed to run it: they compile (`torch.compile`, C++ extensions),
#: which Mitoscope never asks for. Triton alone is 1 GB.
UNUSED = frozenset({"triton", "setuptools"})


def needed() -> dict[str, metadata.Distribution]:
    """Distributions by normalised name, the program's own among them.

    Raises:
        metadata.PackageNotFoundError: a requirement is not installed.
    """
    found = {PROGRAM: metadata.distribution(PROGRAM)}
    asked: set[tuple[str, frozenset[str]]] = set()
    # Not the installed metadata, which an editable installation lets grow old.
    listed = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]["dependencies"]
    waiting = [(wanted.name, frozenset(wanted.extras)) for wanted in map(Requirement, listed)]
    while waiting:
        name, extras = waiting.pop()
        key = canonicalize_name(name)
        if key in UNUSED or (key, extras) in asked:
            continue
        asked.add((key, extras))
        found[key] = metadata.distribution(name)
        for text in found[key].requires or ():
            wanted = Requirement(text)
            marker = wanted.marker
            if marker is None or any(marker.evaluate({"extra": x}) for x in ("", *extras)):
                waiting.append((wanted.name, frozenset(wanted.extras)))
    return found


def unneeded_modules(kept: dict[str, metadata.Distribution]) -> list[str]:
    """Top-level modules of the installed distributions that are not among those kept."""
    ours: set[str] = set()
    others: set[str] = set()
    for module, distributions in metadata.packages_distributions().items():
        names = {canonicalize_name(name) for name in distributions}
        (ours if names & kept.keys() else others).add(module)
    return sorted(others - ours)

"""Registers weights after they proved to fit, and checks them again later."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import ModelError
from models import hub
from models.crop_net import CropNet
from models.foundation import load
from models.registry import Backbone, file_sha256, weights_folder
from models.weight_files import SUFFIXES

#: How far the number of parameters may be from the published one, which counts position embeddings
#: of other sizes, mask tokens and rounding.
PARAMETERS_TOLERANCE = 0.012
#: How far an embedding may be from the recorded one, relative to its norm. Other versions of torch
#: and other processors differ by 1e-5; another normalisation or interpolation by more than 1e-2.
EMBEDDING_TOLERANCE = 1e-3
#: Values of the embedding that are recorded.
RECORDED_VALUES = 16
#: Side of the fixed image, not that of any backbone, so that the interpolation takes part.
IMAGE_PX = 120


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        passed: whether it is as expected.
        detail: what was found, in words.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found of one backbone."""

    id: str
    path: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """All is as expected."""
        return all(check.passed for check in self.checks)


def register(
    entry: Backbone, path: Path, *, accepted_by: str = "", sha256: str = ""
) -> hub.Registration:
    """Make a file or folder of weights known, once it was loaded strictly.

    Args:
        entry: the backbone.
        path: a file, or a folder with one.
        accepted_by: the reader who accepts the licence.
        sha256: the publisher's hash, if it is known.

    Raises:
        ModelError: the file is not there, is not whole, does not fit, has another hash, or its
            licence is not accepted.
    """
    if not entry.hub:
        raise ModelError(f"{entry.title} comes with Mitoscope: there is nothing to add.")
    if path.is_dir():
        path = hub.weights_in(path, entry, SUFFIXES)
    if not path.is_file():
        raise ModelError(f"There is no file {path}.")
    registration = hub.new_registration(entry, path, accepted_by)
    if sha256 and registration.sha256 != sha256.lower():
        raise ModelError(
            f"{path.name} is not the file that was meant: its SHA-256 is "
            f"{registration.sha256}, not {sha256.lower()}.",
            "Fetch the file again.",
        )
    for other, known in hub.registered().items():
        if other != entry.id and known.sha256 == registration.sha256:
            raise ModelError(
                f"{path.name} is registered as {other}: it cannot be {entry.title} too.",
                "Networks of one architecture are told apart by their files alone.",
            )
    load(entry, path)
    hub.write(entry.id, registration)
    return registration


def verify(entry: Backbone) -> Verification:
    """Build the network, load it strictly, and compare it with what is published and recorded.

    The first time after `register`, the embedding of a fixed image is recorded with the hash;
    later it is compared.

    Raises:
        ModelError: there are no weights, or they cannot be loaded; the message names what differs.
    """
    path = _weights_path(entry)
    checks = [_hash(entry, path)] if path is not None else []
    if not all(check.passed for check in checks):
        return Verification(entry.id, str(path), tuple(checks))
    network = CropNet(entry).eval()
    count = sum(p.numel() for p in network.backbone.parameters()) / 1e6
    off = abs(count / entry.params_m - 1)
    checks.append(
        Check(
            "parameters",
            off <= PARAMETERS_TOLERANCE,
            f"{count:.2f} M, published {entry.params_m:g} M",
        )
    )
    with torch.inference_mode():
        embedding = network.embed(fixed_image())[0].numpy()
    whole = embedding.shape == (entry.dim,) and bool(np.isfinite(embedding).all())
    checks.append(Check("embedding", whole, f"{embedding.size} values, expected {entry.dim}"))
    checks.append(_fingerprint(entry, embedding))
    return Verification(entry.id, entry.package if path is None else str(path), tuple(checks))


def fixed_image() -> torch.Tensor:
    """A picture (1, 3, IMAGE_PX, IMAGE_PX) in 0..1 that is the same everywhere.

    Broad waves of colour, and narrow ones that tell interpolations apart.
    """
    y, x = np.mgrid[0:IMAGE_PX, 0:IMAGE_PX] / IMAGE_PX
    waves = [
        mean + 0.12 * (np.sin(2 * np.pi * (a * x + b * y)) + np.sin(2 * np.pi * (43 * x + 37 * y)))
        for mean, a, b in ((0.75, 3, 1), (0.55, 2, 5), (0.7, 7, 4))
    ]
    return torch.from_numpy(np.rint(np.stack(waves) * 255) / 255).float()[None]


def _weights_path(entry: Backbone) -> Path | None:
    """The file to look at; None for weights inside a package."""
    if entry.file:
        return weights_folder() / entry.file
    return None if entry.package else hub.weights(entry)


def _hash(entry: Backbone, path: Path) -> Check:
    found = file_sha256(path)
    if not entry.sha256:
        return Check("SHA-256", True, f"{found}, nothing to compare with")
    if found == entry.sha256:
        return Check("SHA-256", True, found)
    return Check("SHA-256", False, f"{found}, expected {entry.sha256}")


def _fingerprint(entry: Backbone, embedding: NDArray[np.float32]) -> Check:
    """Compare with the recorded embedding, or record it."""
    name = "recorded embedding"
    values = tuple(float(v) for v in embedding[:RECORDED_VALUES])
    norm = float(np.linalg.norm(embedding))
    known = hub.registered().get(entry.id)
    if known is None:
        return Check(name, True, "none: the weights are not registered")
    before = known.fingerprint
    if before is None:
        hub.write(entry.id, replace(known, fingerprint=hub.Fingerprint(values, norm)))
        return Check(name, True, f"recorded now, norm {norm:.4f}")
    allowed = EMBEDDING_TOLERANCE * before.norm
    off = [abs(a - b) for a, b in zip(values, before.values, strict=True)]
    worst = int(np.argmax(off))
    if off[worst] <= allowed and abs(norm - before.norm) <= allowed:
        return Check(name, True, f"norm {norm:.4f}, recorded {before.norm:.4f}")
    return Check(
        name,
        False,
        f"norm {norm:.4f}, recorded {before.norm:.4f}; value {worst} is {values[worst]:.4f}, "
        f"recorded {before.values[worst]:.4f}",
    )

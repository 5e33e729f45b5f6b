"""The parts that Mitoscope is made of: whether each can be loaded, and which version it is."""

import platform
import sqlite3
from collections.abc import Callable
from importlib import import_module, metadata

from app.selftest.bench import Bench, Check, WrongAnswerError


def _torch() -> str:
    import torch

    from models.device import why_no_gpu

    reason = why_no_gpu()
    gpu = torch.cuda.get_device_name(0) if reason is None else f"no GPU used: {reason}"
    mps = "with" if torch.backends.mps.is_available() else "without"
    return f"{torch.__version__} (CUDA {torch.version.cuda or 'none'}; {gpu}; {mps} MPS)"


def _qt() -> str:
    from PySide6.QtCore import qVersion

    return qVersion()


def _openslide() -> str:
    import openslide

    return str(openslide.__library_version__)


def _turbo() -> str:
    import numpy as np
    import simplejpeg

    grey = np.full((16, 16, 3), 128, np.uint8)
    if simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(grey, 90)).shape != grey.shape:
        raise WrongAnswerError("libjpeg-turbo does not give back what it was given")
    return _version("simplejpeg")()


def _geos() -> str:
    import shapely

    return str(shapely.geos_version_string)


def _version(module: str, distribution: str = "") -> Callable[[], str]:
    def find() -> str:
        loaded = import_module(module)
        said = getattr(loaded, "__version__", None)
        return str(said or metadata.version(distribution or module))

    return find


#: torch first: on Windows its libraries do not load beside some of Qt's that came before.
#: https://github.com/pytorch/pytorch/issues/166628
PARTS: dict[str, Callable[[], str]] = {
    "Python": platform.python_version,
    "torch": _torch,
    "torchvision": _version("torchvision"),
    "timm": _version("timm"),
    "peft": _version("peft"),
    "transformers": _version("transformers"),
    "safetensors": _version("safetensors"),
    "Qt": _qt,
    "PySide6": _version("PySide6", "PySide6-Essentials"),
    "OpenSlide": _openslide,
    "openslide-python": _version("openslide", "openslide-python"),
    "libjpeg-turbo (simplejpeg)": _turbo,
    "fastslide": _version("fastslide"),
    "SQLite": lambda: sqlite3.sqlite_version,
    "SQLAlchemy": _version("sqlalchemy", "SQLAlchemy"),
    "shapely": _version("shapely"),
    "GEOS": _geos,
    "numpy": _version("numpy"),
    "scipy": _version("scipy"),
    "Pillow": _version("PIL", "pillow"),
    "tifffile": _version("tifffile"),
    "pydicom": _version("pydicom"),
    "highdicom": _version("highdicom"),
}


def _load(bench: Bench) -> str:
    missing = []
    for name, find in PARTS.items():
        try:
            bench.parts[name] = find()
        except (ImportError, OSError, metadata.PackageNotFoundError, WrongAnswerError) as error:
            bench.parts[name] = "missing"
            missing.append(f"{name}: {error}")
    if missing:
        raise WrongAnswerError("; ".join(missing))
    return f"all {len(PARTS)} are there"


CHECKS = (Check("parts", _load),)

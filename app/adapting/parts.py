"""What is finished of an adapting, on disk beside the adapter's folder, so that it can go on."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.exchange.files import replacing, replacing_bytes

log = logging.getLogger(__name__)


class Parts:
    """The parts of one adapting.

    Args:
        out: the adapter's folder; the parts lie beside it, in a hidden one.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = out.with_name(f".{out.name}.adapting")

    def open(self, question: dict[str, Any]) -> None:
        """Keep the parts of an earlier call with the same question (JSON-able); drop any others.

        Raises:
            UserError: the folder cannot be written.
        """
        path = self._folder / "question.json"
        question = json.loads(json.dumps(question))
        try:
            if path.exists() and json.loads(path.read_text(encoding="utf-8")) == question:
                return
        except (OSError, ValueError) as error:
            log.warning("the parts in %s cannot be gone on from: %s", self._folder, error)
        self.drop()
        with replacing(path) as file:
            json.dump(question, file)

    def fold(self, k: int) -> tuple[NDArray[np.float32], int] | None:
        """The held-out logits of a finished fold and its best epoch."""
        path = self._folder / f"fold-{k}.npz"
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return archive["logits"], int(archive["best_epoch"])
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            log.warning("%s is damaged and done again: %s", path.name, error)
            return None

    def keep_fold(self, k: int, logits: NDArray[np.float32], best_epoch: int) -> None:
        """Keep the held-out logits (N,) of a fold.

        Raises:
            UserError: the disk refuses.
        """
        with replacing_bytes(self._folder / f"fold-{k}.npz") as file:
            np.savez(file, logits=logits, best_epoch=best_epoch)
        self.state(k).unlink(missing_ok=True)

    def state(self, fold: int | str) -> Path:
        """Where the training of a fold (or `final`) keeps what it goes on from."""
        return self._folder / f"fold-{fold}.state"

    @property
    def staged(self) -> Path:
        """Where the adapter is put together; empty at first."""
        return self._folder / "adapter"

    def publish(self) -> None:
        """Put the finished adapter in its place and drop the parts.

        Raises:
            UserError: something else is there, or the disk refuses.
        """
        try:
            if self._out.exists():
                self._out.rmdir()
            self.staged.replace(self._out)
        except OSError as error:
            raise unwritable(self._out, error) from error
        self.drop()

    def drop(self) -> None:
        """Forget all parts."""
        shutil.rmtree(self._folder, ignore_errors=True)


def unwritable(out: Path, error: OSError) -> UserError:
    """Why an adapter's folder cannot be written."""
    return UserError(
        f"The adapter cannot be written to {out}: {error.strerror or error}.",
        "Check the folder, its permissions and the free space, or choose another with --out.",
    )

"""Embeddings of crops, and a cache of them on disk that may be thrown away at any time.

A crop's key is the SHA-256 of the backbone's hash, of everything that happens to a crop before and
in the forward pass, and of its pixels. Embeddings lie in NumPy files, one for each batch that was
computed; when they take too much room, the files that were not used for longest go.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.cancel import CancelToken
from models.adapters import with_hash
from models.crop_net import CropNet
from models.device import Device, Runner
from models.registry import Backbone

log = logging.getLogger(__name__)

CAP_BYTES = 2**30
_CHUNK = 1024  # crops hashed, computed and written together


class EmbeddingCache:
    """Embeddings by key, in a folder; damage only costs time.

    Args:
        folder: holds one folder for each space: backbone and preprocessing.
        cap_bytes: most room that all files together take.
    """

    def __init__(self, folder: Path, cap_bytes: int = CAP_BYTES) -> None:
        self._folder = folder
        self._cap_bytes = cap_bytes
        self._rows: dict[str, dict[bytes, tuple[Path, NDArray[np.void], int]]] = {}

    def get(
        self, space: str, keys: Sequence[bytes], dim: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Embeddings (N, dim) and which of them are known (N,); the others are zero."""
        rows = self._open(space, dim)
        values = np.zeros((len(keys), dim), np.float32)
        known = np.zeros(len(keys), np.bool_)
        used: set[Path] = set()
        for i, key in enumerate(keys):
            if (at := rows.get(key)) is None:
                continue
            path, table, row = at
            record = table[row]
            if _check(key, value := record["value"]) == record["check"]:
                values[i], known[i] = value, True
                used.add(path)
        for path in used:
            _touch(path)
        return values, known

    def put(self, space: str, keys: Sequence[bytes], values: NDArray[np.float32]) -> None:
        """Keep embeddings (N, dim); a disk that refuses is noted in the log and no more."""
        if not len(keys):
            return
        dim = values.shape[1]
        table = np.empty(len(keys), _dtype(dim))
        table["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
        table["value"] = values
        table["check"] = [_check(k, v) for k, v in zip(keys, table["value"], strict=True)]
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        path = self._folder / space / f"{name}.npy"
        partial = path.with_name(f"{name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                np.save(stream, table, allow_pickle=False)
            partial.replace(path)
            self._trim()
        except OSError as error:
            log.warning("embeddings were not kept: %s", error.strerror)
            return
        if space in self._rows:
            self._index(space, path, table)

    def _open(self, space: str, dim: int) -> dict[bytes, tuple[Path, NDArray[np.void], int]]:
        if space not in self._rows:
            self._rows[space] = {}
            for path in sorted((self._folder / space).glob("*.npy")):
                table = _load(path, dim)
                if table is not None:
                    self._index(space, path, table)
        return self._rows[space]

    def _index(self, space: str, path: Path, table: NDArray[np.void]) -> None:
        flat = np.ascontiguousarray(table["key"]).tobytes()
        rows = self._rows[space]
        for row in range(len(table)):
            rows[flat[32 * row : 32 * row + 32]] = (path, table, row)

    def _trim(self) -> None:
        """Delete the files that were not used for longest, down to the cap."""
        files = [(path, path.stat()) for path in self._folder.glob("*/*.npy")]
        total = sum(stat.st_size for _, stat in files)
        for path, stat in sorted(files, key=lambda item: (item[1].st_mtime_ns, item[0])):
            if total <= self._cap_bytes:
                return
            path.unlink(missing_ok=True)
            total -= stat.st_size


def _dtype(dim: int) -> np.dtype[np.void]:
    return np.dtype([("key", "u1", (32,)), ("check", "<u4"), ("value", "<f4", (dim,))])


def _check(key: bytes, value: NDArray[np.float32]) -> int:
    return zlib.crc32(value.tobytes(), zlib.crc32(key))


def _load(path: Path, dim: int) -> NDArray[np.void] | None:
    """A file's table, mapped; None, and the file is gone, where it is damaged."""
    try:
        table: NDArray[np.void] = np.load(path, mmap_mode="r", allow_pickle=False)
        if table.dtype == _dtype(dim) and table.ndim == 1:
            return table
    except Exception as error:  # noqa: BLE001  NumPy parses the header as Python: a flipped bit raises anything
        log.warning("a file of embeddings cannot be read and is dropped: %s", error)
    path.unlink(missing_ok=True)
    return None


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError as error:
        log.info("the use of a file of embeddings was not noted: %s", error)


class _MeanOverTurns(nn.Module):
    """Crops (B, 3, s, s) in 0..1 → (B, dim): the mean embedding over quarter turns.

    A linear head on it gives the mean logit over the turns, see `QuarterTurns`.
    """

    def __init__(self, network: CropNet, turns: int) -> None:
        super().__init__()
        self.network = network
        self.turns = turns

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.network.embed(crops)
        for k in range(1, self.turns):
            total = total + self.network.embed(torch.rot90(crops, k, (-2, -1)))
        return total / self.turns


class Embedder:
    """Crops to embeddings, from the cache where they are there.

    Args:
        network: on any device; it is moved to `device`.
        entry: of its backbone.
        device: where it runs.
        quarter_turns: how many turns of a crop are averaged.
        cache: None to compute always.
        batch_size: of one forward pass; becomes smaller when memory is short.
    """

    def __init__(
        self,
        network: CropNet,
        entry: Backbone,
        device: Device,
        *,
        quarter_turns: int = 1,
        cache: EmbeddingCache | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.dim = entry.dim
        self._entry = with_hash(entry, network)
        self._turns = quarter_turns
        self._cache = cache
        batch_size = batch_size or (256 if device.kind == "cuda" else 64)
        self.runner = Runner(_MeanOverTurns(network, quarter_turns), device, batch_size)

    @property
    def space(self) -> str:
        """Digest of all that decides an embedding beside the crop; it changes with the device."""
        entry = self._entry
        parts = {
            "backbone": entry.sha256,
            "architecture": entry.architecture,
            "arguments": {k: str(v) for k, v in entry.arguments.items()},
            "embedding": entry.embedding,
            "input_px": entry.input_px,
            "interpolation": entry.interpolation,
            "mean": entry.mean,
            "std": entry.std,
            "quarter_turns": self._turns,
            "precision": self.runner.device.precision,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def __call__(
        self,
        crops: NDArray[np.uint8],
        *,
        token: CancelToken | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings (N, dim) of crops (N, s, s, 3) uint8.

        Args:
            crops: sRGB, the cell at the centre.
            token: cancels between chunks; what is computed stays in the cache.
            on_done: told how many are done.
        """
        found = np.empty((len(crops), self.dim), np.float32)
        for start in range(0, len(crops), _CHUNK):
            if token is not None:
                token.check()
            part = crops[start : start + _CHUNK]
            found[start : start + len(part)] = self._chunk(part)
            if on_done is not None:
                on_done(start + len(part))
        return found

    def _chunk(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._cache is None:
            return self.runner(crops)
        space = self.space
        keys = crop_keys(space, crops)
        values, known = self._cache.get(space, keys, self.dim)
        unknown = np.flatnonzero(~known)
        if len(unknown):
            values[unknown] = self.runner(crops[unknown])
            # Memory may have run out meanwhile, and the network moved to another device.
            if self.space == space:
                self._cache.put(space, [keys[i] for i in unknown], values[unknown])
        return values


class ProbeRunner:
    """Crops to logits by cached embeddings; takes the place of a `Runner`.

    Args:
        embedder: of the backbone.
        head: embeddings (B, dim) → (B, 1).
    """

    def __init__(self, embedder: Embedder, head: nn.Linear) -> None:
        self._embedder = embedder
        self._weight = head.weight.detach().cpu().double().numpy()[0]
        self._bias = float(head.bias.detach())

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N,) of crops (N, s, s, 3) uint8."""
        return np.asarray(self._embedder(crops) @ self._weight + self._bias, np.float32)

    @property
    def batch_size(self) -> int:
        """Crops in one forward pass."""
        return self._embedder.runner.batch_size

    @property
    def device(self) -> Device:
        """Where it runs now."""
        return self._embedder.runner.device

    @property
    def warnings(self) -> list[str]:
        """What happened to memory and device."""
        return self._embedder.runner.warnings


def crop_keys(space: str, crops: NDArray[np.uint8]) -> list[bytes]:
    """SHA-256 of each crop (N, s, s, 3) in a space; hashing frees the interpreter's lock."""
    prefix = f"{space} {crops.shape[1:]}".encode()

    def key(crop: NDArray[np.uint8]) -> bytes:
        return hashlib.sha256(prefix + crop.tobytes()).digest()

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(key, crops))

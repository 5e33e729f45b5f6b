"""Runs the trials of `mitoscope benchmark classify`, one line of JSON for each that is done."""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from app.benchmarks.classify_data import Labelled
from app.benchmarks.classify_design import SplitBy, Trial, split
from core.cancel import CancelToken
from core.errors import InputError
from models import adapters
from models.crop_net import CropNet
from models.device import Device
from models.embeddings import Embedder, EmbeddingCache
from models.registry import backbone
from models.training.adapt import AdaptSettings, default_lr, logits_of, train_adapter
from models.training.adapt_data import Examples, tile_side
from models.training.adapt_probe import fit_probe
from models.training.classifier_training import CROP_PX
from models.training.metrics import measure

log = logging.getLogger(__name__)

RESULTS = "trials.jsonl"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is alike in all trials of a study.

    Attributes:
        task: what is told apart.
        sources: sets that the cells come from.
        domain: what a domain is: `tissue` or `set`.
        split: what is held out: `slide` or `annotation`.
        steps: optimiser steps of `lora` and `full`, whatever the fraction.
        batch: crops of a step.
        crop_px: side of a crop at 0.25 µm/px.
    """

    task: str
    sources: tuple[str, ...]
    domain: str
    split: SplitBy
    steps: int
    batch: int
    crop_px: int = CROP_PX


class Study:
    """All trials over one set of cells, with what was done already.

    Args:
        labelled: all cells.
        settings: alike for all trials.
        out: folder of the results.
        device: where networks run.

    Raises:
        InputError: the folder holds the results of other settings.
    """

    def __init__(self, labelled: Labelled, settings: Settings, out: Path, device: Device) -> None:
        self.labelled = labelled
        self.settings = settings
        self._device = device
        self._path = out / RESULTS
        self._cache = EmbeddingCache(out / "embeddings")
        self._embeddings: dict[str, NDArray[np.float32]] = {}
        out.mkdir(parents=True, exist_ok=True)
        self.lines = read_lines(self._path)
        mine = json.loads(json.dumps(asdict(settings)))
        for line in self.lines:
            if line["settings"] != mine:
                raise InputError(
                    f"{out} holds a study with other settings: {line['settings']}.",
                    "Choose another folder with --out.",
                )

    def run(self, trials: Iterable[Trial], token: CancelToken) -> list[dict[str, Any]]:
        """Do what is not done yet; returns all lines.

        Args:
            trials: in their order.
            token: cancels before the next step; what is done is kept.
        """
        done = {json.dumps(line["trial"], sort_keys=True) for line in self.lines}
        wanted = list(trials)
        for number, trial in enumerate(wanted, start=1):
            if json.dumps(trial.as_dict(), sort_keys=True) in done:
                continue
            token.check()
            line = self._one(trial, token)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            self.lines.append(line)
            figures = ", ".join(f"{k} {v['auroc']:.3f}" for k, v in line["tests"].items())
            log.info("%d of %d: %s AUROC: %s", number, len(wanted), trial, figures)
        return self.lines

    def _one(self, trial: Trial, token: CancelToken) -> dict[str, Any]:
        started = time.perf_counter()
        group = trial.train_on.split(" + ")
        parts = split(self.labelled, group, trial.fraction, trial.seed, self.settings.split)
        tested = np.concatenate(list(parts.tests.values()))
        if trial.mode == "probe":
            logits = self._probe(trial, parts.train, tested)
        else:
            logits = self._tuned(trial, parts.train, tested, token)
        truth = self.labelled.cells.mitosis
        tests: dict[str, Any] = {}
        start = 0
        for name, ids in parts.tests.items():
            found = expit(logits[start : start + len(ids)].astype(np.float64))
            start += len(ids)
            tests[name] = {k: _rounded(v) for k, v in asdict(measure(truth[ids], found)).items()}
        return {
            "trial": trial.as_dict(),
            "settings": asdict(self.settings),
            "train_cells": len(parts.train),
            "train_positives": int(truth[parts.train].sum()),
            "train_slides": len(np.unique(self.labelled.cells.slide[parts.train])),
            "tests": tests,
            "seconds": round(time.perf_counter() - started, 2),
            "device": self._device.kind,
            "precision": self._device.precision,
        }

    def _crops(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._middles(ids, self.settings.crop_px)

    def _middles(self, ids: NDArray[np.int64], side_px: int) -> NDArray[np.uint8]:
        tiles = self.labelled.cells.tiles
        low = (tiles.shape[1] - side_px) // 2
        return np.ascontiguousarray(tiles[ids, low : low + side_px, low : low + side_px])

    def _probe(
        self, trial: Trial, train: NDArray[np.int64], tested: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Logits of a linear probe; every cell is embedded once for all trials of a network."""
        if trial.model not in self._embeddings:
            entry = backbone(trial.model)
            embedder = Embedder(CropNet(entry), entry, self._device, cache=self._cache)
            self._embeddings[trial.model] = embedder(self._crops(np.arange(len(self.labelled))))
        embeddings = self._embeddings[trial.model]
        cells = self.labelled.cells
        probe = fit_probe(
            embeddings[train], cells.mitosis[train], cells.slide[train], seed=trial.seed
        )
        return probe(embeddings[tested])

    def _tuned(
        self,
        trial: Trial,
        train: NDArray[np.int64],
        tested: NDArray[np.int64],
        token: CancelToken,
    ) -> NDArray[np.float32]:
        """Logits of a network after LoRA or full tuning; the last step counts, none is chosen."""
        entry = backbone(trial.model)
        torch.manual_seed(trial.seed)
        targets = entry.targets("all") if trial.mode == "lora" else ""
        network = adapters.prepare(CropNet(entry), trial.mode, targets)
        steps, batch = self.settings.steps, self.settings.batch
        settings = AdaptSettings(
            lr=default_lr(entry, trial.mode),
            epochs=1,
            epoch_crops=steps * batch,
            batch=batch,
            seed=trial.seed,
        )
        train_adapter(
            network,
            self._examples(train),
            settings,
            input_px=entry.input_px,
            device=self._device,
            token=token,
        )
        return logits_of(network, self._crops(tested), self._device)

    def _examples(self, ids: NDArray[np.int64]) -> Examples:
        cells, side = self.labelled.cells, tile_side(self.settings.crop_px)
        return Examples(
            self._middles(ids, side),
            cells.mitosis[ids],
            cells.slide[ids],
            self.labelled.source[ids],
            cells.detector_score[ids],
            self.settings.crop_px,
        )


def _rounded(value: float) -> float | None:
    """For JSON: four digits, and None for nan."""
    if isinstance(value, int):
        return value
    return round(value, 4) if np.isfinite(value) else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The finished trials in a file; a last line that was cut off is left out.

    Raises:
        InputError: the file is no list of trials.
    """
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    texts: Sequence[str] = path.read_text(encoding="utf-8").splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            if number < len(texts):
                raise InputError(f"Line {number} of {path.name} is not JSON.") from error
            path.write_text("".join(f"{t}\n" for t in texts[:-1]), encoding="utf-8")
    return lines

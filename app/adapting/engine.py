"""Adapting from labels to a compared and saved adapter.

Imports torch: import it on the worker thread only; the dataclasses lie in `app.adapting.request`.
What is finished lies in a hidden folder beside the adapter's, so that the same request goes on.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app import __version__
from app.adapting import comparison, saving
from app.adapting.baseline import Baseline, load_baseline
from app.adapting.cache import embedding_cache
from app.adapting.comparison import Fitted
from app.adapting.limits import Folds, check_request, limits, make_folds, slide_cells
from app.adapting.parts import Parts, unwritable
from app.adapting.request import (
    AdaptProgress,
    AdaptReport,
    AdaptRequest,
    Part,
    ProgressListener,
)
from app.adapting.sources import Loaded, load
from core.cancel import CancelToken
from models import adapters, calibration
from models.crop_net import CropNet, QuarterTurns
from models.device import Device, pick_device
from models.embeddings import Embedder
from models.registry import Backbone, backbone
from models.training.adapt import AdaptSettings, Trained, default_lr, logits_of, train_adapter
from models.training.adapt_data import (
    MPP,
    Examples,
    hold_out,
    tile_side,
)
from models.training.adapt_probe import fit_probe

log = logging.getLogger(__name__)

#: A network whose input is at least so wide is a transformer or a large CNN of 224 px.
_LARGE_PX = 160
#: Crop of small networks, as the shipped classifier's; and of large ones: 24 µm are 96 px at 0.25,
#: half as many of which hold a second figure as of 128 px (0.3 against 0.8 % of MIDOG's), and which
#: lie whole within the published patches of 128 px at 0.23 µm/px.
SMALL_CROP_UM, LARGE_CROP_UM = 16.0, 24.0


def default_crop_um(entry: Backbone) -> float:
    """Side of the tissue that a backbone is shown unless the request says it."""
    return LARGE_CROP_UM if entry.input_px >= _LARGE_PX else SMALL_CROP_UM


def default_turns(entry: Backbone) -> int:
    """Quarter turns whose mean judges a crop: four, but one where a pass is dear."""
    return 1 if entry.input_px >= _LARGE_PX else 4


def adapt(request: AdaptRequest, *, token: CancelToken, progress: ProgressListener) -> AdaptReport:
    """Cross-validate by slide, compare with the current model, train on everything, save.

    Args:
        request: what is asked for.
        token: cancels; the same request goes on where it stopped.
        progress: told on the thread of the caller.

    Raises:
        InputError: the source cannot be used: unreadable, one class only, too few labels.
        ModelError: the backbone or the current adapter cannot be loaded.
        UserError: the adapter's folder cannot be written.
        Cancelled: as asked.
    """
    return _Adapting(request, token, progress).run()


@dataclass(slots=True)
class _Clock:
    """Tells the listener how far all trainings together are."""

    progress: ProgressListener
    total: int
    done: int = 0
    skipped: int = 0
    started: float = field(default_factory=time.monotonic)

    def tell(self, part: Part, done: int) -> None:
        self.done = done
        worked = done - self.skipped
        left = None
        if worked > 0:
            left = (time.monotonic() - self.started) / worked * (self.total - done)
        self.progress(AdaptProgress(part, done, self.total, left))


class _Adapting:
    """One adapting, part after part."""

    def __init__(
        self, request: AdaptRequest, token: CancelToken, progress: ProgressListener
    ) -> None:
        self._started = time.monotonic()
        check_request(request)
        self._request = request
        self._token = token
        self._progress = progress
        self._entry = backbone(request.backbone)
        self._targets = self._entry.targets(request.targets) if request.mode == "lora" else ""
        self._crop_px = round((request.crop_um or default_crop_um(self._entry)) / MPP)
        self._turns = default_turns(self._entry)
        self._device: Device = pick_device(request.device)
        self._parts = Parts(request.out)
        self._warnings: list[str] = []
        self._settings = AdaptSettings(
            lr=default_lr(self._entry, request.mode),
            epochs=request.epochs,
            batch=request.batch,
            seed=request.seed,
        )

    def run(self) -> AdaptReport:
        """All parts."""
        network = self._network()  # first: weights that are not there are said at once
        base, note = load_baseline(self._request, self._device)
        self._warnings += [note] if note else []
        tile_px = tile_side(self._crop_px, 0 if base is None else base.crop_px)
        loaded = load(self._request, self._crop_px, tile_px, self._token, self._told("reading"))
        examples = loaded.examples
        self._parts.open(self._question(examples))
        folds = make_folds(examples, self._request.folds, self._request.seed)
        embeddings = self._embed(network, examples)
        logits, epochs, clock = self._held_out_logits(examples, folds, embeddings)
        if self._request.mode != "probe" and not _final_epochs(epochs):
            self._warnings.append(
                "In most folds no epoch was better than the probe that a training starts from: "
                "the adapter judges as that probe does."
            )
        report, fitted = self._compare(loaded, folds, logits, base)
        model, training = self._final(examples, embeddings, epochs, clock)
        return self._save(model, loaded, fitted, report, training)

    def _told(self, part: Part) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(AdaptProgress(part, done, total))

    def _question(self, examples: Examples) -> dict[str, Any]:
        """All that a finished part depends on."""
        request = asdict(self._request)
        for unimportant in ("out", "source", "current", "name"):
            del request[unimportant]
        return {
            "request": request,
            "backbone": self._entry.sha256,
            "cells": examples.digest(),
            "settings": repr(asdict(self._settings)),
            "app": __version__,
        }

    # Embeddings, folds, the final network.

    def _network(self) -> CropNet:
        torch.manual_seed(self._request.seed)  # of the head's start
        return CropNet(self._entry)

    def _embed(self, network: CropNet, examples: Examples) -> NDArray[np.float32]:
        """Embeddings (N, dim) of all crops: for the probe, and for where the head starts."""
        cache = embedding_cache()
        embedder = Embedder(
            network, self._entry, self._device, quarter_turns=self._turns, cache=cache
        )
        started, total = time.monotonic(), len(examples)

        def told(done: int) -> None:
            left = (time.monotonic() - started) / done * (total - done)
            whole = left if self._request.mode == "probe" else None
            self._progress(AdaptProgress("embedding", done, total, whole))

        embeddings = embedder(examples.crops(), token=self._token, on_done=told)
        self._warnings += embedder.runner.warnings
        return embeddings

    def _held_out_logits(
        self, examples: Examples, folds: Folds, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], list[int], _Clock]:
        """Each cell's logit by a network that had not seen its fold, and the folds' best epochs."""
        probe = self._request.mode == "probe"
        a_fold = 1 if probe else self._settings.epochs * self._settings.steps(len(examples))
        clock = _Clock(self._progress, a_fold * (folds.count + 1))
        logits = np.zeros(len(examples), np.float32)
        epochs = []
        for k in range(folds.count):
            self._token.check()
            held = folds.of_cell == k
            if (kept := self._parts.fold(k)) is not None:
                logits[held], best_epoch = kept
                clock.skipped += a_fold
            else:
                train = examples.select(~held)
                told = self._steps_told(clock, k * a_fold)
                model, best_epoch = self._fold(k, train, embeddings[~held], told)
                crops = examples.select(held).crops()
                logits[held] = (
                    model(embeddings[held])
                    if isinstance(model, _Head)
                    else logits_of(QuarterTurns(model, self._turns), crops, self._device)
                )
                self._parts.keep_fold(k, logits[held], best_epoch)
            epochs.append(best_epoch)
            clock.tell("comparing", (k + 1) * a_fold)
        return logits, epochs, clock

    def _steps_told(
        self, clock: _Clock, before: int, part: Part = "comparing"
    ) -> Callable[[int, float], None]:
        return lambda done, _loss: clock.tell(part, before + done)

    def _fold(
        self,
        k: int,
        train: Examples,
        embeddings: NDArray[np.float32],
        told: Callable[[int, float], None],
    ) -> "tuple[nn.Module | _Head, int]":
        """Learn from all but one fold; cells of further slides end the training early."""
        if self._request.mode == "probe":
            return _Head(fit_probe(embeddings, train.positive, train.slide)), 0
        inner = hold_out(train, self._request.seed)
        model = self._start(train.select(~inner), embeddings[~inner])
        trained = train_adapter(
            model,
            train.select(~inner),
            self._settings,
            input_px=self._entry.input_px,
            held_out=train.select(inner),
            device=self._device,
            token=self._token,
            on_step=told,
            state=self._parts.state(k),
        )
        self._note(trained)
        return model, trained.best_epoch

    def _start(self, train: Examples, embeddings: NDArray[np.float32]) -> nn.Module:
        """The network with a probe for its head, ready to learn.

        A head of chance would first tear at what the backbone knows (Kumar et al. 2022, arXiv
        2202.10054).
        """
        network = self._network()
        fit_probe(embeddings, train.positive, train.slide).put_on(network.mitosis_head)
        torch.manual_seed(self._request.seed)  # of the LoRA matrices
        return adapters.prepare(network, self._request.mode, self._targets)

    def _note(self, trained: Trained) -> None:
        self._warnings += [text for text in trained.warnings if text not in self._warnings]

    def _final(
        self,
        examples: Examples,
        embeddings: NDArray[np.float32],
        epochs: list[int],
        clock: _Clock,
    ) -> tuple[nn.Module, dict[str, Any]]:
        """Learn from everything, for as many epochs as were best in the folds."""
        mode = self._request.mode
        training: dict[str, Any] = {"mode": mode}
        if mode == "probe":
            network = self._network()
            probe = fit_probe(embeddings, examples.positive, examples.slide)
            probe.put_on(network.mitosis_head)
            clock.tell("training", clock.total)
            return adapters.prepare(network, "probe"), training | {"l2": probe.l2}
        n_epochs = _final_epochs(epochs)
        model = self._start(examples, embeddings)
        a_fold = clock.total // (len(epochs) + 1)
        clock.total = a_fold * len(epochs) + n_epochs * self._settings.steps(len(examples))
        trained = train_adapter(
            model,
            examples,
            self._settings,
            input_px=self._entry.input_px,
            stop_after=n_epochs,
            device=self._device,
            token=self._token,
            on_step=self._steps_told(clock, a_fold * len(epochs), "training"),
            state=self._parts.state("final"),
        )
        self._note(trained)
        settings = asdict(self._settings)
        return model, training | {
            "epochs": n_epochs,
            "best_epochs": epochs,
            "steps_an_epoch": self._settings.steps(len(examples)),
            **{name: settings[name] for name in ("lr", "batch", "weight_decay", "clip")},
        }

    # Comparing and saving.

    def _compare(
        self,
        loaded: Loaded,
        folds: Folds,
        logits: NDArray[np.float32],
        base: Baseline | None,
    ) -> tuple[AdaptReport, Fitted]:
        examples, task = loaded.examples, self._request.task
        weight = 0.0 if base is None else base.detector_weight
        scores, positive = examples.detector_score, examples.positive
        judge = (scores, positive, folds.of_cell, weight, task)
        new = comparison.cross_fitted(logits, *judge)
        shipped = refitted = None
        if base is not None:
            shipped, base_logits = base.judge(examples)
            refitted = comparison.cross_fitted(base_logits, *judge)
        rows, bootstrap = comparison.compare(
            positive, examples.slide, new, shipped, refitted, seed=self._request.seed
        )
        fitted = comparison.fit(logits, scores, positive, weight, task)
        report = AdaptReport(
            folder=str(self._request.out),
            backbone=self._entry.id,
            mode=self._request.mode,
            task=task,
            current="" if base is None else base.name,
            rows=rows,
            bootstrap=bootstrap,
            held_out=folds.by,
            slides=slide_cells(examples, folds),
            cells=len(examples),
            positives=int(positive.sum()),
            folds=folds.count,
            count_threshold=round(fitted.count_threshold, 5),
            reliability=tuple(
                calibration.reliability(new.probability.astype(np.float32), positive)
            ),
        )
        known = (*limits(report, base), *loaded.notes, *self._warnings)
        return replace(report, warnings=known), fitted

    def _save(
        self,
        model: nn.Module,
        loaded: Loaded,
        fitted: Fitted,
        report: AdaptReport,
        training: dict[str, Any],
    ) -> AdaptReport:
        """Write the folder whole: beside its place first, then renamed."""
        self._progress(AdaptProgress("saving", 0, 1))
        request = self._request
        entry = self._entry
        if not entry.sha256:
            entry = adapters.with_hash(entry, self._network())
        made = saving.manifest(request, entry, loaded, fitted, report, training, self._turns)
        staged = self._parts.staged
        try:
            shutil.rmtree(staged, ignore_errors=True)
            adapters.save(model, staged, entry, made, mode=request.mode)
            card = saving.card(request, entry, report, made)
            (staged / adapters.CARD).write_text(card, encoding="utf-8")
        except OSError as error:
            raise unwritable(request.out, error) from error
        self._parts.publish()
        self._progress(AdaptProgress("saving", 1, 1, 0.0))
        return replace(report, seconds=round(time.monotonic() - self._started, 1))


def _final_epochs(best: list[int]) -> int:
    """Epochs of the final training: the median of the folds' best, halves upward."""
    return math.floor(float(np.median(best)) + 0.5)


class _Head:
    """A probe where a network is expected: embeddings to logits."""

    def __init__(self, probe: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self._probe = probe

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._probe(embeddings)

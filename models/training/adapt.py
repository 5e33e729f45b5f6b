"""Trains an adapter: LoRA or all weights, from labelled cells, kept at its best epoch.

What the released code of the paper gets wrong (models-and-metrics: the last epoch tested, gradients
clipped before they exist, a patience without effect) is held right by tests.
"""

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from core.cancel import CancelToken
from core.errors import DeviceError
from models.adapters import freeze_norms
from models.device import Device, is_out_of_memory, keep_freed_memory, pick_device
from models.registry import Backbone
from models.training.adapt_data import BatchSampler, Examples, Jitter, balance
from models.training.adapt_state import load_state, save_state

log = logging.getLogger(__name__)

DEFAULT_JITTER = Jitter()
#: Crops of an epoch at most: the pseudo-epoch of Ammeling et al. 2025; and at least.
EPOCH_CROPS, LEAST_EPOCH_CROPS = 1280, 256


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """Settings of one training.

    Attributes:
        lr: peak learning rate of AdamW; see `default_lr`.
        epochs: over which the learning rate falls, and that are trained at most.
        patience: epochs without a better held-out loss before the training ends.
        epoch_crops: crops of an epoch; 0 for as many as there are cells, within bounds.
        batch: crops of one optimiser step.
        micro_batch: crops of one forward pass; 0 for the whole batch. Halved when memory is short.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        seed: of sampling, augmentation and dropout.
        jitter: of the crops.
    """

    lr: float
    epochs: int = 30
    patience: int = 6
    epoch_crops: int = 0
    batch: int = 32
    micro_batch: int = 0
    weight_decay: float = 1e-2
    clip: float = 1.0
    seed: int = 0
    jitter: Jitter = DEFAULT_JITTER

    def steps(self, n_cells: int) -> int:
        """Optimiser steps of an epoch."""
        crops = self.epoch_crops or min(max(n_cells, LEAST_EPOCH_CROPS), EPOCH_CROPS)
        return math.ceil(crops / self.batch)


def default_lr(entry: Backbone, mode: str) -> float:
    """Peak learning rate of a mode: the paper's for transformers, the shipped training's for CNNs.

    LoRA 1e-4 is that of Ammeling et al. 2025; all weights of a transformer want less (He et al.
    2022, arXiv 2111.06377, fine-tune at 5e-5 per 32 crops or below).
    """
    if entry.lora_attention:
        return 1e-4 if mode == "lora" else 3e-5
    return 1e-3 if mode == "lora" else 4e-4


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training went; the network is at its best epoch.

    Attributes:
        best_epoch: 0 for the start, before any step.
        best_loss: balanced log loss of the held-out cells there; nan without any.
        losses: (training, held-out) loss of every epoch, the start first; nan where not measured.
        micro_batch: crops of a forward pass that memory allowed.
        warnings: what happened to memory, in plain words.
    """

    best_epoch: int
    best_loss: float
    losses: tuple[tuple[float, float], ...]
    micro_batch: int
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Progress:
    """What a stopped training goes on from."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    losses: list[tuple[float, float]] = field(default_factory=list)
    micro_batch: int = 0


class Trainer:
    """One training of a network that `models.adapters.prepare` has made ready.

    Args:
        network: crops (B, 3, s, s) in 0..1 → (B,) logits; learns in place.
        settings: lengths, rates and seed.
        device: where it runs; autocast on a GPU only, so that a CPU's result is exact.
    """

    def __init__(self, network: nn.Module, settings: AdaptSettings, device: Device) -> None:
        if device.kind == "cpu":
            keep_freed_memory()
        self.network = network.to(device.kind).to(memory_format=torch.channels_last)
        self.settings = settings
        self.device = device
        self.learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(
            self.learning.values(), lr=settings.lr, weight_decay=settings.weight_decay
        )
        half = device.kind == "cuda" and device.dtype is torch.float16
        self._scaler = torch.amp.GradScaler("cuda", enabled=half)
        self.micro_batch = settings.micro_batch or settings.batch
        self.warnings: list[str] = []

    def step(self, crops: torch.Tensor, labels: torch.Tensor, lr: float) -> torch.Tensor:
        """One optimiser step on a batch; its mean loss, on the device.

        Where memory is short, the batch goes through in smaller parts; the step stays the same.

        Raises:
            DeviceError: a single crop does not fit.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        crops = crops.to(self.device.kind, non_blocking=True)
        labels = labels.to(self.device.kind, non_blocking=True)
        while True:
            try:
                loss = self._gradients(crops, labels)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._back_off()
        self._scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.learning.values(), self.settings.clip)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        return loss

    def _gradients(self, crops: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=crops.device)
        for start in range(0, len(crops), self.micro_batch):
            part = slice(start, start + self.micro_batch)
            with self.autocast():
                logits = self.network(crops[part])
            loss = functional.binary_cross_entropy_with_logits(
                logits.float(), labels[part], reduction="sum"
            ) / len(crops)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def autocast(self) -> torch.autocast | nullcontext[None]:
        """Mixed precision where the device has it."""
        return self.device.autocast() if self.device.kind == "cuda" else nullcontext()

    def _back_off(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        if self.micro_batch == 1:
            raise DeviceError(
                "There is not enough memory to train this network.",
                "Choose a smaller backbone, or the mode probe.",
            )
        self.micro_batch = (self.micro_batch + 1) // 2
        text = f"Memory is short: going on with {self.micro_batch} crops at a time."
        log.warning(text)
        self.warnings.append(text)

    def lr_at(self, step: int, total: int) -> float:
        """Learning rate of a step: a rise over a twentieth of all, then half a cosine to 5 %."""
        rise = max(1, total // 20)
        if step < rise:
            return self.settings.lr * (step + 1) / rise
        done = (step - rise) / max(1, total - rise)
        return self.settings.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))

    def copy(self) -> dict[str, torch.Tensor]:
        """A true copy of what learns, on the CPU."""
        return {name: p.detach().to("cpu", copy=True) for name, p in self.learning.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Set what learns to a copy."""
        with torch.no_grad():
            for name, parameter in self.learning.items():
                parameter.copy_(tensors[name])

    def held_out_loss(self, examples: Examples) -> float:
        """Balanced log loss of examples, not augmented."""
        z = logits_of(self.network, examples.crops(), self.device).astype(np.float64)
        weights = balance(examples.positive, examples.slide)
        return float(weights @ (np.logaddexp(0, z) - examples.positive * z))


def train_adapter(
    network: nn.Module,
    examples: Examples,
    settings: AdaptSettings,
    *,
    input_px: int,
    held_out: Examples | None = None,
    stop_after: int | None = None,
    device: Device | None = None,
    token: CancelToken | None = None,
    on_step: Callable[[int, float], None] | None = None,
    state: Path | None = None,
) -> Trained:
    """Train what learns of a network; leaves it at its best epoch, in eval mode.

    Args:
        network: from `models.adapters.prepare`.
        examples: to learn from.
        settings: lengths, rates and seed.
        input_px: side of the crops drawn; the backbone's.
        held_out: of other slides; its balanced log loss ends the training early and chooses the
            epoch. None: the last epoch is kept.
        stop_after: end after so many epochs of the same schedule.
        device: None for the CPU.
        token: cancels between steps; the last finished epoch stays in `state`.
        on_step: told the number of steps done and the mean loss of the epoch before.
        state: file that a stopped training goes on from, and a finished one returns from; the
            caller's to remove. It is ignored where its settings or examples are others.

    Raises:
        DeviceError: memory is too short for a single crop.
        Cancelled: as asked.
    """
    trainer = Trainer(network, settings, device or pick_device("cpu"))
    epochs = min(settings.epochs, stop_after if stop_after is not None else settings.epochs)
    key = {"settings": repr(asdict(settings)), "cells": examples.digest(), "epochs": epochs}
    run = _Run(trainer, examples, held_out, input_px, token or CancelToken(), on_step)
    run.begin(None if state is None else load_state(state, key))
    while run.at.epoch < epochs and not run.patience_is_over():
        run.epoch()
        if state is not None:
            save_state(state, key, run.state())
    return run.end()


class _Run:
    """The epochs of one training."""

    def __init__(
        self,
        trainer: Trainer,
        examples: Examples,
        held_out: Examples | None,
        input_px: int,
        token: CancelToken,
        on_step: Callable[[int, float], None] | None,
    ) -> None:
        self.trainer = trainer
        self._held_out = held_out
        self._token = token
        self._on_step = on_step
        settings = trainer.settings
        self._steps = settings.steps(len(examples))
        self._sampler = BatchSampler(
            examples, settings.batch, input_px, settings.seed, settings.jitter
        )
        self.at = _Progress()
        self._best: dict[str, torch.Tensor] = {}

    def begin(self, saved: dict[str, Any] | None) -> None:
        if saved is None:
            self._measure(math.nan)
            return
        trainer = self.trainer
        self.at = _Progress(**saved["at"])
        trainer.micro_batch = self.at.micro_batch
        trainer.restore(saved["learning"])
        trainer.optimiser.load_state_dict(saved["optimiser"])
        trainer._scaler.load_state_dict(saved["scaler"])
        self._best = saved["best"]

    def state(self) -> dict[str, Any]:
        trainer = self.trainer
        return {
            "at": asdict(self.at),
            "learning": trainer.copy(),
            "optimiser": trainer.optimiser.state_dict(),
            "scaler": trainer._scaler.state_dict(),
            "best": self._best,
        }

    def patience_is_over(self) -> bool:
        waited = self.at.epoch - self.at.best_epoch
        return self._held_out is not None and waited >= self.trainer.settings.patience

    def epoch(self) -> None:
        settings, trainer = self.trainer.settings, self.trainer
        torch.manual_seed(settings.seed * 1_000_003 + self.at.epoch)  # of dropout
        trainer.network.train()
        freeze_norms(trainer.network.modules())
        total = torch.zeros((), device=trainer.device.kind)
        first = self.at.epoch * self._steps
        for step, (crops, labels) in enumerate(self._batches()):
            self._token.check()
            lr = trainer.lr_at(first + step, settings.epochs * self._steps)
            total += trainer.step(crops, labels, lr)
            if self._on_step is not None:
                self._on_step(first + step + 1, self.at.losses[-1][0])
        self.at.epoch += 1
        self._measure(float(total) / self._steps)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The epoch's batches in order; beside a GPU they are made ahead on other threads."""
        if self.trainer.device.kind == "cpu":
            for step in range(self._steps):
                yield self._sampler(self.at.epoch, step)
            return
        ahead: list[Future[tuple[torch.Tensor, torch.Tensor]]] = []
        with ThreadPoolExecutor(8) as pool:
            for step in range(self._steps + 16):
                if step < self._steps:
                    ahead.append(pool.submit(self._sampler, self.at.epoch, step))
                if step >= 16:
                    yield ahead[step - 16].result()

    def _measure(self, training_loss: float) -> None:
        """Note the losses after an epoch, and keep a copy of what is best."""
        at, trainer = self.at, self.trainer
        at.micro_batch = trainer.micro_batch
        if self._held_out is None:
            at.losses.append((training_loss, math.nan))
            at.best_epoch, self._best = at.epoch, {}
            return
        loss = trainer.held_out_loss(self._held_out)
        at.losses.append((training_loss, loss))
        if loss < at.best_loss:
            at.best_epoch, at.best_loss = at.epoch, loss
            self._best = trainer.copy()

    def end(self) -> Trained:
        if self._best:
            self.trainer.restore(self._best)
        self.trainer.network.eval()
        at = self.at
        return Trained(
            at.best_epoch,
            at.best_loss if math.isfinite(at.best_loss) else math.nan,
            tuple((a, b) for a, b in at.losses),
            self.trainer.micro_batch,
            tuple(self.trainer.warnings),
        )


def logits_of(
    network: nn.Module, crops: NDArray[np.uint8], device: Device, batch: int = 64
) -> NDArray[np.float32]:
    """Logits (N,) of crops (N, s, s, 3) uint8; the network is in eval mode afterwards."""
    network.eval()
    parts = []
    start = 0
    while start < len(crops):
        x = torch.from_numpy(np.ascontiguousarray(crops[start : start + batch]))
        try:
            with torch.inference_mode():
                x = x.to(device.kind).permute(0, 3, 1, 2).float() / 255
                on_gpu = device.kind == "cuda"
                with device.autocast() if on_gpu else nullcontext():
                    out: torch.Tensor = network(x)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise DeviceError(
                    "There is not enough memory to judge one crop.", "Close other programs."
                ) from error
            batch = batch // 2
            continue
        parts.append(out.float().cpu().numpy())
        start += len(x)
    return np.concatenate(parts) if parts else np.empty(0, np.float32)

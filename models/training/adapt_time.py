"""What an optimiser step of an adapting takes beside a minimal loop of the same network."""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from models.adapters import freeze_norms
from models.device import Device
from models.training.adapt import AdaptSettings, Trainer


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of the fastest step: ours, and a minimal loop's on the same network and batch.

    The fastest, because whatever else a machine does only makes a step slower.
    """

    ours_s: float
    minimal_s: float

    @property
    def ratio(self) -> float:
        """Ours over the minimal loop's."""
        return self.ours_s / self.minimal_s


def measure(
    network: nn.Module,
    settings: AdaptSettings,
    device: Device,
    *,
    input_px: int,
    steps: int = 12,
) -> StepTimes:
    """Time our step against zero_grad, forward, loss, backward, step of the same network.

    Steps of both take turns, so that a busy machine strikes both alike.

    Args:
        network: from `models.adapters.prepare`; it learns noise.
        settings: the batch and micro-batch count.
        device: where it runs.
        input_px: side of the crops.
        steps: timed of each.
    """
    trainer = Trainer(network, settings, device)
    network.train()
    freeze_norms(network.modules())
    generator = torch.Generator().manual_seed(settings.seed)
    crops = torch.rand(settings.batch, 3, input_px, input_px, generator=generator)
    crops = crops.to(device.kind, memory_format=torch.channels_last)
    labels = (torch.arange(settings.batch) % 2).float().to(device.kind)
    plain = torch.optim.AdamW(trainer.learning.values(), lr=settings.lr)

    def minimal() -> None:
        plain.zero_grad()
        with trainer.autocast():
            loss = functional.binary_cross_entropy_with_logits(network(crops).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        plain.step()

    def ours() -> None:
        trainer.step(crops, labels, settings.lr)

    taken: dict[str, list[float]] = {"ours": [], "minimal": []}
    for turn in range(steps + 2):
        for name, step in (("ours", ours), ("minimal", minimal)):
            started = time.perf_counter()
            step()
            if device.kind == "cuda":
                torch.cuda.synchronize()
            if turn >= 2:  # the first ones warm up
                taken[name].append(time.perf_counter() - started)
    return StepTimes(min(taken["ours"]), min(taken["minimal"]))

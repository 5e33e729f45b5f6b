"""`mitoscope benchmark adapt-speed`: what adapting costs beside the bare work, in one run."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from app.benchmarks.report import alternate, timed
from models import adapters
from models.crop_net import CropNet
from models.device import Device
from models.embeddings import Embedder
from models.registry import Backbone, backbone
from models.training.adapt import AdaptSettings, Trainer, default_lr
from models.training.adapt_probe import fit_probe
from models.training.adapt_time import measure as measure_step
from models.training.classifier_training import CROP_PX

PROBE_CELLS, PROBE_SLIDES = 5000, 100
EMBEDDED_CROPS = 256
BATCH = 32
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class AdaptSpeed:
    """Times and memory of adapting one backbone.

    Attributes:
        probe_s: fitting a probe on 5,000 embeddings that are there, its L2 chosen on the way.
        embed_crops_per_s, bare_crops_per_s: with everything around the forward pass, and without.
        embed_ratio: the first over the second.
        lora_step_s, minimal_step_s: of 32 crops, ours and a minimal loop's on the same network.
        step_ratio: the first over the second.
        lora_mib, full_mib: most memory that training adds: of the GPU, or of the process.
    """

    backbone: str
    device: str
    precision: str
    threads: int
    probe_s: float
    embed_crops_per_s: float
    bare_crops_per_s: float
    embed_ratio: float
    lora_step_s: float
    minimal_step_s: float
    step_ratio: float
    lora_mib: float
    full_mib: float
    memory_ratio: float


def measure_adapt_speed(backbone_id: str, device: Device, *, repeats: int) -> AdaptSpeed:
    """Measure one backbone; weights do not matter for time, so random ones will do."""
    entry = backbone(backbone_id)
    embed, bare = _embedding(entry, device, repeats)
    network = adapters.prepare(CropNet(entry, random=True), "lora", entry.targets("all"))
    settings = AdaptSettings(lr=default_lr(entry, "lora"), batch=BATCH)
    step = measure_step(network, settings, device, input_px=entry.input_px)
    lora_mib, full_mib = (_memory_mib(entry, mode, device) for mode in ("lora", "full"))
    return AdaptSpeed(
        entry.id,
        device.kind,
        device.precision,
        torch.get_num_threads(),
        round(_probe_s(entry.dim, repeats), 3),
        round(embed, 1),
        round(bare, 1),
        round(embed / bare, 3),
        round(step.ours_s, 4),
        round(step.minimal_s, 4),
        round(step.ratio, 3),
        round(lora_mib, 1),
        round(full_mib, 1),
        round(lora_mib / full_mib, 3),
    )


def _probe_s(dim: int, repeats: int) -> float:
    """Median seconds on made-up embeddings of two classes that overlap."""
    rng = np.random.default_rng(0)
    positive = rng.random(PROBE_CELLS) < 0.3
    direction = rng.normal(size=dim) / np.sqrt(dim)
    embeddings = rng.normal(size=(PROBE_CELLS, dim)) + 2 * positive[:, None] * direction
    slide = rng.integers(0, PROBE_SLIDES, PROBE_CELLS).astype(str)
    values = embeddings.astype(np.float32)
    return median(timed(lambda: fit_probe(values, positive, slide)).wall_s for _ in range(repeats))


def _embedding(entry: Backbone, device: Device, repeats: int) -> tuple[float, float]:
    """Crops a second: as adapting embeds them (uint8 crops, resizing), and the bare forward pass.

    Both go through the same network in the same batches and precision; the bare pass gets images
    that are already resized, normalised and on the device.
    """
    network = CropNet(entry, random=True)
    embedder = Embedder(network, entry, device)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (EMBEDDED_CROPS, CROP_PX, CROP_PX, 3)).astype(np.uint8)
    batch = embedder.runner.batch_size
    side = entry.input_px
    images = torch.rand(batch, 3, side, side).to(device.kind, memory_format=torch.channels_last)
    n_batches = -(-EMBEDDED_CROPS // batch)

    def bare() -> None:
        with torch.inference_mode(), device.autocast():
            for _ in range(n_batches):
                network.backbone(images).float().cpu()

    taken = alternate(
        {"embed": lambda: timed(lambda: embedder(crops)), "bare": lambda: timed(bare)},
        repeats + 1,
    )
    return EMBEDDED_CROPS / taken["embed"].wall_s, n_batches * batch / taken["bare"].wall_s


def train_some(entry: Backbone, mode: str, device: Device, batch: int, steps: int = 3) -> None:
    """A few steps of a mode on noise."""
    targets = entry.targets("all") if mode == "lora" else ""
    network = adapters.prepare(CropNet(entry, random=True), mode, targets)
    settings = AdaptSettings(lr=default_lr(entry, mode), batch=batch)
    trainer = Trainer(network, settings, device)
    network.train()
    adapters.freeze_norms(network.modules())
    crops = torch.rand(batch, 3, entry.input_px, entry.input_px)
    labels = (torch.arange(batch) % 2).float()
    for _ in range(steps):
        trainer.step(crops.contiguous(memory_format=torch.channels_last), labels, settings.lr)


def peak_mib() -> float:
    """Most memory that this process has held so far.

    Linux hands the parent's ru_maxrss on to a child (getrusage(2) counts from before exec), so the
    kernel's own mark of this process is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return float(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / 2**10
    import resource  # not on Windows

    scale = _MIB if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _memory_mib(entry: Backbone, mode: str, device: Device) -> float:
    """Most memory that training takes: the GPU's, or what a process of its own grows by."""
    if device.kind == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        train_some(entry, mode, device, BATCH)
        return float(torch.cuda.max_memory_allocated() - before) / _MIB
    code = (
        "from app.benchmarks.adapt_speed import peak_mib, train_some;"
        "from models.device import pick_device; from models.registry import backbone;"
        f"entry = backbone({entry.id!r}); before = peak_mib();"
        f"train_some(entry, {mode!r}, pick_device('cpu'), {BATCH}); print(peak_mib() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return float(done.stdout.split()[-1])

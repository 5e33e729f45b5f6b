"""Where networks run: device, precision, threads, and what happens when memory runs out."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import DeviceError
from core.ports import DEVICES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Device:
    """A device and the precision in which networks run on it.

    Attributes:
        kind: `cuda`, `mps` or `cpu`.
        dtype: of the forward pass under autocast; float32 means no autocast.
        why: one sentence for the reader on why this device was chosen.
    """

    kind: str
    dtype: torch.dtype
    why: str

    @property
    def precision(self) -> str:
        """`float32`, `bfloat16` or `float16`."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """The autocast context of this device; does nothing in float32."""
        return torch.autocast(self.kind, dtype=self.dtype, enabled=self.dtype is not torch.float32)


def pick_device(name: str = "auto") -> Device:
    """The device that a reader asked for, or the best one there is.

    Raises:
        DeviceError: the name is unknown, or the device is not there.
    """
    if name not in DEVICES:
        raise DeviceError(f"Unknown device “{name}”.", f"Choose one of {', '.join(DEVICES)}.")
    if name in ("auto", "cuda"):
        reason = why_no_gpu()
        if reason is None:
            dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
            return Device("cuda", dtype, f"GPU {torch.cuda.get_device_name(0)}")
        if name == "cuda":
            raise DeviceError(f"The GPU cannot be used: {reason}.", "Use --device cpu.")
    if name in ("auto", "mps") and torch.backends.mps.is_available():
        return Device("mps", torch.float32, "Apple GPU")
    if name == "mps":
        raise DeviceError("There is no Apple GPU on this machine.", "Use --device cpu.")
    dtype = torch.bfloat16 if _cpu_has_bf16() else torch.float32
    why = "CPU, as asked" if name == "cpu" else f"CPU, because {why_no_gpu()}"
    return Device("cpu", dtype, why)


def why_no_gpu() -> str | None:
    """Why no NVIDIA GPU is used, for the reader, or None when a trial kernel ran on one."""
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            return "this installation's torch was built without CUDA"
        if not _has_nvidia_driver():
            return "no CUDA driver or no GPU was found"
        return f"the GPU's driver is too old for CUDA {torch.version.cuda}, or the GPU is not free"
    try:
        (torch.ones(8, device="cuda") * 2).sum().item()
    except RuntimeError as error:
        return f"{_capability_note()}a trial computation failed ({str(error).splitlines()[0]})"
    return None


def _has_nvidia_driver() -> bool:
    """Whether the system has loaded NVIDIA's driver; where that cannot be told, False."""
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32/nvcuda.dll").exists()
    return Path("/proc/driver/nvidia/version").exists()


def _capability_note() -> str:
    """What is wrong if the GPU is older or newer than what torch was built for, else nothing."""
    major, minor = torch.cuda.get_device_capability(0)
    built = [name.removeprefix("sm_") for name in torch.cuda.get_arch_list() if "sm_" in name]
    # A build for 8.0 also runs on 8.6: the major version decides.
    if not built or any(name[:-1] == str(major) for name in built):
        return ""
    return f"the GPU has compute capability {major}.{minor}, for which torch was not built: "


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX).

    Emulated bfloat16 is slower than float32, so it is used only where the instructions exist.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return False
    flags = cpuinfo.read_text(encoding="utf-8", errors="replace")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def set_threads(n_threads: int | None = None) -> int:
    """Limit torch's CPU threads; by default one thread a core. Returns the number set."""
    n = n_threads or max(
        1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    torch.set_num_threads(n)
    return n


@cache
def keep_freed_memory() -> bool:
    """Let the process keep the memory that a forward pass frees; returns whether it could.

    glibc hands large blocks back to the kernel at once, and the next pass pays for each page anew:
    measured on two cores, the detector's pass took 1.8 times as long. Elsewhere nothing is done.
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    return all(
        mallopt(parameter, value) == 1
        for parameter, value in (
            (m_mmap_max, 0),
            (m_trim_threshold, 2**31 - 1),
            (m_top_pad, 2**28),
        )
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "out of memory" in str(error).lower()


class Runner:
    """Runs one network on uint8 images in batches, and survives a full memory.

    Out of memory halves the batch; a batch of one that still does not fit moves the network to
    the CPU, with a warning. The batch size that worked is kept for the next call.

    Attributes:
        network: an eval-mode module, (B, 3, H, W) float32 in 0..1 → tensor whose first axis is B.
        device: where it runs now.
        batch_size: the largest number of images in one forward pass.
        warnings: what happened on the way, in plain words, for the run record.
    """

    def __init__(self, network: torch.nn.Module, device: Device, batch_size: int) -> None:
        if device.kind == "cpu":
            keep_freed_memory()
        self.device = device
        self.batch_size = batch_size
        self.warnings: list[str] = []
        self.network = network.eval().to(device.kind).to(memory_format=torch.channels_last)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Forward (N, H, W, 3) uint8 sRGB; returns the network's output as (N, …) float32."""
        return self.run(images, self._forward)

    def run(
        self,
        images: NDArray[np.uint8],
        forward: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Apply `forward` to batches of `images`, halving the batch when memory runs out."""
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(images):
            batch = images[start : start + self.batch_size]
            try:
                parts.append(forward(batch))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._back_off()
                continue
            start += len(batch)
        return np.concatenate(parts) if parts else np.empty((0,), np.float32)

    def _forward(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(np.ascontiguousarray(batch))
        x = x.to(self.device.kind, non_blocking=True)
        x = x.permute(0, 3, 1, 2)  # channels_last without a copy
        with torch.inference_mode(), self.device.autocast():
            out: torch.Tensor = self.network(x.float() / 255.0)
        return out.float().cpu().numpy()

    def _back_off(self) -> None:
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        if self.batch_size > 1:
            self.batch_size //= 2
            self._warn(f"Memory is short: going on with {self.batch_size} images at a time.")
        elif self.device.kind != "cpu":
            self._warn("The GPU's memory is too small for one image: going on with the CPU.")
            self.device = pick_device("cpu")
            self.network = self.network.to("cpu")
        else:
            raise DeviceError(
                "There is not enough memory to run the model.", "Close other programs and resume."
            )

    def _warn(self, text: str) -> None:
        log.warning(text)
        self.warnings.append(text)

import numpy as np
import pytest
import torch

from core.errors import DeviceError
from models import device
from models.device import Device, Runner, pick_device

CPU = Device("cpu", torch.float32, "test")


class Greedy(torch.nn.Module):
    """Runs out of memory above `limit` images and counts what it was given."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.seen = limit, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x.mean(dim=(1, 2, 3))


def _images(n):
    return np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def test_a_full_memory_halves_the_batch_and_loses_nothing():
    network = Greedy(3)
    runner = Runner(network, CPU, batch_size=8)
    out = runner(_images(11))
    np.testing.assert_allclose(out, np.arange(11) / 255, atol=1e-6)
    assert network.seen == [8, 4, 2, 2, 2, 2, 2, 1]
    assert runner.batch_size == 2
    assert len(runner.warnings) == 2


def test_no_memory_for_a_single_image_on_the_cpu_is_a_plain_error():
    with pytest.raises(DeviceError, match="not enough memory"):
        Runner(Greedy(0), CPU, batch_size=2)(_images(2))


def test_other_failures_are_not_taken_for_a_full_memory():
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Runner(Broken(), CPU, batch_size=2)(_images(2))


def test_nothing_in_nothing_out():
    assert Runner(Greedy(1), CPU, 2)(np.empty((0, 4, 4, 3), np.uint8)).shape == (0,)


def test_unknown_and_missing_devices_are_plain_errors():
    with pytest.raises(DeviceError, match="Unknown device"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cannot be used"):
            pick_device("cuda")


def test_auto_says_why():
    assert pick_device("auto").why
    assert pick_device("cpu").kind == "cpu"


@pytest.mark.parametrize(
    ("built", "driver", "words"),
    [
        (False, False, "without CUDA"),
        (True, False, "no CUDA driver"),
        (True, True, "driver is too old"),
    ],
)
def test_why_no_gpu_is_used_is_said_in_words(monkeypatch, built, driver, words):
    monkeypatch.setattr(torch.version, "cuda", "13.0" if built else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device, "_has_nvidia_driver", lambda: driver)
    assert words in device.why_no_gpu()
    assert device.why_no_gpu() in device.pick_device("auto").why


def test_a_gpu_that_torch_was_not_built_for_is_named(monkeypatch):
    def refuse(*_args, **_how):
        raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: (3, 5))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90"])
    monkeypatch.setattr(torch, "ones", refuse)
    reason = device.why_no_gpu()
    assert "compute capability 3.5" in reason
    assert "no kernel image" in reason
    assert "more" not in reason

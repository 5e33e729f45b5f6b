"""The adapter's training: the best epoch is kept, gradients are clipped, stops do no harm."""

import math

import numpy as np
import pytest
import torch
from tinynet import ENTRY, TinyBackbone, blob_examples

from core.cancel import Cancelled, CancelToken
from core.errors import DeviceError
from models import adapters
from models.crop_net import CropNet
from models.device import pick_device
from models.training.adapt import AdaptSettings, Trainer, logits_of, train_adapter
from models.training.adapt_time import measure

CPU = pick_device("cpu")
SETTINGS = AdaptSettings(lr=1e-2, epochs=4, epoch_crops=48, batch=16)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr("models.crop_net.build_backbone", lambda e, random=False: TinyBackbone())


def _network(mode="lora"):
    torch.manual_seed(0)
    return adapters.prepare(CropNet(ENTRY), mode, ENTRY.lora_all)


def _learnt(network):
    return {n: p.detach().clone() for n, p in network.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("mode", ["lora", "full", "probe"])
def test_every_mode_learns_and_only_what_it_should(mode):
    cells, network = blob_examples(), _network(mode)
    frozen = {n: p.clone() for n, p in network.named_parameters() if not p.requires_grad}
    norms = {n: b.clone() for n, b in network.named_buffers()}
    settings = AdaptSettings(lr=3e-2, epochs=6, epoch_crops=64, batch=16)
    trained = train_adapter(network, cells, settings, input_px=32)
    assert mode == "probe" or trained.losses[-1][0] < 0.9 * trained.losses[1][0]
    assert all(torch.equal(p, frozen[n]) for n, p in network.named_parameters() if n in frozen)
    assert all(torch.equal(b, norms[n]) for n, b in network.named_buffers())


def test_the_best_epoch_is_kept_as_a_true_copy(monkeypatch):
    losses = iter([0.9, 0.5, 0.7, 0.8, 0.9])
    seen = []

    def held_out_loss(self, examples):
        seen.append(_learnt(self.network))
        return next(losses)

    monkeypatch.setattr(Trainer, "held_out_loss", held_out_loss)
    network, cells = _network(), blob_examples()
    trained = train_adapter(network, cells, SETTINGS, input_px=32, held_out=cells)
    assert trained.best_epoch == 1
    now = _learnt(network)
    assert all(torch.equal(now[name], seen[1][name]) for name in now)
    assert any(not torch.equal(now[name], seen[4][name]) for name in now)


def test_patience_ends_a_training(monkeypatch):
    losses = iter([0.9, 0.5, 0.7, 0.8, 0.9, 0.1])
    monkeypatch.setattr(Trainer, "held_out_loss", lambda *_: next(losses))
    settings = AdaptSettings(lr=1e-2, epochs=30, patience=2, epoch_crops=16, batch=16)
    cells = blob_examples()
    trained = train_adapter(_network(), cells, settings, input_px=32, held_out=cells)
    assert len(trained.losses) == 4
    assert trained.best_epoch == 1


def test_the_gradient_that_reaches_the_optimiser_is_clipped(monkeypatch):
    norms = []
    network = _network("full")
    trainer = Trainer(network, AdaptSettings(lr=1e-2, clip=1e-3), CPU)
    step = trainer.optimiser.step
    monkeypatch.setattr(
        trainer.optimiser,
        "step",
        lambda: (
            norms.append(math.hypot(*(p.grad.norm().item() for p in trainer.learning.values()))),
            step(),
        ),
    )
    trainer.step(torch.rand(8, 3, 32, 32), torch.ones(8), 1e-2)
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_a_full_memory_makes_parts_smaller_and_the_step_stays_the_same(monkeypatch):
    crops, labels = torch.rand(16, 3, 32, 32), (torch.arange(16) % 2).float()
    results = []
    for most in (16, 5):
        network = _network("full").eval()
        forward = network.forward

        def limited(x, forward=forward, most=most):
            if len(x) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(x)

        monkeypatch.setattr(network, "forward", limited)
        trainer = Trainer(network, AdaptSettings(lr=1e-2, batch=16), CPU)
        loss = trainer.step(crops, labels, 1e-2)
        results.append((trainer, float(loss), _learnt(network)))
    (whole, loss, learnt), (parts, loss_parts, learnt_parts) = results
    assert whole.micro_batch == 16
    assert parts.micro_batch == 4
    assert "4 crops" in parts.warnings[-1]
    assert loss_parts == pytest.approx(loss, rel=1e-5)
    for name, value in learnt.items():
        torch.testing.assert_close(learnt_parts[name], value, atol=1e-5, rtol=1e-4)


def test_a_crop_that_does_not_fit_is_said_in_plain_words(monkeypatch):
    network = _network("probe")

    def never(_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(network, "forward", never)
    trainer = Trainer(network, SETTINGS, CPU)
    with pytest.raises(DeviceError, match="not enough memory"):
        trainer.step(torch.rand(4, 3, 32, 32), torch.ones(4), 1e-3)
    with pytest.raises(DeviceError, match="not enough memory"):
        logits_of(network, np.zeros((4, 32, 32, 3), np.uint8), CPU)


@pytest.mark.parametrize("stop_at", [4, 8])
def test_a_stopped_training_goes_on_to_the_same_result(tmp_path, stop_at):
    cells, held = blob_examples(), blob_examples(seed=1)
    whole = _network()
    expected = train_adapter(whole, cells, SETTINGS, input_px=32, held_out=held)

    token, state = CancelToken(), tmp_path / "parts" / "fold-0.state"

    def cancel(done, _loss):
        if done == stop_at:
            token.cancel()

    with pytest.raises(Cancelled):
        train_adapter(
            _network(),
            cells,
            SETTINGS,
            input_px=32,
            held_out=held,
            token=token,
            on_step=cancel,
            state=state,
        )
    assert state.exists()
    again = _network()
    steps = []
    trained = train_adapter(
        again,
        cells,
        SETTINGS,
        input_px=32,
        held_out=held,
        on_step=lambda done, _: steps.append(done),
        state=state,
    )
    assert steps[0] > 1
    assert trained.best_epoch == expected.best_epoch
    np.testing.assert_array_equal(trained.losses, expected.losses)
    np.testing.assert_array_equal(
        logits_of(whole, held.crops(), CPU), logits_of(again, held.crops(), CPU)
    )


@pytest.mark.parametrize("damage", ["cut", "other settings"])
def test_a_state_that_does_not_fit_is_not_gone_on_from(tmp_path, damage):
    cells, state = blob_examples(), tmp_path / "a.state"
    train_adapter(_network(), cells, SETTINGS, input_px=32, state=state)
    settings = SETTINGS
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:2000])
    else:
        settings = AdaptSettings(lr=2e-2, epochs=4, epoch_crops=48, batch=16)
    steps = []
    train_adapter(
        _network(),
        cells,
        settings,
        input_px=32,
        state=state,
        on_step=lambda done, _: steps.append(done),
    )
    assert steps == list(range(1, 13))


def test_the_schedule_does_not_depend_on_where_the_training_ends():
    cells = blob_examples()
    long, short = _network(), _network()
    train_adapter(long, cells, SETTINGS, input_px=32, stop_after=2)
    trained = train_adapter(short, cells, SETTINGS, input_px=32, stop_after=2)
    assert trained.best_epoch == 2
    trainer = Trainer(_network(), SETTINGS, CPU)
    assert trainer.lr_at(0, 40) < trainer.lr_at(2, 40) > trainer.lr_at(39, 40) > 0


def test_the_step_can_be_timed():
    times = measure(_network(), SETTINGS, CPU, input_px=32, steps=2)
    assert times.ours_s > 0
    assert times.ratio == times.ours_s / times.minimal_s

"""What a training does on a GPU, seen without one: where numbers are drawn, precision, what ranks exchange."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import distributed
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.data.load import load_data
from nas.network.builder import build
from nas.network.modules import StochasticDepth
from nas.training import trainer as of_trainer
from nas.training.augment import random_crop, random_erase, random_flip, random_shift
from nas.training.average import MovingAverage
from nas.training.batches import Batches, Ranks
from nas.training.presets import make_recipe
from nas.training.trainer import Trainer, pick_device, pick_precision
from tests.nas.training.test_training import SMALL

GPU, CPU = torch.device("cuda"), torch.device("cpu")


class NothingCrosses(TorchDispatchMode):
    """Fails at an operation on tensors of two devices, a copy from one to the other too.

    In place of a GPU stands torch's device `meta`, whose tensors have no content.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        there = {v.device for v in tree_leaves([args, kwargs or {}, made]) if isinstance(v, torch.Tensor)}
        assert len(there) < 2, func
        return made


@pytest.mark.parametrize(
    "change",
    [
        lambda images, draw: random_crop(images, 9, draw),
        lambda images, draw: random_shift(images, 2, draw),
        random_flip,
        lambda images, draw: random_erase(images, 0.5, draw),
        lambda images, draw: StochasticDepth(0.5).train()(images),
    ],
    ids=["crop", "shift", "flip", "erase", "drop path"],
)
def test_what_is_random_of_images_is_drawn_where_they_are(change):
    images = torch.ones(6, 3, 12, 12, device="meta")
    draw = torch.Generator()  # meta has none of its own, and takes this one
    with NothingCrosses():
        assert change(images, draw).device.type == "meta"


def test_batches_draw_on_their_device(monkeypatch):
    made, generator = [], torch.Generator

    def watched(device="cpu"):
        made.append(torch.device(device).type)
        return generator("cpu")

    monkeypatch.setattr(torch, "Generator", watched)
    recipe = make_recipe("sgd", {"batch": 50, "shift": 0.1, "flip": True, "erase": 0.3})
    steps = Batches(load_data("digits"), recipe, torch.device("meta"), 0).train(0)
    next(steps)  # with it the data go there, and the order of the epoch
    assert made == ["cpu", "meta"]
    with NothingCrosses():
        images, labels = next(steps)
    assert {images.device.type, labels.device.type} == {"meta"}


def test_an_average_moves_without_the_cpu():
    with torch.device("meta"):
        model = build(SMALL)
    average = MovingAverage(model)
    with NothingCrosses():
        average.update(model, 0.9)
        average.update(model, 0.9)
    assert average.n_averaged == 2  # read without waiting for the device
    theirs = AveragedModel(model)
    theirs.update_parameters(model)
    with pytest.raises(AssertionError, match="_to_copy"), NothingCrosses():  # what this sees
        theirs.update_parameters(model)


def test_an_average_is_torchs_and_in_its_form():
    model = build(SMALL, 0)
    ours = MovingAverage(model)
    theirs = AveragedModel(
        model,
        multi_avg_fn=lambda averages, values, _: (
            torch._foreach_lerp_(averages, values, 0.3)
            if averages[0].is_floating_point()
            else torch._foreach_copy_(averages, values)
        ),
        use_buffers=True,
    )
    for _ in range(4):
        model(torch.randn(8, 1, 8, 8))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        ours.update(model, 0.7)
        theirs.update_parameters(model)
    a, b = ours.state_dict(), theirs.state_dict()
    assert list(a) == sorted(b, key=list(a).index)
    assert all(torch.equal(a[name], b[name]) for name in a)
    MovingAverage(model).load_state_dict(b)


@pytest.mark.parametrize(
    ("major", "precision"), [(7, torch.float16), (8, torch.bfloat16), (9, torch.bfloat16)]
)
def test_mixed_precision_is_what_the_hardware_has(major, precision, monkeypatch):
    """A V100 and a T4 (7.0, 7.5) emulate bfloat16: torch says that they have it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(major=major, minor=5)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported()
    assert pick_precision(GPU) is precision
    assert pick_precision(CPU) is None


def test_without_a_gpu():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_half_precision_learns_skips_what_overflows_and_goes_on(monkeypatch):
    monkeypatch.setattr(of_trainer, "pick_precision", lambda device: torch.float16)
    recipe = make_recipe("adamw", {"batch": 50, "epochs": 4, "mixed_precision": True, "augment": "none"})

    def make():
        return Trainer(build(SMALL, 1), Batches(load_data("digits"), recipe, CPU, 0), recipe, 3)

    one = make()
    assert one.scaler.is_enabled()
    rows = [one.run_epoch() for _ in range(2)]
    assert rows[-1]["loss"] < rows[0]["loss"]
    other = make()
    other.load_state_dict(one.state_dict())
    assert other.scaler.get_scale() == one.scaler.get_scale()
    images, labels = next(one.batches.train(0))
    before = [weight.detach().clone() for weight in one.model.parameters()]
    scale, total = one.scaler.get_scale(), torch.zeros(())
    one.step(images * math.inf, labels, 0.1, total)
    assert all(torch.equal(a, b) for a, b in zip(before, one.model.parameters(), strict=True))
    assert one.scaler.get_scale() < scale


def test_ranks_send_buffers_around_once_an_epoch(tmp_path, monkeypatch):
    distributed.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        recipe = make_recipe("sgd", {"batch": 50, "epochs": 1, "ema": 0.9})
        batches = Batches(
            load_data("digits"), recipe, CPU, 0, Ranks(0, 2)
        )  # the other one never answers ours
        trainer = Trainer(build(SMALL, 1), batches, recipe, 3)
        sent = []
        monkeypatch.setattr(distributed, "broadcast", lambda buffer, source: sent.append(buffer))
        assert not trainer._forward.will_sync_module_buffers()
        trainer._agree(torch.zeros(()))
        # the average's counter is the CPU's on every device, where a GPU's group sends nothing
        assert not any(buffer is trainer.ema.n_averaged for buffer in sent)
        assert len(sent) == 2 * len(list(trainer.model.buffers()))
    finally:
        distributed.destroy_process_group()

"""Training on a GPU: recorded steps are the steps, a checkpoint goes on, memory is bounded. Skipped without one."""

import io
import subprocess
import sys

import pytest
import torch

from nas.data.load import load_data
from nas.network.builder import build
from nas.training.batches import Batches
from nas.training.gpu_memory import training_bytes, trial_bytes
from nas.training.gpu_share import forget_memory
from nas.training.graphed import GraphedStep
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from nas.training.trainer import Trainer, pick_device
from search_spaces import reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]
PLAIN = {"mixed_precision": False, "dropout": 0, "stochastic_depth": 0}


def trainer(recipe="adamw", seed=0, **changes):
    recipe = make_recipe(recipe, {"epochs": 6, "batch": 50, "augment": "none", **changes})
    spec = recipe.adapt(ProxyTask(16, 0.25, 1).apply(reference("efficientnet-b0"), 10, 1))
    data = load_data("digits").at(16)
    return Trainer(build(spec, seed), Batches(data, recipe, pick_device()), recipe, seed)


def weights(one):
    return torch.cat([p.detach().flatten() for p in one.model.parameters()]).cpu()


def steps(one, sizes, rates):
    total = torch.zeros((), device=one.device)
    one.model.train()
    generator = torch.Generator().manual_seed(3)
    for size, rate in zip(sizes, rates, strict=True):
        images = torch.randn(size, 1, 16, 16, generator=generator).to(one.device)
        labels = torch.randint(10, (size,), generator=generator).to(one.device)
        one.step(images, labels, rate, total)
    return weights(one), float(total)


@pytest.fixture
def exact(monkeypatch):
    """No kernel chosen by its time, no TF32: what differs is the recording."""
    pick_device()
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("recipe", ["sgd", "efficientnet", "adamw"])
def test_recorded_steps_are_the_steps(recipe, exact):
    """With changing rates, and a batch of another shape among them."""
    sizes, rates = [20] * 6 + [13] + [20] * 4, [0.001 * (1 + i % 4) for i in range(11)]
    recorded, plain = trainer(recipe, **PLAIN), trainer(recipe, **PLAIN)
    assert isinstance(recorded._graphed, GraphedStep)
    plain._graphed = None
    a, loss_a = steps(recorded, sizes, rates)
    assert recorded._graphed._graph is not None
    b, loss_b = steps(plain, sizes, rates)
    other = trainer(recipe, **PLAIN)
    other._graphed = None
    c, _ = steps(other, sizes, [*rates[:-1], rates[-1] * 1.5])  # what the comparison must see
    gap, seen = (a - b).abs().max(), (c - b).abs().max()
    assert gap < seen / 10, (float(gap), float(seen))
    assert loss_a == pytest.approx(loss_b, rel=1e-3)


@pytest.mark.parametrize("recipe", ["adamw", "sgd"])
def test_a_network_learns_and_a_checkpoint_goes_on(recipe):
    changes = {"lr": 0.05, "ema": 0.9, "shift": 0, "flip": False} if recipe == "sgd" else {}
    one = trainer(recipe, **changes)
    for _ in range(3):
        one.run_epoch()
    content = io.BytesIO()
    torch.save(one.state_dict(), content)
    content.seek(0)
    state = torch.load(content, weights_only=False)
    accuracy = [one.run_epoch()["accuracy"] for _ in range(3)][-1]
    other = trainer(recipe, **changes)
    other.load_state_dict(state)
    again = [other.run_epoch()["accuracy"] for _ in range(3)][-1]
    least = 0.5 if recipe == "adamw" else 0.2  # chance is .1
    assert accuracy > least
    assert again > least
    assert abs(accuracy - again) < 0.1  # kernels add in any order


def test_a_step_that_waits_for_the_device_is_trained_unrecorded(capsys, exact):
    """As it would be step by step, dropout too; the networks after it are recorded again."""
    one, plain = trainer(**PLAIN), trainer(**PLAIN)
    loss_of = one._loss
    one._graphed = GraphedStep(lambda *batch: loss_of(*batch) * float(loss_of(*batch) > -1), one.optimizer)
    plain._graphed = None
    sizes, rates = [20] * 7, [0.001] * 7
    a, loss_a = steps(one, sizes, rates)
    assert one._graphed._graph is None
    assert "not recorded as a CUDA graph" in capsys.readouterr().err
    _, loss_b = steps(plain, sizes, rates)
    assert torch.isfinite(a).all()
    assert loss_a == pytest.approx(loss_b, rel=0.05)  # BN saw each batch twice
    after = trainer(dropout=0.2)
    steps(after, sizes, rates)
    assert after._graphed._graph is not None


def test_a_process_takes_no_more_than_its_part_and_gives_it_back():
    """In a process of its own: the bound stays."""
    code = """
import torch
from nas.training.gpu_share import cap_memory, forget_memory, memory_left, memory_of_others
total = torch.cuda.get_device_properties(0).total_memory
cap_memory(0.1)
left = memory_left(torch.device("cuda"))
assert 0.04 * total < left <= 0.1 * total, (left, total)
held = torch.empty(left // 2, dtype=torch.uint8, device="cuda")
assert memory_left(torch.device("cuda")) < 0.6 * left
try:
    torch.empty(left, dtype=torch.uint8, device="cuda")
except torch.cuda.OutOfMemoryError:
    pass
else:
    raise AssertionError("took more than its part")
del held
forget_memory()
assert memory_left(torch.device("cuda")) > 0.9 * left
assert memory_of_others() < total
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("width", [0.25, 1.0])
def test_a_training_stays_within_the_estimate(width):
    """The estimate that decides how many trials share a GPU, of an epoch with its evaluation."""
    recipe = make_recipe("adamw", {"epochs": 6, "batch": 128})
    spec = recipe.adapt(ProxyTask(64, width, 2).apply(reference("efficientnet-b0"), 10, 1))
    batches = Batches(load_data("digits").at(64), recipe, pick_device())
    forget_memory()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_reserved()
    one = Trainer(build(spec, 0), batches, recipe)
    one.run_epoch()
    one.run_epoch()
    assert torch.cuda.max_memory_reserved() - before < trial_bytes(training_bytes(spec, 128))

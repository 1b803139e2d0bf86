"""Our optimizers are torch.optim's, to the bit, and take up its state."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import nn

from nas.training.fused import SGD, AdamW

KINDS = {
    "sgd": (
        lambda groups: SGD(groups, 0.1, momentum=0.9),
        lambda groups: torch.optim.SGD(groups, 0.1, momentum=0.9, nesterov=True, fused=True),
    ),
    "sgd without momentum": (
        lambda groups: SGD(groups, 0.1, momentum=0.0),
        lambda groups: torch.optim.SGD(groups, 0.1, fused=True),
    ),
    "adamw": (
        lambda groups: AdamW(groups, 0.01, betas=(0.8, 0.999)),
        lambda groups: torch.optim.AdamW(groups, 0.01, betas=(0.8, 0.999), fused=True),
    ),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3))


def groups(model):
    weights = list(model.parameters())
    return [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0},
    ]


def train(model, optimizer, seeds):
    for seed in seeds:
        images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        loss = model(images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (1 + seed)
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_torchs(kind):
    ours, theirs = KINDS[kind]
    first, second = network(), network()
    a = train(first, ours(groups(first)), range(6))
    b = train(second, theirs(groups(second)), range(6))
    assert torch.equal(a, b)
    third = network()
    c = train(third, theirs(groups(third)), range(5))  # the comparison sees a single step
    assert not torch.equal(a, c)


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_state_is_taken_up(kind):
    """A checkpoint with torch's optimizer is continued as if it went on."""
    ours, theirs = KINDS[kind]
    model = network()
    optimizer = theirs(groups(model))
    train(model, optimizer, range(3))
    other = deepcopy(model)
    following = ours(groups(other))
    following.load_state_dict(deepcopy(optimizer.state_dict()))
    fresh = deepcopy(model)
    a, b = train(model, optimizer, range(3, 6)), train(other, following, range(3, 6))
    assert torch.equal(a, b)
    if kind != "sgd without momentum":  # whose state is empty
        assert not torch.equal(a, train(fresh, ours(groups(fresh)), range(3, 6)))


def test_a_state_of_other_groups_is_refused():
    model = network()
    optimizer = SGD(groups(model), 0.1)
    state = SGD([{"params": list(model.parameters())}], 0.1).state_dict()
    with pytest.raises(ValueError, match="other groups"):
        optimizer.load_state_dict(state)


def test_training_loads_neither_torchs_compiler_nor_torchvision():
    """They take as long to load as torch, in every worker of a search."""
    code = """
import sys, torch
from nas.data.load import load_data
from nas.network.builder import build
from nas.training.batches import Batches
from nas.training.presets import PRESETS, make_recipe
from nas.training.proxy import ProxyTask
from nas.training.trainer import Trainer
from search_spaces import reference
data = load_data("digits").subset(0.2)
spec = ProxyTask(8, 0.1, 1).apply(reference("mobilenet-v2"), 10, 1)
for name in PRESETS:
    recipe = make_recipe(name, {"epochs": 1, "augment": "none", "mixup": 0, "cutmix": 0})
    Trainer(build(spec, 0), Batches(data, recipe, torch.device("cpu")), recipe).run_epoch()
print([name for name in ("torch._dynamo", "torchvision") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

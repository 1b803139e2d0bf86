"""The memory that a forward pass takes, counted allocation by allocation, against the estimate that bounds it."""

import numpy as np
import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker

from nas.export.probe import give_sight
from nas.network import cost, resolve_spec
from nas.network.at_once import FORWARD_MEMORY, forward_memory, images_at_once
from nas.network.builder import Network, build
from search_spaces import get_space, reference

SPACE = get_space("mnasnet")


def activations(spec, resolution, batch):
    """The most bytes of activations at once, images included, of a real forward pass on tensors without data."""
    with torch.device("meta"):
        model = Network(spec).eval()
        images = torch.empty(batch, spec.in_channels, resolution, resolution)
    model = model.to(memory_format=torch.channels_last)
    tracker = MemTracker()
    tracker.track_external(model)
    with torch.no_grad(), tracker:
        model(images.to(memory_format=torch.channels_last))
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    return peak["Total"] - 4 * cost(spec).params


@pytest.mark.parametrize(
    "spec",
    [
        *map(reference, ("efficientnet-b0", "mobilenet-v1", "resnet50")),
        SPACE.decode(SPACE.sample(np.random.default_rng(0))),
    ],
    ids=lambda spec: spec.name,
)
def test_the_estimate_covers_what_a_forward_pass_takes(spec):
    taken = activations(spec, 96, 4)
    assert 0.5 * 4 * forward_memory(spec, 96) < taken < 4 * forward_memory(spec, 96)


@pytest.mark.parametrize(
    ("name", "resolution", "images"),
    [
        ("efficientnet-b0", 224, 71),
        ("efficientnet-b7", 600, 4),
        ("resnet50", 4000, 1),
        ("mnasnet-a1", 32, 500),
    ],
)
def test_images_at_once(name, resolution, images):
    spec = resolve_spec(name)
    assert images_at_once(spec, resolution) == images
    assert images == 1 or images * forward_memory(spec, resolution) <= FORWARD_MEMORY


def test_a_probe_takes_fewer_images_of_a_large_network(monkeypatch):
    seen = []
    model = build(reference("mobilenet-v1"), seed=0)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr("nas.network.at_once.FORWARD_MEMORY", 4 * forward_memory(model.spec, 64))
    give_sight(model, 3, sizes=((64, 64), (33, 64)))
    assert set(seen) == {4}

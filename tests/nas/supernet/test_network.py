"""A path through a supernet is the network cut out of it, and a part of the larger ones."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.export.probe import gap, images
from nas.supernet.network import Supernet
from nas.supernet.roles import family_of, roles_of
from nas.supernet.shared import SharedConv, SharedGate
from nas.training.proxy import ProxyTask
from search_spaces import SPACES, StagedSpace, get_space
from search_spaces.layers import Conv

STAGES = {
    "ops": [
        {"op": ["mbconv3", "mbconv6", "fused4", "bottleneck0.5"], "channels": [8, 16], "kernel": [3, 5],
         "se_ratio": [0, 0.25], "skip": ["none", "identity", "pooling"], "repeats": [1, 2, 3], "stride": 2},
        {"op": ["conv", "ds", "dsa", "basic"], "channels": [16, 24], "kernel": [1, 3, 7],
         "skip": ["projection", "pooling"], "repeats": [0, 1, 2]},
    ],
    "blocks": [
        {"channels": [16, 24], "stride": 2, "repeats": [1, 2, 3], "activation": ["", "relu"],
         "blocks": [{"op": ["uib2", "uib4"], "start_kernel": [0, 3, 5], "kernel": [3, 5]},
                    {"op": ["uib2", "uib4"], "start_kernel": [0, 3], "kernel": [0, 3]}]},
        {"op": ["mbconv3"], "channels": [24, 40], "se_ratio": [0.25], "gate": ["sigmoid", "hard_sigmoid"]},
    ],
    "ends": [{"op": ["mbconv3", "ds"], "channels": [16, 24], "stride": 2, "repeats": [1, 2]}],
}  # fmt: skip
MORE = {
    "ends": {
        "stem_channels": [16, 24],
        "head_channels": [32, 64],
        "network": {"pooled_channels": 40, "activation": "hard_swish", "stem": {"pool": True}},
    }
}


def own_space(name):
    document = {"schema": 1, "space": name, "stages": STAGES[name], **MORE.get(name, {})}
    return StagedSpace.from_document(document)


def supernet_of(space, seed=0, transforms=True, width=0.1):
    """With weights that are far from their first values, at a proxy's size."""
    proxy = ProxyTask(32, width)
    net = Supernet(space, lambda spec: proxy.apply(spec, 10, 2), transforms, seed)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            std = {"bias": 0.5, "weight": 0.3}.get(name.rpartition(".")[2], 0.1)
            if tensor.ndim < 2 or "transforms" in name:
                tensor += torch.randn(tensor.shape, generator=draw) * std
    return net


def look(net, architecture, given):
    """Take BN's statistics of a path from images, as they are for that network."""
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.train()(given, net.path(architecture), drops=False)
    net.eval()


def difference(net, architecture, seed=0):
    """How far path and cut-out are apart, relative to the outputs' spread; raises where that is blind."""
    given = images(2, (32, 40), 4, seed)
    look(net, architecture, given)
    with torch.no_grad():
        found = net.cut_out(architecture).eval()(given)
        return gap(net(given, net.path(architecture)), found)


def drawn(space, count, seed=0):
    rng = np.random.default_rng(seed)
    first = space.canonical(type(space.sample(rng))(0 for _ in space.decisions))
    return [first, *(space.sample(rng) for _ in range(count - 1))]


@pytest.mark.parametrize("name", [*SPACES, *STAGES])
def test_a_path_is_what_is_cut_out(name):
    space = own_space(name) if name in STAGES else get_space(name)
    net = supernet_of(space)
    for architecture in drawn(space, 1 if name in SPACES else 6):
        assert difference(net, architecture) < 1e-5
        spec = net.path(architecture).spec
        assert net.cut_out(architecture).spec == spec
        assert spec.blocks() == ProxyTask(32, 0.1).apply(space.decode(architecture), 10, 2).blocks()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SPACES, *STAGES])
def test_a_hundred_paths_are_what_is_cut_out(name):
    space = own_space(name) if name in STAGES else get_space(name)
    net = supernet_of(space, 1)
    for seed, architecture in enumerate(drawn(space, 100, 1)):
        assert difference(net, architecture, seed) < 1e-5


def other_padding(patch):
    def forward(self, x, layer):
        edge = layer.kernel // 2
        if layer.stride > 1 or not edge:
            return kept(self, x, layer)
        return kept(self, F.pad(x, [edge] * 4, mode="replicate"), layer)[..., edge:-edge, edge:-edge]

    kept = SharedConv.forward
    patch.setattr(SharedConv, "forward", forward)


def no_gate(patch):
    patch.setattr(SharedGate, "forward", lambda self, x, layer, activation: x)


def statistics_of_others(patch):
    def tensors(self, layer):
        found = kept(self, layer)
        if "1.running_var" in found:
            found["1.running_var"] = found["1.running_var"].flip(0)
        return found

    kept = SharedConv.tensors
    patch.setattr(SharedConv, "tensors", tensors)


def whole_kernel_untransformed(patch):
    def tensors(self, layer):
        edge = (self.conv.kernel_size[0] - layer.kernel) // 2
        weight = self.conv.weight[: layer.out_channels, : layer.in_channels // layer.groups]
        size = slice(edge, edge + layer.kernel)
        return kept(self, layer) | {"0.weight": weight[..., size, size]}

    kept = SharedConv.tensors
    patch.setattr(SharedConv, "tensors", tensors)


def no_activation(patch):
    def roles(block):
        for role, layer in roles_of(block):
            yield role, layer._replace(activation=False) if isinstance(layer, Conv) else layer

    patch.setattr("nas.supernet.network.roles_of", roles)


FAULTS = [other_padding, no_gate, statistics_of_others, whole_kernel_untransformed, no_activation]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault, monkeypatch):
    space = own_space("ops")
    net = supernet_of(space, width=0.5)
    found = drawn(space, 8)
    assert max(difference(net, architecture) for architecture in found) < 1e-5
    fault(monkeypatch)
    assert max(difference(net, architecture) for architecture in found) > 1e-3


def elastic(op, field, values, **more):
    """A space of two stages whose only choice is a field of the second."""
    stage = {"op": [op], "channels": [16], "kernel": [3], "repeats": [1], **more, field: values}
    stages = [{"op": ["ds"], "channels": [16], "stride": 2}, stage]
    return StagedSpace.from_document({"schema": 1, "space": "elastic", "stages": stages})


def narrowed(net, space, architecture):
    """Zeros where a smaller network has nothing: behind its last channels, around its kernels."""
    names = {"0.weight": "conv.weight", "1.weight": "norm.weight", "1.bias": "norm.bias"}
    blocks = space.decode(architecture).blocks()
    for place, block in zip(net.path(architecture).places, blocks, strict=True):
        for role, layer in roles_of(block):
            shared = net._shared(place, family_of(block))[role]
            own = dict(shared.named_parameters())
            for name, part in shared.tensors(layer).items():
                if name.startswith("1.running"):
                    continue
                whole, kept = own[names.get(name, name)], part.clone()
                whole.zero_()
                edges = [(a - b) // 2 for a, b in zip(whole.shape[2:], kept.shape[2:], strict=True)]
                starts = [*[0] * min(2, kept.ndim), *edges]
                place_in = zip(starts, kept.shape, strict=True)
                whole[tuple(slice(start, start + size) for start, size in place_in)] = kept


@pytest.mark.parametrize(
    ("op", "field", "values"),
    [
        ("mbconv3", "kernel", [3, 5]),
        ("mbconv3", "channels", [24, 32]),
        ("mbconv3", "op", ["mbconv3", "mbconv6"]),
        ("bottleneck0.5", "kernel", [3, 7]),
        ("fused2", "op", ["fused2", "fused4"]),
        ("mbconv3", "se_ratio", [0.125, 0.25]),
    ],
)
def test_a_smaller_network_is_a_part_of_the_larger_one(op, field, values):
    """The larger one with zeros around the smaller one's weights computes the same."""
    more = {"se_ratio": [0.25]} if field != "se_ratio" else {}
    space = elastic(op, field, values, **more)
    net = supernet_of(space, transforms=False, width=1)
    small, large = space.enumerate()
    given = images(2, (32, 40), 4)
    look(net, small, given)
    with torch.no_grad():
        expected = net(given, net.path(small))
        assert gap(expected, net(given, net.path(large))) > 1e-3
        narrowed(net, space, small)
        assert gap(expected, net(given, net.path(large))) < 1e-5


def test_a_shallower_network_has_the_first_blocks():
    space = elastic("mbconv3", "repeats", [1, 2])
    net = supernet_of(space, width=1)
    shallow, deep = space.enumerate()
    names = [name for name, _ in net.cut_out(shallow).named_parameters() if "stages" in name]
    ours, theirs = net.cut_out(shallow).state_dict(), net.cut_out(deep).state_dict()
    assert names
    assert all(torch.equal(ours[name], theirs[name]) for name in names)


def test_ops_that_are_different_have_weights_of_their_own():
    space = elastic("ds", "op", ["ds", "mbconv3", "mbconv6", "conv"])
    net = supernet_of(space)
    assert set(net.blocks["slot1_block0"]) == {"ds", "mbconv", "conv"}
    space = elastic("uib2", "op", ["uib2", "uib4"], start_kernel=[0, 3], kernel=[0, 3])
    net = supernet_of(space)
    assert set(net.blocks["slot1_block0"]) == {"mbconv"}
    roles = {"depthwise0", "dense0", "depthwise1", "dense1"}
    assert set(net.blocks["slot1_block0"]["mbconv"]) == roles


def test_the_same_seed_gives_the_same_weights_and_nothing_is_drawn_from_torch():
    space = elastic("mbconv3", "kernel", [3, 5])
    before = torch.random.get_rng_state()
    one, two, other = (Supernet(space, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)

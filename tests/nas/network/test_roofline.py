"""The roofline: its layers are those of the module, its numbers follow by hand, tables give the same."""

import numpy as np
import pytest
import torch
from torch import nn

from nas.network import COSTS, CostTable, analytic_cost, cost
from nas.network.analytic import RIDGE, is_analytic, ridge_of, roofline_name
from nas.network.blocks import PoolingSkip
from nas.network.builder import build
from nas.network.roofline import LayerWork, block_work, network_work, roofline
from search_spaces import REFERENCES, SPACES, InputError, get_space, reference
from search_spaces.block import BlockSpec


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_its_macs_are_the_networks_part_by_part(name):
    spec = reference(name)
    counted = cost(spec)
    works = network_work(spec)
    assert [sum(work.macs for work in part) for part in works] == [part.macs for part in counted.stages]
    assert analytic_cost(spec, "roofline_0") == counted.macs


@pytest.mark.parametrize(
    "name", ["efficientnet-b0", "mnasnet-a1", "mobilenet-v1", "resnet50", "mobilenetv3-large"]
)
def test_bytes_are_those_of_the_modules_layers(name):
    """Input, weights and output of every convolution, pooling and classifier that runs, as hooks see them."""
    spec = reference(name).replace(resolution=50)
    seen = []

    def hook(module, inputs, output):
        weights = module.weight.numel() + output.shape[1] if hasattr(module, "weight") else 0
        seen.append(4 * (inputs[0].numel() + weights + output.numel()))

    model = build(spec).eval()
    kinds = (nn.Conv2d, nn.Linear, nn.AdaptiveAvgPool2d, nn.MaxPool2d, PoolingSkip)
    for module in model.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(hook)
    with torch.no_grad():
        model(torch.zeros(1, 3, 50, 50))
    found = [work.moved for part in network_work(spec) for work in part if work.kind not in ("scale", "add")]
    assert sorted(found) == sorted(seen)


def test_a_block_by_hand():
    block = BlockSpec("mbconv", 8, 8, 3, 1, 4, 0.25, "identity")
    size, works = block_work(block, 10)
    assert size == 10
    assert works == (
        LayerWork("conv", 8 * 32 * 100, 4 * (800 + 8 * 32 + 32 + 3200)),
        LayerWork("depthwise", 9 * 32 * 100, 4 * (3200 + 9 * 32 + 32 + 3200)),
        LayerWork("pool", 0, 4 * (3200 + 32)),
        LayerWork("linear", 64, 4 * (32 + 64 + 2 * 2)),
        LayerWork("linear", 64, 4 * (2 + 64 + 2 * 32)),
        LayerWork("scale", 0, 4 * (3200 + 32 + 3200)),
        LayerWork("conv", 32 * 8 * 100, 4 * (3200 + 32 * 8 + 8 + 800)),
        LayerWork("add", 0, 4 * 3 * 800),
    )


def test_a_layer_takes_the_longer_of_the_two():
    works = [LayerWork("conv", 100, 10), LayerWork("depthwise", 30, 10)]
    assert [roofline(works, ridge) for ridge in (0, 2, 5, 20)] == [130, 130, 150, 400]


def test_it_grows_with_the_ridge_and_ends_as_bytes(random_specs):
    for spec in random_specs("mnasnet", 5):
        values = [analytic_cost(spec, f"roofline_{ridge}") for ridge in (0, 1, 5, 20, 100, 500, 1000000)]
        assert values == sorted(values)
        moved = sum(work.moved for part in network_work(spec) for work in part)
        assert values[-1] == 1000000 * moved


@pytest.mark.parametrize("name", sorted(SPACES))
def test_tables_give_the_same(name):
    space = get_space(name)
    rng = np.random.default_rng(3)
    rows = [space.sample(rng) for _ in range(60)]
    table = CostTable(space)
    names = ["roofline", "roofline_0.5", "roofline_500", "macs"]
    for found in (table.values(rows, names), table.values(rows, names[1:])):
        for column, values in found.items():
            assert values.tolist() == [analytic_cost(space.decode(row), column) for row in rows], column


def test_names():
    assert ridge_of("roofline") == RIDGE
    assert ridge_of("roofline_0.5") == 0.5
    assert roofline_name(20.0) == "roofline_20"
    assert all(map(is_analytic, (*COSTS, "roofline", "roofline_7")))
    assert not is_analytic("latency_cpu")
    assert not is_analytic("rooflines")
    for bad in ("roofline_", "roofline_x", "roofline_-1", "roofline_1e9", "roofline_nan", "roofline_9999999"):
        with pytest.raises(InputError, match=r"ridge"):
            is_analytic(bad)
    with pytest.raises(InputError, match="did you mean 'roofline'"):
        analytic_cost(reference("resnet50"), "rooflin")

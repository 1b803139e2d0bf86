"""An op is one entry: what counts, builds, draws and writes it reads the layers that it lists."""

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from nas.latency.parts import parts
from nas.network.builder import build
from nas.network.cost import cost
from nas.report.diagram import terminal_diagram, to_svg
from search_spaces import NetworkSpec, Op, StagedSpace, StageSpec, from_notation, register_op, to_notation
from search_spaces.block import OPS, BlockSpec
from search_spaces.errors import InputError
from search_spaces.layers import Conv, Gate


@pytest.fixture
def unrounded():
    """A fused MBConv whose inner width is not rounded, as somebody would add it."""
    register_op(
        Op(
            "unrounded", "unrounded MBConv", "ur", "#c05a70", expands=True,
            inner=lambda block: round(block.in_channels * block.expansion),
            layers=lambda block: (
                Conv(block.in_channels, block.inner_channels, block.kernel, block.stride),
                *([Gate(block.inner_channels, block.squeeze_channels)] if block.se_ratio else []),
                Conv(block.inner_channels, block.out_channels, activation=False),
            ),
        )
    )  # fmt: skip
    yield OPS["unrounded"]
    del OPS["unrounded"]


def test_a_new_op_is_one_entry(unrounded):
    stages = (StageSpec("unrounded", 24, 3, 2, 4, 2, 0.25), StageSpec("unrounded", 24, 5, 1, 4, 1))
    spec = NetworkSpec("new", stages, resolution=48, num_classes=10)
    counted, module = cost(spec), build(spec, seed=0).eval()
    assert counted.params == sum(p.numel() for p in module.parameters())
    flops = FlopCountAnalysis(module, torch.zeros(1, 3, 48, 48)).unsupported_ops_warnings(False)
    operators = flops.by_operator()
    assert counted.macs == operators["conv"] + operators["linear"]
    # the linear convolution at its end keeps its output for the next layer, as that of an MBConv
    plain = cost(NetworkSpec("ds", (StageSpec("ds", 24, 3, 2),), resolution=48))
    linear = cost(NetworkSpec("new", (StageSpec("unrounded", 24, 3, 2, 1),), resolution=48))
    size = plain.stages[1].resolution ** 2
    inner_and_its_output = 32 * size * 3 + 24 * size * 2
    assert linear.stages[1].saved == plain.stages[1].saved == inner_and_its_output
    assert "unrounded MBConv" in to_svg(spec)
    assert "2 x unrounded MBConv4 k3 s2 SE c24" in terminal_diagram(spec).plain
    assert from_notation(to_notation(stages[0])) == stages[0]
    assert len({part.key for part in parts(spec)}) == 5
    assert NetworkSpec.from_document(spec.to_document()) == spec
    document = {"schema": 1, "space": "own", "stages": [{"op": ["ds", "unrounded4"], "channels": 24}]}
    space = StagedSpace.from_document(document, "space")
    assert [space.decode(a).stages[0].op for a in space.enumerate()] == ["ds", "unrounded"]


def test_a_taken_name_is_refused(unrounded):
    with pytest.raises(InputError, match="op 'unrounded'.*taken"):
        register_op(unrounded)


def test_an_ops_layers_fit_one_another():
    for op in OPS.values():
        for se in (0, 0.25):
            block = BlockSpec(op.name, 16, 24, 3, 2, 4 if op.expands else 1, se, "none")
            channels = block.in_channels
            for layer in block.layers:
                assert (layer.channels if isinstance(layer, Gate) else layer.in_channels) == channels
                channels = layer.channels if isinstance(layer, Gate) else layer.out_channels
            assert channels == block.out_channels
            assert any(isinstance(layer, Gate) for layer in block.layers) == bool(se)


def test_a_fused_mbconv_that_expands_nothing_is_its_convolution():
    assert StageSpec("fused", 24, 3, 2, 1, 2) == StageSpec("conv", 24, 3, 2, 1, 2)
    expanded = StageSpec("fused", 24, 5, 2, 4, 1, 0.25).blocks(20)[0]
    assert expanded.layers == (Conv(20, 80, 5, 2), Gate(80, 5), Conv(80, 24, activation=False))
    document = {"schema": 1, "space": "own", "stages": [{"op": ["conv", "fused4"], "channels": 24}]}
    assert StagedSpace.from_document(document).size == 2
    with pytest.raises(InputError, match="write it 'conv'"):
        StagedSpace.from_document({**document, "stages": [{"op": "fused1", "channels": 24}]})

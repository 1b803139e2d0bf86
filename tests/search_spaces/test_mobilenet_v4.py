"""The universal inverted bottleneck: what of its two kernels is there, and what it then is."""

import pytest

from nas.latency.parts import parts
from nas.network.builder import build
from nas.network.cost import cost
from nas.report.diagram import terminal_diagram, to_svg
from search_spaces import InputError, NetworkSpec, StageSpec, from_notation, reference, to_notation
from search_spaces.layers import Conv
from search_spaces.notation import stage_words


def test_its_four_kinds():
    """Qin et al. 2024, figure 4; the stride is that of the last depthwise convolution."""
    extra = StageSpec("uib", 24, 3, 2, 4, start_kernel=5).blocks(16)[0].layers
    assert extra == (
        Conv(16, 16, 5, 1, 16, False), Conv(16, 64), Conv(64, 64, 3, 2, 64), Conv(64, 24, activation=False),
    )  # fmt: skip
    convnext = StageSpec("uib", 24, 0, 2, 4, start_kernel=5).blocks(16)[0].layers
    assert convnext == (Conv(16, 16, 5, 2, 16, False), Conv(16, 64), Conv(64, 24, activation=False))
    feed_forward = StageSpec("uib", 16, 0, 1, 4).blocks(16)[0].layers
    assert feed_forward == (Conv(16, 64), Conv(64, 16, activation=False))
    assert StageSpec("uib", 24, 3, 2, 4, 2) == StageSpec("mbconv", 24, 3, 2, 4, 2)
    one = StageSpec("uib", 24, 3, 2, 1)  # with an expansion convolution that an MBConv1 hasn't
    assert (one.op, len(one.blocks(24)[0].layers)) == ("uib", 3)


def test_counted_drawn_and_written_as_it_is():
    spec = reference("mobilenetv4-conv-s").replace(resolution=64, num_classes=10)
    assert cost(spec).params == sum(p.numel() for p in build(spec).parameters())
    assert len({part.key for part in parts(spec)}) == len({*spec.blocks()}) + 2
    assert "UIB4 k3+0" in terminal_diagram(spec).plain
    assert "universal inverted bottleneck" in to_svg(spec)
    assert stage_words(spec.stages[4]) == "1 x UIB3 k5+5 s2 c96"
    for stage in (*spec.stages, *reference("mobilenetv4-conv-m").stages):
        assert from_notation(to_notation(stage)) == stage
    assert NetworkSpec.from_document(spec.to_document()) == spec
    assert spec.digest != spec.replace(pooled_norm=False).digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"op": "mbconv", "expansion": 4, "kernel": 0}, "kernel 0"),
        ({"op": "mbconv", "expansion": 4, "start_kernel": 3}, "start_kernel 3: op 'mbconv' has none"),
        ({"op": "uib", "kernel": 4}, "kernel 4: expected an odd size"),
        ({"op": "uib", "start_kernel": 2}, "start_kernel 2: expected an odd size"),
        ({"op": "uib", "start_kernel": True}, "start_kernel True"),
        ({"op": "uib", "kernel": 0, "stride": 2}, "stride 2: expected 1 without a depthwise convolution"),
    ],
)
def test_bad_values_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        StageSpec(**{"channels": 24, **fields})


def test_a_heads_norm_is_of_the_layer_behind_the_pooling():
    with pytest.raises(InputError, match="pooled_norm true"):
        NetworkSpec("any", (StageSpec("ds", 24),), pooled_norm=True)

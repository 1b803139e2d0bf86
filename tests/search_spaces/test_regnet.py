"""Grouped bottlenecks (RegNet, ResNeXt): what a group width makes of a stage, and what it leaves as it was."""

import numpy as np
import pytest
import torch

from nas.latency.parts import parts
from nas.network import scale, scale_by
from nas.network.builder import build
from nas.network.cost import cost
from nas.report.diagram import terminal_diagram
from search_spaces import InputError, NetworkSpec, StageSpec, from_notation, get_space, reference, to_notation
from search_spaces.layers import Conv, Gate
from search_spaces.notation import stage_words

STAGE = StageSpec("bottleneck", 48, 3, 2, 0.5, 2, 0.25, "projection", group_width=8)


def test_its_layers():
    """SE stands behind the grouped convolution, its width a part of the block's input."""
    first, second = STAGE.blocks(32)
    assert first.layers == (
        Conv(32, 24), Conv(24, 24, 3, 2, 3), Gate(24, 8), Conv(24, 48, activation=False),
    )  # fmt: skip
    assert second.layers[1:3] == (Conv(24, 24, 3, 1, 3), Gate(24, 12))
    depthwise = StageSpec("bottleneck", 16, group_width=1).blocks(16)[0].layers[1]
    assert depthwise.groups == 16


def test_one_group_is_none_and_changes_no_document():
    plain = StageSpec("bottleneck", 48, expansion=0.5)
    assert StageSpec("bottleneck", 48, expansion=0.5, group_width=24) == plain
    assert "group_width" not in plain.to_document()
    assert reference("resnet50").digest == "d580213d8ebb19e0"
    spec = reference("regnety-200mf")
    loose = [StageSpec(**{**vars(stage), "group_width": 4}) for stage in spec.stages]
    assert spec.replace(stages=tuple(loose)).digest != spec.digest


@pytest.mark.parametrize("name", ["200mf", "400mf", "800mf", "1.6gf"])
def test_references_are_of_their_size_and_come_back(name):
    spec = reference(f"regnety-{name}")
    giga = float(name[:-2]) / (1000 if name.endswith("mf") else 1)
    assert cost(spec).macs / 1e9 == pytest.approx(giga, rel=0.02)
    assert NetworkSpec.from_document(spec.to_document()) == spec
    for stage in spec.stages:
        assert from_notation(to_notation(stage)) == stage


def test_counted_drawn_and_written_as_it_is():
    spec = reference("regnety-200mf").replace(resolution=64, num_classes=10)
    assert stage_words(spec.stages[2]) == "4 x Bottleneck1 k3 s2 g8 SE proj c152"
    assert "k3 s2 g8" in terminal_diagram(spec).plain
    assert len({part.key for part in parts(spec)}) == len({*spec.blocks()}) + 2
    assert sum(" g8 " in part.key for part in parts(spec)) == 13
    assert build(spec, seed=0)(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"op": "mbconv", "expansion": 4, "group_width": 8}, "group_width 8: op 'mbconv' has no groups"),
        ({"group_width": 7}, "group_width 7: expected a divisor of its inner width, 24"),
        ({"group_width": 48}, "group_width 48: expected a divisor of its inner width, 24"),
        ({"group_width": -8}, "group_width -8: expected an integer from 1"),
        ({"group_width": True}, "group_width True"),
        ({"group_width": "8"}, "group_width '8'"),
    ],
)
def test_bad_values_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        StageSpec(**{"op": "bottleneck", "channels": 48, "expansion": 0.5, **fields})


def test_widths_are_scaled_to_what_groups_divide():
    """To the nearest; a group is never wider than what it is a part of."""
    assert [STAGE.widened(c).channels for c in (48, 60, 70, 200)] == [48, 64, 64, 208]
    assert (STAGE.widened(5).channels, STAGE.widened(5).group_width) == (5, 0)
    tight = StageSpec("bottleneck", 9, expansion=3, group_width=9)
    for width in range(1, 60):
        found = tight.widened(width)
        assert abs(found.channels - width) <= 2
        assert not found.group_width or found.blocks(8)[0].inner_channels % found.group_width == 0
    spec = reference("regnety-1.6gf")
    assert {stage.group_width for stage in scale(spec, 2).stages} == {24}
    assert cost(scale(spec, 1)).macs / cost(spec).macs == pytest.approx(2, rel=0.25)
    small = scale_by(spec, width=0.25, resolution=32, divisor=1)
    assert [stage.channels for stage in small.stages] == [12, 24, 96, 216]


def test_it_is_in_no_space():
    space = get_space("accel-nasbench")
    spec = space.decode(space.sample(np.random.default_rng(0)))
    stages = (StageSpec("bottleneck", 16, stride=1, group_width=4), *spec.stages[1:])
    with pytest.raises(InputError, match="stage0.group_width 4: a space has no grouped stages"):
        space.encode(spec.replace(stages=stages))

"""Spaces whose blocks choose by themselves, whose last stage may be missing, whose ends have widths to choose."""

from dataclasses import replace

import numpy as np
import pytest

from nas.network import COSTS, CostTable, cost
from search_spaces import Architecture, InputError, NotInSpaceError, StagedSpace
from search_spaces.constrain import constrain

BLOCKS = {
    "schema": 1,
    "space": "blocks",
    "stem_channels": [16, 24],
    "network": {"resolution": 32, "num_classes": 10},
    "stages": [
        {
            "stride": 2,
            "channels": [24, 32],
            "repeats": [1, 2, 3],
            "blocks": [
                {"op": ["uib2", "uib4"], "start_kernel": 3, "kernel": [3, 5]},
                {"op": ["uib2"], "start_kernel": [0, 3], "kernel": [0, 3]},
            ],
        },
        {"op": ["mbconv3"], "channels": [40, 48], "repeats": [0, 2], "se_ratio": [0, 0.25]},
    ],
}


def space_of(*stages, **more):
    return StagedSpace.from_document({"schema": 1, "space": "own", "stages": list(stages), **more})


@pytest.fixture(scope="module")
def space():
    return StagedSpace.from_document(BLOCKS)


def test_the_size_is_that_of_its_networks(space):
    # stem, width, first block, further blocks by depth, last stage
    assert space.size == 2 * 2 * 4 * (1 + 4 + 16) * (1 + 4) == 1680
    listed = list(space.enumerate())
    assert listed == sorted(listed)
    assert len(listed) == len({space.decode(architecture).digest for architecture in listed}) == 1680


def test_all_come_back_and_cost_what_the_table_says(space):
    listed = list(space.enumerate())
    specs = [space.decode(architecture) for architecture in listed]
    assert [space.encode(spec) for spec in specs] == listed
    table = CostTable(space)
    for name in COSTS:
        assert table(listed, name).tolist() == [getattr(cost(spec), name) for spec in specs], name
    # what doesn't count costs nothing
    anything = np.random.default_rng(0).integers([len(d) for d in space.decisions], size=(50, len(listed[0])))
    wanted = [cost(space.decode(Architecture(row))).macs for row in anything.tolist()]
    assert table(anything, "macs").tolist() == wanted


def test_of_a_missing_block_there_is_no_choice_to_name(space):
    shallow = Architecture([0] * len(space.decisions))
    choices = space.choices(shallow)
    assert "stage0.block0.kernel" in choices
    assert not {"stage0.block1.kernel", "stage1.channels"} & set(choices)
    assert space.from_choices(choices) == shallow
    with pytest.raises(InputError, match=r"'stage0.block1.kernel' has a choice, of a block that isn't there"):
        space.from_choices({**choices, "stage0.block1.kernel": 3})
    with pytest.raises(InputError, match=r"'stage0.block1.start_kernel' has no choice"):
        space.from_choices({**choices, "stage0.repeats": 2, "stage0.block1.kernel": 3})


def test_networks_are_drawn_uniformly(space):
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(space.enumerate(), 0)
    for _ in range(20 * 1680):
        counts[space.sample(rng)] += 1
    # 1679 degrees of freedom, their mean's deviation 58
    assert sum((count - 20) ** 2 / 20 for count in counts.values()) < 1679 + 4 * 58
    depth = [decision.name for decision in space.decisions].index("stage0.repeats")
    assert space.share(depth, 0) == pytest.approx(1 / 21)
    assert sum(space.share(depth, index) for index in range(3)) == pytest.approx(1)


def test_its_document_is_read_again(space):
    again = StagedSpace.from_document(space.to_document())
    assert again.to_document() == space.to_document()
    assert (again.decisions, again.conditions) == (space.decisions, space.conditions)


def test_one_network_written_in_other_stages_is_the_same_member(space):
    spec = space.decode(Architecture([1] * len(space.decisions)))
    one_by_one = [part for stage in spec.stages for part in [*_split(stage)]]
    apart = spec.replace(stages=tuple(one_by_one))
    assert len(apart.stages) == len(apart.blocks()) > len(spec.stages)
    assert space.encode(apart) == space.encode(spec)


def _split(stage):
    yield replace(stage, repeats=1)
    yield from (replace(stage, repeats=1, stride=1) for _ in range(stage.repeats - 1))


def test_a_deeper_mutant_draws_its_new_blocks(space):
    rng = np.random.default_rng(0)
    names = [decision.name for decision in space.decisions]
    shallow = Architecture([0] * len(names))
    new = set()
    for _ in range(300):
        mutant = space.mutate(shallow, rng)
        assert space.canonical(mutant) == mutant != shallow
        if mutant[names.index("stage0.repeats")]:
            new.add(mutant[names.index("stage0.block1.kernel")])
    assert new == {0, 1}


def kernels_of_a_pair(stage, width):
    return "two kernels" if stage.op == "uib" and stage.kernel and stage.start_kernel else None


def wide_enough(stage, width):
    return "narrow" if stage.channels == 24 or width == 16 else None


@pytest.mark.parametrize("rule", [kernels_of_a_pair, wide_enough])
def test_constrained_it_has_exactly_what_the_rule_allows(rule):
    first = {"op": ["uib2"], "start_kernel": [3], "kernel": [0, 3]}
    stages = [
        {**BLOCKS["stages"][0], "blocks": [first, BLOCKS["stages"][0]["blocks"][1]]},
        BLOCKS["stages"][1],
    ]
    space = StagedSpace.from_document({**BLOCKS, "stages": stages})
    wanted = set()
    for architecture in space.enumerate():
        spec = space.decode(architecture)
        widths = [spec.stem.channels, *(stage.channels for stage in spec.stages)]
        if not any(map(rule, spec.stages, widths)):
            wanted.add(spec.digest)
    left = constrain(space, rule)
    assert left.size == len(wanted) < space.size
    assert {left.decode(architecture).digest for architecture in left.enumerate()} == wanted
    assert StagedSpace.from_document(left.to_document()).decisions == left.decisions
    assert constrain(left, rule).to_document() == left.to_document()


def test_fields_of_a_stage_have_their_own_choices():
    space = space_of(
        {"op": ["mbconv3"], "channels": 16, "se_ratio": 0.25, "gate": ["sigmoid", "hard_sigmoid"]},
        {"op": "uib4", "channels": 16, "start_kernel": [3, 5], "kernel": 0, "activation": ["", "relu"]},
    )
    assert space.size == 8
    for architecture in space.enumerate():
        assert space.encode(space.decode(architecture)) == architecture
    last = space.decode(Architecture((1, 1, 1)))
    assert (last.stages[0].gate, last.stages[1].start_kernel, last.stages[1].activation) == (
        "hard_sigmoid", 5, "relu",
    )  # fmt: skip
    with pytest.raises(NotInSpaceError, match=r"stage1.start_kernel 7: space 'own' has 3, 5"):
        space.encode(last.replace(stages=(last.stages[0], replace(last.stages[1], start_kernel=7))))


def test_blocks_that_go_together():
    stage = {
        "channels": 16,
        "repeats": [1, 2],
        "blocks": [{"op": ["conv", "uib4"], "start_kernel": [0, 3], "kernel": [3]}],
    }
    joint = [
        {
            "fields": [f"stage0.block{block}.{field}" for field in ("op", "start_kernel")],
            "choices": [["conv", 0], ["uib4", 3]],
        }
        for block in (0, 1)
    ]
    space = space_of(stage, together=joint)
    assert [decision.name for decision in space.decisions] == [
        "stage0.repeats", "stage0.block0.op+block0.start_kernel", "stage0.block1.op+block1.start_kernel",
    ]  # fmt: skip
    assert space.size == 2 + 4
    assert all(space.encode(space.decode(a)) == a for a in space.enumerate())
    with pytest.raises(InputError, match=r"stage0.block0: op conv.*start_kernel 3.*has none.*`together`"):
        space_of(stage)
    coupled = {
        "fields": ["stage0.block0.op", "stage0.block1.op"],
        "choices": [["conv", "conv"], ["ds", "ds"]],
    }
    plain = {"channels": 16, "repeats": [1, 2], "blocks": [{"op": ["conv", "ds"]}]}
    with pytest.raises(InputError, match="block0.op and stage0.block1.op are decided together"):
        space_of(plain, together=[coupled])


STAGE = {"op": ["ds", "conv"], "channels": 8}


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{**STAGE, "stride": [2]}], r"stride \[2\]: expected a single value"),
        ([{**STAGE, "blocks": 3}], "blocks 3: expected a list"),
        ([{**STAGE, "blocks": [{"repeats": [1]}]}], r"blocks\[0\]: unknown field 'repeats'"),
        ([{**STAGE, "blocks": [{"kernel": [4]}]}], r"stages\[0\]: blocks\[0\]: kernel 4: expected an odd"),
        ([{**STAGE, "blocks": [{"kernel": [3]}, {}]}], r"blocks: 2 of them: expected at most 1"),
        ([{**STAGE, "blocks": [{"kernel": []}]}], r"blocks\[0\]: kernel: expected at least one"),
        ([{**STAGE, "blocks": [{"op": ["ds"]}]}], "op .*all blocks have choices of their own"),
        ([{**STAGE, "repeats": [1, 2], "blocks": [{"channels": [8, 16]}]}], "expected one number of repeats"),
        ([{**STAGE, "repeats": 2000, "blocks": [{"kernel": [3, 5]}]}], "repeats 2000"),
        ([{**STAGE, "repeats": [0, 1]}, STAGE], "stage0: repeats 0: expected in the last"),
        ([{**STAGE, "repeats": [0, 1]}], "repeats 0: expected in the last of several"),
        ([STAGE, {**STAGE, "repeats": [0, 1], "stride": 2}], "repeats 0: expected stride 1"),
        ([STAGE, {**STAGE, "repeats": [0]}], "repeats 0"),
        ([{**STAGE, "start_kernel": [0, 3]}], "start_kernel 3: op 'ds' has none"),
        ([{**STAGE, "kernel": [0, 3]}], "kernel 0"),
        ([{"op": ["uib4", "mbconv4"], "channels": 8, "kernel": [0, 3]}], "mbconv4, kernel 0"),
        ([{"op": ["uib4"], "channels": 8}], "write it 'mbconv4'"),
        ([{**STAGE, "se_ratio": [0, 0.25], "gate": ["sigmoid", "hard_sigmoid"]}], "is the same as"),
        ([{**STAGE, "activation": ["", "silu"]}], "is the same as"),
        ([{**STAGE, "activation": [0]}], "activation 0: expected a text"),
        ([{**STAGE, "activation": ["silo"]}], "did you mean 'silu'"),
        ([{"op": ["uib4"], "channels": 8, "stride": 2, "start_kernel": [0, 3], "kernel": [0, 3]}], "stride 2"),
    ],
)  # fmt: skip
def test_what_is_no_space_is_refused(stages, message):
    with pytest.raises(InputError, match=message):
        space_of(*stages)


def test_widths_of_the_ends_are_lists():
    for name in ("stem_channels", "head_channels"):
        for odd in (16, [], [[16]], [16.5], ["a"]):
            with pytest.raises(InputError, match=f"{name}|channels"):
                space_of(STAGE, **{name: odd})
    space = space_of(STAGE, head_channels=[1280, 1408])
    assert [decision.name for decision in space.decisions] == ["stage0.op", "head.channels"]

"""A constrained space has exactly the networks that the rule allows, and is a full product again."""

import numpy as np
import pytest

from search_spaces import InputError, NotInSpaceError, StagedSpace, get_space
from search_spaces.constrain import constrain


def space_of(*stages, **more):
    return StagedSpace.from_document({"schema": 1, "space": "own", "stages": list(stages), **more})


def digests(space):
    return {space.decode(architecture).digest for architecture in space.enumerate()}


def allowed(space, rule):
    """The networks to whose stages the rule has no objection, one by one."""
    found = set()
    for architecture in space.enumerate():
        spec = space.decode(architecture)
        widths = [spec.stem.channels, *(stage.channels for stage in spec.stages)]
        if not any(rule(stage, width) for stage, width in zip(spec.stages, widths, strict=False)):
            found.add(spec.digest)
    return found


def no_se(stage, width):
    return "no SE" if stage.op == "conv" and stage.se_ratio else None


def no_pooling(stage, width):
    pooled = any(block.skip == "pooling" for block in stage.blocks(width))
    return "no pooling" if pooled else no_se(stage, width)


def growing(stage, width):
    """Couples stages: each is wider than the one before, and the last op depends on it, too."""
    if stage.channels <= width:
        return "it doesn't grow"
    return "ds doubles at most" if stage.op == "ds" and stage.channels > 2 * width else None


def no_skips(stage, width):
    return "no skip" if any(block.skip == "identity" for block in stage.blocks(width)) else None


def never(stage, width):
    return None


SPACES = {
    "plain": space_of(
        {"op": ["conv", "ds", "mbconv3"], "channels": [16, 32], "se_ratio": [0, 0.25]},
        {"op": ["conv", "mbconv6"], "channels": 32, "se_ratio": [0, 0.25], "skip": ["none", "identity"]},
    ),
    "pooling only": space_of(
        {"op": ["conv", "ds"], "channels": [16, 32], "se_ratio": [0, 0.5], "skip": "pooling"},
        {"op": ["ds"], "channels": [16, 32, 48], "skip": ["pooling", "none"], "repeats": [1, 2]},
    ),
    "all skips": space_of(
        {"op": ["conv", "ds"], "channels": [32, 48], "skip": ["none", "identity", "pooling"]},
        {"op": ["ds", "dsa"], "channels": [32, 64], "skip": ["none", "identity"], "repeats": [1, 2]},
        {"op": ["ds"], "channels": [40, 48, 96], "kernel": [3, 5]},
    ),
    "joined before": space_of(
        {"op": ["ds", "conv"], "channels": [40, 48], "se_ratio": [0, 0.25], "skip": ["pooling", "identity"]},
        {"op": ["ds", "conv"], "channels": [40, 48, 80], "se_ratio": [0, 0.25]},
        together=[
            {"fields": ["stage0.op", "stage1.op"], "choices": [["ds", "ds"], ["ds", "conv"], ["conv", "ds"]]},
            {"fields": ["stage1.channels", "stage1.se_ratio"],
             "choices": [[40, 0], [48, 0], [48, 0.25], [80, 0.25]]},
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", [no_se, no_pooling, growing, no_skips, never])
@pytest.mark.parametrize("name", SPACES)
def test_it_has_exactly_what_the_rule_allows(name, rule):
    space = SPACES[name]
    wanted = allowed(space, rule)
    if not wanted:
        with pytest.raises(InputError, match=r"stage\d.*nothing is left"):
            constrain(space, rule)
        return
    left = constrain(space, rule)
    assert digests(left) == wanted
    assert allowed(left, rule) == wanted
    again = StagedSpace.from_document(left.to_document())
    assert again.decisions == left.decisions
    assert constrain(left, rule).to_document() == left.to_document()
    for architecture in space.enumerate():
        spec = space.decode(architecture)
        assert left.contains(spec) == (spec.digest in wanted), spec
        if spec.digest in wanted:
            assert left.decode(left.encode(spec)).digest == spec.digest


def test_fields_that_a_rule_couples_are_one_decision():
    left = constrain(SPACES["plain"], no_se)
    assert [decision.name for decision in left.decisions] == [
        "stage0.op+se_ratio", "stage0.channels", "stage1.op+se_ratio", "stage1.skip",
    ]  # fmt: skip
    assert left.decisions[0].choices == (
        "conv_se0", "ds_se0", "ds_se0.25", "mbconv3_se0", "mbconv3_se0.25",
    )  # fmt: skip
    chosen = {"stage0.op+se_ratio": "mbconv3_se0.25", "stage0.channels": 32,
              "stage1.op+se_ratio": "conv_se0", "stage1.skip": "none"}  # fmt: skip
    spec = left.decode(left.from_choices(chosen))
    assert (spec.stages[0].op, spec.stages[0].expansion, spec.stages[0].se_ratio) == ("mbconv", 3, 0.25)
    with pytest.raises(NotInSpaceError, match=r"stage0\.op\+se_ratio conv, 0\.25.*no such combination"):
        left.encode(spec.replace(stages=(SPACES["plain"].stage(0, "conv", 3, 0.25, "identity", 32, 1),
                                         spec.stages[1])))  # fmt: skip


def test_a_rule_that_couples_stages_makes_a_decision_over_both():
    space = space_of(
        {"op": ["conv", "ds"], "channels": [40, 48], "kernel": [3, 5]},
        {"op": ["conv", "ds"], "channels": [48, 90], "kernel": [3, 5]},
    )
    left = constrain(space, growing)
    # 40 > 48 or 90 (but not by ds), 48 > 90
    assert [decision.name for decision in left.decisions] == [
        "stage0.op", "stage0.kernel", "stage0.channels+stage1.op+channels", "stage1.kernel",
    ]  # fmt: skip
    assert left.decisions[2].choices == (
        "c40_conv_c48", "c40_conv_c90", "c40_ds_c48", "c48_conv_c90", "c48_ds_c90",
    )  # fmt: skip
    assert digests(left) == allowed(space, growing)


def test_a_lax_rule_is_seen():
    """The comparison above must be able to fail: a rule that forgets SE leaves other networks."""
    space = SPACES["plain"]
    assert digests(constrain(space, never)) != allowed(space, no_se)


def test_what_is_left_must_be_a_space():
    with pytest.raises(InputError, match="stage1: nothing is left: too wide"):
        constrain(SPACES["plain"], lambda stage, width: "too wide" if width in (16, 32) and stage.channels == 32
                  and stage.op in ("conv", "mbconv") and width != 3 and stage.expansion in (1, 6) else None)  # fmt: skip
    single = space_of({"op": ["conv", "ds"], "channels": 8})
    with pytest.raises(InputError, match="one network alone is left"):
        constrain(single, lambda stage, width: "no" if stage.op == "conv" else None)
    huge = space_of(
        {"op": "ds", "channels": list(range(1, 700))}, {"op": "ds", "channels": list(range(1, 700))}
    )
    with pytest.raises(InputError, match="stage1: 488,601 combinations"):
        constrain(huge, never)


def test_the_whole_of_a_built_in_space_stays_itself():
    for name in ("efficientnet", "efficientnet-v2", "mobilenet-v4", "accel-nasbench"):
        space = get_space(name)
        assert constrain(space, never).to_document() == space.to_document()


OP_SE = {"fields": ["stage0.op", "stage0.se_ratio"], "choices": [["ds", 0], ["conv", 0], ["ds", 0.25]]}
STAGE = {"op": ["ds", "conv"], "channels": 8, "se_ratio": [0, 0.25]}


@pytest.mark.parametrize(
    ("together", "message"),
    [
        (3, "together 3: expected a list"),
        ([{**OP_SE, "fields": ["stage0.op"]}], r"together\[0\].*two fields or more"),
        ([{**OP_SE, "fields": ["op", "se"]}], "field 'op': expected e.g. 'stage0.op'"),
        ([{**OP_SE, "fields": ["stage0.op", "stage7.se_ratio"]}], "there is no stage7.se_ratio"),
        ([{**OP_SE, "fields": ["stage0.op", "stage0.se"]}], "there is no stage0.se"),
        ([{**OP_SE, "choices": []}], "at least one choice"),
        ([{**OP_SE, "choices": [["ds", 0], ["ds", 0]]}], "none of them twice"),
        ([{**OP_SE, "choices": [["ds", 0, 1]]}], "expected 2 values"),
        ([{**OP_SE, "choices": ["ds"]}], "expected a list of single values"),
        ([{**OP_SE, "choices": [["ds", 0], ["ds", 0.25]]}], "stage0.op conv: is not in the stage and"),
        ([{**OP_SE, "choices": [["ds", 0], ["conv", 0.5], ["ds", 0.25]]}], "se_ratio 0.5"),
        ([OP_SE, OP_SE], "in two of them"),
    ],
)
def test_broken_joint_choices(together, message):
    with pytest.raises(InputError, match=message):
        space_of(STAGE, together=together)


def test_joint_choices_of_ones_own():
    space = space_of(STAGE, together=[OP_SE])
    assert space.size == 3
    rng = np.random.default_rng(0)
    assert {space.decode(space.sample(rng)).stages[0].se_ratio for _ in range(40)} == {0, 0.25}

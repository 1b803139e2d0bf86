"""What was learned in one space is asked for the nearest architecture of it."""

import numpy as np
import pytest

from search_spaces import Architecture, InputError, StagedSpace, get_space, reference
from search_spaces.registry import SPACES
from search_spaces.translation import Translation


def space_of(**stage):
    return StagedSpace.from_document(
        {"schema": 1, "space": "one", "stages": [{"channels": [8], "op": ["mbconv3"], **stage}]}
    )


def translated(space, other):
    """(choices here, choices there) of all architectures."""
    there = Translation(space, other)([list(a) for a in space.enumerate()])
    return [
        (space.choices(a), other.choices(Architecture(row)))
        for a, row in zip(space.enumerate(), there.tolist(), strict=True)
    ]


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_its_own_nearest(name):
    space, rng = get_space(name), np.random.default_rng(0)
    rows = np.array([space.sample(rng) for _ in range(100)])
    translation = Translation(space, space)
    assert (translation(rows) == rows).all()
    assert translation.followed == len(space.decisions)


@pytest.mark.parametrize("name", ["mnasnet", "efficientnet", "efficientnet-v2"])
@pytest.mark.parametrize("other", ["accel-nasbench", "efficientnet", "mnasnet"])
def test_what_comes_out_is_of_the_other_space(name, other):
    space, other, rng = get_space(name), get_space(other), np.random.default_rng(0)
    for row in Translation(space, other)([space.sample(rng) for _ in range(50)]).tolist():
        other.check(Architecture(row))


def test_a_network_that_both_have_stays_itself():
    space, other, b0 = get_space("efficientnet"), get_space("accel-nasbench"), reference("efficientnet-b0")
    (row,) = Translation(space, other)([space.encode(b0)]).tolist()
    assert other.decode(Architecture(row)).stages == b0.stages


@pytest.mark.parametrize(
    ("field", "values", "others", "wanted"),
    [
        ("kernel", [3, 5, 7], [3, 5], [3, 5, 5]),
        ("op", ["ds", "mbconv3", "mbconv6"], ["ds", "mbconv4", "mbconv6"], ["ds", "mbconv4", "mbconv6"]),
        ("op", ["ds", "mbconv6", "conv"], ["conv", "mbconv2"], ["mbconv2", "mbconv2", "conv"]),
        ("op", ["conv", "fused4", "ds"], ["ds", "fused6"], ["fused6", "fused6", "ds"]),
        ("se_ratio", [0, 0.05, 0.25], [0, 0.25], [0, 0.25, 0.25]),
        ("channels", [8, 16, 60], [10, 40], [10, 10, 40]),
        ("repeats", [1, 2, 6], [1, 3, 4], [1, 3, 4]),
        ("skip", ["none", "pooling"], ["identity", "pooling"], ["identity", "pooling"]),
    ],
)
def test_the_nearest_choice(field, values, others, wanted):
    pairs = translated(space_of(**{field: values}), space_of(**{field: others}))
    assert [(here[f"stage0.{field}"], there[f"stage0.{field}"]) for here, there in pairs] == list(
        zip(values, wanted, strict=True)
    )


def test_what_is_fixed_here_is_a_constant_and_what_is_not_known_the_middle():
    space = space_of(kernel=[5], repeats=[1, 2])
    stage = {"channels": [8, 16, 24], "op": ["mbconv3"], "kernel": [3, 5], "repeats": [1, 2, 3]}
    other = StagedSpace.from_document(
        {"schema": 1, "space": "more", "stages": [stage], "stem_channels": [8, 16, 24]}
    )
    for here, there in translated(space, other):
        assert there["stage0.kernel"] == 5
        assert there["stage0.repeats"] == here["stage0.repeats"]
        assert there["stage0.channels"] == 8
    assert Translation(space, other).followed == 1


def test_fields_that_are_decided_together_are_matched_together():
    joint = get_space("efficientnet-v2")
    position = [d.name for d in joint.decisions].index("stage0.op+se_ratio")
    apart = get_space("mnasnet")
    rows = np.zeros((1, len(apart.decisions)), dtype=np.int64)
    names = [d.name for d in apart.decisions]
    rows[0, names.index("stage0.op")] = apart.decisions[names.index("stage0.op")].choices.index("mbconv6")
    rows[0, names.index("stage0.se_ratio")] = 1
    (found,) = Translation(apart, joint)(rows).tolist()
    assert joint.decisions[position].choices[found[position]] == "mbconv6_se0.25"


@pytest.mark.parametrize(
    ("space", "other", "said"),
    [
        (get_space("mobilenet-v4"), get_space("accel-nasbench"), "have 7 stages, those of space"),
        (space_of(repeats=[1, 2]), space_of(kernel=[3, 5]), "none of its decisions is one of space 'one'"),
    ],
)
def test_spaces_that_share_nothing_are_refused(space, other, said):
    with pytest.raises(InputError, match=said):
        Translation(space, other)

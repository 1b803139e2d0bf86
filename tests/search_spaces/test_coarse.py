"""A coarse part of a space: what is decided once for the network, and what a stage does that can't have it."""

import re

import numpy as np
import pytest

from search_spaces import Architecture, InputError, StagedSpace, get_space
from search_spaces.coarse import CoarseSpace
from search_spaces.space import NotInSpaceError
from search_spaces.stage_choices import split_op

SIZES = ("op", "channels", "repeats", "se_ratio")


def stages(*rows):
    return StagedSpace.from_document({"schema": 1, "space": "mine", "stages": list(rows)})


def drawn(space, count=8):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("name", ["accel-nasbench", "mnasnet", "efficientnet-v2", "mobilenet-v4"])
def test_its_networks_are_the_spaces_own_and_found_again(name):
    whole = get_space(name)
    part = CoarseSpace(whole, SIZES)
    assert part.size < whole.size
    for architecture in drawn(part):
        spec = part.decode(architecture)
        assert whole.contains(spec)
        assert part.decode(part.encode(spec)).digest == spec.digest
        (row,) = part.widened([architecture])
        assert whole.decode(Architecture(row.tolist())).digest == spec.digest
        assert whole.canonical(Architecture(row.tolist())) == tuple(row)


def test_what_is_not_varied_is_alike_in_all_stages_that_have_it():
    whole = get_space("accel-nasbench")
    part = CoarseSpace(whole, ("op", "repeats"))
    assert (part.varied, part.tied) == (("op", "repeats"), ("kernel", "se_ratio"))
    assert part.describe() == "op, repeats of each stage, one kernel and one se_ratio for all"
    for architecture in drawn(part):
        chosen = part.choices(architecture)
        specs = part.decode(architecture).stages
        assert {stage.kernel for stage in specs} == {chosen["all.kernel"]}
        assert {stage.se_ratio for stage in specs} == {chosen["all.se_ratio"]}
        assert [split_op(chosen[f"stage{n}.op"])[0] for n in range(7)] == [stage.op for stage in specs]
    reached = np.unique(part.widened(drawn(part, 400)), axis=0)
    assert all(len(np.unique(reached[:, d])) == len(one) for d, one in enumerate(whole.decisions))


def test_a_stage_without_the_networks_choice_takes_its_nearest_one():
    whole = stages(
        {"op": ["ds", "mbconv3"], "channels": [16, 24], "kernel": [3, 7]},
        {"op": ["ds"], "channels": [24], "kernel": [3, 5]},
        {"op": ["ds"], "channels": [24], "kernel": [5]},
    )
    part = CoarseSpace(whole, ("op", "channels"))
    kernels = {
        part.choices(a)["all.kernel"]: [s.kernel for s in part.decode(a).stages] for a in part.enumerate()
    }
    assert kernels == {3: [3, 3, 5], 5: [7, 5, 5], 7: [7, 5, 5]}


def test_fields_that_are_decided_together_are_taken_apart():
    fields = {"fields": ["stage0.op", "stage0.se_ratio"]}
    rows = [
        {"op": ["conv", "mbconv3"], "channels": [16, 24], "se_ratio": [0, 0.25]},
        {"op": ["ds"], "channels": [32]},
    ]
    whole = StagedSpace.from_document(
        {
            "schema": 1,
            "space": "joint",
            "stages": rows,
            "together": [{**fields, "choices": [["conv", 0], ["mbconv3", 0], ["mbconv3", 0.25]]}],
        }
    )
    part = CoarseSpace(whole, ("op", "channels"))
    assert [d.name for d in part.decisions] == ["all.se_ratio", "stage0.op", "stage0.channels"]
    made = {(s.op, s.se_ratio) for a in part.enumerate() for s in part.decode(a).stages[:1]}
    assert made == {("conv", 0), ("mbconv", 0), ("mbconv", 0.25)}  # a conv has no SE whatever is said
    kept = CoarseSpace(whole, ("op", "se_ratio"))
    assert [d.name for d in kept.decisions][1:] == ["stage0.op+se_ratio"]


def test_networks_whose_stages_differ_in_more_are_none_of_it():
    whole = get_space("accel-nasbench")
    part = CoarseSpace(whole, ("op", "repeats", "se_ratio"))
    first = whole.decode(Architecture([0] * 28))
    assert part.contains(first)
    other = whole.decode(Architecture([0, 1] + [0] * 26))  # the first kernel alone
    with pytest.raises(NotInSpaceError, match="differ in more than"):
        part.encode(other)


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        (("op", "kernels"), "unknown field of a stage 'kernels': expected one of op, kernel"),
        (("channels",), "decides none of these, but op, kernel, se_ratio, repeats"),
        ((*SIZES, "kernel"), "decides nothing else, which leaves nothing to a fine stage"),
    ],
)
def test_what_leaves_a_stage_nothing_is_refused(varied, said):
    with pytest.raises(InputError, match=re.escape(said)):
        CoarseSpace(get_space("accel-nasbench"), varied)

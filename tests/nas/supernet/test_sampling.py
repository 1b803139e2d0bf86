"""Which networks a supernet is trained on: extremes, fair choices, one kind of choice after the other."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from nas.network.cost import cost
from nas.supernet.plan import SupernetPlan
from nas.supernet.sampling import PathSampler
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from search_spaces import InputError, get_space


def macs(spec):
    return cost(spec).macs


@pytest.fixture(scope="module")
def space():
    return get_space("efficientnet")


def test_the_largest_and_the_smallest_are_beyond_all_others(space):
    sampler = PathSampler(space, macs)
    rng = np.random.default_rng(0)
    sizes = [macs(space.decode(space.sample(rng))) for _ in range(100)]
    assert macs(space.decode(sampler.smallest)) < min(sizes)
    assert macs(space.decode(sampler.largest)) > max(sizes)
    choices = space.choices(sampler.smallest)
    assert all(v == 3 for name, v in choices.items() if name.endswith("kernel"))


def test_every_choice_is_drawn_equally_often(space):
    sampler = PathSampler(space, macs, count=4)
    drawn = [a for step in islice(sampler.epoch(0, 0), 60) for a in step[2:]]
    for place, decision in enumerate(space.decisions):
        counts = Counter(a[place] for a in drawn)
        assert set(counts.values()) == {120 // len(decision)}, decision.name


def test_seed_and_epoch_decide_and_nothing_else(space):
    sampler = PathSampler(space, macs)
    one, again = (list(islice(sampler.epoch(3, 5), 4)) for _ in range(2))
    assert one == again
    assert one != list(islice(sampler.epoch(3, 6), 4))
    assert one != list(islice(sampler.epoch(4, 5), 4))


def test_progressive_shrinking_opens_kernels_then_depths_then_the_rest(space):
    sampler = PathSampler(space, macs, progressive=True, epochs=8)
    opened = []
    for epoch in range(8):
        steps = list(islice(sampler.epoch(0, epoch), 20))
        differ = {
            space.decisions[place].name.rpartition(".")[2]
            for step in steps
            for a in step
            for place in range(len(a))
            if a[place] != sampler.largest[place]
        }
        opened.append(differ)
    kinds = {decision.name.rpartition(".")[2] for decision in space.decisions}
    assert opened[:2] == [set(), set()]
    assert opened[2:4] == [{"kernel"}] * 2
    assert opened[4:6] == [{"kernel", "repeats"}] * 2
    assert opened[6:] == [kinds] * 2
    assert PathSampler(space, macs, epochs=8).phase(0) == "all"


def test_a_block_that_is_not_there_decides_nothing():
    space = get_space("mobilenet-v4")
    sampler = PathSampler(space, macs, count=3)
    assert all(a == space.canonical(a) for step in islice(sampler.epoch(0, 0), 5) for a in step)


@pytest.mark.parametrize("count", [1, 0, 65])
def test_a_step_has_both_ends(space, count):
    with pytest.raises(InputError, match=f"paths {count}: expected an integer from 2 to 64"):
        PathSampler(space, macs, count)


@pytest.mark.parametrize("count", [3, 4])
def test_with_a_target_every_other_random_network_costs_as_much(space, count):
    sampler = PathSampler(space, macs, count=count, target=400e6)
    steps = list(islice(sampler.epoch(0, 0), 24))
    drawn = [a for step in steps for a in step[2:]]
    near, fair = drawn[1::2], drawn[::2]
    assert all(0.9 <= macs(space.decode(a)) / 400e6 <= 1.1 for a in near)
    assert not all(0.9 <= macs(space.decode(a)) / 400e6 <= 1.1 for a in fair)
    assert len(set(near)) == len(near)
    assert steps == list(islice(sampler.epoch(0, 0), 24))
    for place, decision in enumerate(space.decisions):  # the others are as fair as without one
        counts = Counter(a[place] for a in fair[: 12 // len(decision) * len(decision)])
        assert len(set(counts.values())) == 1, decision.name


def test_a_target_beyond_the_space_is_refused(space):
    for target, word in ((1e6, "1M"), (2e12, "2T")):
        with pytest.raises(InputError, match=f"target {word}: expected MACs of networks of efficientnet, "):
            PathSampler(space, macs, target=target)


def test_a_plan_keeps_its_target_and_one_without_is_as_before(space):
    plan = SupernetPlan(space.to_document(), Recipe(), ProxyTask(16, 0.1, 1), 10, 1)
    assert "target" not in plan.to_document()
    assert SupernetPlan.from_document(plan.to_document()) == plan
    aimed = replace(plan, target=400e6)
    assert SupernetPlan.from_document(aimed.to_document()) == aimed
    with pytest.raises(TypeError, match="its target is -1"):
        SupernetPlan.from_document({**aimed.to_document(), "target": -1})

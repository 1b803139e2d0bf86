"""The predictor in two stages: what it proposes in each, what it knows, and that it resumes exactly."""

import json

import numpy as np
import pytest

from controller import CoarseToFine, PredictorGuided, SpaceExhaustedError, make_controller
from nas.search.convergence import CHANCE, Convergence
from nas.testing import Driver
from search_spaces import InputError, StagedSpace, get_space
from search_spaces.coarse import CoarseSpace

SPACE = get_space("accel-nasbench")
PART = CoarseSpace(SPACE, ("op", "repeats"))
COUNT = 16


def made(seed=0, proposals=COUNT, part=PART, **given):
    return CoarseToFine(part, proposals, seed, **given)


def score(architecture):
    return 1 - sum(architecture) / 60 + 0.02 * architecture[1]


def answer(controller, count):
    found = []
    for _ in range(count):
        proposal = controller.ask()
        controller.tell(proposal.id, score(proposal.architecture))
        found.append(proposal.architecture)
    return found


def is_coarse(architecture):
    return PART.contains(SPACE.decode(architecture))


def test_the_first_proposals_are_of_the_part_and_later_ones_of_all():
    found = answer(made(), COUNT + 12)
    assert all(map(is_coarse, found[:COUNT]))
    assert not all(map(is_coarse, found[COUNT:]))
    assert len(set(found)) == len(found)


def test_the_fine_stage_begins_with_all_results():
    controller = made()
    answer(controller, COUNT)
    other = PredictorGuided(SPACE)
    answer(other, COUNT)
    state = controller.state_dict()
    assert len(state["results"]) == len(state["coarse"]["results"]) == COUNT
    fine = answer(controller, 6)
    # it begins where the coarse stage ended, and not at random
    assert np.mean([score(a) for a in fine]) > np.mean([score(a) for a in answer(other, 6)])
    assert len(controller.state_dict()["coarse"]["results"]) == COUNT


def test_another_objective_and_prior_are_those_of_the_whole_network():
    seen = []

    def objective(rows):
        seen.append(np.shape(rows)[1])
        return 1 + rows[:, 1] / 10, np.zeros(len(rows))

    def prior(rows):
        seen.append(np.shape(rows)[1])
        return rows.sum(1) / 60

    answer(made(objective=objective, prior=prior), 12)
    assert set(seen) == {len(SPACE.decisions)}


@pytest.mark.parametrize("stop", [COUNT - 2, COUNT + 6])
def test_resumes_exactly(stop):
    whole, driver = made(5), Driver()
    first, again = made(5), Driver()
    for _ in range(COUNT + 14):
        driver.step(whole)
    for _ in range(stop):
        again.step(first)
    second = made(99)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    for _ in range(COUNT + 14 - stop):
        again.step(second)
    assert again.log == driver.log
    assert second.state_dict() == whole.state_dict()


def test_more_pending_than_the_coarse_stage_is_long():
    controller = made()
    proposals = [controller.ask() for _ in range(3 * COUNT)]
    assert len({p.architecture for p in proposals}) == len(proposals)
    assert all(is_coarse(p.architecture) for p in proposals[:COUNT])
    for proposal in reversed(proposals):
        controller.tell(proposal.id, score(proposal.architecture))
    controller.ask()
    assert controller.pending[0].id == len(proposals)


def test_what_is_evaluated_in_a_proposals_place_is_learned_by_the_fine_stage_alone():
    controller = made()
    proposal = controller.ask()
    other = SPACE.sample(np.random.default_rng(0))
    controller.amend(proposal.id, other)
    controller.tell(proposal.id, 0.5)
    state = controller.state_dict()
    assert [tuple(row) for _, row, _ in state["results"]] == [other]
    assert not state["coarse"]["results"]
    assert not state["coarse"]["pending"]


def test_failures_are_no_results_and_nothing_waits_for_them():
    controller = made()
    for _ in range(COUNT):
        controller.fail(controller.ask().id, "lost")
    state = controller.state_dict()
    assert not state["coarse"]["pending"]
    assert not state["results"]


def test_the_best_of_the_coarse_stage_is_one_of_its_proposals():
    controller = made()
    assert controller.incumbent() is None
    found = answer(controller, COUNT)
    assert score(found[controller.incumbent()]) >= np.quantile([score(a) for a in found], 0.8)
    answer(controller, 8)
    assert controller.incumbent() is not None


def test_no_network_is_proposed_twice_and_a_part_that_is_used_up_gives_way_to_the_whole():
    stages = [{"op": ["ds", "mbconv3"], "channels": [8], "kernel": kernels} for kernels in ([3, 7], [3, 5])]
    space = StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})
    part = CoarseSpace(space, ("op",))  # 12 for 8 of 16 networks: the kernels 5 and 7 are 7 and 5 both
    controller, found = made(proposals=60, part=part), []
    with pytest.raises(SpaceExhaustedError, match="16 architectures"):
        while True:
            proposal = controller.ask()
            found.append(proposal.architecture)
            controller.tell(proposal.id, -sum(proposal.architecture))
    assert sorted(found) == sorted(space.enumerate())
    assert {space.decode(a).digest for a in found[:8]} == {part.decode(a).digest for a in part.enumerate()}


def test_a_search_does_not_converge_in_its_coarse_stage():
    controller, convergence = made(proposals=30), Convergence(1)
    for number in range(34):
        proposal = controller.ask()
        assert (CHANCE in controller.metrics) == (number >= 30)
        convergence.asked(controller.metrics)
        controller.tell(proposal.id, 0.5)
        convergence.ended(0.5)
    assert not convergence.reached


def test_other_controllers_have_one_stage():
    assert isinstance(make_controller("predictor", SPACE, coarse=(PART, 5)), CoarseToFine)
    with pytest.raises(InputError, match="coarse: controller 'evolution' has one stage only"):
        make_controller("evolution", SPACE, coarse=(PART, 5))
    with pytest.raises(InputError, match="initial 1: expected 3"):
        make_controller("predictor", SPACE, options={"initial": 1}, coarse=(PART, 5))


def test_parts_of_evaluations_are_the_coarse_stages_too():
    controller = made(proposals=8)
    for count in range(8):
        proposal = controller.ask()
        if count < 5:
            controller.report(proposal.id, 0.4, 0.25)
            controller.tell(proposal.id, 0.8 + count / 100)
        else:
            assert not controller.goes_on(proposal.id, {0.25: -0.5})
            controller.tell(proposal.id, -0.5, {"fidelity": 0.25})
    results = controller.state_dict()["coarse"]["results"]
    assert [[lack for lack, _ in values] for _, _, values in results] == [[0.0, 0.75]] * 5 + [[0.75]] * 3
    again = made(1, proposals=8)
    again.load_state_dict(json.loads(json.dumps(controller.state_dict())))
    assert again.ask() == controller.ask()
    assert controller.incumbent() in range(5)

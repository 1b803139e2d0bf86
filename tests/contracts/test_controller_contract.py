"""The one suite that every controller passes (DESIGN, contracts)."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from controller import (
    CONTROLLERS,
    ControllerError,
    SpaceExhaustedError,
    UnknownProposalError,
    make_controller,
)
from search_spaces import NotInSpaceError, StagedSpace, get_space

ROOT = Path(__file__).parents[2]
VARIANTS = [*((name, {}) for name in CONTROLLERS), ("ppo", {"policy": "lstm"}), ("ppo", {"batch": 3})]
IDS = [" ".join([name, *map(str, options.values())]) for name, options in VARIANTS]


@pytest.fixture(params=VARIANTS, ids=IDS)
def make(request):
    name, options = request.param
    return lambda space, seed=0: make_controller(name, space, seed, options)


@pytest.fixture(scope="module")
def space():
    return get_space("accel-nasbench")


@pytest.fixture(scope="module")
def tiny():
    stages = [{"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "repeats": [1, 2]}]
    return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})


METRICS = {"accuracy": 0.5, "macs": 1e6}


def reward(architecture):
    return 1 - sum(architecture) / 60


class Driver:
    """Drives a controller with `k` pending proposals, failures, and results out of order."""

    def __init__(self, k=4, seed=1):
        self.k, self.rng, self.log = k, np.random.default_rng(seed), []

    def step(self, controller):
        while len(controller.pending) < self.k:
            proposal = controller.ask()
            self.log.append((proposal.id, *proposal.architecture))
        chosen = controller.pending[self.rng.integers(len(controller.pending))]
        if self.rng.random() < 0.15:
            controller.fail(chosen.id, "lost")
        else:
            controller.tell(
                chosen.id,
                reward(chosen.architecture),
                {"accuracy": 0.5, "macs": 1e6 * (1 + sum(chosen.architecture))},
            )


def test_ids_count_from_zero_and_architectures_fit(make, space):
    controller = make(space)
    proposals = [controller.ask() for _ in range(30)]
    assert [p.id for p in proposals] == list(range(30))
    assert all(space.contains(p.architecture) for p in proposals)
    assert controller.pending == tuple(proposals)


def test_pending_architectures_are_not_proposed_again(make, space):
    controller, driver = make(space), Driver(k=16)
    for _ in range(150):
        driver.step(controller)
        pending = [p.architecture for p in controller.pending]
        assert len(set(pending)) == len(pending)


def test_pending_ones_are_avoided_even_by_a_converged_controller(make, tiny):
    controller = make(tiny)
    favourite = (0, 0, 0)
    for _ in range(200):  # learn hard that one architecture is best
        try:
            proposal = controller.ask()
        except SpaceExhaustedError:
            break
        controller.tell(proposal.id, 1.0 if proposal.architecture == favourite else 0.0, METRICS)
    controller = make(tiny)
    asked = []
    while len(asked) < 12:
        try:
            asked.append(controller.ask().architecture)
        except SpaceExhaustedError:
            break
    assert len(set(asked)) == len(asked) == 12  # all of them, none twice, without stalling


def test_results_in_any_order(make, space):
    controller = make(space)
    proposals = [controller.ask() for _ in range(25)]
    for proposal in reversed(proposals):
        controller.tell(proposal.id, reward(proposal.architecture), METRICS)
    assert controller.pending == ()
    controller.ask()


def test_unknown_and_repeated_ids(make, space):
    controller = make(space)
    proposal = controller.ask()
    for call in (lambda i: controller.tell(i, 0.5, METRICS), lambda i: controller.fail(i, "lost")):
        for unknown in (-1, 1, 99):
            with pytest.raises(UnknownProposalError, match="never asked"):
                call(unknown)
    controller.tell(proposal.id, 0.5, METRICS)
    for call in (lambda: controller.tell(0, 0.5, METRICS), lambda: controller.fail(0, "lost")):
        with pytest.raises(UnknownProposalError, match="already has a result"):
            call()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_changes_nothing(make, space, bad):
    controller = make(space)
    proposal = controller.ask()
    before = json.dumps(controller.state_dict())
    with pytest.raises(ControllerError, match="finite"):
        controller.tell(proposal.id, bad, METRICS)
    assert json.dumps(controller.state_dict()) == before
    controller.fail(proposal.id, "diverged")


def test_failures_alone_do_not_stop_it(make, space):
    controller = make(space)
    for _ in range(60):
        controller.fail(controller.ask().id, "lost")
    assert controller.pending == ()


def test_failures_are_not_rewards(make, space):
    """A failure leaves the learned state as if the proposal had never been answered."""
    controller = make(space)
    first, second = controller.ask(), controller.ask()
    controller.tell(first.id, 0.5, METRICS)
    # Optuna's state is the log of the calls themselves
    not_learned = ("pending", "behaviour", "calls")
    before = {k: v for k, v in controller.state_dict().items() if k not in not_learned}
    controller.fail(second.id, "lost")
    after = {k: v for k, v in controller.state_dict().items() if k not in not_learned}
    assert after == before


def test_same_seed_same_proposals(make, space):
    runs = []
    for seed in (3, 3, 4):
        controller, driver = make(space, seed), Driver()
        for _ in range(60):
            driver.step(controller)
        runs.append(driver.log)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("stop", [0, 1, 7, 40, 63])
def test_resumes_exactly(make, space, stop):
    whole, driver = make(space, 5), Driver()
    for _ in range(90):
        driver.step(whole)

    first, again = make(space, 5), Driver()
    for _ in range(stop):
        again.step(first)
    state = json.loads(json.dumps(first.state_dict()))
    second = make(space, 99)  # its own seed must not matter any more
    second.load_state_dict(state)
    for _ in range(90 - stop):
        again.step(second)
    assert again.log == driver.log
    assert second.state_dict() == whole.state_dict()


def test_state_of_another_space_is_refused(make, space, tiny):
    with pytest.raises(ControllerError, match="tiny"):
        make(space).load_state_dict(make(tiny).state_dict())


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_same_proposals_in_another_process(name, options, space):
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from test_controller_contract import Driver
from controller import make_controller
from search_spaces import get_space
controller, driver = make_controller({name!r}, get_space("accel-nasbench"), 6, {options!r}), Driver()
for _ in range(50):
    driver.step(controller)
print(driver.log)
"""
    controller, driver = make_controller(name, space, 6, options), Driver()
    for _ in range(50):
        driver.step(controller)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(driver.log)


def test_exhaustion_is_named(make, tiny):
    controller, seen = make(tiny), set()
    with pytest.raises(SpaceExhaustedError, match="12 architectures"):
        for _ in range(3000):
            proposal = controller.ask()
            seen.add(proposal.architecture)
            controller.tell(proposal.id, reward(proposal.architecture), METRICS)
    assert len(seen) == tiny.size == 12


def test_amended_proposals_are_what_is_learned(make, space):
    controller = make(space)
    first = controller.ask()
    other = space.mutate(first.architecture, np.random.default_rng(0))
    controller.amend(first.id, other)
    assert controller.pending[0].architecture == other
    controller.tell(first.id, 0.7, METRICS)
    with pytest.raises(UnknownProposalError):
        controller.amend(first.id, other)
    second = controller.ask()
    with pytest.raises(NotInSpaceError):
        controller.amend(second.id, (0,))

"""What every controller must hold; make a test of it by naming a controller.

class TestMine(ControllerContract):
    def make_controller(self, space, seed):
        return MyController(space, seed)
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from controller.base import Controller, ControllerError, SpaceExhaustedError, UnknownProposalError
from search_spaces.architecture import Architecture
from search_spaces.mbconv import StagedSpace
from search_spaces.registry import get_space
from search_spaces.space import NotInSpaceError, SearchSpace

Make = Callable[..., Controller]

_METRICS = {"accuracy": 0.5, "macs": 1e6}
_wholes: dict[str, tuple[list[tuple[int, ...]], dict[str, Any]]] = {}


def _reward(architecture: Architecture) -> float:
    return 1 - sum(architecture) / 60


class Driver:
    """Drives a controller with `k` pending proposals, failures, and results out of order."""

    def __init__(self, k: int = 4, seed: int = 1) -> None:
        self.k, self.rng = k, np.random.default_rng(seed)
        self.log: list[tuple[int, ...]] = []

    def step(self, controller: Controller) -> None:
        """Ask until `k` are pending, then answer one of them."""
        while len(controller.pending) < self.k:
            proposal = controller.ask()
            self.log.append((proposal.id, *proposal.architecture))
        chosen = controller.pending[self.rng.integers(len(controller.pending))]
        if self.rng.random() < 0.15:
            controller.fail(chosen.id, "lost")
        else:
            controller.tell(
                chosen.id,
                _reward(chosen.architecture),
                {"accuracy": 0.5, "macs": 1e6 * (1 + sum(chosen.architecture))},
            )


class ControllerContract:
    """Proposals, results in any order, failures, exact resumption, determinism, exhaustion."""

    variant: Any = None
    """What a parametrised suite makes; its own concern."""

    def make_controller(self, space: SearchSpace, seed: int) -> Controller:
        """The controller under test, fresh."""
        raise NotImplementedError

    def make_space(self) -> SearchSpace:
        """The space that most tests use; about 10^14 architectures."""
        return get_space("accel-nasbench")

    @pytest.fixture
    def make(self) -> Make:
        """Makes a controller of a space and a seed."""

        def make(space: SearchSpace, seed: int = 0) -> Controller:
            return self.make_controller(space, seed)

        return make

    @pytest.fixture
    def space(self) -> SearchSpace:
        """As `make_space`."""
        return self.make_space()

    @pytest.fixture
    def tiny(self) -> StagedSpace:
        """Twelve architectures."""
        stages = [{"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "repeats": [1, 2]}]
        return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})

    def test_ids_count_from_zero_and_architectures_fit(self, make: Make, space: SearchSpace) -> None:
        controller = make(space)
        proposals = [controller.ask() for _ in range(30)]
        assert [p.id for p in proposals] == list(range(30))
        assert all(space.contains(p.architecture) for p in proposals)
        assert controller.pending == tuple(proposals)

    def test_pending_architectures_are_not_proposed_again(self, make: Make, space: SearchSpace) -> None:
        controller, driver = make(space), Driver(k=16)
        for _ in range(150):
            driver.step(controller)
            pending = [p.architecture for p in controller.pending]
            assert len(set(pending)) == len(pending)

    def test_pending_ones_are_avoided_even_by_a_converged_controller(
        self, make: Make, tiny: StagedSpace
    ) -> None:
        controller = make(tiny)
        favourite = (0, 0, 0)
        for _ in range(200):  # learn hard that one architecture is best
            try:
                proposal = controller.ask()
            except SpaceExhaustedError:
                break
            controller.tell(proposal.id, 1.0 if proposal.architecture == favourite else 0.0, _METRICS)
        controller = make(tiny)
        asked: list[Architecture] = []
        while len(asked) < 12:
            try:
                asked.append(controller.ask().architecture)
            except SpaceExhaustedError:
                break
        assert len(set(asked)) == len(asked) == 12  # all of them, none twice, without stalling

    def test_results_in_any_order(self, make: Make, space: SearchSpace) -> None:
        controller = make(space)
        proposals = [controller.ask() for _ in range(25)]
        for proposal in reversed(proposals):
            controller.tell(proposal.id, _reward(proposal.architecture), _METRICS)
        assert controller.pending == ()
        controller.ask()

    def test_unknown_and_repeated_ids(self, make: Make, space: SearchSpace) -> None:
        controller = make(space)
        proposal = controller.ask()
        answers: tuple[Callable[[int], None], ...] = (
            lambda id: controller.tell(id, 0.5, _METRICS),
            lambda id: controller.fail(id, "lost"),
        )
        for call in answers:
            for id in (-1, 1, 99):
                with pytest.raises(UnknownProposalError, match="never asked"):
                    call(id)
        controller.tell(proposal.id, 0.5, _METRICS)
        for call in answers:
            with pytest.raises(UnknownProposalError, match="already has a result"):
                call(0)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_a_reward_that_is_no_number_changes_nothing(
        self, make: Make, space: SearchSpace, bad: float
    ) -> None:
        controller = make(space)
        proposal = controller.ask()
        before = json.dumps(controller.state_dict())
        with pytest.raises(ControllerError, match="finite"):
            controller.tell(proposal.id, bad, _METRICS)
        assert json.dumps(controller.state_dict()) == before
        controller.fail(proposal.id, "diverged")

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("size", [1e-30, 1e30])
    def test_rewards_of_any_size_leave_finite_numbers(
        self, make: Make, space: SearchSpace, size: float
    ) -> None:
        controller = make(space)
        for _ in range(40):
            proposal = controller.ask()
            controller.tell(proposal.id, size * _reward(proposal.architecture), _METRICS)
        json.dumps(controller.state_dict(), allow_nan=False)
        json.dumps(controller.metrics, allow_nan=False)

    @pytest.mark.filterwarnings("error")
    def test_a_decision_of_many_choices_leaves_finite_numbers(self, make: Make) -> None:
        stages = [{"op": ["ds"], "channels": [*range(8, 8 * 401, 8)], "repeats": [1, 2, 3]}]
        space = StagedSpace.from_document({"schema": 1, "space": "wide", "stages": stages})
        controller = make(space)
        for _ in range(14):
            proposal = controller.ask()
            controller.tell(proposal.id, 1 - proposal.architecture[0] / 400, _METRICS)
        assert controller.incumbent() is not None
        json.dumps([controller.state_dict(), controller.metrics], allow_nan=False)

    @pytest.mark.filterwarnings("error")
    def test_more_architectures_than_a_float_counts(self, make: Make) -> None:
        stage = {"op": ["ds"], "channels": [*range(8, 168, 8)], "repeats": [*range(1, 11)]}
        space = StagedSpace.from_document({"schema": 1, "space": "vast", "stages": [stage] * 140})
        assert space.size > 10**320
        controller = make(space)
        for _ in range(3):
            proposal = controller.ask()
            assert space.contains(proposal.architecture)
            controller.tell(proposal.id, 0.5, _METRICS)

    def test_failures_alone_do_not_stop_it(self, make: Make, space: SearchSpace) -> None:
        controller = make(space)
        for _ in range(60):
            controller.fail(controller.ask().id, "lost")
        assert controller.pending == ()

    def test_failures_are_not_rewards(self, make: Make, space: SearchSpace) -> None:
        """A failure leaves the learned state as if the proposal had never been answered."""
        controller = make(space)
        first, second = controller.ask(), controller.ask()
        controller.tell(first.id, 0.5, _METRICS)
        # Optuna's state is the log of the calls themselves
        not_learned = ("pending", "behaviour", "calls")
        before = {k: v for k, v in controller.state_dict().items() if k not in not_learned}
        controller.fail(second.id, "lost")
        after = {k: v for k, v in controller.state_dict().items() if k not in not_learned}
        assert after == before

    def test_same_seed_same_proposals(self, make: Make, space: SearchSpace) -> None:
        runs = []
        for seed in (3, 3, 4):
            controller, driver = make(space, seed), Driver()
            for _ in range(60):
                driver.step(controller)
            runs.append(driver.log)
        assert runs[0] == runs[1]
        assert runs[0] != runs[2]

    def _whole(self, make: Make, space: SearchSpace) -> tuple[list[tuple[int, ...]], dict[str, Any]]:
        """The proposals and the last state of a controller that was never stopped; made once."""
        key = f"{type(self).__module__}.{type(self).__qualname__} {self.variant!r}"
        if key not in _wholes:
            whole, driver = make(space, 5), Driver()
            for _ in range(90):
                driver.step(whole)
            _wholes[key] = driver.log, whole.state_dict()
        return _wholes[key]

    @pytest.mark.parametrize("stop", [0, 1, 7, 40, 63])
    def test_resumes_exactly(self, make: Make, space: SearchSpace, stop: int) -> None:
        log, final = self._whole(make, space)

        first, again = make(space, 5), Driver()
        for _ in range(stop):
            again.step(first)
        state = json.loads(json.dumps(first.state_dict()))
        second = make(space, 99)  # its own seed must not matter any more
        second.load_state_dict(state)
        for _ in range(90 - stop):
            again.step(second)
        assert again.log == log
        assert second.state_dict() == final

    def test_parts_of_evaluations_are_taken_or_refused(self, make: Make, space: SearchSpace) -> None:
        """Whatever it makes of them: what is none changes nothing, and to be asked neither."""
        controller = make(space, 8)
        first, second = controller.ask(), controller.ask()
        before = json.dumps(controller.state_dict())
        for reward, share in ((math.nan, 0.5), (0.5, 0.0), (0.5, 1.0), (0.5, math.nan)):
            with pytest.raises(ControllerError):
                controller.report(first.id, reward, share)
            with pytest.raises(ControllerError):
                controller.goes_on(first.id, {share: reward})
        with pytest.raises(ControllerError):
            controller.tell(first.id, 0.5, {**_METRICS, "fidelity": 1.5})
        assert controller.goes_on(first.id, {0.5: 0.5}) in (True, False)
        assert json.dumps(controller.state_dict()) == before
        controller.report(first.id, 0.4, 0.25)
        controller.tell(first.id, 0.5, {**_METRICS, "fidelity": 0.5})
        controller.report(second.id, 0.4, 0.25)
        controller.fail(second.id, "lost")
        with pytest.raises(UnknownProposalError):
            controller.report(first.id, 0.5, 0.5)
        with pytest.raises(UnknownProposalError):
            controller.goes_on(second.id, {0.5: 0.5})
        Driver().step(controller)

    def test_state_of_another_space_is_refused(
        self, make: Make, space: SearchSpace, tiny: StagedSpace
    ) -> None:
        with pytest.raises(ControllerError, match="tiny"):
            make(space).load_state_dict(make(tiny).state_dict())

    def test_same_proposals_in_another_process(self, make: Make, space: SearchSpace) -> None:
        """With hashes seeded otherwise; the class must be importable there."""
        controller, driver = make(space, 6), Driver()
        for _ in range(50):
            driver.step(controller)
        cls = type(self)
        code = textwrap.dedent(f"""
            import importlib, sys
            sys.path[:0] = {sys.path!r}
            suite = importlib.import_module({cls.__module__!r})
            for name in {cls.__qualname__!r}.split("."):
                suite = getattr(suite, name)
            from nas.testing.controllers import Driver
            suite = suite()
            suite.variant = {self.variant!r}
            controller, driver = suite.make_controller(suite.make_space(), 6), Driver()
            for _ in range(50):
                driver.step(controller)
            print(driver.log)
        """)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip().splitlines()[-1] == str(driver.log)

    def test_exhaustion_is_named(self, make: Make, tiny: StagedSpace) -> None:
        controller, seen = make(tiny), set()
        with pytest.raises(SpaceExhaustedError, match="12 architectures"):
            for _ in range(3000):
                proposal = controller.ask()
                seen.add(proposal.architecture)
                controller.tell(proposal.id, _reward(proposal.architecture), _METRICS)
        assert len(seen) == tiny.size == 12

    def test_of_blocks_that_are_missing_nothing_is_chosen(self, make: Make) -> None:
        stages = [{"channels": 16, "repeats": [1, 2, 3], "blocks": [{"op": ["ds", "mbconv3"]}]}]
        space = StagedSpace.from_document({"schema": 1, "space": "blocks", "stages": stages})
        controller, seen = make(space), set()
        with pytest.raises(SpaceExhaustedError, match="14 architectures"):
            for _ in range(3000):
                proposal = controller.ask()
                seen.add(proposal.architecture)
                controller.tell(proposal.id, _reward(proposal.architecture), _METRICS)
        assert seen == set(space.enumerate())
        json.dumps(controller.state_dict(), allow_nan=False)

    def test_amended_proposals_are_what_is_learned(self, make: Make, space: SearchSpace) -> None:
        controller = make(space)
        first = controller.ask()
        other = space.mutate(first.architecture, np.random.default_rng(0))
        controller.amend(first.id, other)
        assert controller.pending[0].architecture == other
        controller.tell(first.id, 0.7, _METRICS)
        with pytest.raises(UnknownProposalError):
            controller.amend(first.id, other)
        second = controller.ask()
        with pytest.raises(NotInSpaceError):
            controller.amend(second.id, Architecture((0,)))

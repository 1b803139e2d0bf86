"""What controllers are compared on: a space of known rewards, from a surrogate, a table or a function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.base import RewardLine
from nas.benchmark.landmarks import Landmarks, benchmark_landmarks
from nas.benchmark.load import load_surrogate
from nas.benchmark.truth import AccuracyModel, Rewards, Truth
from nas.network.analytic import check_cost_name
from nas.search.objective import make_objective
from nas.search.reach import check_reach
from nas.search.reward import Reward, make_reward, reward_of
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace

Nearest = Callable[[Architecture, Collection[Architecture]], Architecture]


@dataclass(frozen=True)
class Oracle:
    """A space and its rewards without noise.

    Attributes:
        name: what tables and pictures call it.
        space: what controllers search.
        reward: of accuracy and costs.
        rewards: of many architectures, choice indices (n, decisions) -> (n,).
        accuracy: of one, a fraction.
        costs: of one, by name: `macs` and those that the reward weighs.
        objective: what controllers are told of the reward in advance; None: they learn the reward itself.
        landmarks: finds what a search is measured against; may take seconds.
        noise: standard deviation of the accuracy over trainings of one architecture; None: unknown.
        count: architectures that have an answer; 0: all of the space.
        nearest: of a table that lacks some of its product: the row that stands in for an architecture, given
            the ones that are taken; None: every architecture has an answer.
    """

    name: str
    space: SearchSpace
    reward: Reward
    rewards: Rewards
    accuracy: Callable[[Architecture], float]
    costs: Callable[[Architecture], dict[str, float]]
    objective: RewardLine | None
    landmarks: Callable[[], Landmarks] = field(repr=False)
    noise: float | None = None
    count: int = 0
    nearest: Nearest | None = None

    def noise_asked(self) -> float:
        """The noise, where answers with it are wanted; raises `InputError` where it isn't known."""
        if self.noise is None:
            raise InputError(
                f"noise: {self.name} has one accuracy of each architecture, which tells none: leave it "
                "out, or give a table in which some rows occur twice"
            )
        return self.noise


def run_oracle(path: str, targets: Mapping[str, float], exponent: float | None = None) -> Oracle:
    """A benchmark that was made of runs; raises `InputError` for a target of no analytic cost.

    Args:
        path: of its file.
        targets: of its costs, none: the reward is the accuracy.
        exponent: of the reward; None: -0.07.
    """
    for name in targets:
        check_cost_name(name)
    surrogate, reward = load_surrogate(path), reward_of("soft", targets, exponent)
    return _surrogate_oracle(Path(path).name, surrogate, surrogate.families[0], reward)


def benchmark_oracle(family: str, data: str | None = None, target: str = "400M") -> Oracle:
    """The ImageNet benchmark's surrogate.

    Args:
        family: of the surrogate.
        data: as `load_surrogate` takes it.
        target: of the reward's `benchmark_macs`.
    """
    surrogate = load_surrogate(data)
    reward = make_reward("soft", {"benchmark_macs": target})
    return _surrogate_oracle(family, surrogate, family, reward)


def _surrogate_oracle(name: str, surrogate: AccuracyModel, family: str, reward: Reward) -> Oracle:
    check_reach(surrogate.space, reward)
    noise = surrogate.about.get("noise")
    truth = Truth(surrogate, family, reward)
    return Oracle(
        name,
        surrogate.space,
        reward,
        truth,
        truth.accuracy,
        truth.costs,
        make_objective(surrogate.space, reward, surrogate),
        lambda: benchmark_landmarks(truth),
        None if noise is None else float(noise) / 100,
    )

"""What the benchmark's answer is without noise: accuracy, costs and reward of architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.network.analytic import is_analytic
from nas.network.cost_table import CostTable
from nas.search.objective import make_objective
from nas.search.reward import Reward
from nas.search.trial import Measurement, Trial
from search_spaces.architecture import Architecture
from search_spaces.mbconv import StagedSpace

Rewards = Callable[[NDArray[np.int64]], NDArray[np.float64]]


class AccuracyModel(Protocol):
    """What answers for any architecture of a space: a surrogate of the records, or of somebody's runs.

    Attributes:
        space: of the architectures.
        about: where it comes from, its fidelity and noise.
        families: of its surrogates, by name.
    """

    space: StagedSpace
    about: dict[str, Any]
    families: tuple[str, ...]

    @property
    def digest(self) -> str:
        """16 hex digits of everything that decides its answers."""

    def top1(self, architectures: ArrayLike, family: str) -> NDArray[np.float64]:
        """Predicted accuracy, points, shape (n,)."""

    def top1_std(self, architectures: ArrayLike) -> NDArray[np.float64]:
        """Its standard deviation, points, shape (n,)."""

    def measured(self, architectures: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Predicted costs by name, each of shape (n,)."""


class Truth:
    """One surrogate's answers; called with choice indices (n, decisions): the rewards, shape (n,).

    Args:
        surrogate: to be asked.
        family: of its surrogates of top-1.
        reward: of accuracy and costs.
    """

    def __init__(self, surrogate: AccuracyModel, family: str, reward: Reward) -> None:
        self.surrogate, self.family, self.reward = surrogate, family, reward
        self._objective = make_objective(surrogate.space, reward, surrogate)
        self._table = CostTable(surrogate.space)
        names = {"macs", *(objective.cost for objective in reward.objectives)}
        self._analytic = sorted(filter(is_analytic, names))
        self._measured = sorted(names - set(self._analytic))

    def __call__(self, architectures: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rewards."""
        slope, offset = self._objective(architectures)
        return slope * self._accuracies(architectures) + offset

    def accuracy(self, architecture: Architecture) -> float:
        """Top-1 of one architecture, a fraction."""
        return float(self._accuracies(np.array([architecture]))[0])

    def measure(self, trial: Trial) -> Measurement:
        """What a simulated trial measures."""
        return {"epoch": 1, "accuracy": self.accuracy(trial.proposal.architecture)}

    def costs(self, architecture: Architecture) -> dict[str, float]:
        """The MACs of one architecture and the costs that the reward weighs, by name."""
        row = np.array([architecture])
        found = self._table.values(row, self._analytic)
        if self._measured:
            answers = self.surrogate.measured(row)
            found |= {name: answers[name] for name in self._measured}
        return {name: float(values[0]) for name, values in found.items()}

    def _accuracies(self, architectures: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.clip(self.surrogate.top1(architectures, self.family) / 100, 0, 1)

"""What a search would cost elsewhere: GPU-hours until its goals, from the records' own training times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.landmarks import Landmarks
from nas.benchmark.truth import AccuracyModel

CAVEAT = (
    "GPU-hours are of the records' trainings, a short recipe on their authors' GPUs: on another GPU, or by a "
    "longer recipe, a search takes another time and the same number of trainings"
)


_GOALS = ("B0", "99%")


def price_goals(landmarks: Landmarks) -> dict[str, float]:
    """The rewards whose price is told: B0's, where it is in the space, and 99% of the way to the best."""
    return {goal: value for goal, value in landmarks.goals.items() if goal in _GOALS}


@dataclass(frozen=True)
class GoalPrice:
    """What it takes to reach a goal.

    Attributes:
        search: which, in words.
        goal: B0's reward or a part of the way to the best.
        hours: GPU-hours, the median over seeds; None: fewer than half of them got there.
        most: the 95th percentile over seeds; None: fewer than 95% of them got there.
        seeds: how many.
    """

    search: str
    goal: str
    hours: float | None
    most: float | None
    seeds: int


def training_hours(
    surrogate: AccuracyModel, architectures: NDArray[np.int64], speed: float = 1.0
) -> NDArray[np.float64]:
    """GPU-hours of all trainings up to each, shape (n,).

    Args:
        surrogate: of the training times.
        architectures: in the order of their trainings, shape (n, decisions); again the same takes no time.
        speed: of the GPU, in those that the records were trained on.
    """
    seconds = np.asarray(surrogate.measured(architectures)["train_time"]) / speed
    _, first = np.unique(architectures, axis=0, return_index=True)
    trained = np.zeros(len(architectures), dtype=bool)
    trained[first] = True
    hours: NDArray[np.float64] = np.cumsum(np.where(trained, seconds, 0.0)) / 3600
    return hours


def hours_to(goal: float, rewards: NDArray[np.float64], hours: NDArray[np.float64]) -> float:
    """The hours when a reward first reached the goal; infinite if none did."""
    reached = np.flatnonzero(rewards >= goal - 1e-12)
    return float(hours[reached[0]]) if len(reached) else math.inf


def goal_prices(search: str, found: Mapping[str, Sequence[float]]) -> list[GoalPrice]:
    """The prices of goals, from the hours that each seed took to each."""

    def part(values: Sequence[float], share: float) -> float | None:
        value = float(np.quantile(values, share, method="higher"))
        return value if math.isfinite(value) else None

    return [
        GoalPrice(search, goal, part(values, 0.5), part(values, 0.95), len(values))
        for goal, values in found.items()
    ]

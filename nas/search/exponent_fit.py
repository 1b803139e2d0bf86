"""The reward's exponent w from accuracies of networks that differ in cost, by MnasNet's own rule.

Tan et al. 2019 (MnasNet), section 3: w is chosen so that Pareto-optimal solutions have similar rewards. If a
doubling of the cost brings a share g more accuracy, then accuracy x (1 + g) x (2 x cost / target)^w equals
accuracy x (cost / target)^w for w = -log2(1 + g). They found g = 5% on ImageNet, hence w = -0.07. Accuracy is
then a power of the cost, and -w is the slope of log2 accuracy over log2 cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.reward import Objective
from search_spaces.errors import InputError

USUAL = -0.07
"""MnasNet's and EfficientNet's w, found on ImageNet."""
LEAST, MOST = 0.01, 1.0
"""Of -w. A doubling that brings nothing (or harms) is still held to be worth 0.7%: less than repeated
trainings differ by, so that the cost decides among equals. Beyond 1, accuracy would more than double with the
cost: that is the threshold between learning and not learning, no exchange of one for the other."""
FEWEST = 3
"""Networks that a line with an interval takes."""
_WIDE = 0.05
_WORDS = {"macs": "MACs", "benchmark_macs": "MACs (the benchmark's count)"}


@dataclass(frozen=True)
class SizedAccuracy:
    """One training of one network.

    Attributes:
        network: which; the same in each of its trainings.
        doublings: log2 of how much its cost is of the target; of several targets the sum.
        accuracy: a fraction.
    """

    network: str
    doublings: float
    accuracy: float


@dataclass(frozen=True)
class ExponentFit:
    """What a doubling of the cost brings, and the w that is worth as much.

    Attributes:
        slope: of log2 accuracy over log2 cost.
        low, high: its 95% interval.
        networks, trainings: that it rests on.
        guessing: trainings that were left out as no better than guessing.
    """

    slope: float
    low: float
    high: float
    networks: int
    trainings: int
    guessing: int = 0

    @property
    def exponent(self) -> float:
        """The reward's w: minus the slope, from -`MOST` to -`LEAST`, to four digits."""
        return -round(min(max(self.slope, LEAST), MOST), 4)

    @property
    def remarks(self) -> list[str]:
        """What must be known of the number, a sentence each: limits that acted, a wide interval."""
        words = []
        if self.slope < LEAST:
            words.append(
                f"more cost brings nothing here to speak of: w is {-LEAST:g}, the least weight, by which "
                "the cost decides among equals"
            )
        elif self.slope > MOST:
            words.append(
                f"accuracy more than doubles with the cost here: w is held at {-MOST:g}; the smaller "
                "networks hardly learn, longer trainings would tell more"
            )
        if self.low <= 0 <= self.high and self.slope >= LEAST:
            words.append(
                "the interval includes zero: these trainings don't show that more cost brings anything; the "
                "most likely value is used"
            )
        if self.high - self.low > 2 * _WIDE:
            words.append(
                f"the interval is wide ({gain(self.low):+.1%} to {gain(self.high):+.1%} for a doubling): the "
                "networks lie far off the line, by chance or by what is peculiar to them"
            )
        if self.guessing:
            words.append(
                f"{self.guessing} training{'s' * (self.guessing > 1)} no better than guessing left out: they "
                "say what doesn't learn, not what cost is worth"
            )
        return words


def gain(slope: float) -> float:
    """What a doubling of the cost brings, relative: 0.05 is 5% more accuracy."""
    return math.expm1(slope * math.log(2))


def doublings(objectives: Sequence[Objective], costs: Mapping[str, float]) -> float:
    """log2 of what the reward raises to w: the product of cost / target over the objectives."""
    return sum(math.log2(objective.ratio(costs[objective.cost])) for objective in objectives)


def change_of(objectives: Sequence[Objective]) -> str:
    """The step by which `doublings` grows by one, in words."""
    names = [_WORDS.get(objective.cost, objective.cost) for objective in objectives]
    if len(names) > 1:
        return f"a doubling of {' x '.join(names)}, each in its target,"
    # a throughput is worse the lower it is
    return f"a {'halving' if names[0].startswith('throughput') else 'doubling'} of {names[0]}"


def fit_exponent(points: Iterable[SizedAccuracy], chance: float = 0.0) -> ExponentFit:
    """The least-squares line of log2 accuracy over log2 cost, with its 95% interval.

    The line goes through the networks' means over their trainings, with k - 2 degrees of freedom for k
    networks: two trainings of one network share what is peculiar to it, so they count as one point, whose
    scatter about the line has the noise of the trainings and the networks' own in it.

    Args:
        points: the trainings.
        chance: accuracy up to which a network may have learned nothing; such trainings are left out.

    Raises:
        InputError: fewer than `FEWEST` networks of different cost learned anything.
    """
    points = list(points)
    learned = [point for point in points if point.accuracy > chance]
    by_network: dict[str, list[SizedAccuracy]] = {}
    for point in learned:
        by_network.setdefault(point.network, []).append(point)
    known = len({point.network for point in points})
    if len({rows[0].doublings for rows in by_network.values()}) < FEWEST:
        raise InputError(
            f"exponent 'auto': {len(by_network)} of {known} networks learned more than guessing (accuracy "
            f"above {chance:.3f}), expected at least {FEWEST}: start again with longer trainings (--epochs, "
            "--subset), or give w as a number"
        )
    x = np.array([rows[0].doublings for rows in by_network.values()])
    y = np.array([np.mean([math.log2(row.accuracy) for row in rows]) for rows in by_network.values()])
    slope, half = _line(x, y)
    return ExponentFit(
        slope, slope - half, slope + half, len(by_network), len(learned), len(points) - len(learned)
    )


def _line(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    """(slope, half of its 95% interval) of the least-squares line."""
    from scipy.stats import t

    x, y = np.asarray(x), np.asarray(y)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float((x - x.mean()) @ (y - y.mean())) / spread
    rest = y - y.mean() - slope * (x - x.mean())
    freedom = len(x) - 2
    error = math.sqrt(float(rest @ rest) / freedom / spread)
    return slope, float(t.ppf(0.975, freedom)) * error

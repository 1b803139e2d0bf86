"""When to stop: what the next trials are still likely to bring, against what they cost."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces.errors import InputError

CHANCE = "predictor/chance"
"""The metric it reads: the controller's chance that its last proposal is a worthwhile improvement."""

WORTHWHILE = 0.001
"""An improvement that counts, as a share of the best reward; the controller's own default."""

WINDOW = 40
AT_LEAST = 2 * WINDOW
PATIENCE = 1.5
"""Results without an improvement that are wanted, in units of the price."""
_SIZES = 5


@dataclass(frozen=True)
class Forecast:
    """What some more trials would bring, in units of the reward, with its 90% interval."""

    trials: int
    mean: float
    low: float
    high: float


class Convergence:
    """Says when a worthwhile improvement is expected to cost more trials than it is worth.

    The chance that a trial brings one is what the predictor gives it, on average over the last 40
    proposals, or what the last 1.5 x `price` results (40 at least) let expect, whichever is higher: a
    predictor can be too sure of itself, and that an improvement takes more than `price` trials can't be told
    from fewer. With k improvements among n results that is (k + 1/2) / n (Jeffreys' prior). The search has
    converged when an improvement would take more than `price` trials, 1 / chance.

    Args:
        price: trials that one worthwhile improvement may cost.

    Raises:
        InputError: the price is below 1.
    """

    def __init__(self, price: float = 100) -> None:
        if not 1 <= price <= 1e9:
            raise InputError(f"price {price:g}: expected 1 trial or more for an improvement")
        self.price = price
        self._needed = max(WINDOW, math.ceil(PATIENCE * price))
        self._chances: deque[float] = deque(maxlen=WINDOW)
        self._improved: deque[bool] = deque(maxlen=self._needed)
        self._sizes: deque[float] = deque(maxlen=_SIZES)
        self._best = float("-inf")
        self._asked = 0

    def asked(self, metrics: dict[str, float]) -> None:
        """Take in a controller's metrics after an ask."""
        self._asked += 1
        if CHANCE in metrics:
            self._chances.append(metrics[CHANCE])

    def ended(self, reward: float | None) -> None:
        """Take in a trial's reward; None if it failed."""
        known = self._best > float("-inf")
        better = known and reward is not None and reward > self._best + WORTHWHILE * abs(self._best)
        self._improved.append(better)
        if reward is not None:
            if better:
                self._sizes.append(reward - self._best)
            self._best = max(self._best, reward)

    def state_dict(self) -> dict[str, Any]:
        """All that decides when it has been reached, as plain data."""
        best = None if self._best == float("-inf") else self._best
        return {
            "chances": list(self._chances),
            "improved": list(self._improved),
            "sizes": list(self._sizes),
            "best": best,
            "asked": self._asked,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._chances = deque(state["chances"], maxlen=WINDOW)
        self._improved = deque(state["improved"], maxlen=self._needed)
        self._sizes = deque(state["sizes"], maxlen=_SIZES)
        self._best = float("-inf") if state["best"] is None else float(state["best"])
        self._asked = int(state["asked"])

    @property
    def trials_per_improvement(self) -> float | None:
        """Expected trials for the next worthwhile improvement; None before enough proposals and results."""
        if len(self._chances) < WINDOW or len(self._improved) < self._needed:
            return None
        return 1 / self._chance

    @property
    def reached(self) -> bool:
        """Whether the search should stop."""
        expected = self.trials_per_improvement
        return self._asked >= AT_LEAST and expected is not None and expected > self.price

    def forecast(self, trials: int) -> Forecast | None:
        """What so many more trials would bring; None as long as `trials_per_improvement` is.

        Improvements come by chance (a Poisson process), and are as large as the last five were on average
        (exponentially distributed), so that nothing at all may well be in the interval.
        """
        if self.trials_per_improvement is None:
            return None
        expected = trials * self._chance
        size = sum(self._sizes) / len(self._sizes) if self._sizes else WORTHWHILE * abs(self._best)
        low, high = (size * _compound_quantile(expected, level) for level in (0.05, 0.95))
        return Forecast(trials, expected * size, low, high)

    @property
    def _chance(self) -> float:
        seen = (sum(self._improved) + 0.5) / len(self._improved)
        return min(1.0, max(sum(self._chances) / len(self._chances), seen))


def _compound_quantile(expected: float, level: float) -> float:
    """Quantile of the sum of a Poisson number of exponentially distributed sizes with mean 1."""
    from scipy.optimize import brentq
    from scipy.special import gammainc, gammaln  # most searches end without a forecast

    counts = np.arange(1, 10 + math.ceil(expected + 10 * math.sqrt(expected)))
    weights = np.exp(counts * math.log(expected) - expected - gammaln(counts + 1))

    def below(total: float) -> float:
        return math.exp(-expected) + float(weights @ gammainc(counts, total)) - level

    if below(0) >= 0:
        return 0.0
    return float(brentq(below, 0, 10 + 4 * expected + 10 * math.sqrt(expected)))

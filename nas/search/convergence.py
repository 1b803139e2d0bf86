"""When to stop: what the next trial is still likely to bring, against what it costs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from search_spaces.errors import InputError

CHANCE = "predictor/chance"
"""The metric it reads: the controller's chance that its last proposal is a worthwhile improvement."""

WORTHWHILE = 0.001
"""An improvement that counts, as a share of the best reward; the controller's own default."""

WINDOW = 40
AT_LEAST = 2 * WINDOW


class Convergence:
    """Says when a worthwhile improvement is expected to cost more trials than it is worth.

    The chance that a trial brings one is what the predictor gives it, on average over the last 40
    proposals, or the share of the last 40 results that did, whichever is higher: a predictor can be too
    sure of itself, and then it is still being surprised. The search has converged when an improvement
    would take more than `price` trials, 1 / chance.

    Args:
        price: trials that one worthwhile improvement may cost.

    Raises:
        InputError: the price is below 1.
    """

    def __init__(self, price: float = 100) -> None:
        if not 1 <= price <= 1e9:
            raise InputError(f"price {price:g}: expected 1 trial or more for an improvement")
        self.price = price
        self._chances: deque[float] = deque(maxlen=WINDOW)
        self._improved: deque[bool] = deque(maxlen=WINDOW)
        self._best = float("-inf")
        self._asked = 0

    def asked(self, metrics: dict[str, float]) -> None:
        """Take in a controller's metrics after an ask."""
        self._asked += 1
        if CHANCE in metrics:
            self._chances.append(metrics[CHANCE])

    def ended(self, reward: float | None) -> None:
        """Take in a trial's reward; None if it failed."""
        better = reward is not None and reward > self._best + WORTHWHILE * abs(self._best)
        self._improved.append(better and self._best > float("-inf"))
        if reward is not None:
            self._best = max(self._best, reward)

    def state_dict(self) -> dict[str, Any]:
        """All that decides when it has been reached, as plain data."""
        best = None if self._best == float("-inf") else self._best
        return {
            "chances": list(self._chances),
            "improved": list(self._improved),
            "best": best,
            "asked": self._asked,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._chances = deque(state["chances"], maxlen=WINDOW)
        self._improved = deque(state["improved"], maxlen=WINDOW)
        self._best = float("-inf") if state["best"] is None else float(state["best"])
        self._asked = int(state["asked"])

    @property
    def trials_per_improvement(self) -> float | None:
        """Expected trials for the next worthwhile improvement; None before enough proposals."""
        if len(self._chances) < WINDOW or len(self._improved) < WINDOW:
            return None
        chance = max(sum(self._chances), sum(self._improved)) / WINDOW
        return 1 / max(chance, 1e-12)

    @property
    def reached(self) -> bool:
        """Whether the search should stop."""
        expected = self.trials_per_improvement
        return self._asked >= AT_LEAST and expected is not None and expected > self.price

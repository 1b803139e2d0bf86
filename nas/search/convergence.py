"""When to stop: what the next trial is still likely to bring, against what it costs."""

from __future__ import annotations

from collections import deque

from search_spaces.errors import InputError

CHANCE = "predictor/chance"
"""The metric it reads: the controller's chance that its last proposal is a worthwhile improvement."""

WINDOW = 40
AT_LEAST = 2 * WINDOW


class Convergence:
    """Says when a worthwhile improvement is expected to cost more trials than it is worth.

    The mean chance of improvement over the last 40 proposals is 1 / (trials per improvement). The
    search has converged when an improvement would take more than `price` trials.

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
        self._asked = 0

    def asked(self, metrics: dict[str, float]) -> None:
        """Take in a controller's metrics after an ask."""
        self._asked += 1
        if CHANCE in metrics:
            self._chances.append(metrics[CHANCE])

    @property
    def trials_per_improvement(self) -> float | None:
        """Expected trials for the next worthwhile improvement; None before enough proposals."""
        if len(self._chances) < WINDOW:
            return None
        return 1 / max(sum(self._chances) / WINDOW, 1e-12)

    @property
    def reached(self) -> bool:
        """Whether the search should stop."""
        expected = self.trials_per_improvement
        return self._asked >= AT_LEAST and expected is not None and expected > self.price

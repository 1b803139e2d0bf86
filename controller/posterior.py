"""The rewards to expect of architectures, and which of many candidates are the most promising."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from controller.encoded import Describe
from controller.predictor import Predictor
from controller.row_factor import Floats

Acquisition = Callable[[Floats, Floats], Floats]
"""(means, deviations) of rewards -> scores, which rise with both."""

_AT_ONCE = 16
"""Candidates that are scored exactly before it is asked again whether any other can be better."""

LOG_SLACK = 0.2
"""What `log_improvement` may fall short of that of a smaller deviation: 0.1, where its asymptote begins."""


@dataclass(frozen=True)
class Leaders:
    """Candidates with the highest scores, the best first.

    Attributes:
        rows: choice indices, shape (n, decisions).
        scores: shape (n,).
        means, deviations: of their rewards, shape (n,).
    """

    rows: NDArray[np.int64]
    scores: Floats
    means: Floats
    deviations: Floats

    def joined(self, other: Leaders, count: int) -> Leaders:
        """The `count` best of both; of equals these first."""
        order = np.argsort(-np.concatenate([self.scores, other.scores]), kind="stable")[:count]
        return Leaders(
            np.concatenate([self.rows, other.rows])[order],
            np.concatenate([self.scores, other.scores])[order],
            np.concatenate([self.means, other.means])[order],
            np.concatenate([self.deviations, other.deviations])[order],
        )


class Posterior:
    """Rewards by a predictor of what is learned: slope x (target x scale + shift) + offset.

    Args:
        predictor: conditioned on what was seen and what is pending.
        describe: encodes architectures and gives their slope and offset.
        seen: the evaluated architectures, shape (n, decisions), in the predictor's order.
        slope, offset: theirs, shape (n,).
        shift, scale: of the targets.
        ends: which of those stand for an evaluation each, shape (m,); None: each does.
        whole: which of the evaluations came to their end, shape (m,); None: all did.

    Attributes:
        means: of the evaluations' rewards, shape (m,).
        leader: the highest of those that came to their end; of all where none did.
        best: the leader's.
    """

    def __init__(
        self,
        predictor: Predictor,
        describe: Describe,
        seen: NDArray[np.int64],
        slope: Floats,
        offset: Floats,
        shift: float,
        scale: float,
        ends: NDArray[np.int64] | None = None,
        whole: NDArray[np.bool_] | None = None,
    ) -> None:
        self.predictor, self.describe, self.seen = predictor, describe, seen
        self.shift, self.scale = shift, scale
        self.means = slope * (predictor.seen_means * scale + shift) + offset
        if ends is not None:
            self.seen, self.means = seen[ends], self.means[ends]
        counting = self.means if whole is None or not whole.any() else np.where(whole, self.means, -np.inf)
        self.leader = int(np.argmax(counting))
        self.best = float(self.means[self.leader])

    def top(self, count: int) -> NDArray[np.int64]:
        """The evaluated architectures with the highest posterior means, best first."""
        best: NDArray[np.int64] = self.seen[np.argsort(-self.means, kind="stable")[:count]]
        return best

    def expected(self, architectures: NDArray[np.int64]) -> Floats:
        """The rewards to expect of architectures (n, decisions), shape (n,)."""
        x, z, slope, offset = self.describe(architectures)
        rewards: Floats = slope * (self.predictor.mean(x, z) * self.scale + self.shift) + offset
        return rewards

    def leaders(
        self,
        architectures: NDArray[np.int64],
        count: int,
        acquisition: Acquisition,
        slack: float = 0.0,
        floor: float = -math.inf,
    ) -> Leaders:
        """The architectures that score highest, exactly.

        What is pending only makes a reward surer, so what was seen gives a bound of each score, for much
        less work; scored is only what could still be one of the best.

        Args:
            architectures: candidates, shape (n, decisions).
            count: how many of them at most.
            acquisition: their score.
            slack: what it may lose as a deviation grows.
            floor: those that score less may be left out.
        """
        x, z, slope, offset = self.describe(architectures)
        mean, deviation = self.predictor.predict_from_seen(x, z)
        means, deviations = slope * (mean * self.scale + self.shift) + offset, slope * deviation * self.scale
        scores = acquisition(means, deviations)
        if self.predictor.awaits:
            bounds, scores = scores, np.full(len(scores), -math.inf)
            order = np.argsort(-bounds, kind="stable")
            for start in range(0, len(order), _AT_ONCE):
                enough = np.partition(scores, -count)[-count] if start >= count else -math.inf
                if bounds[order[start]] + slack < max(enough, floor):
                    break
                part = order[start : start + _AT_ONCE]
                deviations[part] = slope[part] * self.predictor.deviation(x[part], z[part]) * self.scale
                scores[part] = acquisition(means[part], deviations[part])
        best = np.argsort(-scores, kind="stable")[:count]
        return Leaders(architectures[best], scores[best], means[best], deviations[best])

    def log_improvement(self, means: Floats, deviations: Floats) -> Floats:
        """Logarithm of the expected improvement (Jones et al. 1998), by its asymptote where it would
        underflow."""
        u = (means - self.best) / deviations
        density = np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)
        near = np.log(np.maximum(u * ndtr(u) + density, 1e-300))
        far = -0.5 * u * u - 2 * np.log(np.abs(u) + 1e-9) - 0.5 * math.log(2 * math.pi)
        score: Floats = np.where(u > -5, near, far) + np.log(deviations)
        return score


def upper_bound(means: Floats, deviations: Floats) -> Floats:
    """An upper confidence bound, half a deviation above the mean."""
    return means + 0.5 * deviations

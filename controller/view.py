"""What a predictor learns: the accuracy, of which the reward is a line, or the reward itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from controller.encoded import Describe
from controller.posterior import Posterior
from controller.predictor import Points, Predictor, standardised
from controller.row_factor import Floats
from search_spaces.architecture import Architecture


class View:
    """One way to look at the rewards that were seen.

    Args:
        predictor: of what is learned.
        direct: learn the reward itself.
        inputs: which columns of the points' z concern it.

    Attributes:
        evidence: logarithm of the posterior density of the rewards that it was last fitted to, up to what is
            the same of every view.
    """

    def __init__(self, predictor: Predictor, direct: bool, inputs: Sequence[int] = (0,)) -> None:
        self.predictor, self.direct, self._inputs = predictor, direct, list(inputs)
        self.evidence = 0.0

    def fit(self, points: Points, rewards: Floats, slope: Floats, offset: Floats, iterations: int) -> None:
        """Set the predictor's parameters, and the evidence.

        Args:
            points: evaluated architectures.
            rewards: theirs, shape (n,).
            slope, offset: of the rewards in the accuracy, shape (n,).
            iterations: at most.
        """
        slope, offset = self._line(slope, offset)
        values, _, scale = standardised((rewards - offset) / slope)
        own = self._own(points)
        loss = self.predictor.fit(own.x, own.z, values, iterations)
        # a density of accuracies is one of rewards when divided by the slopes
        self.evidence = (
            -loss - len(rewards) * float(np.log(scale)) - float(np.log(np.maximum(slope, 1e-300)).sum())
        )

    def posterior(
        self,
        points: Points,
        seen: Sequence[Architecture],
        rewards: Floats,
        slope: Floats,
        offset: Floats,
        whole: Points | None,
        describe: Describe,
        ends: NDArray[np.int64] | None = None,
        ended: NDArray[np.bool_] | None = None,
    ) -> Posterior:
        """The rewards to expect.

        Args:
            points: evaluated architectures.
            seen: the same.
            rewards: theirs, shape (n,).
            slope, offset: of the rewards in the accuracy, shape (n,).
            whole: those and the pending ones, as `Predictor.condition` takes it.
            describe: encodes architectures and gives their slope and offset.
            ends, ended: as `Posterior` takes `ends` and `whole`.
        """
        slope, offset = self._line(slope, offset)
        values, shift, scale = standardised((rewards - offset) / slope)
        self.predictor.condition(self._own(points), values, None if whole is None else self._own(whole))

        def described(rows: NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
            x, z, *line = describe(rows)
            return x, z[:, self._inputs], *self._line(*line)

        return Posterior(self.predictor, described, np.array(seen), slope, offset, shift, scale, ends, ended)

    def _own(self, points: Points) -> Points:
        return Points(points.keys, points.x, points.z[:, self._inputs])

    def _line(self, slope: Floats, offset: Floats) -> tuple[Floats, Floats]:
        return (np.ones_like(slope), np.zeros_like(offset)) if self.direct else (slope, offset)


def chances(views: Sequence[View]) -> Floats:
    """How probable each view is, shape (views,)."""
    return np.asarray(softmax([view.evidence for view in views]))

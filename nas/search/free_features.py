"""What is known of a network before anything is trained, and how well that alone ranks networks.

A ranking that costs trainings has to beat these; Ning et al. (2021, "Evaluating Efficient Performance
Estimators of Neural Architectures") found that many don't beat the parameter count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.network.cost import cost
from nas.search.kendall import Signs, signs_of
from search_spaces.spec import NetworkSpec

FREE = ("MACs", "params", "depth", "gates", "kernels")
"""The columns of `free_features`: multiply-adds, parameters, blocks, blocks with SE, sum of the kernels."""

PENALTY = 1.0
"""Of the ridge, in standard units of the features: as much as one network more that says nothing."""

_PAIRS_OUT, _FOLDS = 300, 10


def free_features(specs: Sequence[NetworkSpec]) -> NDArray[np.float64]:
    """`FREE` of each network, shape (n, 5)."""
    rows = []
    for spec in specs:
        counted, blocks = cost(spec), spec.blocks()
        gates = sum(block.se_ratio > 0 for block in blocks)
        kernels = sum(block.kernel for block in blocks)
        rows.append((counted.macs, counted.params, len(blocks), gates, kernels))
    return np.array(rows, dtype=np.float64).reshape(-1, len(FREE))


class FreeRidge:
    """Ridge regression of accuracies on the free features, MACs and parameters by their logarithms.

    Args:
        features: as `free_features` gives them, shape (n, 5), of the networks that are ranked; they need no
            label, so their mean and spread may be used.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        logs = self._logs(features)
        self._mean, spread = logs.mean(0), logs.std(0)
        # what is the same for all says nothing
        self._scale: NDArray[np.float64] = np.where(spread < 1e-9 * (1 + abs(self._mean)), np.inf, spread)
        self.inputs = self._standard(features)

    @staticmethod
    def _logs(features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([np.log(features[:, :2]), features[:, 2:]], axis=1)

    def _standard(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = (self._logs(features) - self._mean) / self._scale
        return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)

    def by_labels(self, features: NDArray[np.float64], accuracies: NDArray[np.float64]) -> Signs:
        """The ranking by a ridge that was fitted on other networks, features (m, 5), accuracies (m,)."""
        labelled = self._standard(features)
        return signs_of(self.inputs @ _fit(labelled.T @ labelled, labelled.T @ accuracies))

    def cross_fitted(self, accuracies: NDArray[np.float64]) -> Signs:
        """The ranking by a ridge that never saw the networks of which it speaks, accuracies (n,).

        Of each pair a ridge fitted on all others says which is better (leave-pair-out, Airola et al. 2011):
        left out one at a time, a network's own accuracy would be missing in the mean of the others, and the
        prediction would be the lower the higher it is. Of more than 300 networks, where that has no weight,
        by folds.
        """
        x, count = self.inputs, len(accuracies)
        gram, sums = x.T @ x, x.T @ accuracies
        if count <= _PAIRS_OUT:
            i, j = np.triu_indices(count, 1)
            left = gram - _outer(x[i]) - _outer(x[j])
            rest = sums - x[i] * accuracies[i, None] - x[j] * accuracies[j, None]
            above = np.sign(((x[i] - x[j]) * _fit(left, rest)).sum(1))
            matrix = np.zeros((count, count), dtype=np.float32)
            matrix[i, j], matrix[j, i] = above, -above
            return lambda rows: matrix[rows]
        predicted = np.zeros(count)
        for fold in np.array_split(np.random.default_rng(0).permutation(count), _FOLDS):
            left = gram - x[fold].T @ x[fold]
            predicted[fold] = x[fold] @ _fit(left, sums - x[fold].T @ accuracies[fold])
        return signs_of(predicted)


def cross_labels(count: int) -> int:
    """Of how many of `count` networks each ridge of `cross_fitted` has seen the accuracy."""
    return count - 2 if count <= _PAIRS_OUT else count - count // _FOLDS


def _fit(gram: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coefficients, the last one (the mean) without a penalty; of many fits at once too."""
    penalty = np.diag([PENALTY] * len(FREE) + [1e-9])
    found = np.linalg.solve(gram + penalty, sums[..., None])[..., 0]
    return found.astype(np.float64)


def _outer(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[:, :, None] * rows[:, None, :]

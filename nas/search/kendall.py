"""Kendall's tau with its bootstrap interval, of all pairs of networks or of some of them.

A ranking is here what it says of each pair: +1, 0 or -1. A bootstrap sample is how often each network was
drawn, so that tau of every sample is a product of matrices, and samples of two rankings can be subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Signs = Callable[[slice], NDArray[np.float32]]
"""Rows i of the matrix that says of each pair (i, j) whether i is ranked above j: +1, 0, -1."""
PairsMeant = Callable[[slice], NDArray[np.bool_]]
"""Rows of the matrix of the pairs that count."""

_CHUNK = 256
_RESAMPLED, _OF_MANY, _MANY = 1000, 200, 300


@dataclass(frozen=True)
class Correlation:
    """How one ranking agrees with another.

    Attributes:
        tau: Kendall's, tau-b; 0 where one of them ranks nothing.
        low, high: its 95% interval, by resampling the networks.
        count: networks that both rank.
    """

    tau: float
    low: float
    high: float
    count: int


def signs_of(values: NDArray[np.float64]) -> Signs:
    """The ranking by a number of each network, the higher the better; values of shape (n,)."""
    return lambda rows: np.sign(values[rows, None] - values[None]).astype(np.float32)


def draw_samples(count: int, seed: int = 0) -> NDArray[np.float32]:
    """How often each of `count` networks is in each bootstrap sample, shape (samples, count)."""
    samples = _RESAMPLED if count <= _MANY else _OF_MANY
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=samples).astype(np.float32)


def sampled_taus(
    ranking: Signs, truth: Signs, weights: NDArray[np.float32], meant: PairsMeant | None = None
) -> NDArray[np.float64]:
    """Kendall's tau-b (Kendall 1945) under each row of weights; NaN where one of both ranks nothing.

    Args:
        ranking, truth: of the same n networks.
        weights: how often each is there, shape (samples, n); ones are the networks themselves.
        meant: the pairs that count; None: all.

    Returns:
        shape (samples,).
    """
    count = weights.shape[1]
    agreed, mine, theirs = np.zeros((3, len(weights)))
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        a, b = ranking(rows), truth(rows)
        if meant is not None:
            a, b = a * meant(rows), b * meant(rows)
        own = weights[:, rows]
        agreed += ((weights @ (a * b).T) * own).sum(1, dtype=np.float64)
        mine += ((weights @ (a * a).T) * own).sum(1, dtype=np.float64)
        theirs += ((weights @ (b * b).T) * own).sum(1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        taus: NDArray[np.float64] = agreed / np.sqrt(mine * theirs)
    return taus


def kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> Correlation:
    """Kendall's tau between two numbers of each network, with its bootstrap interval.

    Args:
        a, b: shape (n,), three or more.
    """
    from scipy.stats import kendalltau

    tau = float(kendalltau(a, b)[0])
    if not math.isfinite(tau):  # one of them is the same for all
        return Correlation(0.0, 0.0, 0.0, len(a))
    low, high = interval(sampled_taus(signs_of(a), signs_of(b), draw_samples(len(a))))
    return Correlation(tau, low, high, len(a))


def interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of bootstrap samples; those in which nothing was ranked are left out."""
    known = samples[np.isfinite(samples)]
    if not len(known):
        return 0.0, 0.0
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)

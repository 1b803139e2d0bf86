"""Architectures as numbers, by decisions whose choices have an order or have none."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike
from scipy.special import expit

from controller.row_factor import Floats
from search_spaces.space import SearchSpace

_CURVE = 0.6
"""Size of each further contrast against the one before, as far as nothing else is known: choices are mostly
ordered (kernel 3, 5, 7), and their effects mostly bend little."""

_SMOOTHEST = 0.2
"""The least of that size."""

_MANY, _CONTRASTS = 256, 36
"""Of a decision with more choices than that, so many contrasts: all would take too much memory."""


class Encoding:
    """Architectures as numbers: for each decision, orthogonal contrasts of its choices in their order.

    A decision that doesn't count (`SearchSpace.conditions`) is 0 everywhere, the mean of its choices.

    Args:
        space: whose decisions are encoded.

    Attributes:
        decisions: how many there are.
        decision: for each column, which decision it belongs to.
        degree: for each column, which of that decision's contrasts it is: 0 linear, 1 quadratic, ...
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._tables = [_contrasts(len(decision)) for decision in space.decisions]
        self.decisions = len(self._tables)
        columns = [table.shape[1] for table in self._tables]
        self.decision = np.repeat(np.arange(len(self._tables)), columns)
        self.degree = np.concatenate([np.arange(count) for count in columns])
        self._usual = self._totals(np.full(len(columns), _CURVE) ** 2)

    def __call__(self, architectures: ArrayLike) -> Floats:
        """Shape (n, columns) from choice indices of shape (n, decisions)."""
        rows = np.asarray(architectures, dtype=np.int64)
        encoded = np.concatenate([table[rows[:, d]] for d, table in enumerate(self._tables)], axis=1)
        if self._space.conditions:
            encoded *= self._space.counting(rows)[:, self.decision]
        return encoded

    def sizes(self, orders: Floats) -> tuple[Floats, Floats]:
        """(squared size of each column, derivative of its logarithm in its decision's order parameter).

        A decision's contrast of degree j is rho^j as large as the linear one, rho from 0.2 to 1: at 1 all
        its choices are equally far from each other. Whatever it is, a choice's variance is the same on the
        average.

        Args:
            orders: any numbers, shape (decisions,); rho = .2 + .8 / (1 + exp(-order)).
        """
        share = expit(orders)
        rho = _SMOOTHEST + (1 - _SMOOTHEST) * share
        powers = rho[self.decision] ** (2 * self.degree)
        total = self._totals(rho**2)
        mean = np.bincount(self.decision, self.degree * powers, len(rho)) / total
        rate = 2 * (1 - _SMOOTHEST) * share * (1 - share) / rho
        size = powers * (self._usual / total)[self.decision]
        return size, (self.degree - mean[self.decision]) * rate[self.decision]

    def _totals(self, ratios: Floats) -> Floats:
        """Sum of a decision's squared sizes, shape (decisions,); 1 where it has one choice."""
        powers = ratios[self.decision] ** self.degree
        return np.maximum(np.bincount(self.decision, powers, len(ratios)), 1.0)


def _contrasts(count: int) -> Floats:
    """Polynomial contrasts of `count` ordered choices, all or `_CONTRASTS` of them, linear first.

    Orthogonalised from Legendre polynomials, which stay between -1 and 1: powers would overflow. All are of
    one size, so that of all of them each two choices are equally far from each other.
    """
    if count == 1:
        return np.zeros((1, 0))
    degree = count - 1 if count <= _MANY else _CONTRASTS
    basis, _ = np.linalg.qr(legvander(np.linspace(-1, 1, count), degree))
    table: Floats = basis[:, 1:] * np.sqrt(count / (count - 1))
    return table

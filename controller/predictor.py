"""A Gaussian process over architectures: what accuracy to expect of one, and how sure that is.

Scikit-learn's regressors have no kernel of this form with its gradient, and a controller asks for a new
fit many times in a search; the arithmetic (Rasmussen & Williams 2006, chapters 2 and 5) is numpy's and
scipy's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from search_spaces.space import SearchSpace

Floats = NDArray[np.float64]

_CURVE = 0.6
"""Size of each further contrast against the one before: choices are mostly ordered (kernel 3, 5, 7), and
their effects mostly bend little."""

_CONTRASTS = 36
"""Of one decision, at most: the next one's part in a kernel, 0.6^72, is below what a double can hold."""

_CONSTANT = 4.0
_JITTER = 1e-5
# medians of the parameters before anything is seen, for targets of variance one
_LINEAR, _ROUGH, _NONLINEAR, _COST, _NOISE = 0.03, 0.03, 0.3, 0.5, 1e-3
_SPREAD, _NOISE_SPREAD = 1.0, 1.5


class Encoding:
    """Architectures as numbers: for each decision, orthogonal contrasts of its choices in their order.

    Args:
        space: whose decisions are encoded.

    Attributes:
        decision: for each column, which decision it belongs to.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._tables = [_contrasts(len(decision)) for decision in space.decisions]
        self.decision = np.repeat(np.arange(len(self._tables)), [table.shape[1] for table in self._tables])

    def __call__(self, architectures: ArrayLike) -> Floats:
        """Shape (n, columns) from choice indices of shape (n, decisions)."""
        rows = np.asarray(architectures, dtype=np.int64)
        return np.concatenate([table[rows[:, d]] for d, table in enumerate(self._tables)], axis=1)


def _contrasts(count: int) -> Floats:
    """Polynomial contrasts of `count` ordered choices, (count, count - 1 or `_CONTRASTS`), linear first.

    Orthogonalised from Legendre polynomials, which stay between -1 and 1: powers would overflow.
    """
    if count == 1:
        return np.zeros((1, 0))
    degree = min(count - 1, _CONTRASTS)
    basis, _ = np.linalg.qr(legvander(np.linspace(-1, 1, count), degree))
    sizes = _CURVE ** np.arange(degree)
    table: Floats = basis[:, 1:] * sizes * np.sqrt(count / (count - 1))
    return table


class Predictor:
    """Gaussian process with the kernel

        c + b z z' + sum_d a_d <x_d, x'_d> + v exp(-1/2 sum_d l_d |x_d - x'_d|^2) + noise,

    x_d the contrasts of decision d and z the logarithm of the cost factor, which is known exactly and
    explains much of the accuracy from the first sample on. The logarithms of a, l, v, b and the noise
    have normal priors and are set to their most probable values.

    Args:
        encoding: of the space.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        count = int(encoding.decision.max()) + 1
        self._count = count
        medians = [_LINEAR] * count + [_ROUGH] * count + [_NONLINEAR, _COST, _NOISE]
        self._prior = np.log(medians)
        self._spread = np.full(len(medians), _SPREAD)
        self._spread[-1] = _NOISE_SPREAD
        self.parameters = self._prior.copy()

    @property
    def noise(self) -> float:
        """Variance of the noise, as a share of the targets' variance."""
        return float(np.exp(self.parameters[-1])) + _JITTER

    def fit(self, x: Floats, z: Floats, y: Floats, iterations: int = 40) -> None:
        """Set the parameters from encoded architectures x (n, columns), z (n,), and targets y (n,).

        Starts from the present parameters; y has mean 0 and variance 1.
        """
        found = minimize(
            self._loss,
            self.parameters,
            args=(x, z, y),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations},
        )
        self.parameters = found.x

    def condition(
        self, x: Floats, z: Floats, y: Floats, pending: tuple[Floats, Floats] | None = None
    ) -> None:
        """Take in what was seen, and in `pending` (x, z) what will be.

        A pending result changes no mean, but what it will tell is no longer unsure (Desautels et al.
        2014, GP-BUCB): so that many at once are spread out.
        """
        self._seen = len(y)
        self._x, self._z = x, z
        factor = self._factor(x, z)
        self._weights = cho_solve((factor, True), y, check_finite=False)
        self._with_pending = factor
        if pending is not None and len(pending[1]):
            self._x = np.concatenate([x, pending[0]])
            self._z = np.concatenate([z, pending[1]])
            self._with_pending = self._factor(self._x, self._z)

    def mean(self, x: Floats, z: Floats) -> Floats:
        """Expected targets, shape (n,)."""
        linear, rough = self._kernels(x, z, self._x[: self._seen], self._z[: self._seen], self.parameters)
        expected: Floats = (linear + rough) @ self._weights
        return expected

    def predict(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Expected targets and their standard deviations (without noise), each of shape (n,)."""
        linear, rough = self._kernels(x, z, self._x, self._z, self.parameters)
        kernel = linear + rough
        expected = kernel[:, : self._seen] @ self._weights
        known = solve_triangular(self._with_pending, kernel.T, lower=True, check_finite=False)
        sizes, _, nonlinear, cost = self._split(self.parameters)
        own = (x * x) @ sizes + cost * z * z + _CONSTANT + nonlinear
        return expected, np.sqrt(np.maximum(own - np.einsum("ij,ij->j", known, known), 1e-10))

    def _split(self, parameters: Floats) -> tuple[Floats, Floats, float, float]:
        """(a by column, l by column, v, b)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        nonlinear, cost = values[2 * count : 2 * count + 2]
        return values[:count][decision], values[count : 2 * count][decision], nonlinear, cost

    def _kernels(
        self, x: Floats, z: Floats, x2: Floats, z2: Floats, parameters: Floats
    ) -> tuple[Floats, Floats]:
        """(linear part, nonlinear part), each of shape (n, n2)."""
        sizes, scales, nonlinear, cost = self._split(parameters)
        linear = (x * sizes) @ x2.T + cost * np.outer(z, z2) + _CONSTANT
        half = -0.5 * ((x * x) @ scales)[:, None] - 0.5 * ((x2 * x2) @ scales)
        rough = nonlinear * np.exp(np.minimum((x * scales) @ x2.T + half, 0))
        return linear, rough

    def _factor(self, x: Floats, z: Floats) -> Floats:
        linear, rough = self._kernels(x, z, x, z, self.parameters)
        kernel = linear + rough
        kernel[np.diag_indices_from(kernel)] += self.noise
        return np.asarray(np.linalg.cholesky(kernel), dtype=np.float64)

    def _loss(self, parameters: Floats, x: Floats, z: Floats, y: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient (Rasmussen & Williams, equation 5.9)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        linear, rough = self._kernels(x, z, x, z, parameters)
        kernel = linear + rough
        kernel[np.diag_indices_from(kernel)] += values[-1] + _JITTER
        try:
            factor = np.linalg.cholesky(kernel)
        except np.linalg.LinAlgError:  # parameters far out, where rounding wins: the step is taken back
            return 1e10, np.zeros_like(parameters)
        weights = cho_solve((factor, True), y, check_finite=False)
        inverse, _ = dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        loss = 0.5 * y @ weights + np.log(np.diag(factor)).sum()
        outer = 0.5 * (inverse - np.outer(weights, weights))
        gradient = np.empty_like(parameters)
        by_column = ((outer @ x) * x).sum(0)
        gradient[:count] = values[:count] * np.bincount(decision, by_column, count)
        inner = outer * rough
        by_column = (x * x * inner.sum(1)[:, None]).sum(0) - ((inner @ x) * x).sum(0)
        gradient[count : 2 * count] = -values[count : 2 * count] * np.bincount(decision, by_column, count)
        gradient[2 * count] = inner.sum()
        gradient[2 * count + 1] = values[2 * count + 1] * (z @ outer @ z)
        gradient[2 * count + 2] = values[-1] * np.trace(outer)
        away = (parameters - self._prior) / self._spread
        return float(loss + 0.5 * away @ away), gradient + away / self._spread


def standardised(values: Sequence[float] | Floats) -> tuple[Floats, float, float]:
    """(values with mean 0 and variance 1, mean, standard deviation)."""
    array = np.asarray(values, dtype=np.float64)
    mean, scale = float(array.mean()), float(array.std()) or 1.0
    return (array - mean) / scale, mean, scale

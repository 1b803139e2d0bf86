"""A Gaussian process over architectures: what accuracy to expect of one, and how sure that is.

Scikit-learn's regressors have no kernel of this form with its gradient, and a controller asks for a new
fit many times in a search; the arithmetic (Rasmussen & Williams 2006, chapters 2 and 5) is numpy's and
scipy's.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from controller.row_factor import Floats, RowFactor
from search_spaces.space import SearchSpace

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

    A decision that doesn't count (`SearchSpace.conditions`) is 0 everywhere, the mean of its choices.

    Args:
        space: whose decisions are encoded.

    Attributes:
        decision: for each column, which decision it belongs to.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._tables = [_contrasts(len(decision)) for decision in space.decisions]
        self.decision = np.repeat(np.arange(len(self._tables)), [table.shape[1] for table in self._tables])

    def __call__(self, architectures: ArrayLike) -> Floats:
        """Shape (n, columns) from choice indices of shape (n, decisions)."""
        rows = np.asarray(architectures, dtype=np.int64)
        encoded = np.concatenate([table[rows[:, d]] for d, table in enumerate(self._tables)], axis=1)
        if self._space.conditions:
            encoded *= self._space.counting(rows)[:, self.decision]
        return encoded


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


@dataclass(frozen=True)
class Points:
    """Encoded architectures.

    Attributes:
        keys: one of each; what has the same key is the same point.
        x: the encoding, shape (n, columns).
        z: logarithm of the cost factor, shape (n,).
    """

    keys: Sequence[Hashable]
    x: Floats
    z: Floats

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class _Prepared:
    """Points as factors of the kernel's two parts, so that little is left to do for each pair.

    The linear part is `left @ right'`, the nonlinear one `exp(min(left_log @ right_log', highest))`.
    """

    left: Floats
    right: Floats
    left_log: Floats
    right_log: Floats
    highest: float

    def __getitem__(self, rows: slice) -> _Prepared:
        return _Prepared(
            self.left[rows], self.right[rows], self.left_log[rows], self.right_log[rows], self.highest
        )

    def kernels(self, other: _Prepared) -> tuple[Floats, Floats]:
        """(linear part, nonlinear part), each of shape (n, n of the other)."""
        linear: Floats = self.left @ other.right.T
        rough: Floats = self.left_log @ other.right_log.T
        np.minimum(rough, self.highest, out=rough)  # in place: these are the largest arrays there are
        np.exp(rough, out=rough)
        return linear, rough


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
        self._seen_factor, self._whole_factor = RowFactor(), RowFactor()
        self._factored = self.parameters
        self._whole: Points | None = None
        self._whole_points: _Prepared | None = None

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

    def condition(self, seen: Points, y: Floats, whole: Points | None = None) -> None:
        """Take in what was seen, and what will be.

        A pending result changes no mean, but what it will tell is no longer unsure (Desautels et al.
        2014, GP-BUCB): so that many at once are spread out. Points that both calls share, from the first
        on, cost nothing again while the parameters stay: list them so that new ones come last.

        Args:
            seen: with results.
            y: their targets, of mean 0 and variance 1.
            whole: those and the pending ones, in any order; None: there are none.
        """
        if not np.array_equal(self._factored, self.parameters):
            self._seen_factor.clear()
            self._whole_factor.clear()
            self._factored = self.parameters.copy()
        self._seen, self._whole, self._whole_points = self._prepared(seen.x, seen.z), whole, None
        self._update(self._seen_factor, seen.keys, self._seen)
        self._weights = self._seen_factor.solve(y)
        self._means = y - self.noise * self._weights  # (K + noise) weights = y

    @property
    def seen_means(self) -> Floats:
        """Expected targets of what was seen, shape (n,)."""
        return self._means

    @property
    def awaits(self) -> bool:
        """Whether anything is pending."""
        return self._whole is not None

    def predict(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Expected targets and their standard deviations (without noise), each of shape (n,)."""
        mean, deviation = self.predict_from_seen(x, z)
        return mean, deviation if self._whole is None else self.deviation(x, z)

    def predict_from_seen(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """As `predict`, but as unsure as if nothing were pending: at least as unsure as it is."""
        kernel = self._kernel(self._seen, x, z)
        return self._weights @ kernel, self._left(x, z, self._seen_factor.forward(kernel))

    def deviation(self, x: Floats, z: Floats) -> Floats:
        """Standard deviations of the targets (without noise), shape (n,)."""
        if self._whole is None:
            return self.predict_from_seen(x, z)[1]
        if self._whole_points is None:
            self._whole_points = self._prepared(self._whole.x, self._whole.z)
            self._update(self._whole_factor, self._whole.keys, self._whole_points)
        return self._left(x, z, self._whole_factor.forward(self._kernel(self._whole_points, x, z)))

    def _left(self, x: Floats, z: Floats, known: Floats) -> Floats:
        """The deviation that is left of a point's own, of what is known of it in L^-1 k."""
        sizes, _, nonlinear, cost = self._split(self.parameters)
        own = (x * x) @ sizes + cost * z * z + _CONSTANT + nonlinear
        return np.asarray(np.sqrt(np.maximum(own - np.einsum("ij,ij->j", known, known), 1e-10)))

    def _kernel(self, points: _Prepared, x: Floats, z: Floats) -> Floats:
        linear, rough = points.kernels(self._prepared(x, z))
        linear += rough
        return linear

    def _update(self, factor: RowFactor, keys: Sequence[Hashable], points: _Prepared) -> None:
        def kernel(rows: slice, columns: slice) -> Floats:
            linear, rough = points[rows].kernels(points[columns])
            linear += rough
            linear[np.arange(len(linear)), np.arange(rows.start, rows.stop)] += self.noise
            return linear

        factor.update(keys, kernel)

    def _prepared(self, x: Floats, z: Floats, parameters: Floats | None = None) -> _Prepared:
        parameters = self.parameters if parameters is None else parameters
        sizes, scales, _, cost = self._split(parameters)
        log_nonlinear, one = parameters[2 * self._count], np.ones(len(x))
        half = 0.5 * ((x * x) @ scales)
        return _Prepared(
            np.column_stack([x * sizes, cost * z, _CONSTANT * one]),
            np.column_stack([x, z, one]),
            np.column_stack([x * scales, log_nonlinear - half, one]),
            np.column_stack([x, one, -half]),
            float(log_nonlinear),
        )

    def _split(self, parameters: Floats) -> tuple[Floats, Floats, float, float]:
        """(a by column, l by column, v, b)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        nonlinear, cost = values[2 * count : 2 * count + 2]
        return values[:count][decision], values[count : 2 * count][decision], nonlinear, cost

    def _loss(self, parameters: Floats, x: Floats, z: Floats, y: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient (Rasmussen & Williams, equation 5.9)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        points = self._prepared(x, z, parameters)
        linear, rough = points.kernels(points)
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

"""A Gaussian process over architectures: what accuracy to expect of one, and how sure that is.

Scikit-learn's regressors have no kernel of this form with its gradient, and a controller asks for a new
fit many times in a search; the arithmetic (Rasmussen & Williams 2006, chapters 2 and 5) is numpy's and
scipy's.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from controller.encoding import Encoding
from controller.row_factor import Floats, RowFactor

_TAIL = 6.0
"""Deviations below the median from which on a value is drawn towards it."""

_FAR = 6.0
"""Spreads that a parameter stays within of its median: no step of a fit overflows."""

_COMMON = -4
"""Place of the common order parameter."""

_CONSTANT = 4.0
_JITTER = 1e-5
# medians of the parameters before anything is seen, for targets of variance one
_LINEAR, _ROUGH, _NONLINEAR, _COST, _FURTHER, _NOISE = 0.03, 0.03, 0.3, 0.5, 1.0, 1e-3
_SPREAD, _COMMON_SPREAD, _NOISE_SPREAD, _ADDED_SPREAD = 1.0, 4.0, 1.5, 1.5
_UNORDERED = 5.0
"""The order parameter that the decisions have in common, where a fit also starts from: none is ordered."""


@dataclass(frozen=True)
class Points:
    """Encoded architectures.

    Attributes:
        keys: one of each; what has the same key is the same point.
        x: the encoding, shape (n, columns).
        z: logarithm of the cost factor, shape (n,); with further inputs behind it, shape (n, 1 + further).
    """

    keys: Sequence[Hashable]
    x: Floats
    z: Floats

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: NDArray[np.int64]) -> Points:
        return Points([self.keys[row] for row in rows.tolist()], self.x[rows], self.z[rows])

    def joined(self, more: Points) -> Points:
        """These and, behind them, some more."""
        keys = [*self.keys, *more.keys]
        return Points(keys, np.concatenate([self.x, more.x]), np.concatenate([self.z, more.z]))


@dataclass(frozen=True)
class Prepared:
    """Points as factors of the kernel's two parts, so that little is left to do for each pair.

    The linear part is `left @ right'`, the nonlinear one `exp(min(left_log @ right_log', highest))`.
    """

    left: Floats
    right: Floats
    left_log: Floats
    right_log: Floats
    highest: float

    @property
    def noise(self) -> Floats | float:
        """Variance that each has beyond the noise of all, shape (n,)."""
        return 0.0

    def __getitem__(self, rows: slice) -> Prepared:
        return replace(
            self,
            left=self.left[rows],
            right=self.right[rows],
            left_log=self.left_log[rows],
            right_log=self.right_log[rows],
        )

    def kernels(self, other: Prepared) -> tuple[Floats, Floats]:
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
    explains much of the accuracy from the first sample on; further inputs come in as z does. The contrasts'
    sizes follow from order parameters o + o_d (`Encoding.sizes`), o common to all decisions: high where
    choices are equally far from each other, as operations are, low where those that are near are much alike.
    The logarithms of a, l, v, b and the noise, and o and o_d, have normal priors and are set to their most
    probable values.

    Args:
        encoding: of the space.
        further: how many inputs there are beside z.
        added: medians of the parameters of a subclass's own terms.
    """

    def __init__(self, encoding: Encoding, further: int = 0, added: Sequence[float] = ()) -> None:
        self.encoding = encoding
        count = encoding.decisions
        self._count, self._further = count, slice(3 * count, 3 * count + further)
        self._added = slice(self._further.stop, self._further.stop + len(added))
        medians = [_LINEAR] * count + [_ROUGH] * count + [1.0] * count + [_FURTHER] * further
        medians += [*added, 1.0, _NONLINEAR, _COST, _NOISE]
        self._prior = np.log(medians)
        self._spread = np.full(len(medians), _SPREAD)
        self._order = slice(2 * count, 3 * count)
        self._spread[self._added] = _ADDED_SPREAD
        self._spread[_COMMON] = _COMMON_SPREAD
        self._spread[-1] = _NOISE_SPREAD
        far = _FAR * self._spread
        self._bounds = np.stack([self._prior - far, self._prior + far], axis=1)
        self.parameters = self._prior.copy()
        self._seen_factor, self._whole_factor = RowFactor(), RowFactor()
        self._factored = self.parameters
        self._whole: Points | None = None
        self._whole_points: Prepared | None = None

    @property
    def noise(self) -> float:
        """Variance of the noise, as a share of the targets' variance."""
        return float(np.exp(self.parameters[-1])) + _JITTER

    @staticmethod
    def parameter_count(decisions: int) -> int:
        """How many parameters it has of a space with so many decisions."""
        return 3 * decisions + 4

    def fit(self, x: Floats, z: Floats, y: Floats, iterations: int = 40) -> float:
        """Set the parameters from encoded architectures x (n, columns), z (n,), and targets y (n,).

        Starts from the present parameters, and from those with the order of the choices forgotten or, if it
        is, believed in: from the one hill of the posterior it isn't seen that another is higher. y has mean 0
        and variance 1. Returns the negative logarithm of the posterior, but for a constant.
        """
        other = self.parameters.copy()
        other[self._order] = 0.0
        other[_COMMON] = _UNORDERED if other[_COMMON] < _UNORDERED / 2 else 0.0
        found = [
            minimize(
                self._loss,
                start,
                args=(x, z, y),
                jac=True,
                method="L-BFGS-B",
                bounds=self._bounds,
                options={"maxiter": iterations},
            )
            for start in (self.parameters, other)
        ]
        best = min(found, key=lambda result: float(result.fun))
        self.parameters = best.x
        return float(best.fun)

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

    def mean(self, x: Floats, z: Floats) -> Floats:
        """Expected targets, shape (n,)."""
        expected: Floats = self._weights @ self._kernel(self._seen, x, z)
        return expected

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
        z = self._inputs(z)
        own = (x * x) @ sizes + (z * z) @ cost + _CONSTANT + nonlinear
        return np.asarray(np.sqrt(np.maximum(own - np.einsum("ij,ij->j", known, known), 1e-10)))

    def _kernel(self, points: Prepared, x: Floats, z: Floats) -> Floats:
        linear, rough = points.kernels(self._prepared(x, z))
        linear += rough
        return linear

    def _update(self, factor: RowFactor, keys: Sequence[Hashable], points: Prepared) -> None:
        def kernel(rows: slice, columns: slice) -> Floats:
            linear, rough = points[rows].kernels(points[columns])
            linear += rough
            own = np.arange(len(linear)), np.arange(rows.start, rows.stop)
            linear[own] += self.noise + points[rows].noise
            return linear

        factor.update(keys, kernel)

    def _prepared(self, x: Floats, z: Floats, parameters: Floats | None = None) -> Prepared:
        parameters = self.parameters if parameters is None else parameters
        sizes, scales, _, cost = self._split(parameters)
        log_nonlinear, one, z = parameters[-3], np.ones(len(x)), self._inputs(z)
        half = 0.5 * ((x * x) @ scales)
        return Prepared(
            np.column_stack([x * sizes, cost * z, _CONSTANT * one]),
            np.column_stack([x, z, one]),
            np.column_stack([x * scales, log_nonlinear - half, one]),
            np.column_stack([x, one, -half]),
            float(log_nonlinear),
        )

    def _inputs(self, z: Floats) -> Floats:
        """Those of a point's z that come in linearly, shape (n, 1 + further)."""
        return _columns(z)

    def _added_gradient(
        self, parameters: Floats, x: Floats, z: Floats, outer: Floats
    ) -> tuple[Sequence[float], Floats | float]:
        """(the loss's gradient in the added parameters, by column what order parameters change of them).

        Args:
            parameters, x, z: as of the loss.
            outer: derivative of the loss in each entry of the kernel, shape (n, n).
        """
        return (), 0.0

    def _orders(self, parameters: Floats) -> Floats:
        return np.asarray(parameters[_COMMON] + parameters[self._order])

    def _split(self, parameters: Floats) -> tuple[Floats, Floats, float, Floats]:
        """(a by column, l by column, v, b of z and of the further inputs)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        nonlinear, cost = float(values[-3]), np.append(values[-2], values[self._further])
        sizes, _ = self.encoding.sizes(self._orders(parameters))
        return sizes * values[:count][decision], sizes * values[count : 2 * count][decision], nonlinear, cost

    def _loss(self, parameters: Floats, x: Floats, z: Floats, y: Floats) -> tuple[float, Floats]:
        """Negative log posterior and its gradient (Rasmussen & Williams, equation 5.9)."""
        count, decision = self._count, self.encoding.decision
        values = np.exp(parameters)
        points = self._prepared(x, z, parameters)
        linear, rough = points.kernels(points)
        kernel = linear + rough
        kernel[np.diag_indices_from(kernel)] += values[-1] + _JITTER + points.noise
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
        weights_linear, weights_rough, _, _ = self._split(parameters)
        linear_part = weights_linear * ((outer @ x) * x).sum(0)
        inner = outer * rough
        rough_part = weights_rough * (((inner @ x) * x).sum(0) - (x * x * inner.sum(1)[:, None]).sum(0))
        gradient[:count] = np.bincount(decision, linear_part, count)
        gradient[count : 2 * count] = np.bincount(decision, rough_part, count)
        _, change = self.encoding.sizes(self._orders(parameters))
        gradient[self._added], added_part = self._added_gradient(parameters, x, z, outer)
        by_order = (linear_part + rough_part + added_part) * change
        gradient[self._order] = np.bincount(decision, by_order, count)
        gradient[_COMMON] = gradient[self._order].sum()
        gradient[-3] = inner.sum()
        inputs, (_, _, _, cost) = self._inputs(z), self._split(parameters)
        gradient[-2], *further = cost * ((outer @ inputs) * inputs).sum(0)
        gradient[self._further] = further
        gradient[-1] = values[-1] * np.trace(outer)
        away = (parameters - self._prior) / self._spread
        return float(loss + 0.5 * away @ away), gradient + away / self._spread


def _columns(z: Floats) -> Floats:
    """Shape (n, inputs)."""
    return z if z.ndim == 2 else z[:, None]


def without_tail(values: Sequence[float] | Floats) -> Floats:
    """Values, at least one, whose lower tail is no heavier than an exponential one, shape (n,).

    A few networks that hardly learn would make all others look alike. Whatever lies less than six deviations
    below the median stays as it is, the deviation taken from the values above the median; the rest is drawn
    towards it by the logarithm, in the same order. (Song et al. 2024, section 3.2, replace the whole lower
    half by its ranks.)
    """
    array = np.asarray(values, dtype=np.float64)
    middle = float(np.median(array))
    above = array[array > middle] - middle
    deviation = math.sqrt(float(np.mean(above * above))) if len(above) else 0.0
    if not deviation > 0:
        return array
    below = (middle - array) / deviation
    drawn = middle - deviation * (_TAIL + np.log1p(np.maximum(below - _TAIL, 0.0)))
    return np.where(below > _TAIL, drawn, array)


def standardised(values: Sequence[float] | Floats) -> tuple[Floats, float, float]:
    """(values with mean 0 and variance 1, mean, standard deviation)."""
    array = np.asarray(values, dtype=np.float64)
    mean, scale = float(array.mean()), float(array.std()) or 1.0
    return (array - mean) / scale, mean, scale

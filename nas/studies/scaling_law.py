"""How the error falls with depth, width and resolution: a law from a dozen small trainings, not a grid.

The paper's grid (Tan & Le 2019, section 3.3, step 1) compares single trainings at one size, so noise decides
between its points. Here all trainings tell of one law: the logarithm of the error as a quadratic function of
the doublings of MACs that went into depth, width and resolution. Its slopes are what a doubling of each
brings, its curvature how soon that ends, its products what they bring together. Where few trainings say
little, a prior says what is usual, and the intervals say how little that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.network.cost import cost
from nas.network.scaling import MODES, Coefficients, scale_to
from nas.runs.settings import SearchSettings
from nas.search.results import Results
from nas.search.trial import Record
from nas.studies.entries import entry
from nas.studies.scaling import BASELINE
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.spec import NetworkSpec

LAW = "scaling-law"
"""Name of the space."""
AXES = ("depth", "width", "resolution")
FACTOR = 4.0
"""Times the baseline's MACs, at which the law's coefficients are the best."""
FEWEST = 8
"""Trainings that a law needs."""
_ONE, _MORE, _EACH = 1.5, 2.5, 1.4
_DESIGN = (
    *((_ONE, 1.0, 1.0), (1.0, _ONE, 1.0), (1.0, 1.0, _ONE)),
    *((_MORE, 1.0, 1.0), (1.0, _MORE, 1.0), (1.0, 1.0, _MORE)),
    *((_ONE, _ONE, 1.0), (_ONE, 1.0, _ONE), (1.0, _ONE, _ONE)),
    *((1.2, 1.2, 1.2), (_EACH, _EACH, _EACH)),
)
"""MACs by each axis, in those of the baseline: alone, in pairs, together; less than 3 times in all."""
_SLOPE, _CURVE, _PRODUCT = (-0.1, 0.25), (0.05, 0.15), (0.0, 0.1)
"""Means and deviations of what is usual, per doubling: MnasNet's 5% of accuracy for a doubling is a slope of
-.1 or so; more of the same brings less and less."""
_NOISES = np.geomspace(0.004, 0.4, 60)
"""Deviations of the logarithm of the error between two trainings, as they may be."""
_SAMPLES, _STEPS = 4000, 50
_LEAST_ERROR = 1e-4

Floats = NDArray[np.float64]


def law_settings(spec: NetworkSpec, settings: SearchSettings) -> SearchSettings:
    """The trainings that the law is fitted to: a dozen networks of less than 3 times the baseline's MACs.

    Raises:
        InputError: a network that would be larger than a spec may be.
    """
    networks: dict[str, NetworkSpec] = {BASELINE: spec}
    about: dict[str, dict[str, float]] = {BASELINE: dict.fromkeys(AXES, 0.0)}
    digests = {spec.digest}
    for factors in _DESIGN:
        scaled, doublings = spec, {}
        for axis, factor in zip(AXES, factors, strict=True):
            before = cost(scaled).macs
            if factor > 1:
                scaled = scale_to(scaled, factor, axis)
            doublings[axis] = math.log2(cost(scaled).macs / before)  # as rounding left it
        if scaled.digest in digests:
            continue
        digests.add(scaled.digest)
        label = " ".join(f"{axis} x{2**each:.2f}" for axis, each in doublings.items() if each)
        networks[label] = scaled.replace(name=f"{spec.name} {label}"[:200])
        about[label] = doublings
    return settings.over(LAW, networks, about).trained(baseline_resolution=spec.resolution)


@dataclass(frozen=True)
class LawPoint:
    """One trained network.

    Attributes:
        doublings: of MACs, by depth, width and resolution.
        accuracy: on the held-out images.
        macs: of the full network.
    """

    doublings: tuple[float, float, float]
    accuracy: float
    macs: int


def law_points(space: ListedSpace, records: Iterable[Record]) -> list[LawPoint]:
    """The finished trainings, the smallest network first."""
    points = []
    for record in Results(records).finished:
        known = entry(space, record)
        depth, width, resolution = (float(known[axis]) for axis in AXES)
        points.append(LawPoint((depth, width, resolution), record.accuracy, int(record.macs)))
    return sorted(points, key=lambda point: point.macs)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


class ScalingLaw:
    """log(error) = a + b.u + c.u^2 / 2 + products, u: doublings of MACs by depth, width and resolution.

    A Bayesian linear regression with normal priors; the noise of a training is one of `_NOISES`, each as
    likely as the trainings make it.

    Args:
        points: trained networks.

    Attributes:
        noise: deviation of log(error) between two trainings, as estimated.

    Raises:
        InputError: fewer than `FEWEST` of them.
    """

    def __init__(self, points: Sequence[LawPoint]) -> None:
        if len(points) < FEWEST:
            raise InputError(f"law: {len(points)} finished trainings: expected {FEWEST} or more")
        inputs = _terms(np.array([point.doublings for point in points]))
        errors = np.log([max(_LEAST_ERROR, 1 - point.accuracy) for point in points])
        mean = np.array([errors.mean(), *[_SLOPE[0]] * 3, *[_CURVE[0]] * 3, *[_PRODUCT[0]] * 3])
        wide = np.array([1.0, *[_SLOPE[1]] * 3, *[_CURVE[1]] * 3, *[_PRODUCT[1]] * 3])
        odds, means, roots = [], [], []
        for noise in _NOISES:
            # in units of the prior: the posterior's precision is 1 + A'A
            scaled, missed = inputs * wide / noise, (errors - inputs @ mean) / noise
            root = np.linalg.cholesky(np.eye(len(wide)) + scaled.T @ scaled)
            whitened = np.linalg.solve(root, scaled.T @ missed)
            means.append(mean + wide * np.linalg.solve(root.T, whitened))
            roots.append(wide[:, None] * np.linalg.inv(root).T)
            odds.append(
                -len(errors) * math.log(noise)
                - np.log(np.diag(root)).sum()
                - (missed @ missed - whitened @ whitened) / 2
            )
        weights = np.exp(np.array(odds) - max(odds))
        weights /= weights.sum()
        self.noise = float(np.exp(weights @ np.log(_NOISES)))
        self._mean = weights @ np.array(means)
        rng = np.random.default_rng(0)
        drawn = rng.choice(len(weights), _SAMPLES, p=weights)
        normal = rng.standard_normal((_SAMPLES, len(mean)))
        self._samples = np.array(means)[drawn] + np.einsum("sij,sj->si", np.array(roots)[drawn], normal)
        self._noises = _NOISES[drawn] * rng.standard_normal(_SAMPLES)

    def accuracy(self, doublings: Sequence[float]) -> Estimate:
        """Of one more training of a network, with its own noise in the interval."""
        at = _terms(np.array([doublings]))[0]
        low, high = np.quantile(self._samples @ at + self._noises, [0.025, 0.975])
        # the law knows no error above 1
        return Estimate(*(1 - math.exp(min(0.0, float(error))) for error in (self._mean @ at, high, low)))

    def chances(self, ways: Sequence[Sequence[float]]) -> list[float]:
        """How probably each of some networks is the best of them, noise aside; equal ones share it."""
        errors = self._samples @ _terms(np.array(ways)).T
        best = errors <= errors.min(axis=1, keepdims=True) + 1e-9
        return [float(share) for share in (best / best.sum(axis=1, keepdims=True)).mean(axis=0)]

    def coefficients(self, factor: float = FACTOR) -> tuple[Coefficients, dict[str, Estimate]]:
        """(alpha, beta, gamma of the least error at `factor` times the MACs, each with its interval).

        They double the MACs with each phi: alpha x beta^2 x gamma^2 = 2.
        """
        shares = _simplex()
        terms = _terms(math.log2(factor) * shares)
        best = shares[int((terms @ self._mean).argmin())]
        sampled = shares[(self._samples @ terms.T).argmin(axis=1)]
        found = {}
        for name, place, power in (("alpha", 0, 1.0), ("beta", 1, 0.5), ("gamma", 2, 0.5)):
            low, high = np.quantile(sampled[:, place], [0.025, 0.975])
            found[name] = Estimate(*(float(2 ** (power * each)) for each in (best[place], low, high)))
        return Coefficients(*(round(found[name].value, 6) for name in ("alpha", "beta", "gamma"))), found

    def ways(self, factor: float = FACTOR) -> dict[str, tuple[Estimate, float]]:
        """(accuracy, chance of being the best) of width, depth, resolution and the law's compound scaling."""
        coefficients, _ = self.coefficients(factor)
        total = math.log2(factor)
        along = {axis: total * np.eye(3)[place] for place, axis in enumerate(AXES)}
        compound = total * np.array(
            [
                math.log2(coefficients.alpha),
                *(2 * math.log2(c) for c in (coefficients.beta, coefficients.gamma)),
            ]
        )
        along["compound"] = compound.round(4)  # it may be one of the others
        chances = self.chances([along[mode].tolist() for mode in MODES])
        return {
            mode: (self.accuracy(along[mode].tolist()), chance)
            for mode, chance in zip(MODES, chances, strict=True)
        }


def _terms(doublings: Floats) -> Floats:
    """Shape (n, 3) to (n, 10): one, each, half of each one's square, the three products."""
    depth, width, resolution = doublings.T
    return np.stack(
        [
            *(np.ones(len(doublings)), depth, width, resolution),
            *(depth**2 / 2, width**2 / 2, resolution**2 / 2),
            *(depth * width, depth * resolution, width * resolution),
        ],
        axis=1,
    )


def _simplex() -> Floats:
    """All shares of depth, width and resolution in steps of a fiftieth, shape (n, 3)."""
    steps = range(_STEPS + 1)
    rows = [(depth, width, _STEPS - depth - width) for depth in steps for width in range(_STEPS + 1 - depth)]
    return np.array(rows) / _STEPS

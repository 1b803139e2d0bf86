"""Which of a few finalists is the best: a race that retrains only those of which it isn't known yet.

Each round trains the contested finalists with one seed, the same for all of them, so that what a seed does to
all is no difference between any two. It ends when one is the best with the wanted probability. Racing is
Maron & Moore 1994 ("Hoeffding Races"); that the probability of being the best decides who is trained again is
Russo 2016 ("Simple Bayesian Algorithms for Best-Arm Identification").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InputError

_DRAWS = 4000
_LEAST = 2
"""Contestants of a round: one alone would be compared with nobody."""
_FREE = 100.0
"""Spread of what a seed does to all, in that of the finalists: as good as unknown."""


@dataclass(frozen=True)
class Standing:
    """What is known of a finalist.

    Attributes:
        name: of it.
        mean, deviation: of its value, to the others' mean; its value is that of a training, on average.
        trainings: that it had.
        best: probability that it is the best.
        beaten: probability that the leader is better than it; the leader's own is 0.
    """

    name: str
    mean: float
    deviation: float
    trainings: int
    best: float
    beaten: float


class Race:
    """A sequential test between finalists.

    Args:
        names: of the finalists, two or more.
        probability: that the one chosen is the best, to be reached.
        noise: standard deviation between two trainings of one finalist; None: estimated as the race goes,
            which takes trainings.
        prior: (mean, standard deviation) of each finalist's value, where a search has measured the same
            quantity; None: the finalists' spread is estimated.
        most: trainings of one finalist, at most.
        margin: a difference that doesn't matter: the leader may be so much worse than the best.

    Raises:
        InputError: fewer than two names, two equal ones, or a number out of its range.
    """

    def __init__(
        self,
        names: Sequence[str],
        probability: float = 0.95,
        noise: float | None = None,
        prior: Sequence[tuple[float, float]] | None = None,
        most: int = 10,
        margin: float = 0.0,
    ) -> None:
        if len(names) < _LEAST or len(set(names)) < len(names):
            raise InputError(f"race: {len(set(names))} different finalists, expected at least {_LEAST}")
        if not 0.5 <= probability < 1:
            raise InputError(f"probability {probability:g}: expected a number from 0.5 to below 1")
        if noise is not None and not 0 < noise < math.inf:
            raise InputError(f"noise {noise:g}: expected a number above 0")
        if not 1 <= most <= 1000:
            raise InputError(f"most {most}: expected an integer from 1 to 1000")
        if not 0 <= margin < math.inf:
            raise InputError(f"margin {margin:g}: expected a number of at least 0")
        self.names, self.probability, self.noise, self.most = list(names), probability, noise, most
        self.margin = margin
        self._known: tuple[int, NDArray[np.float64], NDArray[np.float64]] | None = None
        self._prior = None if prior is None else np.array(prior, dtype=np.float64)
        self._values: NDArray[np.float64] = np.empty((0, len(names)))  # (rounds, finalists), NaN: not trained
        self.out: list[str] = []

    @property
    def trainings(self) -> int:
        """In all."""
        return int(np.isfinite(self._values).sum())

    def ask(self) -> list[str]:
        """Who is to be trained in the next round, all with the same seed; nobody: the race is over."""
        rows = self._running
        if len(rows) < _LEAST:
            return []
        if not len(self._values) and self._prior is None:
            return [self.names[row] for row in rows]
        chances, _ = self._chances()
        if self.certainty >= self.probability:
            return []
        order = [int(row) for row in np.argsort(-chances, kind="stable") if row in rows]
        count, known = _LEAST, float(chances[order[:_LEAST]].sum())
        while count < len(order) and known < self.probability:
            known += float(chances[order[count]])
            count += 1
        if self.spread is None:  # nobody was trained twice: the better half tells the noise
            count = max(_LEAST + 1, (len(order) + 1) // 2)
        told = np.isfinite(self._values).sum(0)
        chosen = [row for row in order[:count] if told[row] < self.most]
        return [self.names[row] for row in chosen] if len(chosen) >= _LEAST else []

    def tell(self, results: Mapping[str, float]) -> None:
        """The results of a round, by name; who was asked for and has none is out of the race."""
        asked = self.ask()
        if not set(results) <= set(asked):
            raise InputError(f"race: {sorted(set(results) - set(asked))[0]!r} was not asked for")
        row = np.full((1, len(self.names)), np.nan)
        for name, value in results.items():
            if not math.isfinite(value):
                raise InputError(f"race: {name} has the result {value}: expected a number")
            row[0, self.names.index(name)] = value
        self._values = np.concatenate([self._values, row])
        self.out += [name for name in asked if name not in results]

    @property
    def standings(self) -> list[Standing]:
        """The finalists, the most probable best first."""
        chances, draws = self._chances()
        means, deviations = draws.mean(0), draws.std(0)
        leader = int(chances.argmax())
        told = np.isfinite(self._values).sum(0)
        found = [
            Standing(
                name,
                float(means[row] - means.mean()),
                float(deviations[row]),
                int(told[row]),
                float(chances[row]),
                0.0 if row == leader else float((draws[:, leader] > draws[:, row]).mean()),
            )
            for row, name in enumerate(self.names)
        ]
        return sorted(found, key=lambda one: (-one.best, self.names.index(one.name)))

    @property
    def certainty(self) -> float:
        """The probability that the leader is the best, or short of it by no more than the margin."""
        chances, draws = self._chances()
        if not self.margin:
            return float(chances.max())
        others = np.array(self._running)
        best = draws[:, others].max(1)
        return float((draws[:, int(chances.argmax())] + self.margin >= best).mean())

    @property
    def decided(self) -> bool:
        """Whether that is the wanted probability."""
        return self.certainty >= self.probability

    def better(self, one: str, other: str) -> float:
        """The probability that `one` is better than `other`."""
        draws = self._chances()[1]
        a, b = (draws[:, self.names.index(name)] for name in (one, other))
        return float((a > b).mean())

    @property
    def _running(self) -> list[int]:
        return [row for row, name in enumerate(self.names) if name not in self.out]

    @property
    def spread(self) -> tuple[float, int] | None:
        """(standard deviation between trainings, its degrees of freedom; 0: known); None: nothing tells it.

        Estimated of what is left when each finalist's and each seed's own are taken off (a two-way layout).
        """
        if self.noise is not None:
            return self.noise, 0
        rounds, rows = np.nonzero(np.isfinite(self._values))
        if not len(rows):
            return None
        design = np.zeros((len(rows), sum(self._values.shape)))
        design[np.arange(len(rows)), rows] = 1
        design[np.arange(len(rows)), len(self.names) + rounds] = 1
        y = self._values[rounds, rows]
        found, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        freedom = len(rows) - int(rank)
        rest = y - design @ found
        return (math.sqrt(float(rest @ rest) / freedom), freedom) if freedom > 0 else None

    def _chances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(probability of being the best, shape (n,); draws of the finalists' values, shape (draws, n))."""
        if self._known is None or self._known[0] != len(self._values):
            self._known = len(self._values), *self._draw()
        return self._known[1:]

    def _draw(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        count, spread = len(self.names), self.spread
        rng = np.random.default_rng(0)
        normal = rng.normal(size=(_DRAWS, count))
        if spread is None and self._prior is None:
            seen = np.nan_to_num(self._values.sum(0)) if len(self._values) else np.zeros(count)
            chances = np.full(count, 1 / count) + 1e-9 * np.argsort(np.argsort(seen))
            return chances, normal * (self._values.std() if len(self._values) else 1.0) + seen
        sigma, freedom = spread if spread is not None else (float(self._prior[:, 1].mean()), 0)  # type: ignore[index]
        mean, root = self._posterior(sigma)
        draws = normal @ root.T
        if freedom:  # what isn't known of the noise makes everything less sure: a t distribution
            draws *= np.sqrt(freedom / rng.chisquare(freedom, _DRAWS))[:, None]
        draws += mean
        running = np.full(count, -np.inf)
        running[self._running] = 0
        chances = np.bincount((draws + running).argmax(1), minlength=count) / _DRAWS
        return chances, draws

    def _posterior(self, sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(mean, root of the covariance) of the finalists' values, given the noise."""
        count, rounds = len(self.names), len(self._values)
        if self._prior is not None:
            centre, own = self._prior[:, 0], self._prior[:, 1]
        else:
            seen = np.array([np.nanmean(c) if np.isfinite(c).any() else np.nan for c in self._effects().T])
            told = np.isfinite(self._values).sum(0)
            known = told > 0
            # by moments: what the means differ beyond what noise makes them differ
            between = 0.0
            if known.sum() > 1:
                between = float(np.nanvar(seen, ddof=1)) - sigma**2 * float((1 / told[known]).mean())
            own = np.full(count, math.sqrt(max(between, (0.1 * sigma) ** 2)))
            centre = np.full(count, float(np.nanmean(seen)))
        precision = np.zeros((count + rounds, count + rounds))
        sums = np.zeros(count + rounds)
        precision[np.arange(count), np.arange(count)] = own**-2
        sums[:count] = centre * own**-2
        level = float(np.nanmean(self._values) - centre.mean()) if rounds else 0.0
        free = (_FREE * max(float(own.max()), sigma)) ** -2
        for number, values in enumerate(self._values):
            place = count + number
            precision[place, place] += free
            for row in np.flatnonzero(np.isfinite(values)):
                for i in (row, place):
                    sums[i] += (values[row] - level) / sigma**2
                    precision[i, i] += sigma**-2
                precision[row, place] += sigma**-2
                precision[place, row] += sigma**-2
        covariance = np.linalg.inv(precision)
        mean = covariance @ sums
        root: NDArray[np.float64] = np.linalg.cholesky(covariance[:count, :count])
        found: NDArray[np.float64] = np.asarray(mean[:count])
        return found, root

    def _effects(self) -> NDArray[np.float64]:
        """The values with each round's level taken off, by the finalists that it shares with the first."""
        found: NDArray[np.float64] = self._values.copy()
        for row in found[1:]:
            both = np.isfinite(row) & np.isfinite(found[0])
            if both.any():
                row += found[0][both].mean() - row[both].mean()
        return found

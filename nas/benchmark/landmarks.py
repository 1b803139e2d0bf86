"""Where a search stands whose rewards are known: the random median, B0, the best architecture known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.truth import AccuracyModel, Rewards, Truth
from nas.search.reward import Reward
from search_spaces.architecture import Architecture
from search_spaces.reference import efficientnet_b0
from search_spaces.space import NotInSpaceError, SearchSpace

SHARES = (0.95, 0.99, 0.999)
_RANDOM, _STARTS, _PAIRS = 20_000, 48, 50_000


@dataclass(frozen=True)
class Landmarks:
    """Rewards to measure a search against, without noise.

    Attributes:
        median: of random architectures.
        best: the highest known.
        architecture: which has it.
        b0: EfficientNet-B0's, where it is in the space.
    """

    median: float
    best: float
    architecture: Architecture
    b0: float | None = None

    @property
    def goals(self) -> dict[str, float]:
        """B0's reward if there is one, and 95, 99 and 99.9% of the way from the random median to the best."""
        way = {f"{100 * share:g}%": self.median + share * (self.best - self.median) for share in SHARES}
        return way if self.b0 is None else {"B0": self.b0, **way}


def true_rewards(surrogate: AccuracyModel, family: str, reward: Reward) -> Truth:
    """The rewards without noise, as a function of architectures."""
    return Truth(surrogate, family, reward)


_climbed: dict[tuple[str, str, Reward], Landmarks] = {}


def benchmark_landmarks(truth: Truth) -> Landmarks:
    """Those of a surrogate; the same one gives the same ones, in a few seconds, and at once from then on."""
    surrogate = truth.surrogate
    key = (surrogate.digest, truth.family, truth.reward)
    if key not in _climbed:
        found = climbed_landmarks(surrogate.space, truth)
        try:
            b0 = surrogate.space.encode(efficientnet_b0())
            found = replace(found, b0=float(truth(np.array([b0]))[0]))
        except NotInSpaceError:
            pass
        _climbed[key] = found
    return _climbed[key]


def climbed_landmarks(space: SearchSpace, rewards: Rewards) -> Landmarks:
    """Those of a space too large to be listed.

    The best is that of 48 climbs from random architectures, each to where no change of a decision improves,
    nor of two (where those are at most `_PAIRS`).
    """
    rng = np.random.default_rng(0)
    sizes = np.array([len(decision) for decision in space.decisions])
    median = float(np.median(rewards(rng.integers(sizes, size=(_RANDOM, len(sizes))))))
    climbs = [_climb(space, rewards, rng.integers(sizes)) for _ in range(_STARTS)]
    place, best = max(climbs, key=lambda climb: climb[1])
    return Landmarks(median, best, Architecture(place.tolist()))


def _climb(space: SearchSpace, rewards: Rewards, place: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """Go up by the best change of one decision, and of two where one doesn't help."""
    height = float(rewards(place[None])[0])
    singles = sum(len(decision) - 1 for decision in space.decisions)
    while True:
        ones = np.array(list(space.neighbours(Architecture(place.tolist()))))
        for ways in (ones, None) if singles**2 <= _PAIRS else (ones,):
            if ways is None:
                ways = np.concatenate([list(space.neighbours(Architecture(one.tolist()))) for one in ones])
            values = rewards(ways)
            index = int(values.argmax())
            if values[index] > height + 1e-9:
                place, height = ways[index], float(values[index])
                break
        else:
            return place, height

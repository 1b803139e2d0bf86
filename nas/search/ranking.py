"""The ranking sheet: what a ranking of networks is worth, beside what ranks them for nothing.

A proxy, a surrogate or a search's own rewards order networks as a longer training, or another, would. How
well is Kendall's tau; what it is worth is seen beside the free floors (a network's size is known without any
training) and below the ceiling, which is how well two trainings of the same networks agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.search.free_features import FREE, FreeRidge, cross_labels, free_features
from nas.search.kendall import (
    Correlation,
    PairsMeant,
    Signs,
    draw_samples,
    interval,
    sampled_taus,
    signs_of,
)
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

FEWEST = 3
"""Networks of a sheet."""
TOP, BAND = 0.1, 0.1
"""The part of the networks that is the top; how far MACs may lie from the middle of a band of equal cost."""
JUDGED, FLOOR, CEILING = "judged", "floor", "ceiling"
_FEWEST_TOP, _FEWEST_PAIRS = 3, 3
_NOISY, _FEWER, _MANY = 20, 3, 1000


@dataclass(frozen=True)
class Labelled:
    """The networks whose accuracies a judged ranking was made from, for a ridge with as many labels.

    Attributes:
        features: as `free_features` gives them, shape (m, 5).
        accuracies: shape (m,).
    """

    features: NDArray[np.float64]
    accuracies: NDArray[np.float64]


@dataclass(frozen=True)
class RankingRow:
    """One ranking.

    Attributes:
        name: in words.
        kind: `judged`, `floor` or `ceiling`.
        all: how it agrees over all networks.
        top: tau among the truly best tenth; None: fewer than three networks.
        band: tau over the pairs within 10% of the same MACs; None: fewer than three pairs.
        found: part of the best tenth that is in this ranking's own best tenth; None: not known of it.
    """

    name: str
    kind: str
    all: Correlation
    top: float | None
    band: float | None
    found: float | None


@dataclass(frozen=True)
class RankingSheet:
    """Rankings of the same networks.

    Attributes:
        rows: the judged ones, the floors, the ceilings.
        truth: what is ranked, in words.
        count: networks.
        labels: of the ridge among the floors.
        verdicts: of each judged ranking against the best floor, a sentence by its name.
        below: the judged rankings that rank worse than something that costs nothing.
    """

    rows: list[RankingRow]
    truth: str
    count: int
    labels: int
    verdicts: dict[str, str]
    below: list[str]

    def row(self, name: str) -> RankingRow:
        """The ranking of that name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def floor(self) -> RankingRow:
        """The best of what costs nothing."""
        return max((row for row in self.rows if row.kind == FLOOR), key=lambda row: row.all.tau)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        rows = [vars(row) | {"all": vars(row.all)} for row in self.rows]
        return vars(self) | {"rows": rows}


class _Judge:
    """Compares rankings with the truth over the same bootstrap samples, so that they can be subtracted."""

    def __init__(self, truth: NDArray[np.float64], macs: NDArray[np.float64]) -> None:
        self.count, self.signs = len(truth), signs_of(truth)
        self.samples = draw_samples(self.count)
        self._once = np.ones((1, self.count), dtype=np.float32)
        size = math.ceil(TOP * self.count)
        self.top = np.zeros(self.count, dtype=bool)
        self.top[np.argsort(-truth, kind="stable")[:size]] = True
        self._logs, self._width = np.log(macs), math.log((1 + BAND) / (1 - BAND))
        self.taus: dict[str, NDArray[np.float64]] = {}
        # the diagonal is no pair, and every pair is there twice
        self._pairs = int(sum(self.equal_cost(slice(i, i + 1)).sum() for i in range(self.count))) // 2

    def equal_cost(self, rows: slice) -> NDArray[np.bool_]:
        """Of each pair whether some band of 10% to both sides has both."""
        near: NDArray[np.bool_] = abs(self._logs[rows, None] - self._logs[None]) <= self._width
        near[np.arange(len(near)), np.arange(rows.start, rows.stop)] = False
        return near

    def tau(self, ranking: Signs, weights: NDArray[np.float32], meant: PairsMeant | None = None) -> float:
        """Over some pairs, 0 where it ranks none of them."""
        tau = float(sampled_taus(ranking, self.signs, weights, meant)[0])
        return tau if math.isfinite(tau) else 0.0

    def row(
        self,
        name: str,
        kind: str,
        ranking: Signs,
        scores: NDArray[np.float64] | None = None,
        samples: bool = True,
    ) -> RankingRow:
        """What it is worth; its bootstrap samples are kept."""
        tau, low, high = self.tau(ranking, self._once), 0.0, 0.0
        if samples:
            self.taus[name] = np.nan_to_num(sampled_taus(ranking, self.signs, self.samples))
            low, high = interval(self.taus[name])
        tops = int(self.top.sum())
        found = None
        if scores is not None and tops >= _FEWEST_TOP:
            own = np.argsort(-scores, kind="stable")[:tops]
            found = float(self.top[own].mean())
        return RankingRow(
            name,
            kind,
            Correlation(tau, low, high, self.count),
            self.tau(ranking, self.top[None].astype(np.float32)) if tops >= _FEWEST_TOP else None,
            self.tau(ranking, self._once, self.equal_cost) if self._pairs >= _FEWEST_PAIRS else None,
            found,
        )


def rank_networks(
    specs: Sequence[NetworkSpec],
    truth: NDArray[np.float64],
    rankings: Mapping[str, NDArray[np.float64]],
    **more: Any,
) -> RankingSheet:
    """`ranking_sheet` of networks whose free features are counted here."""
    return ranking_sheet(free_features(specs), truth, rankings, **more)


def ranking_sheet(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    rankings: Mapping[str, NDArray[np.float64]],
    what: str = "the accuracy",
    labelled: Labelled | None = None,
    repeats: Mapping[str, NDArray[np.float64]] | None = None,
    noise: float | None = None,
) -> RankingSheet:
    """What rankings are worth, beside free ones and below the seeds' ceiling.

    Args:
        features: as `free_features` gives them, shape (n, 5).
        truth: what is to be ranked, shape (n,).
        rankings: a number of each network by the ranking's name, the higher the better, each shape (n,).
        what: the truth in words.
        labelled: of which the judged ranking was made; None: it has seen the truth of these networks as a
            cross-fitted ridge has.
        repeats: by a name: the same training with other seeds, shape (seeds, n), NaN where one is missing.
        noise: standard deviation of the truth between two trainings of one network, where it is known.

    Raises:
        InputError: fewer than three networks.
    """
    count = len(truth)
    if count < FEWEST:
        raise InputError(f"ranking: {count} networks have both results, expected at least {FEWEST}")
    judge, ridge = _Judge(truth, features[:, 0]), FreeRidge(features)
    rows = [judge.row(name, JUDGED, signs_of(scores), scores) for name, scores in rankings.items()]
    for name in ("params", "MACs", "depth"):
        column = features[:, FREE.index(name)]
        rows.append(judge.row(f"{name} alone", FLOOR, signs_of(column), column))
    if labelled is None:
        labels, fitted = cross_labels(count), ridge.cross_fitted(truth)
    else:
        labels, fitted = len(labelled.accuracies), ridge.by_labels(labelled.features, labelled.accuracies)
    rows.append(judge.row("ridge on free features", FLOOR, fitted))
    rows += [_ceiling(name, features, runs) for name, runs in (repeats or {}).items()]
    if noise:
        drawn = np.random.default_rng(0).normal(0, noise, (_NOISY if count <= _MANY else _FEWER, count))
        found = [judge.row("", CEILING, signs_of(truth + e), truth + e, samples=False) for e in drawn]
        rows.append(_mean(f"two trainings (noise {100 * noise:.2g} points)", found))
    sheet = RankingSheet(rows, what, count, labels, {}, [])
    floor = sheet.floor
    for row in rows:
        if row.kind == JUDGED:
            gap = judge.taus[row.name] - judge.taus[floor.name]
            sheet.verdicts[row.name] = _verdict(row, floor, labels, interval(gap))
            if row.all.tau < floor.all.tau:
                sheet.below.append(row.name)
    return sheet


def _ceiling(name: str, features: NDArray[np.float64], runs: NDArray[np.float64]) -> RankingRow:
    """How well two trainings of the same networks agree, the mean over pairs of seeds."""
    found = []
    for one, other in combinations(runs, 2):
        both = np.isfinite(one) & np.isfinite(other)
        if both.sum() >= FEWEST:
            judge = _Judge(one[both], features[both, 0])
            found.append(judge.row(name, CEILING, signs_of(other[both]), other[both]))
    return _mean(name, found)


def _mean(name: str, rows: Sequence[RankingRow]) -> RankingRow:
    """The mean of several ceilings, and of their intervals (0 to 0: they have none)."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    if not rows:
        return RankingRow(name, CEILING, Correlation(0.0, 0.0, 0.0, 0), None, None, None)
    taus = [float(np.mean([getattr(row.all, part) for row in rows])) for part in ("tau", "low", "high")]
    return RankingRow(
        name,
        CEILING,
        Correlation(taus[0], taus[1], taus[2], min(row.all.count for row in rows)),
        mean([row.top for row in rows]),
        mean([row.band for row in rows]),
        mean([row.found for row in rows]),
    )


def _verdict(row: RankingRow, floor: RankingRow, labels: int, gap: tuple[float, float]) -> str:
    """Whether it beats what is free, in a sentence."""
    low, high = gap
    sure = "" if high < 0 or low > 0 else ", which chance alone could make"
    beside = (
        f"tau {row.all.tau:.2f} against {floor.all.tau:.2f} (difference {row.all.tau - floor.all.tau:+.2f}, "
        f"{low:+.2f} to {high:+.2f}{sure})"
    )
    free = f"a ridge on free features with {labels:,} labels"
    if not floor.name.startswith("ridge"):
        free = f"{floor.name}, which costs nothing"
    if row.all.tau < floor.all.tau:
        return f"{row.name} ranks worse than {free}: {beside}"
    if sure:
        return f"{row.name} isn't surely better than {free}: {beside}"
    return f"{row.name} ranks better than {free}: {beside}"

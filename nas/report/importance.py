"""How much each choice moves accuracy and cost, from the trials of a search, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from nas.search.trial import Record, Scored
from search_spaces.decision import Choice, Decision


@dataclass(frozen=True)
class Effect:
    """What one choice of a decision does, against the decision's average over the trials.

    Attributes:
        choice: the value.
        trials: that had it.
        accuracy: difference, a fraction.
        cost: difference, in the cost's own unit.
    """

    choice: Choice
    trials: int
    accuracy: float
    cost: float


@dataclass(frozen=True)
class Importance:
    """A decision and the effects of its choices that were tried.

    Attributes:
        decision: its name.
        effects: one for each choice.
        interval: of the accuracy from the worst choice to the best, a fraction; 95%, resampling trials. Below
            0 at its lower end: which of the two is better isn't told by these trials.
    """

    decision: str
    effects: tuple[Effect, ...]
    interval: tuple[float, float]

    @property
    def accuracy_span(self) -> float:
        """From the worst choice to the best, a fraction."""
        values = [effect.accuracy for effect in self.effects]
        return max(values) - min(values)

    @property
    def told(self) -> bool:
        """Whether the trials tell the best choice from the worst."""
        return self.interval[0] > 0

    @property
    def cost_span(self) -> float:
        """From the cheapest choice to the dearest."""
        values = [effect.cost for effect in self.effects]
        return max(values) - min(values)


def counting(records: Sequence[Record], decisions: Sequence[Decision]) -> NDArray[np.bool_]:
    """Which decisions count in each record, of a space's all: those that it has a choice of."""
    return np.array([[decision.name in record.choices for decision in decisions] for record in records])


def least_trials(done: Sequence[Scored], decisions: Sequence[Decision]) -> int:
    """Finished trials from which on effects are shown: three for each free effect, and at least 30."""
    columns = _columns(_rows(done, decisions), decisions)
    return max(_LEAST, 3 * (len(columns) - len({index for index, _ in columns})))


def importances(
    done: Sequence[Scored], decisions: Sequence[Decision], cost: str = "macs"
) -> list[Importance]:
    """The decisions that varied among finished trials, the one that moves accuracy most first.

    A search tries good choices together, so a choice's plain average would also take the credit of
    its company. These are the coefficients of a ridge regression on all choices at once (one-hot,
    penalty 1), which divides it; interactions are not in them. The interval of a decision is the
    bootstrap's (Efron & Tibshirani 1993, section 13.3), of the difference between the two choices that are
    its worst and its best here; that they were picked for it is not in it. Empty with fewer trials than
    `least_trials`.
    """
    if not done or len(done) < least_trials(done, decisions):
        return []
    rows = _rows(done, decisions)
    columns = _columns(rows, decisions)
    if not columns:
        return []
    encoded = np.stack([rows[:, index] == choice for index, choice in columns], axis=1).astype(float)
    targets = np.asarray([(r.accuracy, r.costs[cost]) for r in done])
    scale = targets.std(axis=0)
    scale[scale == 0] = 1
    wanted = (targets - targets.mean(axis=0)) / scale
    effects = Ridge(alpha=1.0).fit(encoded, wanted).coef_.T * scale
    drawn = _resampled(encoded, wanted[:, 0]) * scale[0]
    found: dict[int, list[Effect]] = {}
    for (index, choice), column, (accuracy, moved) in zip(columns, encoded.T, effects, strict=True):
        found.setdefault(index, []).append(
            Effect(decisions[index].choices[choice], int(column.sum()), float(accuracy), float(moved))
        )
    result, start = [], 0
    for index, group in found.items():
        weights = [effect.trials for effect in group]
        mean = np.average([(e.accuracy, e.cost) for e in group], axis=0, weights=weights)
        centred = (Effect(e.choice, e.trials, e.accuracy - mean[0], e.cost - mean[1]) for e in group)
        order = np.argsort([e.accuracy for e in group])
        spans = drawn[:, start + order[-1]] - drawn[:, start + order[0]]
        low, high = np.quantile(spans, (0.025, 0.975))
        result.append(Importance(decisions[index].name, tuple(centred), (float(low), float(high))))
        start += len(group)
    return sorted(result, key=lambda found: -found.accuracy_span)


_LEAST = 30
_RESAMPLES = 200


def _rows(done: Sequence[Scored], decisions: Sequence[Decision]) -> NDArray[np.int64]:
    """Choice indices (trials, decisions); -1 where a network has no such decision."""
    if not done:
        return np.empty((0, len(decisions)), np.int64)
    return np.where(counting(done, decisions), np.asarray([r.architecture for r in done]), -1)


def _columns(rows: NDArray[np.int64], decisions: Sequence[Decision]) -> list[tuple[int, int]]:
    """(decision, choice) of what was tried where there is something to choose."""
    columns: list[tuple[int, int]] = []
    for index, decision in enumerate(decisions):
        tried = np.unique(rows[rows[:, index] >= 0, index])
        if len(decision.choices) > 1 and len(tried) > 1:
            columns += [(index, int(choice)) for choice in tried]
    return columns


def _resampled(encoded: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coefficients over resampled trials, (resamples, columns)."""
    draw = np.random.default_rng(0)
    count = len(encoded)
    found = np.empty((_RESAMPLES, encoded.shape[1]))
    for index in range(_RESAMPLES):
        weights = draw.multinomial(count, np.full(count, 1 / count)).astype(float)
        found[index] = Ridge(alpha=1.0, solver="cholesky").fit(encoded, wanted, sample_weight=weights).coef_
    return found

"""How much each choice moves accuracy and cost, from the trials of a search."""

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
    """A decision and the effects of its choices that were tried."""

    decision: str
    effects: tuple[Effect, ...]

    @property
    def accuracy_span(self) -> float:
        """From the worst choice to the best, a fraction."""
        values = [effect.accuracy for effect in self.effects]
        return max(values) - min(values)

    @property
    def cost_span(self) -> float:
        """From the cheapest choice to the dearest."""
        values = [effect.cost for effect in self.effects]
        return max(values) - min(values)


def counting(records: Sequence[Record], decisions: Sequence[Decision]) -> NDArray[np.bool_]:
    """Which decisions count in each record, of a space's all: those that it has a choice of."""
    return np.array([[decision.name in record.choices for decision in decisions] for record in records])


def importances(
    done: Sequence[Scored], decisions: Sequence[Decision], cost: str = "macs"
) -> list[Importance]:
    """The decisions that varied among finished trials, the one that moves accuracy most first.

    A search tries good choices together, so a choice's plain average would also take the credit of
    its company. These are the coefficients of a ridge regression on all choices at once (one-hot,
    penalty 1), which divides it; interactions are not in them. Empty with fewer than 10 trials.
    """
    if len(done) < 10:
        return []
    rows = np.where(counting(done, decisions), np.asarray([r.architecture for r in done]), -1)
    columns: list[tuple[int, int]] = []
    for index, decision in enumerate(decisions):
        tried = np.unique(rows[rows[:, index] >= 0, index])
        if len(decision.choices) > 1 and len(tried) > 1:
            columns += [(index, int(choice)) for choice in tried]
    if not columns:
        return []
    encoded = np.stack([rows[:, index] == choice for index, choice in columns], axis=1).astype(float)
    targets = np.asarray([(r.accuracy, r.costs[cost]) for r in done])
    scale = targets.std(axis=0)
    scale[scale == 0] = 1
    fitted = Ridge(alpha=1.0).fit(encoded, (targets - targets.mean(axis=0)) / scale)
    effects = fitted.coef_.T * scale
    found: dict[int, list[Effect]] = {}
    for (index, choice), column, (accuracy, moved) in zip(columns, encoded.T, effects, strict=True):
        found.setdefault(index, []).append(
            Effect(decisions[index].choices[choice], int(column.sum()), float(accuracy), float(moved))
        )
    result = []
    for index, group in found.items():
        weights = [effect.trials for effect in group]
        mean = np.average([(e.accuracy, e.cost) for e in group], axis=0, weights=weights)
        centred = (Effect(e.choice, e.trials, e.accuracy - mean[0], e.cost - mean[1]) for e in group)
        result.append(Importance(decisions[index].name, tuple(centred)))
    return sorted(result, key=lambda found: -found.accuracy_span)

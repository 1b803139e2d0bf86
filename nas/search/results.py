"""What a search has found so far: the best trial, the ranking, the front, by the costs that were targeted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from controller.pareto import dominates
from nas.network.cost import cost
from nas.search.reward import Objective, Reward
from nas.search.trial import FAILED, FINISHED, Record, Scored
from search_spaces.reference import reference


class Results:
    """The results of a search; trials are added as they end.

    Only trials that were evaluated to the end are compared: one that a scheduler stopped early has a
    reward, but of another training.

    Args:
        records: that have ended.
        reward: of the search; its objectives are the targeted costs. With none, MACs beside the accuracy.

    Attributes:
        finished: the trials that were evaluated to the end, in their order.
        scored: those that have a reward, stopped ones too.
        best: the highest reward; the earliest of equals; None before the first.
        states: how many trials ended in which state.
    """

    def __init__(self, records: Iterable[Record] = (), reward: Reward | None = None) -> None:
        self.objectives = reward.objectives if reward is not None else ()
        self.finished: list[Scored] = []
        self.scored: list[Scored] = []
        self.best: Scored | None = None
        self.states: Counter[str] = Counter()
        self._front: list[tuple[tuple[float, ...], Scored]] = []
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Take in a trial that has ended."""
        self.states[record.state] += 1
        if not isinstance(record, Scored):
            return
        self.scored.append(record)
        if record.state != FINISHED:
            return
        self.finished.append(record)
        best = self.best
        if best is None or (record.reward, -record.trial) > (best.reward, -best.trial):
            self.best = record
        point = self._point(record)
        if any(dominates(other, point) or other == point for other, _ in self._front):
            return
        self._front = [(other, r) for other, r in self._front if not dominates(point, other)]
        self._front.append((point, record))

    @property
    def front(self) -> list[Scored]:
        """The finished trials that no other beats in accuracy and all targeted costs; by falling accuracy.

        Of equal ones the first.
        """
        return [record for point, record in sorted(self._front, key=lambda pair: pair[0], reverse=True)]

    @property
    def ranked(self) -> list[Scored]:
        """The finished trials, the highest reward first, the earliest of equals."""
        return sorted(self.finished, key=lambda record: (-record.reward, record.trial))

    @property
    def failed(self) -> int:
        """Trials without a result."""
        return self.states[FAILED]

    @property
    def costs(self) -> list[str]:
        """The costs that are shown of a trial: the targeted ones, or MACs."""
        return [objective.cost for objective in self.objectives] or ["macs"]

    @property
    def cost(self) -> str:
        """The one of them that pictures show, the first."""
        return self.costs[0]

    @property
    def target(self) -> float | None:
        """Its target, if it has one."""
        return self.objectives[0].target if self.objectives else None

    def ratio(self, record: Record) -> float:
        """That cost in its target, above 1 where it is missed; without a target in EfficientNet-B0's MACs."""
        objective = self.objectives[0] if self.objectives else _UNTARGETED
        return float(objective.ratio(record.costs[objective.cost]))

    def chosen(self, trial: int | None) -> Scored | None:
        """The finished trial of that id, else the best."""
        return next((record for record in self.finished if record.trial == trial), self.best)

    def _point(self, record: Scored) -> tuple[float, ...]:
        """What a front compares, all to be maximised."""
        objectives = self.objectives or (_UNTARGETED,)
        return record.accuracy, *(-float(o.ratio(record.costs[o.cost])) for o in objectives)


_UNTARGETED = Objective("macs", cost(reference("efficientnet-b0")).macs)

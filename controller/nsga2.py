"""NSGA-II (Deb et al. 2002): no reward, a front of accuracy against one cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.base import Controller, ControllerError, Proposal
from controller.pareto import hypervolume, pareto_front
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace

Member = tuple[int, Architecture, tuple[float, float]]


class NSGA2(Controller):
    """Steady-state NSGA-II: each result joins the population, and the last by rank and crowding leaves.

    Parents win binary tournaments by (front, crowding distance); children are their uniform crossover,
    mutated in one decision. Asynchronous: a child is made from whatever results are there.

    Args:
        space: where to search.
        seed: of all randomness.
        population: results alive at once.
        cost: which of the metrics told is minimised beside the accuracy.
        crossover: chance that a child has two parents.

    Attributes:
        front: ids and architectures of the best front of all results, by falling accuracy.
        metrics: `pareto/size`, and `pareto/hypervolume` above an accuracy of 0 and the highest cost of
            the first population, as a share of that rectangle.

    Raises:
        InputError: a setting out of its range.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        population: int = 40,
        cost: str = "macs",
        crossover: float = 0.5,
    ) -> None:
        super().__init__(space, seed)
        if not 2 <= population <= 100_000:
            raise InputError(f"population {population}: expected 2 to 100000")
        if not 0 <= crossover <= 1:
            raise InputError(f"crossover {crossover:g}: expected a chance from 0 to 1")
        self.population_size, self.cost, self.crossover = population, cost, crossover
        self._members: list[Member] = []
        self._front: list[Member] = []
        self._reference: float | None = None
        self._ranks: list[tuple[int, float]] = []

    @property
    def front(self) -> list[Proposal]:
        """The results that no other dominates, by falling accuracy."""
        return [Proposal(id, architecture) for id, architecture, _ in self._front]

    def tell(self, id: int, reward: float, metrics: Mapping[str, float] | None = None) -> None:
        """Report a result; `metrics` has `accuracy` and the cost.

        Raises:
            UnknownProposalError, ControllerError: as every controller; or a metric is missing.
        """
        for name in ("accuracy", self.cost):
            if name not in (metrics or {}):
                raise ControllerError(
                    f"proposal {id}: NSGA-II needs the metric {name!r}, told {list(metrics or {})}"
                )
        super().tell(id, reward, metrics)

    def _propose(self) -> Architecture:
        if self._next_id < self.population_size or len(self._members) < 2:
            return self._fresh()
        child = self._parent()
        if self.rng.random() < self.crossover:
            child = self.space.crossover(child, self._parent(), self.rng)
        for _ in range(8):
            child = self.space.mutate(child, self.rng)
            if child not in self._proposed:
                return child
        return self._fresh()

    def _parent(self) -> Architecture:
        a, b = (int(i) for i in self.rng.integers(len(self._members), size=2))
        return self._members[a if self._ranks[a] <= self._ranks[b] else b][1]

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        point = (float(metrics["accuracy"]), -float(metrics[self.cost]))
        member = (proposal.id, proposal.architecture, point)
        self._members.append(member)
        self._ranks = ranks([point for _, _, point in self._members])
        if len(self._members) > self.population_size:
            worst = max(range(len(self._members)), key=lambda i: (self._ranks[i], i))
            del self._members[worst], self._ranks[worst]
        front = [*self._front, member]
        self._front = [front[i] for i in pareto_front([point for _, _, point in front])]
        self.metrics = {"pareto/size": float(len(self._front))}
        if self._reference is None and len(self._members) == self.population_size:
            self._reference = min(point[1] for _, _, point in self._members)
        if self._reference is not None:
            area = hypervolume([point for _, _, point in self._front], (0.0, self._reference))
            self.metrics["pareto/hypervolume"] = area / -self._reference if self._reference else 0.0

    def _state(self) -> dict[str, Any]:
        def rows(members: Sequence[Member]) -> list[list[Any]]:
            return [[id, list(architecture), list(point)] for id, architecture, point in members]

        return {"members": rows(self._members), "front": rows(self._front), "reference": self._reference}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        def members(rows: Sequence[Any]) -> list[Member]:
            return [(id, Architecture(indices), (point[0], point[1])) for id, indices, point in rows]

        self._members, self._front = members(state["members"]), members(state["front"])
        self._reference = state["reference"]
        self._ranks = ranks([point for _, _, point in self._members])


def ranks(points: Sequence[tuple[float, float]]) -> list[tuple[int, float]]:
    """(front number from 0, minus the crowding distance) of each point; smaller is better."""
    result: list[tuple[int, float]] = [(0, 0.0)] * len(points)
    left = list(range(len(points)))
    number = 0
    while left:
        front = [left[i] for i in pareto_front([points[i] for i in left])]
        # equal points share their front, but only the first is listed
        shown = {points[i] for i in front}
        front += [i for i in left if i not in front and points[i] in shown]
        crowding = dict.fromkeys(front, 0.0)
        for axis in (0, 1):
            order = sorted(front, key=lambda i: points[i][axis])
            span = points[order[-1]][axis] - points[order[0]][axis]
            crowding[order[0]] = crowding[order[-1]] = float("inf")
            for before, i, after in zip(order, order[1:], order[2:], strict=False):
                if span:
                    crowding[i] += (points[after][axis] - points[before][axis]) / span
        for i in front:
            result[i] = (number, -crowding[i])
        left = [i for i in left if i not in front]
        number += 1
    return result

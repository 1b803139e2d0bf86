"""Local search: all neighbours of the best, in random order, until one is better (White et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace


class LocalSearch(Controller):
    """Hill climbing by one decision at a time; from a local optimum it starts anew at random.

    With several proposals pending it moves as soon as any result is better, and results of neighbours
    of an earlier place still count.

    Args:
        space: where to search.
        seed: of all randomness.
        initial: random architectures before the first climb, which starts from the best of them.

    Raises:
        InputError: initial is below 1.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, initial: int = 10) -> None:
        super().__init__(space, seed)
        if not 1 <= initial <= 1_000_000:
            raise InputError(f"initial {initial}: expected 1 to 1000000")
        self.initial = initial
        self._place: Architecture | None = None
        self._height = float("-inf")
        self._ways: list[Architecture] = []

    def _propose(self) -> Architecture:
        if self._next_id < self.initial or self._place is None:
            return self._fresh()
        while self._ways:
            way = self._ways.pop()
            if way not in self._proposed:
                return way
        if self._pending:
            # the last neighbours are still out: look one step further meanwhile
            steps = list(self.space.neighbours(self._place))
            onward = self.space.mutate(steps[int(self.rng.integers(len(steps)))], self.rng)
            if onward not in self._proposed:
                return onward
        self._place, self._height = None, float("-inf")
        return self._fresh()

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        if reward > self._height:
            self._place, self._height = proposal.architecture, reward
            ways = list(self.space.neighbours(proposal.architecture))
            self._ways = [ways[int(index)] for index in self.rng.permutation(len(ways))]

    def _state(self) -> dict[str, Any]:
        return {
            "place": None if self._place is None else list(self._place),
            "height": self._height if self._place is not None else None,
            "ways": [list(way) for way in self._ways],
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self._place = None if state["place"] is None else Architecture(state["place"])
        self._height = float("-inf") if state["height"] is None else state["height"]
        self._ways = [Architecture(way) for way in state["ways"]]

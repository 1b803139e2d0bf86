"""Regularized (ageing) evolution: Real et al. 2019, algorithm 1."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace

_FURTHER = 8


class Evolution(Controller):
    """The population is the latest `population` results; a tournament's best is mutated, the oldest dies.

    Asynchronous as in the paper: children are made from whatever results are there. Until
    `population` architectures have been proposed, and while there are no results, they are random. A
    child that was proposed before is mutated on: its result is known, and would be a trial lost.

    Args:
        space: where to search.
        seed: of all randomness.
        population: results alive at once (the paper's P).
        tournament: candidates drawn from them, with replacement, for one parent (the paper's S).

    Raises:
        InputError: not 1 <= tournament <= population.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, population: int = 30, tournament: int = 15) -> None:
        super().__init__(space, seed)
        if not 1 <= tournament <= population:
            raise InputError(f"tournament {tournament}: expected 1 to the population, {population}")
        self.population_size = population
        self.tournament = tournament
        self.population: deque[tuple[Architecture, float]] = deque(maxlen=population)

    def _propose(self) -> Architecture:
        if self._next_id < self.population_size or not self.population:
            return self.space.sample(self.rng)
        drawn = self.rng.integers(len(self.population), size=self.tournament)
        parent, _ = max((self.population[i] for i in drawn), key=lambda member: member[1])
        child = self.space.mutate(parent, self.rng)
        for _ in range(_FURTHER):
            if child not in self._proposed:
                break
            child = self.space.mutate(child, self.rng)
        return child

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        self.population.append((proposal.architecture, reward))

    def _state(self) -> dict[str, Any]:
        return {"population": [[list(architecture), reward] for architecture, reward in self.population]}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self.population.clear()
        self.population.extend((Architecture(a), reward) for a, reward in state["population"])

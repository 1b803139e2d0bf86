"""Random search without repetition: the baseline every other controller is measured against."""

from __future__ import annotations

from collections.abc import Mapping

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture


class RandomSearch(Controller):
    """Uniform over the architectures not proposed yet."""

    def _propose(self) -> Architecture:
        # rejection stays cheap until most of the space is used; then the rest is listed
        if 2 * len(self._proposed) < self.space.size:
            while (architecture := self.space.sample(self.rng)) in self._proposed:
                pass
            return architecture
        rest = [a for a in self.space.enumerate() if a not in self._proposed]
        return rest[int(self.rng.integers(len(rest)))]

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        pass

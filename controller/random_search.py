"""Random search without repetition: the baseline every other controller is measured against."""

from __future__ import annotations

from collections.abc import Mapping

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture


class RandomSearch(Controller):
    """Uniform over the architectures not proposed yet."""

    def _propose(self) -> Architecture:
        return self._fresh()

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        pass

"""Coarse to fine: the predictor proposes of a part of the space first, then of all of it, knowing both.

Qin et al. 2024 (MobileNetV4, section 5) search the coarse choices, fix them, and search the fine ones around
them. Here the second stage has the first one's results, and may go back on any of its choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.base import PriorAccuracy, Proposal, RewardLine, SpaceExhaustedError
from controller.predictor_guided import PredictorGuided
from search_spaces.architecture import Architecture
from search_spaces.coarse import CoarseSpace

_CHANCE = "predictor/chance"
_DRAWS = 8
"""Proposals of the coarse stage, one after the other, that are networks which were proposed before."""


class CoarseToFine(PredictorGuided):
    """The predictor on a coarse part of the space for its first proposals, then on the whole.

    The coarse stage has a predictor of its own, which learns of few decisions sooner. All results are this
    one's too, so that the fine stage begins with them, and trains none of those networks again.

    Args:
        coarse: the part; of the space that is searched.
        proposals: how many are made of it.
        seed, objective, prior: as the predictor's.
        options: its settings, in both stages.

    Raises:
        InputError: a setting out of its range.
    """

    def __init__(
        self,
        coarse: CoarseSpace,
        proposals: int,
        seed: int = 0,
        objective: RewardLine | None = None,
        prior: PriorAccuracy | None = None,
        **options: Any,
    ) -> None:
        super().__init__(coarse.whole, seed, objective, prior=prior, **options)
        self.coarse, self.proposals = coarse, proposals

        def line(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            assert objective is not None
            return objective(coarse.widened(rows))

        def expected(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            assert prior is not None
            return prior(coarse.widened(rows))

        self._first = PredictorGuided(
            coarse, seed, objective and line, prior=None if prior is None else expected, **options
        )
        self._asking: Proposal | None = None
        self._first_ids: dict[int, int] = {}  # by id here, of what the coarse stage's proposed

    def incumbent(self) -> int | None:
        """As the predictor's; of the coarse stage alone, its own."""
        if self._rewards.fitted:
            return super().incumbent()
        chosen = self._first.incumbent()
        return next((id for id, other in self._first_ids.items() if other == chosen), None)

    def goes_on(self, id: int, rewards: Mapping[float, float]) -> bool:
        """As the predictor's; of the coarse stage's proposals by what that one knows."""
        if (other := self._first_ids.get(id)) is not None:
            self._check_pending(id)
            return self._first.goes_on(other, rewards)
        return super().goes_on(id, rewards)

    def _propose(self) -> Architecture:
        self._asking = None
        if self._next_id < self.proposals and (wanted := self._coarsely()) is not None:
            return wanted
        return super()._propose()

    def _coarsely(self) -> Architecture | None:
        """The coarse stage's next network that is a new one; None: it has none."""
        self._forecast = None
        for _ in range(_DRAWS):
            try:
                proposal = self._first.ask()
            except SpaceExhaustedError:
                return None
            wanted = Architecture(self.coarse.widened([proposal.architecture])[0].tolist())
            if wanted not in self._proposed:
                self._asking = proposal
                # a chance of what is left out of sight tells nothing of when the search has converged
                self.metrics = {k: v for k, v in self._first.metrics.items() if k != _CHANCE}
                return wanted
            self._first.fail(proposal.id, "the same network as another proposal")
        return None

    def _asked(self, proposal: Proposal) -> None:
        super()._asked(proposal)
        if self._asking is not None:
            self._first_ids[proposal.id], self._asking = self._asking.id, None
        elif (other := self._first_ids.pop(proposal.id, None)) is not None:  # another one in its place
            self._first.fail(other, "another architecture is evaluated in its place")

    def _observe_part(self, proposal: Proposal, reward: float, fidelity: float) -> None:
        super()._observe_part(proposal, reward, fidelity)
        if (other := self._first_ids.get(proposal.id)) is not None:
            self._first.report(other, reward, fidelity)

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        super()._observe(proposal, reward, metrics)
        if (other := self._first_ids.get(proposal.id)) is not None:
            self._first.tell(other, reward, metrics)

    def _observe_failure(self, proposal: Proposal, reason: str) -> None:
        super()._observe_failure(proposal, reason)
        if (other := self._first_ids.pop(proposal.id, None)) is not None:
            self._first.fail(other, reason)

    def _state(self) -> dict[str, Any]:
        return {
            **super()._state(),
            "coarse": self._first.state_dict(),
            "coarse_ids": [list(pair) for pair in self._first_ids.items()],
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        super()._load_state(state)
        self._first.load_state_dict(state["coarse"])
        self._first_ids = dict(state["coarse_ids"])

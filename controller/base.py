"""The contract of all controllers: ask, tell, fail; state that resumes exactly.

The public methods do the bookkeeping (ids, pending proposals, checks); a subclass fills in the idea:
`_propose`, `_observe` and its own state.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace

RewardLine = Callable[[NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""What a controller may know of the reward before anything is trained: choice indices of shape
(n, decisions) -> (slope, offset), each of shape (n,), with reward = slope x accuracy + offset and slope
above 0. Costs are exact, so both are (MnasNet's eq. 2: slope (cost/target)^w, offset 0)."""

PriorAccuracy = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""What another task lets expect of the accuracy: choice indices of shape (n, decisions) -> fractions (n,)."""


class ControllerError(RuntimeError):
    """A call that breaks the ask/tell contract; the controller's state is as it was before the call."""


class UnknownProposalError(ControllerError):
    """A `tell` or `fail` for an id that was never asked, or that was already told."""


class SpaceExhaustedError(ControllerError):
    """Every architecture of the space has been proposed: there is nothing new to ask for."""


@dataclass(frozen=True)
class Proposal:
    """An architecture to evaluate; `id` counts from 0 within one controller."""

    id: int
    architecture: Architecture


class Controller(ABC):
    """Proposes architectures and learns from their rewards.

    Any number of proposals may be pending and results may come in any order; a pending architecture
    is not proposed again. The same seed and the same sequence of calls give the same proposals, in
    any process.

    Args:
        space: where to search.
        seed: of all the controller's randomness.

    Attributes:
        judges: whether it has a say in which evaluations go on (`goes_on`).
        metrics: figures of the controller's own last update (`losses/policy` ...), for observers.
    """

    judges = False

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.metrics: dict[str, float] = {}
        self._next_id = 0
        self._pending: dict[int, Architecture] = {}
        self._proposed: set[Architecture] = set()
        self._best: tuple[float, int] | None = None

    @property
    def pending(self) -> tuple[Proposal, ...]:
        """The proposals without a result, in the order they were asked."""
        return tuple(Proposal(id, architecture) for id, architecture in self._pending.items())

    def ask(self) -> Proposal:
        """The next architecture to evaluate.

        Raises:
            SpaceExhaustedError: all architectures of the space have been proposed.
        """
        if len(self._proposed) >= self.space.size:
            raise SpaceExhaustedError(f"all {self.space.size} architectures of {self.space.name!r} proposed")
        architecture = self._free(self.space.canonical(self._propose()))
        proposal = Proposal(self._next_id, architecture)
        self._next_id += 1
        self._pending[proposal.id] = architecture
        self._proposed.add(architecture)
        self._asked(proposal)
        return proposal

    def tell(self, id: int, reward: float, metrics: Mapping[str, float] | None = None) -> None:
        """Report a pending proposal's result.

        Args:
            id: of the proposal.
            reward: finite; higher is better.
            metrics: further measurements (`accuracy`, costs), for controllers that use them; of an
                evaluation that was ended early `fidelity`, the share of it that was done.

        Raises:
            UnknownProposalError: the proposal was never asked, or already has a result.
            ControllerError: the reward is NaN or infinite, or the fidelity no share; the proposal stays
                pending.
        """
        self._check_pending(id)
        if not math.isfinite(reward):
            raise ControllerError(f"proposal {id}: reward {reward} is not finite; call fail() instead")
        if not 0 < (metrics or {}).get("fidelity", 1.0) <= 1:
            fidelity = (metrics or {})["fidelity"]
            raise ControllerError(f"proposal {id}: fidelity {fidelity}: expected a share above 0, at most 1")
        proposal = Proposal(id, self._pending.pop(id))
        if self._best is None or (reward, -id) > (self._best[0], -self._best[1]):
            self._best = float(reward), id
        self._observe(proposal, float(reward), dict(metrics or {}))

    def report(self, id: int, reward: float, fidelity: float) -> None:
        """Report a pending proposal's reward after a part of its evaluation, which is told at its end.

        Args:
            id: of the proposal.
            reward: finite; higher is better.
            fidelity: the share of the evaluation that was done, above 0 and below 1.

        Raises:
            UnknownProposalError: the proposal was never asked, or already has a result.
            ControllerError: the reward is not finite, or the fidelity is no such share.
        """
        self._check_pending(id)
        _check_part(id, reward, fidelity)
        self._observe_part(Proposal(id, self._pending[id]), float(reward), float(fidelity))

    def goes_on(self, id: int, rewards: Mapping[float, float]) -> bool:
        """Whether a pending proposal's evaluation is worth being continued; changes nothing.

        Args:
            id: of the proposal.
            rewards: so far, by the share of the evaluation that was done, at least one.

        Raises:
            UnknownProposalError: the proposal was never asked, or already has a result.
            ControllerError: there is none, or one that `report` would not take.
        """
        self._check_pending(id)
        if not rewards:
            raise ControllerError(f"proposal {id}: no reward to go by")
        for fidelity, reward in rewards.items():
            _check_part(id, reward, fidelity)
        return True

    def incumbent(self) -> int | None:
        """The id of the proposal believed to be the best of those with a result; None if there is none.

        By default the highest reward seen, the earliest of equals. A controller with a model of the
        noise says better.
        """
        return None if self._best is None else self._best[1]

    def fail(self, id: int, reason: str) -> None:
        """Report that a pending proposal has no result. It is never counted as a reward of 0.

        Raises:
            UnknownProposalError: the proposal was never asked, or already has a result.
        """
        self._check_pending(id)
        self._observe_failure(Proposal(id, self._pending.pop(id)), reason)

    def amend(self, id: int, architecture: Architecture) -> None:
        """Evaluate `architecture` in place of the one that pending proposal `id` asked for.

        Raises:
            UnknownProposalError: the proposal was never asked, or already has a result.
            NotInSpaceError: the architecture is none of the space.
        """
        self._check_pending(id)
        architecture = self.space.canonical(architecture)
        self._proposed.discard(self._pending[id])  # or what was never evaluated would use the space up
        self._pending[id] = architecture
        self._proposed.add(architecture)
        self._asked(Proposal(id, architecture))

    def state_dict(self) -> dict[str, Any]:
        """All that decides the future, as plain data that survives JSON."""
        return {
            "space": self.space.name,
            "rng": self.rng.bit_generator.state,
            "next_id": self._next_id,
            "pending": [[id, *architecture] for id, architecture in self._pending.items()],
            "proposed": sorted(self._proposed),
            "metrics": dict(self.metrics),
            "best": None if self._best is None else list(self._best),
            **self._state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken.

        Raises:
            ControllerError: the state belongs to another space.
        """
        if state["space"] != self.space.name:
            raise ControllerError(
                f"state of space {state['space']!r}, this controller's is {self.space.name!r}"
            )
        self.rng.bit_generator.state = state["rng"]
        self._next_id = state["next_id"]
        self._pending = {id: Architecture(indices) for id, *indices in state["pending"]}
        self._proposed = {Architecture(indices) for indices in state["proposed"]}
        self.metrics = dict(state["metrics"])
        self._best = None if state["best"] is None else (state["best"][0], state["best"][1])
        self._load_state(state)

    @abstractmethod
    def _propose(self) -> Architecture:
        """The architecture wanted next; the caller makes it canonical, and replaces it if it is pending."""

    @abstractmethod
    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        """Learn from a result."""

    def _observe_part(self, proposal: Proposal, reward: float, fidelity: float) -> None:
        """Learn from a part of an evaluation; by default nothing."""

    def _observe_failure(self, proposal: Proposal, reason: str) -> None:
        """Learn from a failure; by default nothing."""

    def _asked(self, proposal: Proposal) -> None:
        """Remember what is needed when the proposal's result comes; by default nothing."""

    def _state(self) -> dict[str, Any]:
        """The subclass's own state."""
        return {}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `_state` gave."""

    def _check_pending(self, id: int) -> None:
        if id not in self._pending:
            why = "was never asked" if not 0 <= id < self._next_id else "already has a result"
            raise UnknownProposalError(f"proposal {id} {why}")

    def _fresh(self) -> Architecture:
        """An architecture drawn uniformly from those not proposed yet."""
        # rejection stays cheap until most of the space is used; then the rest is listed
        if 2 * len(self._proposed) < self.space.size:
            while (architecture := self.space.sample(self.rng)) in self._proposed:
                pass
            return architecture
        rest = [a for a in self.space.enumerate() if a not in self._proposed]
        return rest[int(self.rng.integers(len(rest)))]

    def _free(self, wanted: Architecture) -> Architecture:
        """`wanted`, or the nearest architecture (in decisions changed) that is not pending.

        A converged controller wants the same architecture again and again while its results are
        outstanding; walking outwards from it always ends, since fewer architectures are pending
        than the space has.
        """
        self.space.check(wanted)
        taken = set(self._pending.values())
        if wanted not in taken:
            return wanted
        queue, seen = deque([wanted]), {wanted}
        while queue:
            neighbours = list(self.space.neighbours(queue.popleft()))
            for index in self.rng.permutation(len(neighbours)):
                neighbour: Architecture = neighbours[int(index)]
                if neighbour not in taken:
                    return neighbour
                if neighbour not in seen:
                    seen.add(neighbour)
                    queue.append(neighbour)
        raise SpaceExhaustedError(f"all {self.space.size} architectures of {self.space.name!r} are pending")


def _check_part(id: int, reward: float, fidelity: float) -> None:
    if not math.isfinite(reward) or not 0 < fidelity < 1:
        raise ControllerError(
            f"proposal {id}: reward {reward} after a share of {fidelity}: expected a finite reward and a "
            "share between 0 and 1"
        )

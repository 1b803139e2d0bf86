"""Proximal policy optimisation (Schulman et al. 2017), the controller of MnasNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from controller.base import Controller, Proposal
from controller.policy import FactorisedPolicy, Policy
from controller.rnn_policy import LSTMPolicy
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, unknown
from search_spaces.space import SearchSpace

POLICIES: dict[str, type[Policy]] = {"factorised": FactorisedPolicy, "lstm": LSTMPolicy}


class PPO(Controller):
    """Clipped PPO; every decision is an action, and all of an architecture's share its advantage.

    The log-probabilities under the policy that proposed an architecture are kept with the pending
    proposal, so the importance ratios are right also for results that come after later updates.

    Args:
        space: where to search.
        seed: of all randomness.
        policy: `factorised` or `lstm`.
        learning_rate: Adam's; default .02 for the factorised policy, .003 for the LSTM.
        batch: results per update.
        epochs: gradient steps per update.
        clip: the ratio's clip range (paper, equation 7).
        entropy: weight of the entropy bonus, in advantage units, per decision.
        baseline_decay: of the moving average of rewards that the advantage is taken against.

    Raises:
        InputError: an unknown policy, or a setting out of its range.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        policy: str = "factorised",
        learning_rate: float = 0,
        batch: int = 10,
        epochs: int = 5,
        clip: float = 0.2,
        entropy: float = 0.1,
        baseline_decay: float = 0.9,
    ) -> None:
        super().__init__(space, seed)
        if policy not in POLICIES:
            raise unknown("policy", policy, POLICIES)
        ranges: dict[str, tuple[float, float, float]] = {
            "batch": (batch, 1, 1 << 16),
            "epochs": (epochs, 1, 1000),
            "clip": (clip, 1e-3, 10),
        }
        ranges |= {"entropy": (entropy, 0, 100), "baseline_decay": (baseline_decay, 0, 0.9999)}
        ranges |= {"learning_rate": (learning_rate, 0, 10)}
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise InputError(f"{name} {value:g}: expected {low:g} to {high:g}")
        self.policy = POLICIES[policy](space, seed)  # type: ignore[call-arg]
        rate = learning_rate or {"factorised": 0.02, "lstm": 0.003}[policy]
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=rate)
        self.batch, self.epochs, self.clip, self.entropy = batch, epochs, clip, entropy
        self.baseline_decay = baseline_decay
        self._baseline: float | None = None
        self._scale = 0.0
        self._behaviour: dict[int, list[float]] = {}
        self._results: list[tuple[Architecture, list[float], float]] = []

    def _propose(self) -> Architecture:
        # a few more draws where the first is pending: nearer to the policy than the base's neighbours
        taken = set(self._pending.values())
        for _ in range(8):
            architecture = self.policy.sample(self.rng)
            if architecture not in taken:
                break
        return architecture

    @torch.no_grad()
    def _asked(self, proposal: Proposal) -> None:
        taken, _ = self.policy.evaluate(torch.tensor([proposal.architecture]))
        self._behaviour[proposal.id] = taken[0].tolist()

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        self._results.append((proposal.architecture, self._behaviour.pop(proposal.id), reward))
        if len(self._results) == self.batch:
            self._update()
            self._results.clear()

    def _observe_failure(self, proposal: Proposal, reason: str) -> None:
        del self._behaviour[proposal.id]

    def _update(self) -> None:
        architectures, behaviour, rewards = zip(*self._results, strict=True)
        choices = torch.tensor(architectures)
        old = torch.tensor(behaviour, dtype=torch.float64)
        reward = torch.tensor(rewards, dtype=torch.float64)
        advantage = self._advantages(reward).unsqueeze(-1)
        for _ in range(self.epochs):
            taken, entropies = self.policy.evaluate(choices)
            ratio = (taken - old).exp()
            clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
            policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
            entropy = entropies.mean()
            loss = policy_loss - self.entropy * entropy
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        with torch.no_grad():
            # Schulman's estimator: E[(r - 1) - log r], never negative
            kl = (ratio - 1 - (taken - old)).mean()
            share = ((ratio - 1).abs() > self.clip).double().mean()
        self.metrics = {
            "losses/policy": policy_loss.item(),
            "losses/entropy": entropy.item(),
            "losses/approx_kl": kl.item(),
            "losses/clipfrac": share.item(),
        }

    def _advantages(self, reward: torch.Tensor) -> torch.Tensor:
        """Rewards against their moving average, in units of their moving mean deviation.

        The scale makes learning rate and entropy weight mean the same for any reward.
        """
        if self._baseline is None:
            self._baseline = reward.mean().item()
        advantage = reward - self._baseline
        deviation = advantage.abs().mean().item()
        keep = self.baseline_decay
        self._scale = keep * self._scale + (1 - keep) * deviation if self._scale else deviation
        self._baseline = keep * self._baseline + (1 - keep) * reward.mean().item()
        # the floor keeps rounding errors of equal rewards small; it is as large as the rewards are
        return advantage / (self._scale + 1e-8 * abs(self._baseline) or 1.0)

    def _state(self) -> dict[str, Any]:
        optimizer = self.optimizer.state_dict()["state"]
        return {
            "policy": {name: value.tolist() for name, value in self.policy.state_dict().items()},
            "optimizer": {
                str(index): {name: value.tolist() for name, value in entry.items()}
                for index, entry in optimizer.items()
            },
            "baseline": self._baseline,
            "scale": self._scale,
            "behaviour": [[id, log_probs] for id, log_probs in self._behaviour.items()],
            "results": [[list(a), log_probs, reward] for a, log_probs, reward in self._results],
        }

    def _load_state(self, state: Mapping[str, Any]) -> None:
        double = torch.float64
        self.policy.load_state_dict(
            {name: torch.tensor(value, dtype=double) for name, value in state["policy"].items()}
        )
        groups = self.optimizer.state_dict()["param_groups"]
        entries = {
            int(index): {
                # Adam counts its steps in single precision
                name: torch.tensor(value, dtype=torch.float32 if name == "step" else double)
                for name, value in entry.items()
            }
            for index, entry in state["optimizer"].items()
        }
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})
        self._baseline, self._scale = state["baseline"], state["scale"]
        self._behaviour = dict(state["behaviour"])
        self._results = [(Architecture(a), log_probs, reward) for a, log_probs, reward in state["results"]]

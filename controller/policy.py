"""What PPO asks of a policy, and the factorised policy. The autoregressive one is in `rnn_policy`."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


class Policy(nn.Module):
    """A distribution over the architectures of a space, in double precision.

    Double precision keeps proposals the same across machines and thread counts: the last bits of a
    reduction may differ there, and a choice flips only where they decide it.
    """

    mask: Tensor

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        self.lengths = [len(decision) for decision in space.decisions]
        width = max(self.lengths)
        mask = torch.zeros(len(self.lengths), width, dtype=torch.float64)
        for row, length in zip(mask, self.lengths, strict=True):
            row[length:] = -torch.inf
        self.register_buffer("mask", mask, persistent=False)

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw an architecture."""

    @abstractmethod
    def log_probs(self, choices: Tensor) -> Tensor:
        """Log-probabilities of all choices given the earlier ones.

        Args:
            choices: indices, shape (batch, decisions), int64.

        Returns:
            shape (batch, decisions, most choices of any decision); -inf where there is no choice.
        """

    def evaluate(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """(log-probability of each choice taken, entropy of each decision), both (batch, decisions).

        Both are 0 for decisions that don't count (`SearchSpace.conditions`): nothing was decided there.
        """
        log_probs = self.log_probs(choices)
        taken = log_probs.gather(-1, choices.unsqueeze(-1)).squeeze(-1)
        finite = log_probs.masked_fill(log_probs == -torch.inf, 0)
        entropy = -(finite.exp() * finite * (log_probs != -torch.inf)).sum(-1)
        if self.space.conditions:
            counting = torch.from_numpy(self.space.counting(choices.numpy()))
            taken, entropy = taken * counting, entropy * counting
        return taken, entropy


def draw(log_probs: Tensor, rng: np.random.Generator) -> int:
    """An index drawn from one row of log-probabilities."""
    weights = log_probs.exp().numpy()
    return int(rng.choice(len(weights), p=weights / weights.sum()))


class FactorisedPolicy(Policy):
    """Independent logits for every decision: few parameters, quick to learn, no interactions."""

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__(space)
        self.logits = nn.Parameter(torch.zeros(self.mask.shape, dtype=torch.float64))

    def log_probs(self, choices: Tensor) -> Tensor:
        """The same rows for every architecture of the batch."""
        return F.log_softmax(self.logits + self.mask, dim=-1).expand(len(choices), -1, -1)

    @torch.no_grad()
    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw every decision by itself."""
        rows = F.log_softmax(self.logits + self.mask, dim=-1)
        return Architecture(draw(row, rng) for row in rows)

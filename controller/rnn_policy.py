"""The autoregressive policy: an LSTM that decides one choice after the other (Zoph & Le 2017; MnasNet)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from controller.policy import Policy, draw
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace


class LSTMPolicy(Policy):
    """Each decision's distribution depends on all choices before it.

    Args:
        space: its decisions, in order, are the sequence.
        seed: of the initial weights.
        hidden: size of the LSTM and of the embeddings.
    """

    offsets: Tensor

    def __init__(self, space: SearchSpace, seed: int = 0, hidden: int = 64) -> None:
        super().__init__(space)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # entry 0 starts the sequence; every choice of every decision has its own entry
            self.embedding = nn.Embedding(1 + sum(self.lengths), hidden, dtype=torch.float64)
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True, dtype=torch.float64)
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        # heads start at zero, so the first architectures are uniform, whatever the seed
        self.weight = nn.Parameter(torch.zeros(*self.mask.shape, hidden, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(self.mask.shape, dtype=torch.float64))
        offsets = torch.tensor([1, *self.lengths[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)

    def log_probs(self, choices: Tensor) -> Tensor:
        """Teacher-forced: the rows at a decision see the given choices before it."""
        entries = choices + self.offsets
        start = torch.zeros(len(choices), 1, dtype=torch.int64)
        inputs = self.embedding(torch.cat([start, entries[:, :-1]], dim=1))
        states, _ = self.lstm(inputs)
        logits = torch.einsum("bdh,dkh->bdk", states, self.weight) + self.bias + self.mask
        return F.log_softmax(logits, dim=-1)

    @torch.no_grad()
    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw the choices one by one, each fed back in."""
        indices: list[int] = []
        entry, state = 0, None
        for position in range(len(self.lengths)):
            output, state = self.lstm(self.embedding(torch.tensor([[entry]])), state)
            logits = self.weight[position] @ output[0, 0] + self.bias[position] + self.mask[position]
            counts = self.space.counts(position, indices)
            indices.append(draw(F.log_softmax(logits, dim=-1), rng) if counts else 0)
            entry = int(self.offsets[position]) + indices[-1]
        return Architecture(indices)

"""The exponential moving average of a model's weights, which is what a training's evaluations score."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """A copy of a model whose weights and BN statistics follow the model's.

    Torch's `AveragedModel`, in whose form its state is kept, counts its updates in a tensor that it copies to
    the device at each of them; here nothing is copied there.

    Args:
        model: to be followed, on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", torch.tensor(0))  # on the CPU, where it is read
        self.n_averaged: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """As the model."""
        logits: Tensor = self.module(images)
        return logits

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Move towards `model`: decay x the averages + (1 - decay) x its values; at first to its values."""
        pairs = [
            (average, value.detach())
            for mine, theirs in (
                (self.module.parameters(), model.parameters()),
                (self.module.buffers(), model.buffers()),
            )
            for average, value in zip(mine, theirs, strict=True)
        ]
        moved = [pair for pair in pairs if torch.is_floating_point(pair[0])] if self.n_averaged else []
        if moved:
            torch._foreach_lerp_([pair[0] for pair in moved], [pair[1] for pair in moved], 1 - decay)
        # at first all; then BN's counters of batches
        taken = [pair for pair in pairs if not torch.is_floating_point(pair[0])] if moved else pairs
        if taken:
            torch._foreach_copy_([pair[0] for pair in taken], [pair[1] for pair in taken])
        self.n_averaged += 1

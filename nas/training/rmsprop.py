"""RMSProp as TensorFlow has it, which the published recipes were made with; PyTorch's differs.

There epsilon stands inside the root, the mean square starts at one, and the momentum gathers steps that
the learning rate has scaled already, so a decay of the rate doesn't shrink what was gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class RMSpropTF(Optimizer):
    """RMSProp (Hinton 2012) in TensorFlow's form (`tf.train.RMSPropOptimizer`).

    With gradient g (weight decay added): s = alpha s + (1 - alpha) g^2, from s = 1;
    m = momentum m + lr g / sqrt(s + eps); the weights change by -m.

    Args:
        params: weights or groups of them.
        lr: learning rate.
        alpha: decay of the mean square.
        eps: inside the root.
        momentum: of the steps.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        alpha: float = 0.9,
        eps: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update, all weights of a group together."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            gradients: list[Tensor] = [p.grad for p in weights]
            for p in weights:
                if not self.state[p]:
                    self.state[p]["square"] = torch.ones_like(p, memory_format=torch.preserve_format)
                    self.state[p]["momentum"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            squares = [self.state[p]["square"] for p in weights]
            momenta = [self.state[p]["momentum"] for p in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            torch._foreach_mul_(squares, group["alpha"])
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
            roots = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_addcdiv_(momenta, gradients, roots, group["lr"])
            torch._foreach_sub_(weights, momenta)

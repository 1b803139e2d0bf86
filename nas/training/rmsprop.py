"""RMSProp as TensorFlow has it, which the published recipes were made with; PyTorch's differs.

There epsilon stands inside the root, the mean square starts at one, and the momentum gathers steps that
the learning rate has scaled already, so a decay of the rate doesn't shrink what was gathered.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from nas.training.fused import Group, Optimizer


class RMSpropTF(Optimizer):
    """RMSProp (Hinton 2012) in TensorFlow's form (`tf.train.RMSPropOptimizer`).

    With gradient g (weight decay added): s = alpha s + (1 - alpha) g^2, from s = 1;
    m = momentum m + lr g / sqrt(s + eps); the weights change by -m.

    Args:
        groups: of weights.
        lr: learning rate.
        alpha: decay of the mean square.
        eps: inside the root.
        momentum: of the steps.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        lr: float,
        alpha: float = 0.9,
        eps: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(groups, defaults)

    def begin(self, weight: Tensor) -> dict[str, Tensor]:
        """A mean square of one, no momentum."""
        return {
            "square": torch.ones_like(weight, memory_format=torch.preserve_format),
            "momentum": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }

    def update(
        self, group: Group, rate: float | Tensor, weights: list[Tensor], gradients: list[Tensor]
    ) -> None:
        """One update, all weights of a group together."""
        squares, momenta = self.kept(weights, "square"), self.kept(weights, "momentum")
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_div_(roots, rate)  # a number or a tensor, which a scalar argument could not be
        torch._foreach_addcdiv_(momenta, gradients, roots)
        torch._foreach_sub_(weights, momenta)

"""Optimizers that change all weights of a group in one call.

They compute what torch.optim's do, by the same kernels, and their state is kept in the same form. Torch's own
load its compiler at their first step, which takes a worker of a search nearly as long as torch itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

Group = dict[str, Any]


class Optimizer:
    """What optimizers share: groups of weights, their state by weight, and how it is kept.

    Args:
        groups: each with `params`, and settings that replace the defaults.
        defaults: settings of a group.

    Attributes:
        param_groups: as torch.optim has them; `lr` may be changed before each step.
        state: tensors by weight and name.
    """

    def __init__(self, groups: Iterable[Group], defaults: Group) -> None:
        self.param_groups: list[Group] = [
            {**defaults, **group, "params": list(group["params"])} for group in groups
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self._rates: list[Tensor] = []

    def set_rate(self, rate: float) -> None:
        """The learning rate of the next steps, of which each group takes its `share` (1 if it has none)."""
        for group in self.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        for group, rate_there in zip(self.param_groups, self._rates, strict=False):
            rate_there.fill_(group["lr"])

    def rates_on_device(self) -> None:
        """Keep the rates in tensors beside the weights, where a recorded step (a CUDA graph) reads them."""
        device = self.param_groups[0]["params"][0].device
        self._rates = [torch.tensor(float(group["lr"]), device=device) for group in self.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero where they are."""
        for group in self.param_groups:
            for weight in group["params"]:
                if set_to_none:
                    weight.grad = None
                elif weight.grad is not None:
                    weight.grad.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """One update of every weight that has a gradient."""
        for number, group in enumerate(self.param_groups):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight] = self.begin(weight)
            rate = self._rates[number] if self._rates else group["lr"]
            self.update(group, rate, weights, [weight.grad for weight in weights])

    def begin(self, weight: Tensor) -> dict[str, Tensor]:
        """The state of a weight before its first update."""
        raise NotImplementedError

    def update(
        self, group: Group, rate: float | Tensor, weights: list[Tensor], gradients: list[Tensor]
    ) -> None:
        """Change the weights of a group at a learning rate."""
        raise NotImplementedError

    def kept(self, weights: list[Tensor], name: str) -> list[Tensor]:
        """The state of that name of each weight."""
        return [self.state[weight][name] for weight in weights]

    def state_dict(self) -> dict[str, Any]:
        """In torch.optim's form: weights are numbers in the order of the groups."""
        numbers = {weight: i for i, weight in enumerate(self._weights())}
        groups = [
            {**group, "params": [numbers[weight] for weight in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[weight]: kept for weight, kept in self.state.items() if kept}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict`, or torch.optim's, was taken; raises ValueError for other groups."""
        weights = self._weights()
        sizes = [len(group["params"]) for group in self.param_groups]
        if sizes != [len(group["params"]) for group in state["param_groups"]]:
            raise ValueError("the optimizer's state is of other groups of weights")
        for group, kept in zip(self.param_groups, state["param_groups"], strict=True):
            group |= {
                name: value for name, value in deepcopy(kept).items() if name in group and name != "params"
            }
        self.state.clear()
        for number, tensors in state["state"].items():
            weight = weights[number]
            self.state[weight] = {
                # a copy: the caller's tensors stay what they are
                name: value.detach().clone().to(weight.device) if isinstance(value, Tensor) else value
                for name, value in tensors.items()
                if value is not None
            }

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"]]


class SGD(Optimizer):
    """Stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013), without one if it is 0.

    Args:
        groups: of weights.
        lr: learning rate.
        momentum: of the gradients.
        weight_decay: L2 penalty.
    """

    def __init__(
        self, groups: Iterable[Group], lr: float, momentum: float = 0.9, weight_decay: float = 0
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def begin(self, weight: Tensor) -> dict[str, Tensor]:
        """No momentum yet."""
        return {"momentum_buffer": torch.zeros_like(weight, memory_format=torch.preserve_format)}

    def update(
        self, group: Group, rate: float | Tensor, weights: list[Tensor], gradients: list[Tensor]
    ) -> None:
        """m = momentum m + g; the weights change by -lr (g + momentum m)."""
        momentum = group["momentum"]
        torch._fused_sgd_(
            weights,
            gradients,
            self.kept(weights, "momentum_buffer") if momentum else [],
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=rate,  # type: ignore[arg-type]  # a number or a tensor
            dampening=0.0,
            nesterov=momentum > 0,
            maximize=False,
            is_first_step=False,
        )


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    Args:
        groups: of weights.
        lr: learning rate.
        betas: decays of the mean and of the mean square of the gradients.
        eps: added to the root.
        weight_decay: part of the weight taken off, times the rate.
    """

    def __init__(
        self,
        groups: Iterable[Group],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def begin(self, weight: Tensor) -> dict[str, Tensor]:
        """No step taken, nothing averaged."""
        blank = {
            name: torch.zeros_like(weight, memory_format=torch.preserve_format)
            for name in ("exp_avg", "exp_avg_sq")
        }
        return {"step": torch.zeros((), dtype=torch.float32, device=weight.device), **blank}

    def update(
        self, group: Group, rate: float | Tensor, weights: list[Tensor], gradients: list[Tensor]
    ) -> None:
        """Kingma & Ba 2015, algorithm 1, after the decay."""
        steps = self.kept(weights, "step")
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            weights,
            gradients,
            self.kept(weights, "exp_avg"),
            self.kept(weights, "exp_avg_sq"),
            [],
            steps,
            lr=rate,  # type: ignore[arg-type]  # a number or a tensor
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

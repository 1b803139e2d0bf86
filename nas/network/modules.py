"""The modules that blocks are made of: convolution with BN, squeeze-and-excitation, stochastic depth.

They are torchvision's in what they compute, in the names of their parameters and in what they draw;
torchvision itself takes as long to load as torch, which every worker of a search would wait for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[..., nn.Module]
Activation = type[nn.Module]


class ConvNormActivation(nn.Sequential):
    """A convolution without bias, padded by kernel // 2, its BN, and an activation.

    Args:
        in_channels, out_channels, kernel, stride, groups: of the convolution.
        norm: makes the BN of a number of channels.
        activation: makes the activation; None: there is none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        norm: Norm,
        activation: Activation | None,
    ) -> None:
        convolution = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        super().__init__(convolution, norm(out_channels))
        if activation is not None:
            self.append(activation(inplace=True))


class SqueezeExcitation(nn.Module):
    """Channels weighed by a gate that sees their means (Hu et al. 2018, section 3).

    Args:
        channels: of the input.
        squeeze: between the gate's two 1x1 convolutions.
        activation: makes the activation between them.
        hard: the gate is a hard sigmoid (Howard et al. 2019, section 5.2).
    """

    def __init__(self, channels: int, squeeze: int, activation: Activation, hard: bool = False) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.activation = activation(inplace=True)
        self.scale_activation = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        scale: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return scale * x


class StochasticDepth(nn.Module):
    """Drops the whole branch of an image at random while training (Huang et al. 2016).

    Args:
        p: chance to drop; what is kept is divided by 1 - p.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> the same shape."""
        if not self.training or not self.p:
            return x
        kept = 1 - self.p
        noise = torch.empty((len(x), *[1] * (x.ndim - 1)), dtype=x.dtype, device=x.device).bernoulli_(kept)
        if kept > 0:
            noise.div_(kept)
        return x * noise

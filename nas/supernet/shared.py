"""Layers of which smaller ones use a part: the first channels, the centre of a kernel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.supernet.sizes import LargestConv, LargestGate
from search_spaces.layers import Conv, Gate

Tensors = dict[str, Tensor]
"""By the names that they have in a module of `nas.network.modules`."""


class SharedConv(nn.Module):
    """A convolution with its BN, of any smaller size.

    A smaller one has the first output and input channels, and of a kernel the centre. With `transforms` that
    goes through a matrix, the same for all channels, that is learned for each size (Cai et al. 2020,
    Once-for-All, section 3.3); at first it changes nothing.

    Args:
        largest: the sizes there may be.
        momentum, eps: of BN.
        bias: there is a bias and no BN (MobileNetV3's layer behind the pooling).
        transforms: kernels are transformed.
    """

    def __init__(
        self,
        largest: LargestConv,
        momentum: float,
        eps: float,
        bias: bool = False,
        transforms: bool = False,
    ) -> None:
        super().__init__()
        sizes = sorted(largest.kernels, reverse=True)
        self.conv = nn.Conv2d(largest.in_channels, largest.out_channels, sizes[0], bias=bias)
        self.norm = None if bias else nn.BatchNorm2d(largest.out_channels, eps, momentum)
        self._smaller = sizes[1:] if transforms else []
        # what is added to the identity, so that weight decay leads back to the plain centre
        self.transforms = nn.ParameterDict(
            {str(size): nn.Parameter(torch.zeros(size**2, size**2)) for size in self._smaller}
        )

    def weight(self, layer: Conv) -> Tensor:
        """The weights of a layer, shape (out, in / groups, kernel, kernel)."""
        weight = self.conv.weight[: layer.out_channels, : layer.in_channels // layer.groups]
        for size in self._smaller:  # from one to the next, the largest first
            if size >= layer.kernel:
                weight = _centre(weight, size)
                weight = weight + (weight.flatten(2) @ self.transforms[str(size)]).view_as(weight)
        return _centre(weight, layer.kernel)

    def tensors(self, layer: Conv) -> Tensors:
        """All of a layer, as `ConvNormActivation` names them: a convolution `0` and its BN `1`."""
        found = {"0.weight": self.weight(layer)}
        if self.conv.bias is not None:
            found["0.bias"] = self.conv.bias[: layer.out_channels]
        named = {} if self.norm is None else self.norm.state_dict(keep_vars=True)
        for name, tensor in named.items():
            if tensor.ndim:
                found[f"1.{name}"] = tensor[: layer.out_channels]
        return found

    def forward(self, x: Tensor, layer: Conv) -> Tensor:
        """(N, in, H, W) -> (N, out, ceil(H / stride), ceil(W / stride)), before the activation."""
        bias = None if self.conv.bias is None else self.conv.bias[: layer.out_channels]
        padding = layer.kernel // 2
        x = F.conv2d(x, self.weight(layer), bias, layer.stride, padding, groups=layer.groups)
        if self.norm is None:
            return x
        norm, n = self.norm, layer.out_channels
        assert norm.running_mean is not None
        assert norm.running_var is not None
        statistics = norm.running_mean[:n], norm.running_var[:n]
        momentum = norm.momentum or 0.0
        return F.batch_norm(x, *statistics, norm.weight[:n], norm.bias[:n], self.training, momentum, norm.eps)


def _centre(weight: Tensor, size: int) -> Tensor:
    """The centre of kernels (..., k, k), of an odd size."""
    edge = (weight.shape[-1] - size) // 2
    return weight[..., edge : edge + size, edge : edge + size] if edge else weight


class SharedGate(nn.Module):
    """Squeeze and excitation of any smaller size: the first channels, inside too.

    Args:
        largest: the sizes there may be.
    """

    def __init__(self, largest: LargestGate) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(largest.channels, largest.squeeze, 1)
        self.fc2 = nn.Conv2d(largest.squeeze, largest.channels, 1)

    def tensors(self, layer: Gate) -> Tensors:
        """All of a layer, as `SqueezeExcitation` names them."""
        found = {}
        for name, fc, out, channels in (
            ("fc1", self.fc1, layer.squeeze, layer.channels),
            ("fc2", self.fc2, layer.channels, layer.squeeze),
        ):
            assert fc.bias is not None
            found[f"{name}.weight"], found[f"{name}.bias"] = fc.weight[:out, :channels], fc.bias[:out]
        return found

    def forward(self, x: Tensor, layer: Gate, activation: nn.Module) -> Tensor:
        """(N, C, H, W) -> the same shape; `activation` is the block's, which a hard gate doesn't use."""
        own = self.tensors(layer)
        scale = F.conv2d(x.mean((2, 3), keepdim=True), own["fc1.weight"], own["fc1.bias"])
        scale = F.relu(scale) if layer.hard else activation(scale)
        scale = F.conv2d(scale, own["fc2.weight"], own["fc2.bias"])
        return x * (F.hardsigmoid(scale) if layer.hard else torch.sigmoid(scale))

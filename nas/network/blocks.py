"""The blocks of a network as modules, made of the layers that `BlockSpec.layers` lists.

All take and give tensors of shape (N, C, H, W). Convolutions pad by kernel // 2, have no bias and
are followed by BN.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from nas.network.modules import Activation, ConvNormActivation, Norm, SqueezeExcitation, StochasticDepth
from search_spaces.block import BlockSpec
from search_spaces.layers import Conv, Gate, Layer

ACTIVATION_LAYERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
}


def layer_module(layer: Layer, norm: Norm, act: Activation) -> nn.Module:
    """One layer of a block as a module.

    Args:
        layer: what to build.
        norm: makes the BN of a number of channels.
        act: class of the network's activation.
    """
    if isinstance(layer, Conv):
        return ConvNormActivation(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            layer.stride,
            layer.groups,
            norm=norm,
            activation=act if layer.activation else None,
        )
    if isinstance(layer, Gate):
        return SqueezeExcitation(layer.channels, layer.squeeze, nn.ReLU if layer.hard else act, layer.hard)
    return PoolingSkip(layer.out_channels, layer.stride)


class PoolingSkip(nn.Module):
    """A shortcut without parameters: average pooling by the stride; channels cut or zero-padded."""

    def __init__(self, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        x = x[:, : self.out_channels]
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        missing = self.out_channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x


class Block(nn.Module):
    """Any block of `search_spaces.OPS` with its shortcut.

    Args:
        block: what to build.
        norm: makes the BN of a number of channels.
        activation: class of the network's activation; a block's own goes before it.
        drop_rate: stochastic depth: chance to drop an image's residual branch in training (Huang et
            al. 2016); applied where the shortcut is an identity.
    """

    def __init__(self, block: BlockSpec, norm: Norm, activation: Activation, drop_rate: float = 0) -> None:
        super().__init__()
        if block.activation:
            activation = ACTIVATION_LAYERS[block.activation]
        self.layers = nn.Sequential(*(layer_module(layer, norm, activation) for layer in block.layers))
        self.shortcut: nn.Module | None = None
        self.drop: nn.Module | None = None
        self.final: nn.Module | None = None
        if block.skip == "identity":
            self.shortcut = nn.Identity()
            if drop_rate:
                self.drop = StochasticDepth(drop_rate)
        elif block.shortcut:
            (layer,) = block.shortcut
            self.shortcut = layer_module(layer, norm, activation)
        if block.final_activation:
            self.final = activation(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.layers(x)
        if self.drop is not None:
            y = self.drop(y)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return y if self.final is None else self.final(y)


def init_weights(module: nn.Module, identity: bool = False) -> None:
    """The first weights: EfficientNet's, or those with which few steps and few classes learn sooner.

    Args:
        module: whose weights are drawn. Convolutions: fan-out normal.
        identity: the classifier's outputs begin below one, and a residual block as the identity: its last BN
            has a scale of zero (Goyal et al. 2017, section 5.1; in a supernet BigNAS, Yu et al. 2020, section
            3.2). Else as the released EfficientNet: scales of one, and a classifier drawn within
            1 / sqrt(classes), which for ten classes begins at a loss far above that of guessing.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            bound = 1 / (layer.in_features if identity else layer.out_features) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
        elif identity and isinstance(layer, Block) and layer.shortcut is not None:
            last = layer.layers[-1]
            # before an activation a scale of zero might never learn
            if isinstance(last, ConvNormActivation) and isinstance(last[-1], nn.BatchNorm2d):
                nn.init.zeros_(last[-1].weight)


def batch_norm(momentum: float, eps: float) -> Norm:
    """A maker of BN layers with these settings (momentum: weight of the new batch)."""
    return partial(nn.BatchNorm2d, momentum=momentum, eps=eps)

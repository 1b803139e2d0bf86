"""A spec as a module, and weights carried from one module to another of the same network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.network.blocks import ACTIVATION_LAYERS, Block, batch_norm, init_weights
from nas.network.modules import ConvNormActivation
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec


class Network(nn.Module):
    """The module of a `NetworkSpec`: `stem`, `stages` (a Sequential of Sequentials of blocks), `head`.

    Its parameters stand in the order of torchvision's and timm's own modules of the same network.

    Args:
        spec: of the network.
        identity: how its weights begin (`init_weights`).
    """

    def __init__(self, spec: NetworkSpec, identity: bool = False) -> None:
        super().__init__()
        self.spec = spec
        norm = batch_norm(spec.bn_momentum, spec.bn_eps)
        activation = ACTIVATION_LAYERS[spec.activation]
        stem = spec.stem
        self.stem = nn.Sequential(
            ConvNormActivation(
                spec.in_channels,
                stem.channels,
                stem.kernel,
                stem.stride,
                norm=norm,
                activation=activation,
            )
        )
        if stem.pool:
            self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))

        total = sum(stage.repeats for stage in spec.stages)
        index, channels = 0, stem.channels
        self.stages = nn.Sequential()
        for stage in spec.stages:
            blocks = nn.Sequential()
            for block in stage.blocks(channels):
                blocks.append(Block(block, norm, activation, spec.stochastic_depth * index / total))
                index += 1
            self.stages.append(blocks)
            channels = stage.channels

        self.head = nn.Sequential()
        if spec.head_channels:
            self.head.append(
                ConvNormActivation(channels, spec.head_channels, 1, norm=norm, activation=activation)
            )
            channels = spec.head_channels
        self.head.append(nn.AdaptiveAvgPool2d(1))
        if spec.pooled_channels:
            self.head.append(nn.Conv2d(channels, spec.pooled_channels, 1, bias=not spec.pooled_norm))
            if spec.pooled_norm:
                self.head.append(norm(spec.pooled_channels))
            self.head.append(activation(inplace=True))
            channels = spec.pooled_channels
        self.head.append(nn.Flatten())
        if spec.dropout:
            self.head.append(nn.Dropout(spec.dropout, inplace=True))
        self.head.append(nn.Linear(channels, spec.num_classes))
        init_weights(self, identity)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) -> logits (N, num_classes)."""
        x = self.head(self.stages(self.stem(x)))
        return x


def build(spec: NetworkSpec, seed: int | None = None, identity: bool = False) -> Network:
    """The module of `spec`, its weights freshly initialised (from `seed`, without touching torch's own
    random state; from torch's state if None), as `init_weights` does for `identity`."""
    if seed is None:
        return Network(spec, identity)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(spec, identity)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Make `target` compute what `source` does: copy parameters and buffers by their order, and BN's epsilon.

    The two modules must list the same tensors in the same order, as ours, torchvision's and timm's
    modules of one network do; names may differ. BN's epsilon is a part of the function that the
    tensors don't carry, so it is copied too. A linear layer may stand for a 1x1 convolution.

    Raises:
        InputError: the tensors differ in number or shape.
    """
    theirs, ours = list(source.state_dict().items()), list(target.state_dict().items())
    if len(theirs) != len(ours):
        raise InputError(f"weights: {len(theirs)} tensors in the source, {len(ours)} in the target")
    for (name, tensor), (own, place) in zip(theirs, ours, strict=True):
        if _bare_shape(tensor) != _bare_shape(place):
            raise InputError(f"weights: {name} {tuple(tensor.shape)} does not fit {own} {tuple(place.shape)}")
    with torch.no_grad():
        for (_, tensor), (_, place) in zip(theirs, ours, strict=True):
            place.copy_(tensor.reshape(place.shape))
    norms = [[m for m in module.modules() if isinstance(m, nn.BatchNorm2d)] for module in (source, target)]
    for norm, own_norm in zip(*norms, strict=True):
        own_norm.eps = norm.eps


def _bare_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape; of a 1x1 convolution's weights that of the linear layer which computes the same."""
    shape = tuple(tensor.shape)
    return shape[:2] if shape[2:] == (1, 1) else shape

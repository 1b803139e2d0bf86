"""A network's stages as feature maps, level by level, for what is built on top of a classifier."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from nas.network.builder import Network
from search_spaces.errors import InputError

_FINEST = 4
"""Stride of the finest level: torchvision's and timm's backbones give none before."""


class FeatureLevels(nn.Module):
    """The output of the last stage at each stride from 4 on, without the head.

    Args:
        model: whose stem and stages are taken, with their weights.
        last_as: only the last level, under this name; None: all, under `names`.

    Attributes:
        names: of the levels, the finest first: `level0` ...
        strides: pixels of the image in the step of each level.
        channels: of each.

    Raises:
        InputError: the network has no level of stride 4 or more.
    """

    def __init__(self, model: Network, last_as: str | None = None) -> None:
        super().__init__()
        spec = model.spec
        stride = spec.stem.stride * (2 if spec.stem.pool else 1)
        last: dict[int, int] = {}
        for index, stage in enumerate(spec.stages):
            stride *= stage.stride
            if stride >= _FINEST:
                last[stride] = index
        if not last:
            raise InputError(f"network {spec.name!r}: its last stage has stride {stride}: expected 4 or more")
        self.stem, self.stages = model.stem, model.stages
        self.last_as = last_as
        self.strides = tuple(last)
        self._level_of = {index: f"level{level}" for level, index in enumerate(last.values())}
        self.names = tuple(self._level_of.values())
        self.channels = tuple(spec.stages[index].channels for index in last.values())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H, W) -> by name (N, channels, about H / stride, about W / stride), finest first."""
        found: OrderedDict[str, Tensor] = OrderedDict()
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if self.last_as is None and index in self._level_of:
                found[self._level_of[index]] = x
        if self.last_as is not None:
            found[self.last_as] = x
        return found


class PyramidBackbone(nn.Module):
    """A feature pyramid (Lin et al. 2017) on a network's levels, and one level more by pooling.

    Args:
        levels: of the network.
        width: channels of all levels.

    Attributes:
        out_channels: `width`, where torchvision's detectors look for it.
    """

    def __init__(self, levels: FeatureLevels, width: int) -> None:
        from torchvision.ops import FeaturePyramidNetwork
        from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

        super().__init__()
        self.levels, self.out_channels = levels, width
        self.pyramid = FeaturePyramidNetwork(list(levels.channels), width, LastLevelMaxPool())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, C, H, W) -> maps of `width` channels by name: the levels', and `pool`."""
        found: dict[str, Tensor] = self.pyramid(self.levels(x))
        return found

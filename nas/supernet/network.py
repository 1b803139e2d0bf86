"""The supernet: one module that has every network of a staged space in it, with shared weights.

A path through it computes what the network's own module does (`nas.network.builder`), from the same layers as
data; cut out, it is that module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.network.blocks import ACTIVATION_LAYERS, Block, PoolingSkip, init_weights
from nas.network.builder import Network, build
from nas.network.modules import ConvNormActivation, StochasticDepth
from nas.supernet.roles import SHORTCUT, family_of, roles_of
from nas.supernet.shared import SharedConv, SharedGate, Tensors
from nas.supernet.sizes import LargestConv, Place, places_of, sizes_of
from search_spaces.architecture import Architecture
from search_spaces.block import BlockSpec
from search_spaces.layers import Conv, Pool
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec


@dataclass(frozen=True)
class SubnetPath:
    """A network's way through a supernet.

    Attributes:
        spec: the network, as it is trained.
        places: where each of its blocks stands.
    """

    spec: NetworkSpec
    places: tuple[Place, ...]


def _as_it_is(spec: NetworkSpec) -> NetworkSpec:
    return spec


class Supernet(nn.Module):
    """All networks of a space, with elastic depth, width, expansion, kernel and SE; ops as `family_of` says.

    A stage of some depth has the first blocks of a deeper one, a narrow layer the first channels of a wide
    one, a small kernel the centre of a large one.

    Args:
        space: of the networks.
        trained: what is trained in place of a network (its proxy); it may change widths, not depths.
        transforms: small kernels are transformed centres (`SharedConv`).
        seed: of the weights, drawn as those of any network.
        identity: how they begin (`nas.network.blocks.init_weights`).
    """

    def __init__(
        self,
        space: StagedSpace,
        trained: Callable[[NetworkSpec], NetworkSpec] = _as_it_is,
        transforms: bool = False,
        seed: int = 0,
        identity: bool = False,
    ) -> None:
        super().__init__()
        self.space, self.trained = space, trained
        sizes, template = sizes_of(space, trained), trained(space.template)
        make = partial(SharedConv, momentum=template.bn_momentum, eps=template.bn_eps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = make(sizes.stem)
            self.blocks = nn.ModuleDict()
            for place, families in sizes.places.items():
                self.blocks[_key(place)] = nn.ModuleDict(
                    {
                        family: nn.ModuleDict(
                            {
                                role: make(largest, transforms=transforms)
                                if isinstance(largest, LargestConv)
                                else SharedGate(largest)
                                for role, largest in roles.items()
                            }
                        )
                        for family, roles in families.items()
                    }
                )
            self.ends = nn.ModuleDict()
            if sizes.head.kernels:
                self.ends["head"] = make(sizes.head)
            if sizes.pooled.kernels:
                self.ends["pooled"] = make(sizes.pooled, bias=not template.pooled_norm)
            self.classifier = nn.Linear(sizes.features, template.num_classes)
            init_weights(self, identity)
        for (place, family, role), last in sizes.last.items():
            if identity and last:
                nn.init.zeros_(self._shared(place, family)[role].norm.weight)

    def path(self, architecture: Architecture) -> SubnetPath:
        """The way of an architecture's network; raises `NotInSpaceError` for a foreign one."""
        spec = self.trained(self.space.decode(architecture))
        return SubnetPath(spec, tuple(places_of(self.space, architecture)))

    def forward(self, images: Tensor, path: SubnetPath, drops: bool = True) -> Tensor:
        """Images (N, in_channels, H, W) -> logits (N, num_classes) of the network of a path.

        Args:
            images: normalised.
            path: of this supernet.
            drops: in training, with the network's dropout and stochastic depth.
        """
        spec = path.spec
        activation = ACTIVATION_LAYERS[spec.activation](inplace=True)
        x = activation(self.stem(images, stem_layer(spec)))
        if spec.stem.pool:
            x = F.max_pool2d(x, 3, stride=2, padding=1)
        blocks = spec.blocks()
        for index, (place, block) in enumerate(zip(path.places, blocks, strict=True)):
            rate = spec.stochastic_depth * index / len(blocks) if drops and self.training else 0.0
            x = self._block(x, place, block, spec, rate)
        layers = head_layers(spec)
        for name in ("head", "pooled"):
            if name == "pooled":
                x = x.mean((2, 3), keepdim=True)
            if name in layers:
                x = activation(self.ends[name](x, layers[name]))
        x = x.flatten(1)
        if drops:
            x = F.dropout(x, spec.dropout, self.training)
        return F.linear(x, self.classifier.weight[:, : x.shape[1]], self.classifier.bias)

    def _block(self, x: Tensor, place: Place, block: BlockSpec, spec: NetworkSpec, rate: float) -> Tensor:
        activation = ACTIVATION_LAYERS[block.activation or spec.activation](inplace=True)
        shared = self._shared(place, family_of(block))
        y = x
        for role, layer in roles_of(block):
            if isinstance(layer, Conv):
                y = shared[role](y, layer)
                y = activation(y) if layer.activation else y
            else:
                y = shared[role](y, layer, activation)
        if block.skip == "identity":
            y = (StochasticDepth(rate)(y) if rate else y) + x
        for layer in block.shortcut or ():
            if isinstance(layer, Conv):
                y = y + self._shared(place, SHORTCUT)[SHORTCUT](x, layer)
            elif isinstance(layer, Pool):
                y = y + PoolingSkip(layer.out_channels, layer.stride)(x)
        return activation(y) if block.final_activation else y

    def _shared(self, place: Place, family: str) -> Any:
        """The shared layers of a family at a place, by role."""
        return self.blocks[_key(place)][family]  # type: ignore[index]

    def _end(self, name: str) -> SharedConv:
        found = self.ends[name]
        assert isinstance(found, SharedConv)
        return found

    @torch.no_grad()
    def cut_out(self, architecture: Architecture) -> Network:
        """The network's own module with a copy of its weights, BN statistics as they are here, on the CPU.

        Those are of many networks: take the network's own (`nas.supernet.calibration`) before it is scored.
        """
        path = self.path(architecture)
        model, layers = build(path.spec, seed=0), head_layers(path.spec)
        _fill(model.stem[0], self.stem.tensors(stem_layer(path.spec)))
        modules = [module for module in model.stages.modules() if isinstance(module, Block)]
        for module, place, block in zip(modules, path.places, path.spec.blocks(), strict=True):
            shared = self._shared(place, family_of(block))
            for part, (role, layer) in zip(module.layers, roles_of(block), strict=True):
                _fill(part, shared[role].tensors(layer))
            for layer in block.shortcut or ():
                if isinstance(layer, Conv) and module.shortcut is not None:
                    _fill(module.shortcut, self._shared(place, SHORTCUT)[SHORTCUT].tensors(layer))
        for index, part in enumerate(model.head):
            if isinstance(part, ConvNormActivation):
                _fill(part, self._end("head").tensors(layers["head"]))
            elif isinstance(part, nn.Conv2d):  # its BN, if there is one, comes next
                both = model.head[index : index + (1 if part.bias is not None else 2)]
                _fill(nn.Sequential(*both), self._end("pooled").tensors(layers["pooled"]))
            elif isinstance(part, nn.Linear):
                weight = self.classifier.weight[:, : part.in_features]
                _fill(part, {"weight": weight, "bias": self.classifier.bias})
        return model


def _fill(module: nn.Module, tensors: Tensors) -> None:
    """Give a module copies of these tensors; all that it has, but how often BN's statistics were taken."""
    counters = {name: value for name, value in module.state_dict().items() if not value.ndim}
    module.load_state_dict(tensors | counters)


def _key(place: Place) -> str:
    """As a name of a module, which has no dots."""
    return f"slot{place[0]}_block{place[1]}"


def stem_layer(spec: NetworkSpec) -> Conv:
    """The stem's convolution as data."""
    return Conv(spec.in_channels, spec.stem.channels, spec.stem.kernel, spec.stem.stride)


def head_layers(spec: NetworkSpec) -> dict[str, Conv]:
    """The head's convolutions as data: `head` before the pooling, `pooled` behind it, where there are any."""
    layers, channels = {}, spec.stages[-1].channels
    for name, width in (("head", spec.head_channels), ("pooled", spec.pooled_channels)):
        if width:
            layers[name] = Conv(channels, width)
            channels = width
    return layers

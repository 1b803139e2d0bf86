"""How large the shared layers of a supernet have to be: at each place, as any that may stand there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from nas.supernet.roles import SHORTCUT, family_of, roles_of
from search_spaces.architecture import Architecture
from search_spaces.block import BlockSpec
from search_spaces.layers import Conv, Gate
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec, StageSpec


@dataclass
class LargestConv:
    """The largest that a shared convolution has to be.

    Attributes:
        out_channels, in_channels: of its weight; a depthwise one has one input channel.
        kernels: all its sizes.
    """

    out_channels: int = 0
    in_channels: int = 0
    kernels: set[int] = field(default_factory=set)

    def add(self, layer: Conv) -> None:
        """Make room for a layer."""
        self.out_channels = max(self.out_channels, layer.out_channels)
        self.in_channels = max(self.in_channels, layer.in_channels // layer.groups)
        self.kernels.add(layer.kernel)


@dataclass
class LargestGate:
    """The largest that a shared gate has to be: channels of its input and between its two layers."""

    channels: int = 0
    squeeze: int = 0

    def add(self, layer: Gate) -> None:
        """Make room for a layer."""
        self.channels, self.squeeze = max(self.channels, layer.channels), max(self.squeeze, layer.squeeze)


Largest = LargestConv | LargestGate
Place = tuple[int, int]
"""A slot's number, and that of a block in it."""


@dataclass
class SharedSizes:
    """How large all shared layers of a space's networks have to be.

    Attributes:
        places: by place, family and role.
        stem: of the stem's convolution.
        head: of the 1x1 convolution before the pooling; no kernels where there is none.
        pooled: of the layer behind the pooling, likewise.
        features: inputs of the classifier.
        last: by place, family and role, whether the layer ends a residual branch, with no activation behind
            it, in every block that has it: those may begin at zero.
    """

    places: dict[Place, dict[str, dict[str, Largest]]] = field(default_factory=dict)
    stem: LargestConv = field(default_factory=LargestConv)
    head: LargestConv = field(default_factory=LargestConv)
    pooled: LargestConv = field(default_factory=LargestConv)
    features: int = 0
    last: dict[tuple[Place, str, str], bool] = field(default_factory=dict)

    def add_block(self, place: Place, block: BlockSpec) -> None:
        """Make room for a block at a place."""
        families = self.places.setdefault(place, {})
        named = [(family_of(block), role, layer) for role, layer in roles_of(block)]
        residual = block.skip == "identity" or bool(block.shortcut)
        for index, (family, role, layer) in enumerate(named, 1):
            ends = index == len(named) and isinstance(layer, Conv) and not layer.activation
            key = (place, family, role)
            self.last[key] = self.last.get(key, True) and ends and residual
        named += [(SHORTCUT, SHORTCUT, layer) for layer in block.shortcut or ()]
        for family, role, layer in named:
            if isinstance(layer, Conv):
                conv = families.setdefault(family, {}).setdefault(role, LargestConv())
                assert isinstance(conv, LargestConv)
                conv.add(layer)
            elif isinstance(layer, Gate):
                gate = families.setdefault(family, {}).setdefault(role, LargestGate())
                assert isinstance(gate, LargestGate)
                gate.add(layer)

    def add_ends(self, spec: NetworkSpec) -> None:
        """Make room for a network's stem, and for its head behind its last stage."""
        stem = spec.stem
        self.stem.add(Conv(spec.in_channels, stem.channels, stem.kernel, stem.stride))
        channels = spec.stages[-1].channels
        for layer, width in ((self.head, spec.head_channels), (self.pooled, spec.pooled_channels)):
            if width:
                layer.add(Conv(channels, width))
                channels = width
        self.features = max(self.features, channels)


def places_of(space: StagedSpace, architecture: Architecture) -> list[Place]:
    """Where the blocks of an architecture's network stand, in order."""
    stages = enumerate(space.stage_at(number, architecture) for number in range(len(space.slots)))
    return [(number, block) for number, stage in stages if stage for block in range(stage.repeats)]


def sizes_of(space: StagedSpace, trained: Callable[[NetworkSpec], NetworkSpec]) -> SharedSizes:
    """The sizes for all networks of a space.

    Args:
        space: of the networks.
        trained: what is trained in place of a network (its proxy); it may change widths, not depths.
    """
    sizes, template = SharedSizes(), space.template
    for number, slot in enumerate(space.slots):
        # where blocks choose by themselves, each is a slot of its own
        depths = space.options[slot.keys["repeats"]] if slot.block is None else (1,)
        # a depth is some number of the same blocks: two show the first one and a further one
        # in their order: a set's is another one in each process, and so would be the weights of a seed
        found = dict.fromkeys((before, replace(stage, repeats=2)) for before, stage in space.variants(number))
        for before, stage in found:
            stem = replace(template.stem, channels=before)
            first, further = trained(template.replace(stem=stem, stages=(stage,))).blocks()
            for block in range(max(depths)):
                sizes.add_block((number, block), further if block else first)
    for end in space.ends():
        for width in last_widths(space):
            sizes.add_ends(trained(end.replace(stages=(StageSpec("conv", width),))))
    return sizes


def last_widths(space: StagedSpace) -> Iterator[int]:
    """The widths that the last stage of a network may have; the last ones of a space may be missing."""
    for slot in reversed(space.slots):
        yield from space.options[slot.keys["channels"]]
        if all(slot.repeats(depth) for depth in space.options[slot.keys["repeats"]]):
            return

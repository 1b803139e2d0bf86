"""What a network costs, from its spec alone, in plain Python: no torch, microseconds.

A block is counted by the layers that it lists (`BlockSpec.layers`), from which `nas.network.blocks`
builds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from search_spaces.block import BlockSpec
from search_spaces.errors import InputError
from search_spaces.layers import Conv, Gate, Layer
from search_spaces.spec import NetworkSpec, StageSpec

BYTES = 4
"""Bytes of one value in the memory estimates (fp32)."""

_TENSORS_PER_PARAM = 4
"""Training keeps weights, gradients and two optimizer states (RMSprop with momentum, AdamW, plus or
minus one)."""


class StageCost(NamedTuple):
    """The cost of a part of the network.

    Attributes:
        name: `stem`, `stage0` ..., `head`.
        resolution: of its output, pixels.
        macs: multiply-adds of convolutions and linear layers.
        params: learnable parameters.
        activations: output elements of convolutions.
        saved: elements that the backward pass needs, of one image.
        live: the most elements alive at once in a forward pass, of one image.
        benchmark_macs: `macs` by Accel-NASBench's convention.
    """

    name: str
    resolution: int
    macs: int
    params: int
    activations: int
    saved: int
    live: int
    benchmark_macs: int


@dataclass(frozen=True)
class Cost:
    """The cost of a network for one image.

    Attributes:
        macs: multiply-adds of convolutions and linear layers, what papers print as FLOPs.
        params: learnable parameters.
        activations: output elements of convolutions (Radosavovic et al. 2020, section 3.2).
        inference_memory: bytes, parameters and the most activations alive at once, fp32; an estimate.
        training_memory: bytes, parameters with gradients and optimizer state, and what the backward
            pass keeps, fp32; an estimate.
        benchmark_macs: multiply-adds as Accel-NASBench counts them (the thop package's way):
            convolutions without SE's, 4 x BN's outputs, weights of SE and linear layers once, and
            H*W + 1 for each channel that is pooled.
        stages: the parts, from stem to head.
    """

    macs: int
    params: int
    activations: int
    inference_memory: int
    training_memory: int
    benchmark_macs: int
    stages: tuple[StageCost, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain data, the stages as a list of mappings."""
        return asdict(self) | {"stages": [stage._asdict() for stage in self.stages]}


COSTS = ("macs", "params", "activations", "inference_memory", "training_memory", "benchmark_macs")
"""The attributes of `Cost` that an objective can name."""


class _Tally:
    """Adds up layers; each method is one layer and gives its output's resolution where that changes."""

    __slots__ = ("activations", "benchmark_macs", "kept", "live", "macs", "params", "saved")

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.macs = self.params = self.activations = self.saved = self.live = self.benchmark_macs = 0

    def add(self, layer: Layer, size: int) -> int:
        """Any layer of a block at an input of `size` pixels."""
        if isinstance(layer, Conv):
            cin, cout, kernel, stride, groups, activation = layer
            return self.conv_bn(cin, cout, kernel, size, stride, groups, activation)
        if isinstance(layer, Gate):
            self.se(layer.channels, layer.squeeze, size)
            return size
        return (size - 1) // layer.stride + 1  # pooling: nothing that is counted

    def conv_bn(
        self, cin: int, cout: int, kernel: int, size: int, stride: int = 1, groups: int = 1, act: bool = True
    ) -> int:
        """Convolution with padding kernel // 2, BN, and an activation if `act`."""
        out = (size - 1) // stride + 1
        area = out * out
        weights = kernel * kernel * (cin // groups) * cout
        outputs = cout * area
        self.macs += weights * area
        self.params += weights + 2 * cout
        self.activations += outputs
        self.saved += outputs * (self.kept if act else 1)
        self.live = max(self.live, cin * size * size + outputs)
        self.benchmark_macs += weights * area + 4 * outputs
        return out

    def se(self, channels: int, squeeze: int, size: int) -> None:
        """Global pooling, two 1x1 convolutions with bias, and the multiplication."""
        weights = 2 * channels * squeeze
        self.macs += weights
        self.params += weights + squeeze + channels
        self.activations += squeeze + channels
        self.saved += channels * size * size + 3 * channels + 2 * squeeze
        self.live = max(self.live, 2 * channels * size * size)
        self.benchmark_macs += weights + channels * (size * size + 1)


@lru_cache(maxsize=1 << 16)
def _block_cost(block: BlockSpec, size: int, kept: int) -> tuple[int, StageCost]:
    """(output size, cost) of a block at an input of `size` pixels; `kept` as `_kept` gives it."""
    kept = _kept(block.activation) if block.activation else kept
    tally = _Tally(kept)
    out = size
    for layer in block.layers:
        out = tally.add(layer, out)
    shortcut = block.shortcut
    if shortcut is not None:
        for layer in shortcut:
            tally.add(layer, size)
        tally.live += block.in_channels * size * size  # the shortcut waits while the block runs
    # the block's output, which the next layer keeps, unless an activation's tensors include it already;
    # an activation after the sum keeps its own
    last = block.layers[-1]
    outputs = kept - 1 if block.final_activation else int(isinstance(last, Conv) and not last.activation)
    tally.saved += outputs * block.out_channels * out * out
    return out, _part("block", out, tally)


def _kept(activation: str) -> int:
    """How many tensors of its output's size a convolution with BN and activation keeps for backward.

    The inputs of BN and of the activation, and the activation's output for the next layer. ReLU works
    in place and needs only its output, so it saves one of them.
    """
    return 2 if activation == "relu" else 3


def _part(name: str, size: int, tally: _Tally) -> StageCost:
    return StageCost(
        name,
        size,
        tally.macs,
        tally.params,
        tally.activations,
        tally.saved,
        tally.live,
        tally.benchmark_macs,
    )


def stage_cost(
    stage: StageSpec, in_channels: int, size: int, activation: str, name: str = "stage"
) -> StageCost:
    """The cost of one stage that takes `in_channels` at `size` pixels."""
    kept = _kept(activation)
    blocks = stage.blocks(in_channels)
    size, first = _block_cost(blocks[0], size, kept)
    total: tuple[int, ...] = first[2:]
    if len(blocks) > 1:
        # all but the first are the same block at the same size
        _, rest = _block_cost(blocks[1], size, kept)
        more = len(blocks) - 1
        live = max(first.live, rest.live)
        total = tuple(a + more * b for a, b in zip(total, rest[2:], strict=True))
        total = (*total[:4], live, total[5])
    return StageCost(name, size, *total)


def _parts(spec: NetworkSpec, resolution: int) -> Iterator[StageCost]:
    tally = _Tally(_kept(spec.activation))
    stem = spec.stem
    size = tally.conv_bn(spec.in_channels, stem.channels, stem.kernel, resolution, stem.stride)
    if stem.pool:
        tally.benchmark_macs += stem.channels * (size * size + 1)
        size = (size - 1) // 2 + 1
        tally.saved += stem.channels * size * size
    yield _part("stem", size, tally)
    channels = stem.channels
    for index, stage in enumerate(spec.stages):
        part = stage_cost(stage, channels, size, spec.activation, f"stage{index}")
        yield part
        size, channels = part.resolution, stage.channels
    yield head_cost(spec, channels, size)


def head_cost(spec: NetworkSpec, in_channels: int, size: int) -> StageCost:
    """The cost of the head of `spec` behind a last stage of `in_channels` at `size` pixels."""
    tally = _Tally(_kept(spec.activation))
    channels = in_channels
    if spec.head_channels:
        tally.conv_bn(channels, spec.head_channels, 1, size)
        channels = spec.head_channels
    pooled = channels
    if spec.pooled_channels:
        weights = channels * spec.pooled_channels
        tally.macs += weights
        tally.params += weights + spec.pooled_channels * (2 if spec.pooled_norm else 1)
        tally.activations += spec.pooled_channels
        tally.saved += channels + (3 if spec.pooled_norm else 2) * spec.pooled_channels
        tally.benchmark_macs += weights + (4 * spec.pooled_channels if spec.pooled_norm else 0)
        channels = spec.pooled_channels
    weights = channels * spec.num_classes
    tally.macs += weights
    tally.params += weights + spec.num_classes
    tally.saved += channels
    tally.benchmark_macs += weights + pooled * (size * size + 1)
    return _part("head", 1, tally)


def cost(spec: NetworkSpec, resolution: int | None = None) -> Cost:
    """The cost of `spec` at its own or another input resolution (pixels), for one image.

    `macs` and `params` are exact: they equal fvcore's convolution and linear operators and the built
    module's parameters. `benchmark_macs` equals Accel-NASBench's records. The memory figures are
    estimates that leave out workspace and fragmentation.

    Raises:
        InputError: `resolution` is not a positive integer.
    """
    if resolution is None:
        resolution = spec.resolution
    elif not isinstance(resolution, int) or resolution < 1:
        raise InputError(f"resolution {resolution!r}: expected a positive integer")
    parts = tuple(_parts(spec, resolution))
    macs = params = activations = saved = live = benchmark_macs = 0
    for part in parts:
        macs += part.macs
        params += part.params
        activations += part.activations
        saved += part.saved
        live = max(live, part.live)
        benchmark_macs += part.benchmark_macs
    return Cost(
        macs=macs,
        params=params,
        activations=activations,
        inference_memory=inference_memory(params, live),
        training_memory=training_memory(params, saved),
        benchmark_macs=benchmark_macs,
        stages=parts,
    )


def inference_memory(params: int, live: int) -> int:
    """Bytes of the parameters and of the most elements alive at once."""
    return BYTES * (params + live)


def training_memory(params: int, saved: int) -> int:
    """Bytes of the parameters with gradients and optimizer state, and of what is kept for backward."""
    return BYTES * (_TENSORS_PER_PARAM * params + saved)

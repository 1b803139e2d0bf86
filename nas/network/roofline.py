"""The roofline cost: what a network takes where a layer waits for its arithmetic or for its memory.

A layer takes the longer of its MACs over the peak arithmetic and its bytes over the peak bandwidth (Williams
et al. 2009); the quotient of the peaks, the ridge point in MACs per byte, is what devices differ in. A
network is the sum over its layers, which run one after the other (Qin et al. 2024, MobileNetV4, section 3).
Counted in MACs at the peak: ridge 0 is the MACs alone, a high ridge the bytes. No torch, microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from nas.network.cost import BYTES
from search_spaces.block import BlockSpec
from search_spaces.layers import Conv, Gate, Layer
from search_spaces.spec import NetworkSpec, StageSpec, StemSpec


class LayerWork(NamedTuple):
    """What one layer does for one image, BN and activation being a part of its convolution.

    Attributes:
        kind: `conv`, `depthwise`, `linear`, `pool`, `scale` (a gate's product) or `add`.
        macs: multiply-adds, as `nas.network.cost` counts them.
        moved: bytes read and written, fp32: input, weights and output, each once.
    """

    kind: str
    macs: int
    moved: int


def _convolution(cin: int, cout: int, kernel: int, size: int, stride: int, groups: int) -> LayerWork:
    out = (size - 1) // stride + 1
    weights = kernel * kernel * (cin // groups) * cout
    kind = "depthwise" if 1 < groups == cin else "conv"
    return LayerWork(kind, weights * out * out, BYTES * (cin * size**2 + weights + cout + cout * out**2))


def _linear(inputs: int, outputs: int) -> LayerWork:
    return LayerWork("linear", inputs * outputs, BYTES * (inputs + inputs * outputs + 2 * outputs))


def _pool(channels: int, elements: int, outputs: int) -> LayerWork:
    return LayerWork("pool", 0, BYTES * (channels * elements + outputs))


def _works(layer: Layer, size: int) -> tuple[int, list[LayerWork]]:
    """(output size, work) of any layer of a block at an input of `size` pixels."""
    if isinstance(layer, Conv):
        cin, cout, kernel, stride, groups, _ = layer
        return (size - 1) // stride + 1, [_convolution(cin, cout, kernel, size, stride, groups)]
    if isinstance(layer, Gate):
        channels, squeeze = layer.channels, layer.squeeze
        scale = LayerWork("scale", 0, BYTES * (2 * channels * size**2 + channels))
        inside = [_linear(channels, squeeze), _linear(squeeze, channels)]
        return size, [_pool(channels, size**2, channels), *inside, scale]
    out = (size - 1) // layer.stride + 1
    return out, [_pool(layer.in_channels, size**2, layer.out_channels * out**2)]


@lru_cache(maxsize=1 << 16)
def block_work(block: BlockSpec, size: int) -> tuple[int, tuple[LayerWork, ...]]:
    """(output size, the layers' work) of a block at an input of `size` pixels."""
    found: list[LayerWork] = []
    out = size
    for layer in block.layers:
        out, works = _works(layer, out)
        found += works
    if block.shortcut is not None:
        for layer in block.shortcut:
            found += _works(layer, size)[1]
        found.append(LayerWork("add", 0, BYTES * 3 * block.out_channels * out**2))
    return out, tuple(found)


def stem_work(stem: StemSpec, in_channels: int, size: int) -> tuple[int, tuple[LayerWork, ...]]:
    """(output size, the layers' work) of a stem at an image of `size` pixels."""
    found = [_convolution(in_channels, stem.channels, stem.kernel, size, stem.stride, 1)]
    size = (size - 1) // stem.stride + 1
    if stem.pool:
        out = (size - 1) // 2 + 1
        found.append(_pool(stem.channels, size**2, stem.channels * out**2))
        size = out
    return size, tuple(found)


def head_work(spec: NetworkSpec, in_channels: int, size: int) -> tuple[LayerWork, ...]:
    """The work of the head of `spec` behind a last stage of `in_channels` at `size` pixels."""
    found: list[LayerWork] = []
    channels = in_channels
    if spec.head_channels:
        found.append(_convolution(channels, spec.head_channels, 1, size, 1, 1))
        channels = spec.head_channels
    found.append(_pool(channels, size**2, channels))
    if spec.pooled_channels:
        found.append(_linear(channels, spec.pooled_channels))
        channels = spec.pooled_channels
    return (*found, _linear(channels, spec.num_classes))


def stage_work(stage: StageSpec, in_channels: int, size: int) -> tuple[int, list[LayerWork]]:
    """(output size, the layers' work) of a stage that takes `in_channels` at `size` pixels."""
    found: list[LayerWork] = []
    for block in stage.blocks(in_channels):
        size, works = block_work(block, size)
        found += works
    return size, found


def network_work(spec: NetworkSpec, resolution: int | None = None) -> tuple[tuple[LayerWork, ...], ...]:
    """The layers' work of a network by part, as `Cost.stages` has them: stem, stages, head.

    Args:
        spec: the network.
        resolution: of its input, pixels; None: its own.
    """
    size, stem = stem_work(spec.stem, spec.in_channels, resolution or spec.resolution)
    parts = [stem]
    channels = spec.stem.channels
    for stage in spec.stages:
        size, found = stage_work(stage, channels, size)
        parts.append(tuple(found))
        channels = stage.channels
    return (*parts, head_work(spec, channels, size))


def roofline(works: Iterable[LayerWork], ridge: float) -> int:
    """What layers take in MACs at the peak arithmetic: the sum of max(MACs, ridge x bytes).

    Args:
        works: of the layers.
        ridge: MACs that the device does in the time of one byte.
    """
    return sum(max(work.macs, round(ridge * work.moved)) for work in works)

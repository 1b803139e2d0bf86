"""A network as TensorBoard's graph, read off its spec: a node a layer, in a box a block, in a box a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorboard.compat.proto import graph_pb2, versions_pb2

from nas.network.cost import cost
from search_spaces.layers import Conv, Gate, Layer
from search_spaces.spec import NetworkSpec


def graph_of(spec: NetworkSpec) -> Any:
    """The `GraphDef` of a network.

    Each node says its output's shape (N, C, H, W; N is open) and, as `layer`, what it does.
    """
    definition = graph_pb2.GraphDef(versions=versions_pb2.VersionDef(producer=22))
    side = spec.resolution

    def node(name: str, op: str, inputs: Sequence[str], channels: int, about: str = "") -> str:
        made = definition.node.add(name=name, op=op, input=inputs)
        shape = made.attr["_output_shapes"].list.shape.add()
        for size in (-1, channels, side, side) if side else (-1, channels):
            shape.dim.add(size=size)
        if about:
            made.attr["layer"].s = about.encode()
        return name

    def layers(place: str, made: Sequence[Layer], came: str) -> str:
        nonlocal side
        for number, layer in enumerate(made):
            if isinstance(layer, Gate):
                came = node(f"{place}/{number}_se", "SE", [came], layer.channels, f"squeeze {layer.squeeze}")
                continue
            side = -(-side // layer.stride)
            if isinstance(layer, Conv):
                about = f"k{layer.kernel} s{layer.stride}"
                if layer.groups > 1:
                    about += " depthwise" if layer.groups == layer.in_channels else f" groups {layer.groups}"
                came = node(f"{place}/{number}_conv", "Conv", [came], layer.out_channels, about)
            else:
                came = node(f"{place}/{number}_pool", "Pool", [came], layer.out_channels, f"s{layer.stride}")
        return came

    came = node("image", "Image", [], spec.in_channels)
    stem = spec.stem
    came = layers("stem", [Conv(spec.in_channels, stem.channels, stem.kernel, stem.stride)], came)
    if stem.pool:
        side = -(-side // 2)
        came = node("stem/pool", "MaxPool", [came], stem.channels, "k3 s2")
    channels = stem.channels
    for index, stage in enumerate(spec.stages):
        for number, block in enumerate(stage.blocks(channels)):
            place, before, first = f"stage{index}/block{number}", side, came
            came = layers(place, block.layers, first)
            if block.shortcut is not None:
                after, side = side, before
                other = layers(f"{place}/shortcut", block.shortcut, first)
                side = after
                came = node(f"{place}/add", "Add", [came, other], block.out_channels)
        channels = stage.channels
    if spec.head_channels:
        came = layers("head", [Conv(channels, spec.head_channels)], came)
        channels = spec.head_channels
    side = 1
    came = node("head/pool", "AveragePool", [came], channels)
    if spec.pooled_channels:
        came = node("head/conv", "Conv", [came], spec.pooled_channels, "k1 s1")
    side = 0
    node("head/linear", "Linear", [came], spec.num_classes, f"{cost(spec).macs / 1e6:,.1f}M MACs in all")
    return definition

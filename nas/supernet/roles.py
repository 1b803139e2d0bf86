"""Which layers of different blocks at one place of a network share their weights.

Two blocks share what their layers have in common where they are of one family: an op with any expansion,
kernel, width or SE. A family is an op; but those that differ in their depthwise convolutions alone, the
universal inverted bottleneck's, are one, as in MobileNetV4's supernet (Qin et al. 2024). What can't share, a
convolution and an MBConv say, has weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.block import OPS, BlockSpec
from search_spaces.layers import Conv, Gate, Layer

SHORTCUT = "shortcut"
"""The family, and the role, of a shortcut's convolution, which all ops at a place have in common."""


def family_of(block: BlockSpec) -> str:
    """Blocks of one family at one place share their weights."""
    # a universal block with the second depthwise convolution alone is stored as `mbconv`
    return "mbconv" if OPS[block.op].universal else block.op


def roles_of(block: BlockSpec) -> Iterator[tuple[str, Layer]]:
    """The layers of a block's residual branch with their roles, in order.

    A role says how many dense convolutions stand before a depthwise one, or which of the dense ones it is;
    gates of two kinds are two roles, since they compute something else.
    """
    dense = 0
    for layer in block.layers:
        if isinstance(layer, Conv) and layer.groups > 1:
            yield f"depthwise{dense}", layer
        elif isinstance(layer, Conv):
            yield f"dense{dense}", layer
            dense += 1
        elif isinstance(layer, Gate):
            yield "hard_gate" if layer.hard else "gate", layer
        else:
            yield "pool", layer

"""Search with a block of one's own: python examples/own_op.py runs/own-op"""

import sys

import nas
from search_spaces import Op, register_op
from search_spaces.layers import Conv


def layers(block):
    """Two depthwise convolutions one after the other, then a linear 1x1."""
    width = block.in_channels
    return (
        Conv(width, width, block.kernel, block.stride, groups=width),
        Conv(width, width, block.kernel, groups=width),
        Conv(width, block.out_channels, activation=False),
    )


register_op(Op("double", "double depthwise", "dd", "#2f7d4f", layers, inner=lambda block: block.in_channels))

if __name__ == "__main__":
    space = {"schema": 1, "space": "own-op", "network": {"resolution": 16}, "stages": [
        {"op": ["ds", "double"], "channels": [8, 16], "repeats": [1, 2]},
        {"op": ["ds", "double"], "channels": [16, 24], "repeats": [1, 2], "stride": 2}]}  # fmt: skip
    run = nas.search(space, data="digits", epochs=3, costs="1M", trials=4, concurrent=2, out=sys.argv[1])
    print(run.best.accuracy, [stage.op for stage in run.spec.stages])

"""A block of torchvision or timm as a stage of a spec, read off its convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import nn

from nas.export.obstacles import block_activations, gates, is_hard, squeeze
from nas.export.settings import RESIDUAL, projection, skips
from search_spaces.block import BlockSpec
from search_spaces.errors import InputError
from search_spaces.spec import StageSpec


@dataclass(frozen=True)
class Reading:
    """A block as it was found: its widths, not yet the ratios that were meant.

    Attributes:
        op: as in `search_spaces.OPS`.
        inputs: channels that it takes.
        inner: channels of the k x k convolution.
        squeeze: channels inside SE (0: none).
        skip: as in `search_spaces.SKIPS`.
        activation: the block's own, also where it is the network's; empty: it has none.
        gate: the kind of its SE.
        start_kernel: of the depthwise convolution before the expansion; 0: none.
        group_width: channels in each group of the k x k convolution; 0: it has none.
    """

    op: str
    inputs: int
    inner: int
    channels: int
    kernel: int
    stride: int
    squeeze: int
    skip: str
    activation: str = ""
    gate: str = "sigmoid"
    start_kernel: int = 0
    group_width: int = 0

    @property
    def keeps(self) -> bool:
        """Whether the block keeps the shape of its input."""
        return self.stride == 1 and self.inputs == self.channels

    def fits(self, expansion: float, se_ratio: float) -> bool:
        """Whether the two ratios give the widths that were found."""
        block = BlockSpec(
            self.op,
            self.inputs,
            self.channels,
            self.kernel,
            self.stride,
            expansion,
            se_ratio,
            self.skip,
            gate=self.gate,
            start_kernel=self.start_kernel,
        )
        return (block.inner_channels, block.squeeze_channels) == (self.inner, self.squeeze)


def read_block(block: nn.Module) -> Reading:
    """What a block of one of `nas.export.settings.BLOCKS` is.

    Raises:
        InputError: it has layers that no block of a spec has.
    """
    layers = [squeeze(module) for module in block.modules()]
    reductions = [layer for layer in layers if layer is not None]
    if len(reductions) > 1:
        raise InputError("it has a block with two SE modules")
    squeezed = reductions[0].out_channels if reductions else 0
    aside = {id(c) for m in block.modules() if squeeze(m) is not None for c in m.modules()}
    shortcut = projection(block)
    aside |= {id(c) for c in shortcut.modules()} if shortcut is not None else set()
    convs = [c for c in block.modules() if isinstance(c, nn.Conv2d) and id(c) not in aside]
    kind = type(block).__name__
    if kind in RESIDUAL:
        read = _residual(kind, convs, squeezed)
    elif kind == "UniversalInvertedResidual" and (len(convs) != 3 or convs[0].groups > 1):
        read = _universal(convs, squeezed, skips(block))
    else:
        activated = bool(getattr(block, "has_pw_act", False))
        fused = kind in ("EdgeResidual", "FusedMBConv")
        read = _inverted(convs, squeezed, skips(block), activated, fused)
    hard = any(is_hard(gate) for gate in gates(block))
    own = "".join(block_activations(block)[:1])
    return replace(read, activation=own, gate="hard_sigmoid" if hard else "sigmoid")


def _universal(convs: list[nn.Conv2d], squeezed: int, skipping: bool) -> Reading:
    deep = [conv for conv in convs if conv.groups > 1]
    points = [conv for conv in convs if conv.groups == 1]
    start = convs[0] if convs[0].groups > 1 else None
    middle = next((conv for conv in deep if conv is not start), None)
    if len(points) != 2 or convs[-1] is not points[1] or len(deep) > 2 or points[0].kernel_size != (1, 1):
        raise InputError("it has a universal inverted bottleneck with a depthwise convolution at its end")
    strided = middle or start
    if any(conv.stride != (1, 1) for conv in convs if conv is not strided):
        raise InputError("its blocks stride on another convolution than a spec's")
    read = Reading(
        "uib",
        convs[0].in_channels,
        points[0].out_channels,
        points[1].out_channels,
        middle.kernel_size[0] if middle else 0,
        strided.stride[0] if strided else 1,
        squeezed,
        "identity",
        start_kernel=start.kernel_size[0] if start else 0,
    )
    return replace(read, skip="none") if read.keeps and not skipping else read


def loose_block(units: list[nn.Module]) -> Reading:
    """A separable convolution of four layers that stand in the network itself: convolution, BN, twice.

    Raises:
        InputError: the layers are others.
    """
    convs = [unit for unit in units if isinstance(unit, nn.Conv2d)]
    if [isinstance(unit, nn.Conv2d) for unit in units] != [True, False, True, False] or convs[0].groups == 1:
        raise InputError("it has layers outside of its stem, blocks and head")
    return _inverted(convs, 0, False, False)


def _residual(kind: str, convs: list[nn.Conv2d], squeezed: int) -> Reading:
    basic = kind == "BasicBlock"
    if len(convs) != (2 if basic else 3):
        raise InputError(f"it has a {kind} of {len(convs)} convolutions")
    middle = convs[0] if basic else convs[1]
    if any(conv.stride != (1, 1) for conv in convs if conv is not middle):
        raise InputError("its residual blocks stride on another convolution than a spec's")
    cout = convs[-1].out_channels
    if basic and (middle.out_channels != cout or convs[0].kernel_size != convs[1].kernel_size):
        raise InputError("its basic blocks have two different convolutions")
    return Reading(
        "basic" if basic else "bottleneck",
        convs[0].in_channels,
        middle.out_channels,
        cout,
        middle.kernel_size[0],
        middle.stride[0],
        squeezed,
        "projection",
        group_width=middle.in_channels // middle.groups if middle.groups > 1 else 0,
    )


def _inverted(
    convs: list[nn.Conv2d], squeezed: int, skipping: bool, activated: bool, fused: bool = False
) -> Reading:
    cin, cout = convs[0].in_channels, convs[-1].out_channels
    middle = convs[0]
    if not fused:
        middle = next((c for c in convs if c.groups == c.in_channels and len(convs) > 1), convs[0])
    if any(conv.stride != (1, 1) for conv in convs if conv is not middle):
        raise InputError("its blocks stride on another convolution than a spec's")
    if any(conv.kernel_size != (1, 1) for conv in convs if conv is not middle):
        raise InputError("its blocks have more than one convolution that isn't 1x1")
    ops = {1: "conv", 2: "dsa" if activated else "ds", 3: "mbconv"}
    if fused:
        ops = {1: "conv", 2: "fused"}
    if len(convs) not in ops or middle is not convs[len(convs) // 2 if len(convs) == 3 else 0]:
        raise InputError(f"it has a block of {len(convs)} convolutions")
    op, inner = ops[len(convs)], middle.out_channels
    if op in ("ds", "dsa") and inner != cin:
        raise InputError("its separable convolutions widen their input")
    if op == "mbconv" and inner == cin:
        raise InputError("it has an MBConv of expansion 1 with an expansion convolution, a spec's has none")
    if op == "fused" and inner == cin:
        raise InputError("it has a fused MBConv of expansion 1 with a projection, a spec's has none")
    read = Reading(op, cin, inner, cout, middle.kernel_size[0], middle.stride[0], squeezed, "identity")
    return replace(read, skip="none") if read.keeps and not skipping else read


def stages(blocks: list[Reading]) -> tuple[StageSpec, ...]:
    """Blocks that one stage can say, behind one another, are one stage."""
    runs: list[list[Reading]] = []
    for block in blocks:
        if runs and _joins(runs[-1], block):
            runs[-1].append(block)
        else:
            runs.append([block])
    return tuple(stage for run in runs for stage in _stage(run))


def _joins(run: list[Reading], block: Reading) -> bool:
    first = run[0]
    same = all(
        getattr(first, name) == getattr(block, name)
        for name in ("op", "channels", "kernel", "start_kernel", "activation", "gate", "group_width")
    ) and bool(first.squeeze) == bool(block.squeeze)
    # an identity has no effect on a block that changes the shape: the blocks behind it decide
    skip = block.skip == run[-1].skip or (len(run) == 1 and not first.keeps and first.skip == "identity")
    return same and block.keeps and skip


def _stage(run: list[Reading]) -> Iterator[StageSpec]:
    """One stage where one pair of ratios fits all blocks, else the longest beginnings that have one."""
    while run:
        for length in range(len(run), 0, -1):
            ratios = _ratios(run[:length])
            if ratios is not None or length == 1:
                break
        if ratios is None:
            raise InputError("the widths inside its blocks or their SE have no ratio to what they take")
        head, run = run[:length], run[length:]
        first = head[0]
        skip = head[-1].skip
        yield StageSpec(
            first.op,
            first.channels,
            first.kernel,
            first.stride,
            ratios[0],
            length,
            ratios[1],
            skip,
            first.activation,
            first.gate,
            first.start_kernel,
            first.group_width,
        )


def _ratios(run: list[Reading]) -> tuple[float, float] | None:
    """(expansion, SE ratio) that give all blocks of `run` their widths: the simplest, which was meant."""
    first = run[0]
    expansion: float | None = 1
    if first.op in ("mbconv", "fused", "uib"):
        expansion = _simplest(
            first.inner / first.inputs, 8 / first.inputs, lambda v: all(b.fits(v, 0) for b in _bare(run))
        )
    elif first.op == "bottleneck":
        expansion = _simplest(
            first.inner / first.channels, 1 / first.channels, lambda v: all(b.fits(v, 0) for b in _bare(run))
        )
    if expansion is None:
        return None
    if not first.squeeze:
        return expansion, 0
    meant = expansion
    near, reach = (first.squeeze + 0.5) / first.inputs, 1 / first.inputs
    if first.gate == "hard_sigmoid":  # of what it weighs, rounded to multiples of 8
        near, reach = first.squeeze / first.inner, 8 / first.inner
        if all(block.fits(meant, 0.25) for block in run):
            return expansion, 0.25  # what is published; of few channels others round to the same
    ratio = _simplest(near, reach, lambda v: all(b.fits(meant, v) for b in run))
    return None if ratio is None or ratio > 1 else (expansion, ratio)


def _bare(run: list[Reading]) -> list[Reading]:
    return [replace(block, squeeze=0) for block in run]


_DENOMINATORS = (1, 2, 4, 8, 10, 16, 20, 3, 6, 5, 12, 24, 32, 48, 64, 100, 1000)


def _simplest(near: float, reach: float, fits: Callable[[float], bool]) -> float | None:
    """The fraction of the smallest denominator within `reach` of `near` that `fits`, or `near` itself."""
    for denominator in _DENOMINATORS:
        low = math.floor((near - reach) * denominator)
        high = math.ceil((near + reach) * denominator)
        values = [n / denominator for n in range(max(1, low), min(high, low + 4000) + 1)]
        for value in sorted(values, key=lambda v: abs(v - near)):
            if fits(value):
                return value
    return near if fits(near) else None

"""MobileNetV4's space (Qin et al. 2024): expansion and two optional depthwise kernels of each block.

The paper's fine search chooses for each block whether it has a depthwise convolution before its expansion and
one behind it, with kernel 3 or 5. The widths, depths and expansions are those of the published networks,
MobileNetV4-Conv-S, -M and -L, all of which are members.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.mobilenet_v4 import mobilenet_v4
from search_spaces.together import JointChoices

_KERNELS = (0, 3, 5)
_FIRST = (3, 5)
"""Behind the expansion of a block with a stride, which needs one depthwise convolution at least."""


def mobilenet_v4_space() -> StagedSpace:
    """Four stages: convolutions or a fused MBConv, two blocks, 6 to 11 blocks, 6 to 13 blocks."""
    stages = (
        StageChoices(
            (),
            (32, 48),
            stride=2,
            repeats=(1, 2),
            blocks=({"op": ("conv", "fused4")}, {"op": ("conv",), "kernel": (1,), "skip": ("none",)}),
        ),
        StageChoices(
            (),
            (),
            stride=2,
            repeats=(2,),
            blocks=(
                _block(("conv", "uib2", "uib4", "uib6"), _FIRST, (80, 96)),
                _block(("conv", "uib2", "uib4"), (0, 1, 3, 5), (64, 80, 96)),
            ),
        ),
        StageChoices(
            (),
            (96, 160, 192),
            stride=2,
            repeats=(6, 8, 11),
            blocks=(_block(("uib3", "uib4", "uib6"), _FIRST), _block(("uib2", "uib4"), _KERNELS)),
        ),
        StageChoices(
            (),
            (128, 256, 512),
            stride=2,
            repeats=(6, 11, 13),
            blocks=(_block(("uib4", "uib6"), _FIRST), _block(("uib2", "uib3", "uib4"), _KERNELS)),
        ),
    )
    # the small network has plain convolutions in the second stage, 3x3 and 1x1
    together = (_joint(0, ("uib2", "uib4", "uib6"), _FIRST, 3), _joint(1, ("uib2", "uib4"), _KERNELS, 1))
    template = mobilenet_v4("m").replace(resolution=224)  # as the other spaces have it
    return StagedSpace("mobilenet-v4", stages, template, together, stem_channels=(24, 32))


def _block(ops: tuple[str, ...], kernels: tuple[int, ...], channels: tuple[int, ...] = ()) -> dict[str, Any]:
    own: dict[str, Any] = {"op": ops, "start_kernel": _KERNELS, "kernel": kernels}
    return own | ({"channels": channels} if channels else {})


def _joint(block: int, ops: tuple[str, ...], kernels: tuple[int, ...], plain: int) -> JointChoices:
    fields = tuple((1, f"block{block}.{name}") for name in ("op", "kernel", "start_kernel"))
    return JointChoices(fields, (("conv", plain, 0), *product(ops, kernels, _KERNELS)))

"""MnasNet's factorised hierarchical space, and its MBConv-only part.

Source: Tan et al. 2019 (MnasNet), section 4: every block (a stage here) has its own choice of
convolution, kernel, SE, skip, width and depth, the last two relative to MobileNetV2's.
"""

from __future__ import annotations

from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.reference import efficientnet_b0, mobilenet_v2

# the widths at 14 px that EfficientNet-B0 and MnasNet-A1 have and MobileNetV2's multiples miss
_PUBLISHED_WIDTHS = {4: 112, 5: 192}


def _stages(ops: tuple[str, ...], skips: tuple[str, ...]) -> tuple[StageChoices, ...]:
    stages = []
    for index, stage in enumerate(mobilenet_v2().stages):
        widths = {stage.channels * 3 // 4, stage.channels, stage.channels * 5 // 4}
        if index in _PUBLISHED_WIDTHS:
            widths.add(_PUBLISHED_WIDTHS[index])
        repeats = {max(1, stage.repeats - 1), stage.repeats, stage.repeats + 1}
        stages.append(
            StageChoices(
                op=ops,
                channels=tuple(sorted(widths)),
                kernel=(3, 5),
                repeats=tuple(sorted(repeats)),
                se_ratio=(0, 0.25),
                skip=skips,
                stride=stage.stride,
            )
        )
    return tuple(stages)


def mnasnet() -> StagedSpace:
    """The full space: conv, MBConv1/3/6; kernel 3, 5; SE; no, identity or pooling skip; width; depth.

    A depth of MobileNetV2's minus one stays at least one layer.
    """
    ops = ("conv", "ds", "mbconv3", "mbconv6")
    return StagedSpace("mnasnet", _stages(ops, ("none", "identity", "pooling")), efficientnet_b0())


def efficientnet() -> StagedSpace:
    """The MBConv part with identity skips, which contains EfficientNet-B0, MobileNetV2 and MnasNet-A1."""
    return StagedSpace(
        "efficientnet", _stages(("ds", "mbconv3", "mbconv6"), ("identity",)), efficientnet_b0()
    )

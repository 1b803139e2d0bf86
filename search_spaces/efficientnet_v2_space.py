"""EfficientNetV2's space (Tan & Le 2021, section 3.3): convolution, kernel, depth and width of each stage.

The paper's is MnasNet's without pooling skips: MBConv or fused MBConv, kernel 3 or 5, expansion 1, 4 or 6. An
MBConv has SE here and a fused one hasn't, as published. The widths and depths are those of the published
networks, EfficientNetV2-S, -M, -L and -B0 to -B3, all of which are members. -M and -L have the last stage.
"""

from __future__ import annotations

from search_spaces.efficientnet_v2 import efficientnet_v2_references
from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.spec import NetworkSpec, StageSpec
from search_spaces.together import JointChoices

_FUSED = ("conv", "fused4", "fused6")
_MBCONV = ("ds", "mbconv4", "mbconv6")
_SE = 0.25


def efficientnet_v2_space() -> StagedSpace:
    """Seven stages; a fused MBConv has no SE, an MBConv has it; stem and head in the published widths."""
    networks = [make() for make in efficientnet_v2_references().values()]
    stages = []
    for number in range(max(len(network.stages) for network in networks)):
        there = [network.stages[number] for network in networks if len(network.stages) > number]
        stages.append(_choices(there, len(there) < len(networks)))
    together = [
        JointChoices(
            ((number, "op"), (number, "se_ratio")),
            (*((op, 0) for op in _FUSED), *((op, _SE) for op in _MBCONV)),
        )
        for number, stage in enumerate(stages)
        if len(stage.op) > 1
    ]
    return StagedSpace(
        "efficientnet-v2",
        tuple(stages),
        _template(networks),
        tuple(together),
        stem_channels=tuple(sorted({network.stem.channels for network in networks})),
        head_channels=tuple(sorted({network.head_channels for network in networks})),
    )


def _choices(published: list[StageSpec], may_be_missing: bool) -> StageChoices:
    widths = tuple(sorted({stage.channels for stage in published}))
    depths = tuple(sorted({stage.repeats for stage in published}))
    if may_be_missing:  # it is as published: with all choices nearly every network would have it
        return StageChoices(("mbconv6",), widths, repeats=(0, *depths), se_ratio=(_SE,))
    return StageChoices(
        (*_FUSED, *_MBCONV), widths, (3, 5), depths, se_ratio=(0, _SE), stride=published[0].stride
    )


def _template(networks: list[NetworkSpec]) -> NetworkSpec:
    return next(network for network in networks if network.name == "efficientnetv2-b0")

"""Known networks as specs, stage by stage as published. Resolutions in comments are at the stage's input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from search_spaces.efficientnet_v2 import efficientnet_v2_references
from search_spaces.errors import unknown
from search_spaces.layers import make_divisible
from search_spaces.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from search_spaces.mobilenet_v4 import mobilenet_v4_references
from search_spaces.notation import parse_stages
from search_spaces.regnet import regnet_references
from search_spaces.spec import NetworkSpec, StemSpec


def efficientnet_b0() -> NetworkSpec:
    """EfficientNet-B0 (Tan & Le 2019, table 1)."""
    return NetworkSpec(
        "efficientnet-b0",
        parse_stages(
            "ds_r1_k3_s1_e1_c16_se0.25",  # 112
            "ir_r2_k3_s2_e6_c24_se0.25",  # 112
            "ir_r2_k5_s2_e6_c40_se0.25",  # 56
            "ir_r3_k3_s2_e6_c80_se0.25",  # 28
            "ir_r3_k5_s1_e6_c112_se0.25",  # 14
            "ir_r4_k5_s2_e6_c192_se0.25",  # 14
            "ir_r1_k3_s1_e6_c320_se0.25",  # 7
        ),
    )


def mnasnet_a1() -> NetworkSpec:
    """MnasNet-A1 (Tan et al. 2019, figure 7)."""
    return NetworkSpec(
        "mnasnet-a1",
        parse_stages(
            "ds_r1_k3_s1_e1_c16_noskip",  # 112
            "ir_r2_k3_s2_e6_c24",  # 112
            "ir_r3_k5_s2_e3_c40_se0.25",  # 56
            "ir_r4_k3_s2_e6_c80",  # 28
            "ir_r2_k3_s1_e6_c112_se0.25",  # 14
            "ir_r3_k5_s2_e6_c160_se0.25",  # 14
            "ir_r1_k3_s1_e6_c320",  # 7
        ),
        activation="relu",
        stochastic_depth=0,
    )


def mnasnet_b1() -> NetworkSpec:
    """MnasNet-B1, without SE (the authors' code, `build_mnasnet_b1`)."""
    return NetworkSpec(
        "mnasnet-b1",
        parse_stages(
            "ds_r1_k3_s1_e1_c16_noskip",  # 112
            "ir_r3_k3_s2_e3_c24",  # 112
            "ir_r3_k5_s2_e3_c40",  # 56
            "ir_r3_k5_s2_e6_c80",  # 28
            "ir_r2_k3_s1_e6_c96",  # 14
            "ir_r4_k5_s2_e6_c192",  # 14
            "ir_r1_k3_s1_e6_c320",  # 7
        ),
        activation="relu",
        stochastic_depth=0,
    )


_LITE = {
    0: (1.0, 1.0, 224, 0.2),
    1: (1.0, 1.1, 240, 0.2),
    2: (1.1, 1.2, 260, 0.3),
    3: (1.2, 1.4, 280, 0.3),
    4: (1.4, 1.8, 300, 0.3),
}
"""(width, depth, resolution, dropout) of EfficientNet-Lite's members (the authors' code)."""


def efficientnet_lite(member: int) -> NetworkSpec:
    """EfficientNet-Lite0 to -Lite4: B0 to B4 without SE, with relu6; stem, head and both ends do not grow."""
    width, depth, resolution, dropout = _LITE[member]
    stages = [replace(stage, se_ratio=0) for stage in efficientnet_b0().stages]
    for index, stage in enumerate(stages):
        fixed = index in (0, len(stages) - 1)
        repeats = stage.repeats if fixed else math.ceil(stage.repeats * depth - 1e-9)
        stages[index] = replace(stage, channels=make_divisible(stage.channels * width), repeats=repeats)
    return NetworkSpec(
        f"efficientnet-lite{member}",
        tuple(stages),
        activation="relu6",
        resolution=resolution,
        dropout=dropout,
    )


def mobilenet_v1() -> NetworkSpec:
    """MobileNetV1 (Howard et al. 2017, table 1)."""
    return NetworkSpec(
        "mobilenet-v1",
        parse_stages(
            "dsa_r1_k3_s1_e1_c64_noskip",  # 112
            "dsa_r2_k3_s2_e1_c128_noskip",  # 112
            "dsa_r2_k3_s2_e1_c256_noskip",  # 56
            "dsa_r6_k3_s2_e1_c512_noskip",  # 28
            "dsa_r2_k3_s2_e1_c1024_noskip",  # 14
        ),
        head_channels=0,
        activation="relu",
        dropout=0.001,
        stochastic_depth=0,
    )


def mobilenet_v2() -> NetworkSpec:
    """MobileNetV2 (Sandler et al. 2018, table 2)."""
    return NetworkSpec(
        "mobilenet-v2",
        parse_stages(
            "ds_r1_k3_s1_e1_c16",  # 112
            "ir_r2_k3_s2_e6_c24",  # 112
            "ir_r3_k3_s2_e6_c32",  # 56
            "ir_r4_k3_s2_e6_c64",  # 28
            "ir_r3_k3_s1_e6_c96",  # 14
            "ir_r3_k3_s2_e6_c160",  # 14
            "ir_r1_k3_s1_e6_c320",  # 7
        ),
        activation="relu6",
        stochastic_depth=0,
    )


def resnet50() -> NetworkSpec:
    """ResNet-50 (He et al. 2016, table 1), with the stride on the 3x3 convolution (v1.5)."""
    return NetworkSpec(
        "resnet50",
        parse_stages(
            "bt_r3_k3_s1_e0.25_c256_proj",  # 56
            "bt_r4_k3_s2_e0.25_c512_proj",  # 56
            "bt_r6_k3_s2_e0.25_c1024_proj",  # 28
            "bt_r3_k3_s2_e0.25_c2048_proj",  # 14
        ),
        stem=StemSpec(channels=64, kernel=7, stride=2, pool=True),
        head_channels=0,
        activation="relu",
        bn_momentum=0.1,
        bn_eps=1e-5,
        dropout=0,
        stochastic_depth=0,
    )


REFERENCES: dict[str, Callable[[], NetworkSpec]] = {
    "efficientnet-b0": efficientnet_b0,
    **{f"efficientnet-lite{member}": partial(efficientnet_lite, member) for member in _LITE},
    "mnasnet-a1": mnasnet_a1,
    "mnasnet-b1": mnasnet_b1,
    "mobilenet-v1": mobilenet_v1,
    "mobilenet-v2": mobilenet_v2,
    "mobilenetv3-large": mobilenet_v3_large,
    "mobilenetv3-small": mobilenet_v3_small,
    "resnet50": resnet50,
    **efficientnet_v2_references(),
    **mobilenet_v4_references(),
    **regnet_references(),
}


def reference(name: str) -> NetworkSpec:
    """The known network of that name; raises `InputError` (with a suggestion) for any other."""
    if name not in REFERENCES:
        raise unknown("network", name, REFERENCES)
    return REFERENCES[name]()

"""Known networks as specs, stage by stage as published. Resolutions in comments are at the stage's input."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.errors import unknown
from search_spaces.notation import from_notation
from search_spaces.spec import NetworkSpec, StageSpec, StemSpec


def _stages(*rows: str) -> tuple[StageSpec, ...]:
    return tuple(from_notation(row) for row in rows)


def efficientnet_b0() -> NetworkSpec:
    """EfficientNet-B0 (Tan & Le 2019, table 1)."""
    return NetworkSpec(
        "efficientnet-b0",
        _stages(
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
        _stages(
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


def mobilenet_v1() -> NetworkSpec:
    """MobileNetV1 (Howard et al. 2017, table 1)."""
    return NetworkSpec(
        "mobilenet-v1",
        _stages(
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
        _stages(
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
        _stages(
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
    "mnasnet-a1": mnasnet_a1,
    "mobilenet-v1": mobilenet_v1,
    "mobilenet-v2": mobilenet_v2,
    "resnet50": resnet50,
}


def reference(name: str) -> NetworkSpec:
    """The known network of that name; raises `InputError` (with a suggestion) for any other."""
    if name not in REFERENCES:
        raise unknown("network", name, REFERENCES)
    return REFERENCES[name]()

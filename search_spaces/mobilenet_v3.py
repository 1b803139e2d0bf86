"""MobileNetV3's networks (Howard et al. 2019, tables 1 and 2), by stages as published.

The expansions are the simplest that give the published widths, rounded to multiples of 8.
"""

from __future__ import annotations

from search_spaces.notation import parse_stages
from search_spaces.spec import NetworkSpec, StemSpec


def mobilenet_v3_large() -> NetworkSpec:
    """MobileNetV3-Large (table 1)."""
    return NetworkSpec(
        "mobilenetv3-large",
        parse_stages(
            "ds_r1_k3_s1_e1_c16_nre",  # 112
            "ir_r1_k3_s2_e4_c24_nre",  # 112
            "ir_r1_k3_s1_e3_c24_nre",  # 56
            "ir_r3_k5_s2_e3_c40_se0.25_hard_nre",  # 56
            "ir_r1_k3_s2_e6_c80",  # 28
            "ir_r1_k3_s1_e2.5_c80",  # 14
            "ir_r2_k3_s1_e2.25_c80",  # 14
            "ir_r2_k3_s1_e6_c112_se0.25_hard",  # 14
            "ir_r3_k5_s2_e6_c160_se0.25_hard",  # 14
        ),
        stem=StemSpec(16),
        head_channels=960,
        pooled_channels=1280,
        activation="hard_swish",
        stochastic_depth=0,
    )


def mobilenet_v3_small() -> NetworkSpec:
    """MobileNetV3-Small (table 2)."""
    return NetworkSpec(
        "mobilenetv3-small",
        parse_stages(
            "ds_r1_k3_s2_e1_c16_se0.25_hard_nre",  # 112
            "ir_r1_k3_s2_e4.5_c24_nre",  # 56
            "ir_r1_k3_s1_e3.5_c24_nre",  # 28
            "ir_r1_k5_s2_e4_c40_se0.25_hard",  # 28
            "ir_r2_k5_s1_e6_c40_se0.25_hard",  # 14
            "ir_r2_k5_s1_e3_c48_se0.25_hard",  # 14
            "ir_r3_k5_s2_e6_c96_se0.25_hard",  # 14
        ),
        stem=StemSpec(16),
        head_channels=576,
        pooled_channels=1024,
        activation="hard_swish",
        stochastic_depth=0,
    )

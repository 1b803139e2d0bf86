"""EfficientNetV2's networks (Tan & Le 2021), by stages as published, at the resolutions of evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from search_spaces.notation import parse_stages
from search_spaces.spec import NetworkSpec, StemSpec

_SIZES: dict[str, tuple[tuple[str, ...], int, int, float]] = {
    # table 4
    "s": (
        (
            "cn_r2_k3_s1_e1_c24",
            "er_r4_k3_s2_e4_c48",
            "er_r4_k3_s2_e4_c64",
            "ir_r6_k3_s2_e4_c128_se0.25",
            "ir_r9_k3_s1_e6_c160_se0.25",
            "ir_r15_k3_s2_e6_c256_se0.25",
        ),
        24,
        384,
        0.2,
    ),
    # the other two as in the authors' code
    "m": (
        (
            "cn_r3_k3_s1_e1_c24",
            "er_r5_k3_s2_e4_c48",
            "er_r5_k3_s2_e4_c80",
            "ir_r7_k3_s2_e4_c160_se0.25",
            "ir_r14_k3_s1_e6_c176_se0.25",
            "ir_r18_k3_s2_e6_c304_se0.25",
            "ir_r5_k3_s1_e6_c512_se0.25",
        ),
        24,
        480,
        0.3,
    ),
    "l": (
        (
            "cn_r4_k3_s1_e1_c32",
            "er_r7_k3_s2_e4_c64",
            "er_r7_k3_s2_e4_c96",
            "ir_r10_k3_s2_e4_c192_se0.25",
            "ir_r19_k3_s1_e6_c224_se0.25",
            "ir_r25_k3_s2_e6_c384_se0.25",
            "ir_r7_k3_s1_e6_c640_se0.25",
        ),
        32,
        480,
        0.4,
    ),
}

_BASE = (
    "cn_r1_k3_s1_e1_c16",
    "er_r2_k3_s2_e4_c32",
    "er_r2_k3_s2_e4_c48",
    "ir_r3_k3_s2_e4_c96_se0.25",
    "ir_r5_k3_s1_e6_c112_se0.25",
    "ir_r8_k3_s2_e6_c192_se0.25",
)

_BASES = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
}
"""(width, depth, resolution, dropout) of the small members, multiples of B0's (the authors' code)."""


def efficientnet_v2(size: str) -> NetworkSpec:
    """EfficientNetV2-S, -M or -L, by `s`, `m` or `l`, with the published settings."""
    rows, stem, resolution, dropout = _SIZES[size]
    return NetworkSpec(
        f"efficientnetv2-{size}",
        parse_stages(*rows),
        stem=StemSpec(stem),
        resolution=resolution,
        bn_momentum=0.1,
        dropout=dropout,
    )


def efficientnet_v2_base(member: str) -> NetworkSpec:
    """EfficientNetV2-B0 to -B3, by `b0` to `b3`.

    Widths are rounded to the nearest multiple of 8 here, also where that is less than 90% of them; depths up.
    """
    width, depth, resolution, dropout = _BASES[member]

    def channels(value: int) -> int:
        return max(8, int(value * width + 4) // 8 * 8)

    return NetworkSpec(
        f"efficientnetv2-{member}",
        tuple(
            replace(s, channels=channels(s.channels), repeats=math.ceil(s.repeats * depth - 1e-9))
            for s in parse_stages(*_BASE)
        ),
        stem=StemSpec(channels(32)),
        head_channels=channels(1280),
        resolution=resolution,
        bn_momentum=0.1,
        dropout=dropout,
    )


def efficientnet_v2_references() -> dict[str, Callable[[], NetworkSpec]]:
    """All of them by name, `efficientnetv2-s` and so on."""
    found: dict[str, Callable[[], NetworkSpec]] = {}
    for size in _SIZES:
        found[f"efficientnetv2-{size}"] = partial(efficientnet_v2, size)
    for member in _BASES:
        found[f"efficientnetv2-{member}"] = partial(efficientnet_v2_base, member)
    return found

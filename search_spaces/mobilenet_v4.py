"""MobileNetV4's convolutional networks (Qin et al. 2024), by blocks as published.

A block of another kind than the one before it is a stage of its own here. Dropout and BN are timm's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from search_spaces.notation import parse_stages
from search_spaces.spec import NetworkSpec, StemSpec

_SIZES: dict[str, tuple[tuple[str, ...], int, int]] = {
    "s": (
        (
            "cn_r1_k3_s2_c32",
            "cn_r1_k1_s1_c32_noskip",
            "cn_r1_k3_s2_c96",
            "cn_r1_k1_s1_c64",
            "uir_r1_a5_k5_s2_e3_c96",
            "ir_r4_k3_s1_e2_c96",
            "uir_r1_a3_k0_s1_e4_c96",
            "uir_r1_a3_k3_s2_e6_c128",
            "uir_r1_a5_k5_s1_e4_c128",
            "ir_r1_k5_s1_e4_c128",
            "ir_r1_k5_s1_e3_c128",
            "ir_r2_k3_s1_e4_c128",
        ),
        32,
        224,
    ),
    "m": (
        (
            "er_r1_k3_s2_e4_c48",
            "uir_r1_a3_k5_s2_e4_c80",
            "uir_r1_a3_k3_s1_e2_c80",
            "uir_r1_a3_k5_s2_e6_c160",
            "uir_r2_a3_k3_s1_e4_c160",
            "uir_r1_a3_k5_s1_e4_c160",
            "uir_r1_a3_k3_s1_e4_c160",
            "uir_r1_a3_k0_s1_e4_c160",
            "uir_r1_k0_s1_e2_c160",
            "uir_r1_a3_k0_s1_e4_c160",
            "uir_r1_a5_k5_s2_e6_c256",
            "uir_r1_a5_k5_s1_e4_c256",
            "uir_r2_a3_k5_s1_e4_c256",
            "uir_r1_k0_s1_e4_c256",
            "uir_r1_a3_k0_s1_e4_c256",
            "uir_r1_a3_k5_s1_e2_c256",
            "uir_r1_a5_k5_s1_e4_c256",
            "uir_r2_k0_s1_e4_c256",
            "uir_r1_a5_k0_s1_e2_c256",
        ),
        32,
        256,
    ),
    "l": (
        (
            "er_r1_k3_s2_e4_c48",
            "uir_r1_a3_k5_s2_e4_c96",
            "uir_r1_a3_k3_s1_e4_c96",
            "uir_r1_a3_k5_s2_e4_c192",
            "uir_r3_a3_k3_s1_e4_c192",
            "uir_r1_a3_k5_s1_e4_c192",
            "uir_r5_a5_k3_s1_e4_c192",
            "uir_r1_a3_k0_s1_e4_c192",
            "uir_r4_a5_k5_s2_e4_c512",
            "uir_r1_a5_k0_s1_e4_c512",
            "uir_r1_a5_k3_s1_e4_c512",
            "uir_r2_a5_k0_s1_e4_c512",
            "uir_r1_a5_k3_s1_e4_c512",
            "uir_r1_a5_k5_s1_e4_c512",
            "uir_r3_a5_k0_s1_e4_c512",
        ),
        24,
        384,
    ),
}
"""Blocks, width of the stem, resolution."""


def mobilenet_v4(size: str) -> NetworkSpec:
    """MobileNetV4-Conv-S, -M or -L, by `s`, `m` or `l`."""
    rows, stem, resolution = _SIZES[size]
    return NetworkSpec(
        f"mobilenetv4-conv-{size}",
        parse_stages(*rows),
        stem=StemSpec(stem),
        head_channels=960,
        pooled_channels=1280,
        pooled_norm=True,
        resolution=resolution,
        activation="relu",
        bn_momentum=0.1,
        bn_eps=1e-5,
        dropout=0,
        stochastic_depth=0,
    )


def mobilenet_v4_references() -> dict[str, Callable[[], NetworkSpec]]:
    """All of them by name, `mobilenetv4-conv-s` and so on."""
    return {f"mobilenetv4-conv-{size}": partial(mobilenet_v4, size) for size in _SIZES}

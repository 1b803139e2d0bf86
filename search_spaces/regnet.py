"""RegNetY's smaller networks (Radosavovic et al. 2020, section 4: RegNetX with SE), by stages.

The widths are the authors': a line over the blocks, quantised in steps of a power (section 3.3), then rounded
to the nearest that the group width divides. (torchvision rounds otherwise, which shows at 800MF only.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from search_spaces.notation import parse_stages
from search_spaces.spec import NetworkSpec, StemSpec

_DEPTHS_WIDTHS_GROUP = {
    "regnety-200mf": ((1, 1, 4, 7), (24, 56, 152, 368), 8),
    "regnety-400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "regnety-800mf": ((1, 3, 8, 2), (64, 128, 320, 768), 16),
    "regnety-1.6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
}


def regnet_y(name: str) -> NetworkSpec:
    """A RegNetY by its name: bottlenecks that narrow nothing, with groups and SE, behind a plain stem."""
    depths, widths, group = _DEPTHS_WIDTHS_GROUP[name]
    rows = [f"bt_r{d}_k3_s2_e1_c{w}_gs{group}_se0.25_proj" for d, w in zip(depths, widths, strict=True)]
    return NetworkSpec(
        name,
        parse_stages(*rows),
        stem=StemSpec(32),
        head_channels=0,
        activation="relu",
        bn_momentum=0.1,
        bn_eps=1e-5,
        dropout=0,
        stochastic_depth=0,
    )


def regnet_references() -> dict[str, Callable[[], NetworkSpec]]:
    """By name, what makes each of them."""
    return {name: partial(regnet_y, name) for name in _DEPTHS_WIDTHS_GROUP}

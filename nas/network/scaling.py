"""Compound scaling (Tan & Le 2019, EfficientNet): a baseline and phi -> a larger network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from search_spaces.errors import InputError, unknown
from search_spaces.reference import efficientnet_b0
from search_spaces.spec import NetworkSpec, make_divisible


@dataclass(frozen=True)
class Coefficients:
    """How depth (alpha), width (beta) and resolution (gamma) grow with each step of phi.

    The defaults are the paper's (section 3.3, step 1): alpha * beta^2 * gamma^2 is about 1.92.

    Raises:
        InputError: a coefficient below 1.
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 1 <= value <= 4:  # NaN too
                raise InputError(f"{name} {value:g}: expected a coefficient from 1 to 4")


PUBLISHED: dict[str, tuple[float, float, int, float]] = {
    "efficientnet-b0": (1.0, 1.0, 224, 0.2),
    "efficientnet-b1": (1.0, 1.1, 240, 0.2),
    "efficientnet-b2": (1.1, 1.2, 260, 0.3),
    "efficientnet-b3": (1.2, 1.4, 300, 0.3),
    "efficientnet-b4": (1.4, 1.8, 380, 0.4),
    "efficientnet-b5": (1.6, 2.2, 456, 0.4),
    "efficientnet-b6": (1.8, 2.6, 528, 0.5),
    "efficientnet-b7": (2.0, 3.1, 600, 0.5),
}
"""(width, depth, resolution, dropout) of the published family (the authors' released code)."""


def scale_by(
    spec: NetworkSpec,
    width: float = 1,
    depth: float = 1,
    resolution: int | None = None,
    divisor: int = 8,
) -> NetworkSpec:
    """`spec` with its widths and depths multiplied and another input resolution.

    Widths (stem and head too) are rounded to multiples of `divisor`, never below 90%; a width of
    factor 1 is left as it is. Depths are rounded up. Both as in the authors' code.
    """

    def channels(value: int) -> int:
        return value if width == 1 or not value else make_divisible(value * width, divisor)

    stages = tuple(
        # 1e-9: 1.1 * 10 is 11.000000000000002, and that must not become 12
        replace(stage, channels=channels(stage.channels), repeats=math.ceil(stage.repeats * depth - 1e-9))
        for stage in spec.stages
    )
    return spec.replace(
        stages=stages,
        stem=replace(spec.stem, channels=channels(spec.stem.channels)),
        head_channels=channels(spec.head_channels),
        resolution=spec.resolution if resolution is None else resolution,
    )


def scale(spec: NetworkSpec, phi: float, coefficients: Coefficients | None = None) -> NetworkSpec:
    """`spec` scaled by the compound coefficient: about 2^phi times the MACs (paper, equation 3).

    Raises:
        InputError: phi is negative or not finite, or the result exceeds what a spec may hold.
    """
    if not 0 <= phi <= 20:
        raise InputError(f"phi {phi:g}: expected a number from 0 to 20")
    if phi == 0:
        return spec
    c = coefficients or Coefficients()
    scaled = scale_by(spec, c.beta**phi, c.alpha**phi, round(spec.resolution * c.gamma**phi))
    return scaled.replace(name=f"{spec.name}-phi{phi:g}")


def published(name: str) -> NetworkSpec:
    """The member of the published EfficientNet family of that name, `efficientnet-b0` to `-b7`.

    Raises:
        InputError: no such member.
    """
    if name not in PUBLISHED:
        raise unknown("network", name, PUBLISHED)
    width, depth, resolution, dropout = PUBLISHED[name]
    return scale_by(efficientnet_b0(), width, depth, resolution).replace(name=name, dropout=dropout)

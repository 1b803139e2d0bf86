"""Compound scaling (Tan & Le 2019, EfficientNet): a baseline and phi -> a larger network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nas.network.cost import cost
from search_spaces.errors import InputError, unknown
from search_spaces.layers import make_divisible
from search_spaces.reference import efficientnet_b0
from search_spaces.spec import NetworkSpec


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
    factor 1 is left as it is. Depths are rounded up. Both as in the authors' code. Of a grouped stage the
    width goes to the nearest that its groups divide (`StageSpec.widened`).
    """

    def channels(value: int) -> int:
        return value if width == 1 or not value else make_divisible(value * width, divisor)

    stages = tuple(
        # 1e-9: 1.1 * 10 is 11.000000000000002, and that must not become 12
        replace(stage.widened(channels(stage.channels)), repeats=math.ceil(stage.repeats * depth - 1e-9))
        for stage in spec.stages
    )
    return spec.replace(
        stages=stages,
        stem=replace(spec.stem, channels=channels(spec.stem.channels)),
        head_channels=channels(spec.head_channels),
        pooled_channels=channels(spec.pooled_channels),
        resolution=spec.resolution if resolution is None else resolution,
    )


MAX_PHI = 20.0


def scale(
    spec: NetworkSpec, phi: float, coefficients: Coefficients | None = None, resolution_step: int = 1
) -> NetworkSpec:
    """`spec` scaled by the compound coefficient: about 2^phi times the MACs (paper, equation 3).

    Args:
        spec: the baseline.
        phi: 0 gives the baseline itself; fractions too.
        coefficients: the paper's by default.
        resolution_step: the resolution is rounded to a multiple of it (32, the product of the usual
            strides, leaves no pixel over anywhere).

    Raises:
        InputError: phi is negative or not finite, or the result exceeds what a spec may hold.
    """
    if not 0 <= phi <= MAX_PHI:
        raise InputError(f"phi {phi:g}: expected a number from 0 to {MAX_PHI:g}")
    if not 1 <= resolution_step <= spec.resolution:
        raise InputError(
            f"resolution step {resolution_step}: expected 1 to the baseline's resolution, {spec.resolution}"
        )
    if phi == 0:
        return spec
    c = coefficients or Coefficients()
    # half a step up, as people round; Python's round would go to the even neighbour
    pixels = int(spec.resolution * c.gamma**phi / resolution_step + 0.5) * resolution_step
    scaled = scale_by(spec, c.beta**phi, c.alpha**phi, max(pixels, spec.resolution))
    return scaled.replace(name=f"{spec.name}-phi{phi_text(phi)}")


def phi_text(phi: float) -> str:
    """Phi with up to six decimals, so that the text scales to the same network again."""
    return f"{phi:.6f}".rstrip("0").rstrip(".")


def rounding_bounds(
    spec: NetworkSpec, phi: float, coefficients: Coefficients | None = None
) -> tuple[float, float]:
    """Between which MACs(phi) / MACs(0) lies, whatever the rounding of widths, depths and resolution does.

    Without rounding a stage's MACs grow by depth x width^2 x resolution^2, depthwise parts and the
    first stem convolution by width^1. With it a stage's depth grows by ceil(r alpha^phi) / r blocks,
    of which the first costs something else than the rest; each width by between 90% of and 8 channels
    more than beta^phi; and each feature map by its own rounded size. The bounds take the extremes of
    each of these over the network.

    Returns:
        (low, high); for large networks both approach (alpha beta^2 gamma^2)^phi.
    """
    scaled = scale(spec, phi, coefficients)
    stages = zip(spec.stages, scaled.stages, strict=True)
    deep = spec.replace(stages=tuple(replace(a, repeats=b.repeats) for a, b in stages))
    parts = zip(cost(spec).stages, cost(deep).stages, strict=True)
    depths = [b.macs / a.macs for a, b in parts]
    widths = [b / a for a, b in zip(_widths(spec), _widths(scaled), strict=True)]
    sizes = [b / a for a, b in zip(_sizes(spec), _sizes(scaled), strict=True)]
    low = min(depths) * min(min(widths), min(widths) ** 2) * min(1.0, min(sizes) ** 2)
    return low, max(depths) * max(widths) ** 2 * max(sizes) ** 2


def _widths(spec: NetworkSpec) -> list[int]:
    """Every number of channels: of stem, blocks (outside, inside, in SE) and head."""
    widths, channels = [spec.stem.channels], spec.stem.channels
    for stage in spec.stages:
        # the first block of a stage, and one like all that follow it
        for block in (stage.blocks(channels)[0], stage.blocks(stage.channels)[0]):
            widths += [block.out_channels, block.inner_channels]
            if block.squeeze_channels:
                widths.append(block.squeeze_channels)
        channels = stage.channels
    return widths + [width for width in (spec.head_channels, spec.pooled_channels) if width]


def _sizes(spec: NetworkSpec) -> list[int]:
    """Pixels at the input, behind the stem and behind each stage."""
    size = spec.resolution
    sizes = [size]
    strides = [spec.stem.stride, *([2] if spec.stem.pool else []), *(stage.stride for stage in spec.stages)]
    for stride in strides:
        size = (size - 1) // stride + 1
        sizes.append(size)
    return sizes


def family(spec: NetworkSpec) -> list[NetworkSpec]:
    """The published steps B0..B7 (width, depth, resolution, dropout) applied to any baseline.

    Of EfficientNet-B0 they are the published family itself. Resolutions are relative to B0's 224.
    """
    members = []
    for name, (width, depth, pixels, dropout) in PUBLISHED.items():
        scaled = scale_by(spec, width, depth, round(spec.resolution * pixels / 224))
        rate = dropout if spec.dropout else 0.0
        members.append(
            scaled.replace(name=name.replace("efficientnet", spec.name.removesuffix("-b0")), dropout=rate)
        )
    return members


@dataclass(frozen=True)
class Budget:
    """Limits of a scaled network; None: no limit.

    Attributes:
        macs, params: counts.
        memory: bytes of training, one image, fp32 (`Cost.training_memory`).
    """

    macs: float | None = None
    params: float | None = None
    memory: float | None = None

    def misses(self, spec: NetworkSpec) -> list[str]:
        """Which limits a network exceeds, in words."""
        counted = cost(spec)
        rows = (
            ("MACs", counted.macs, self.macs),
            ("params", counted.params, self.params),
            ("training memory", counted.training_memory, self.memory),
        )
        return [
            f"{value:,} {name} exceed {limit:,.0f}" for name, value, limit in rows if limit and value > limit
        ]


def largest_phi(
    spec: NetworkSpec,
    budget: Budget,
    coefficients: Coefficients | None = None,
    resolution_step: int = 1,
) -> float:
    """The largest phi, to six decimals, whose rounded network stays within the budget.

    All costs grow with phi (in steps, by the rounding), so halving the interval finds the step exactly.

    Raises:
        InputError: the budget names no limit, or the baseline itself exceeds it.
    """
    if budget == Budget():
        raise InputError("budget: expected a limit of MACs, params or memory")
    if misses := budget.misses(spec):
        raise InputError(f"budget below the baseline {spec.name!r}: its {misses[0]}")

    def fits(millionths: int) -> bool:
        try:
            scaled = scale(spec, millionths / 1e6, coefficients, resolution_step)
        except InputError:  # larger than any spec may be
            return False
        return not budget.misses(scaled)

    low, high = 0, round(MAX_PHI * 1e6)
    if fits(high):
        return MAX_PHI
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low / 1e6


def coefficient_grid(tolerance: float = 0.05, step: float = 0.05, product: float = 2.0) -> list[Coefficients]:
    """All (alpha, beta, gamma) on a grid with alpha x beta^2 x gamma^2 within `tolerance` of `product`.

    The paper's step 1 (section 3.3): a small grid search at phi = 1.

    Args:
        tolerance: relative.
        step: of the grid, from 1.
        product: growth of the MACs with each phi.

    Raises:
        InputError: a number out of its range, or no point of the grid lies within the tolerance.
    """
    for name, value, low, high in (
        ("tolerance", tolerance, 1e-6, 0.5),
        ("step", step, 0.01, 1),
        ("product", product, 1.01, 16),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} {value:g}: expected {low:g} to {high:g}")
    values = [round(1 + step * index, 6) for index in range(int((product * (1 + tolerance) - 1) / step) + 1)]
    grid = [
        Coefficients(alpha, beta, gamma)
        for alpha in values
        for beta in values
        for gamma in values
        if abs(alpha * beta**2 * gamma**2 / product - 1) <= tolerance and max(alpha, beta, gamma) <= 4
    ]
    if not grid:
        raise InputError(
            f"step {step:g}: no coefficients within {tolerance:g} of {product:g}; use a finer step"
        )
    return grid


MODES = ("width", "depth", "resolution", "compound")
"""Ways to spend more MACs on one baseline (paper, figures 3 and 8)."""


def scale_to(
    spec: NetworkSpec, factor: float, mode: str, coefficients: Coefficients | None = None
) -> NetworkSpec:
    """`spec` scaled in one way to as nearly `factor` times its MACs as the rounding allows.

    Args:
        spec: the baseline.
        factor: 1 or more.
        mode: one of `MODES`.
        coefficients: of the compound mode.

    Raises:
        InputError: an unknown mode, or a factor out of range.
    """
    if mode not in MODES:
        raise unknown("mode", mode, MODES)
    if not 1 <= factor <= 1024:
        raise InputError(f"budget {factor:g}: expected 1 to 1024 times the baseline's MACs")

    def at(x: float) -> NetworkSpec:
        if mode == "compound":
            return scale(spec, x, coefficients)
        if mode == "width":
            return scale_by(spec, width=1 + x, divisor=1)
        if mode == "depth":
            return _deeper(spec, 1 + x)
        return scale_by(spec, resolution=round(spec.resolution * (1 + x)))

    wanted = factor * cost(spec).macs
    low, high = 0.0, 1.0
    while cost(at(high)).macs < wanted:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(at(middle)).macs < wanted else (low, middle)
    best = min((at(low), at(high)), key=lambda network: abs(cost(network).macs - wanted))
    return best.replace(name=f"{mode}-x{factor:g}")


def _deeper(spec: NetworkSpec, depth: float) -> NetworkSpec:
    """Depths multiplied and rounded to the nearest, so that a budget is met in small steps."""
    stages = (replace(s, repeats=max(s.repeats, round(s.repeats * depth))) for s in spec.stages)
    return spec.replace(stages=tuple(stages))


def published(name: str) -> NetworkSpec:
    """The member of the published EfficientNet family of that name, `efficientnet-b0` to `-b7`.

    Raises:
        InputError: no such member.
    """
    if name not in PUBLISHED:
        raise unknown("network", name, PUBLISHED)
    width, depth, resolution, dropout = PUBLISHED[name]
    return scale_by(efficientnet_b0(), width, depth, resolution).replace(name=name, dropout=dropout)

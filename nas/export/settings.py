"""What evaluation doesn't show of a model, read off its modules: BN, dropout, stochastic depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

BLOCKS = (
    "Block",  # ours
    "MBConv",
    "InvertedResidual",
    "_InvertedResidual",
    "DepthwiseSeparableConv",
    "ConvBnAct",
    "EdgeResidual",
    "UniversalInvertedResidual",
    "FusedMBConv",
    "Bottleneck",
    "BasicBlock",
    "ResBottleneckBlock",
)
"""Class names of blocks that a spec can say, in this package, torchvision and timm."""


RESIDUAL = ("Bottleneck", "BasicBlock", "ResBottleneckBlock")
"""Those that always have a shortcut, a projection where the shape changes."""


@dataclass(frozen=True)
class Drop:
    """Stochastic depth of a block: its rate, and whether anything is dropped (a branch beside a shortcut)."""

    rate: float
    acts: bool


def outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Submodules in order, not looking into blocks."""
    for child in module.children():
        yield child
        if type(child).__name__ not in BLOCKS:
            yield from outermost(child)


def projection(block: nn.Module) -> nn.Module | None:
    """The shortcut of one of `RESIDUAL` that has layers; None: its input itself."""
    found = getattr(block, "proj" if type(block).__name__ == "ResBottleneckBlock" else "downsample", None)
    return found if isinstance(found, nn.Module) else None


def list_projections_last(model: nn.Module) -> None:
    """Let blocks of torchvision's RegNet list their projection behind their branch, as others do; in place.

    What they compute and the names of their weights stay.
    """
    for block in model.modules():
        if type(block).__name__ == "ResBottleneckBlock" and (found := projection(block)) is not None:
            del block.proj
            block.add_module("proj", found)


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    """BN layers in order."""
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def dropout(model: nn.Module) -> float:
    """The rate before the classifier, written as a module (ours, torchvision) or an attribute (timm)."""
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    rates.append(float(getattr(model, "drop_rate", 0.0) or 0.0))
    return float(max(rates, default=0.0))


def drops(model: nn.Module) -> list[Drop]:
    """Stochastic depth of every block, in order."""
    return [_drop(module) for module in outermost(model) if type(module).__name__ in BLOCKS]


def skips(block: nn.Module) -> bool:
    """Whether a block adds its input (or what a projection makes of it) to its output."""
    if type(block).__name__ in RESIDUAL:
        return True
    if type(block).__name__ == "Block":
        return getattr(block, "shortcut", None) is not None
    return any(getattr(block, name, False) for name in ("use_res_connect", "has_skip", "apply_residual"))


def _drop(block: nn.Module) -> Drop:
    rate = 0.0
    for module in block.modules():
        if type(module).__name__ == "StochasticDepth":
            rate = float(getattr(module, "p", 0.0))
        elif type(module).__name__ == "DropPath":
            rate = float(getattr(module, "drop_prob", 0.0) or 0.0)
    return Drop(rate, skips(block))


def check_settings(ours: nn.Module, theirs: nn.Module) -> str | None:
    """The first setting in which two models of one network differ, in words; None if there is none."""
    pair = [norms(model) for model in (ours, theirs)]
    if len(pair[0]) != len(pair[1]):
        return f"{len(pair[1])} BN layers, expected {len(pair[0])}"
    for index, (own, their) in enumerate(zip(*pair, strict=True)):
        for name in ("eps", "momentum"):
            values = getattr(own, name), getattr(their, name)
            if values[0] != values[1]:
                return f"BN {index} has {name} {values[1]}, expected {values[0]:g}"
    rates = [dropout(model) for model in (ours, theirs)]
    if rates[0] != rates[1]:
        return f"dropout {rates[1]:g}, expected {rates[0]:g}"
    depths = [drops(model) for model in (ours, theirs)]
    count = len(depths[0])
    if not any(drop.acts for drop in depths[1][count:]):
        depths[1] = depths[1][:count]  # a head that is a block, too (timm's MobileNetV3)
    if count != len(depths[1]):
        return None  # blocks that aren't modules of their own drop nothing
    for index, (own_drop, their_drop) in enumerate(zip(*depths, strict=True)):
        acting = [drop.rate if drop.acts else 0.0 for drop in (own_drop, their_drop)]
        if abs(acting[0] - acting[1]) > 1e-9:
            return f"block {index} drops its branch with {acting[1]:g}, expected {acting[0]:g}"
    return None

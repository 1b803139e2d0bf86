"""A spec for timm: an architecture definition and arguments that timm's EfficientNet builder takes.

Traps: `ir` always builds the expansion, so MBConv1 is written `ds`; SE is relative to the
block's input and rounded; depth scaling is off, since repeats are given exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from nas.export.exact import border, check_exact, refuse
from nas.export.module import module_text, run_builder
from search_spaces.errors import InputError
from search_spaces.layers import make_divisible
from search_spaces.spec import NetworkSpec, StageSpec

_WORDS = {"conv": "cn", "ds": "ds", "dsa": "dsa", "mbconv": "ir"}


def timm_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The network as plain data: `arch_def`, and what `build_timm` needs beside it.

    Raises:
        NotExpressibleError: timm's builder has no such stage; the message says which and why.
    """
    arch_def, channels = [], spec.stem.channels
    for index, stage in enumerate(spec.stages):
        arch_def.append([_notation(spec, index, stage, channels)])
        channels = stage.channels
    if spec.stem.stride != 2 or spec.stem.pool:
        own = f"stride {spec.stem.stride}{' and pooling' if spec.stem.pool else ''}"
        raise refuse(spec, "timm", "stem", f"its EfficientNet's stem has stride 2 and no pooling, not {own}")
    return {
        "arch_def": arch_def,
        "num_classes": spec.num_classes,
        "num_features": spec.head_channels,
        "in_chans": spec.in_channels,
        "output_stride": _output_stride(spec),
        "stem_size": spec.stem.channels,
        "stem_kernel_size": spec.stem.kernel,
        "act_layer": spec.activation,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "drop_rate": spec.dropout,
        "drop_path_rate": spec.stochastic_depth,
        "se_rounding": _se_rounding(spec),
        "resolution": spec.resolution,
    }


def _notation(spec: NetworkSpec, index: int, stage: StageSpec, in_channels: int) -> str:
    if stage.op not in _WORDS:
        raise refuse(spec, "timm", index, f"its EfficientNet builder has no op {stage.op!r}")
    if stage.stride > 2:
        raise refuse(spec, "timm", index, f"its blocks have stride 1 or 2, not {stage.stride}")
    blocks = stage.blocks(in_channels)
    if any(block.skip not in ("none", "identity") for block in blocks):
        raise refuse(spec, "timm", index, f"it has no {stage.skip} skip where the shape changes")
    if stage.op == "conv" and stage.se_ratio:
        raise refuse(spec, "timm", index, "its plain convolution has no SE")
    shortcuts = any(block.skip == "identity" for block in blocks)
    if stage.op == "dsa" and shortcuts:
        raise refuse(spec, "timm", index, "its dsa block has no skip")
    parts = [_WORDS[stage.op], f"r{stage.repeats}", f"k{stage.kernel}", f"s{stage.stride}"]
    if stage.op == "mbconv":
        parts.append(f"e{stage.expansion}")
    parts.append(f"c{stage.channels}")
    if stage.se_ratio:
        parts.append(f"se{stage.se_ratio}")
    if stage.op == "conv":
        parts += ["skip"] if shortcuts else []
    elif not shortcuts:
        parts.append("noskip")
    return "_".join(parts)


def _output_stride(spec: NetworkSpec) -> int:
    """The product of all strides: beyond it (32 by default) timm would dilate instead of striding."""
    return max(32, spec.stem.stride * math.prod(stage.stride for stage in spec.stages))


def _se_rounding(spec: NetworkSpec) -> str:
    """How timm must round the channels inside SE so that they are the spec's: `round` or `floor`."""
    pairs = []
    for block in spec.blocks():
        if block.se_ratio:
            inner = block.in_channels
            if block.op == "mbconv":
                inner = make_divisible(block.in_channels * block.expansion)
            pairs.append((inner * (block.se_ratio / block.expansion), block.squeeze_channels))
    for name, function in _ROUNDINGS.items():
        if all(function(value) == squeeze for value, squeeze in pairs):
            return name
    raise refuse(spec, "timm", None, "the channels inside its SE round to other numbers")


def _floor(value: float) -> int:
    return max(1, int(value + 1e-9))


_ROUNDINGS: dict[str, Callable[[float], int]] = {"round": round, "floor": _floor}

BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """timm's EfficientNet; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from timm.layers import get_act_layer
    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet
    from torch import nn

    given = dict(arguments)
    given.pop("resolution")
    rounding = given.pop("se_rounding")
    floor = lambda value: max(1, int(value + 1e-9))
    given["block_args"] = decode_arch_def(given.pop("arch_def"), depth_multiplier=1.0)
    given["norm_layer"] = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    given["act_layer"] = get_act_layer(given["act_layer"])
    given["se_layer"] = partial(SqueezeExcite, rd_round_fn=round if rounding == "round" else floor)
    given["round_chs_fn"] = lambda channels: channels  # widths are exact, multiples of 8 or not
    return EfficientNet(fix_stem=True, **(given | changes))
'''


def timm_module(spec: NetworkSpec) -> str:
    """The source of a small module with `ARGUMENTS` and `build()`; it imports timm only.

    Raises:
        NotExpressibleError: as `build_timm`.
    """
    build_timm(spec)
    return module_text(spec, "timm", timm_arguments(spec), BUILDER)


def build_timm(spec: NetworkSpec, weights: nn.Module | None = None) -> nn.Module:
    """The network as timm's module, with the weights of ours.

    Raises:
        InputError: timm isn't installed.
        NotExpressibleError: timm can't express it, or makes something else of it.
    """
    arguments = timm_arguments(spec)
    try:
        with border(f"{spec.name}: timm"):
            model = run_builder(arguments, BUILDER)
    except ImportError as error:
        try:
            import timm  # noqa: F401  what is missing: the package, or a part of it?
        except ImportError:
            raise InputError(
                "export to timm: timm is not installed; pip install 'baseline-nas[timm]'"
            ) from None
        raise InputError(f"export to timm: this timm lacks what is needed: {error}") from None
    check_exact(spec, model, "timm", weights)
    return model

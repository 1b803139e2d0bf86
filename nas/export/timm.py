"""A spec for timm: an architecture definition and arguments that timm's EfficientNet builder takes.

Traps: `ir` always builds the expansion, so MBConv1 is written `ds`; SE is relative to the
block's input and rounded, so that a block may need a ratio of its own; depth scaling is off, since
repeats are given exactly; the stem's stride isn't an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from nas.export import timm_regnet
from nas.export.exact import border, check_exact, check_expressible
from nas.export.expressible import REGNET, TIMM_WORDS, timm_kind
from nas.export.module import module_text, run_builder
from search_spaces.block import OPS, BlockSpec
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec, StageSpec


def timm_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The network as plain data: `arch_def`, or a RegNet's stages, and what `build_timm` needs beside it.

    Raises:
        NotExpressibleError: timm's builder has no such stage; the message says which and why.
    """
    check_expressible(spec, "timm")
    stride = {} if spec.stem.stride == 2 else {"stem_stride": spec.stem.stride}
    if timm_kind(spec) == REGNET:
        return timm_regnet.timm_regnet_arguments(spec) | stride
    rounding = _se_rounding(spec)
    arch_def, channels = [], spec.stem.channels
    for stage in spec.stages:
        arch_def.append(_notation(stage, channels, rounding is None))
        channels = stage.channels
    if spec.pooled_channels and spec.head_channels:  # in its MobileNetV3 a block
        arch_def.append([f"cn_r1_k1_s1_c{spec.head_channels}"])
    arguments = {
        "arch_def": arch_def,
        "num_classes": spec.num_classes,
        "num_features": spec.pooled_channels or spec.head_channels,
        "in_chans": spec.in_channels,
        "output_stride": _output_stride(spec),
        "stem_size": spec.stem.channels,
        "stem_kernel_size": spec.stem.kernel,
        "act_layer": spec.activation,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "drop_rate": spec.dropout,
        "drop_path_rate": spec.stochastic_depth,
        "se_rounding": rounding or "round",
        "resolution": spec.resolution,
    }
    if any(block.gate == "hard_sigmoid" for block in spec.blocks()):
        arguments["se_gate"] = "hard_sigmoid"
    if spec.pooled_channels:
        arguments["pooled"] = True
        arguments |= {"head_norm": True} if spec.pooled_norm else {}
        del arguments["stem_kernel_size"], arguments["output_stride"]
        blocks = len(spec.blocks())
        if spec.head_channels:  # the rates grow from block to block, and it counts one more
            arguments["drop_path_rate"] = spec.stochastic_depth * (blocks + 1) / blocks
    return arguments | stride


def _notation(stage: StageSpec, in_channels: int, squeezes: bool) -> list[str]:
    """The stage in timm's words: one string, or two where SE of its first block is written as another ratio.

    With `squeezes`, SE is written as the ratio that timm rounds to each block's own channels.
    """
    blocks = stage.blocks(in_channels)
    hard = stage.gate == "hard_sigmoid"
    ratios = [block.se_ratio for block in blocks]
    if hard:
        ratios = [block.se_ratio * block.expansion for block in blocks]
    elif squeezes:
        ratios = [_exact_ratio(block) for block in blocks]
    alike = len(set(ratios)) == 1
    runs = [(stage.repeats, stage.stride, ratios[0])]
    if not alike:
        runs = [(1, stage.stride, ratios[0]), (stage.repeats - 1, 1, ratios[1])]
    shortcuts = any(block.skip == "identity" for block in blocks)
    strings = []
    for repeats, stride, ratio in runs:
        parts = [TIMM_WORDS[stage.op], f"r{repeats}", f"k{stage.kernel}", f"s{stride}"]
        parts += [f"a{stage.start_kernel}"] if stage.start_kernel else []
        if OPS[stage.op].expands:
            parts.append(f"e{stage.expansion}")
        parts.append(f"c{stage.channels}")
        if ratio:
            parts.append(f"se{ratio}")
        if stage.activation:
            parts.append(_ACTIVATIONS[stage.activation])
        if stage.op == "conv":
            parts += ["skip"] if shortcuts else []
        elif not shortcuts:
            parts.append("noskip")
        strings.append("_".join(parts))
    return strings


def _output_stride(spec: NetworkSpec) -> int:
    """The product of all strides as timm counts them, its stem as 2: beyond it (32 by default) timm would
    dilate instead of striding."""
    return max(32, 2 * math.prod(stage.stride for stage in spec.stages))


def _se_rounding(spec: NetworkSpec) -> str | None:
    """How timm must round the channels inside SE so that they are the spec's: `round` or `floor`.

    None: neither does for all blocks, and each needs a ratio of its own.
    """
    gated = [block for block in spec.blocks() if block.se_ratio and block.gate == "sigmoid"]
    pairs = [(_gated_channels(b) * (b.se_ratio / b.expansion), b.squeeze_channels) for b in gated]
    for name, function in _ROUNDINGS.items():
        if all(function(value) == squeeze for value, squeeze in pairs):
            return name
    return None


def _gated_channels(block: BlockSpec) -> int:
    """The channels that a block's SE weighs."""
    return block.inner_channels if OPS[block.op].expands else block.in_channels


def _exact_ratio(block: BlockSpec) -> float:
    """The SE ratio of which timm's own rounding makes the block's squeeze channels."""
    return block.squeeze_channels * block.expansion / _gated_channels(block)


def _floor(value: float) -> int:
    return max(1, int(value + 1e-9))


_ACTIVATIONS = {"relu": "nre", "relu6": "nr6", "silu": "nsw", "hard_swish": "nhs"}
"""timm's words for a stage's own activation."""

_ROUNDINGS: dict[str, Callable[[float], int]] = {"round": round, "floor": _floor}

BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """timm's EfficientNet or MobileNetV3; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from timm.layers import get_act_layer, make_divisible
    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet
    from timm.models.mobilenetv3 import MobileNetV3
    from torch import nn

    given = dict(arguments)
    given.pop("resolution")
    stride = given.pop("stem_stride", 2)
    rounding = given.pop("se_rounding")
    floor = lambda value: max(1, int(value + 1e-9))
    given["block_args"] = decode_arch_def(given.pop("arch_def"), depth_multiplier=1.0)
    given["norm_layer"] = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    given["act_layer"] = get_act_layer(given["act_layer"])
    given["se_layer"] = partial(SqueezeExcite, rd_round_fn=round if rounding == "round" else floor)
    if given.pop("se_gate", None):  # MobileNetV3's
        hard = {"gate_layer": "hard_sigmoid", "force_act_layer": nn.ReLU, "rd_round_fn": make_divisible}
        given["se_layer"] = partial(SqueezeExcite, **hard)
    given["round_chs_fn"] = lambda channels: channels  # widths are exact, multiples of 8 or not
    network = partial(MobileNetV3, se_from_exp=False) if given.pop("pooled", False) else EfficientNet
    model = network(fix_stem=True, **(given | changes))
    model.conv_stem.stride = (stride, stride)  # its constructor knows 2 only; the padding is the same
    for level in model.feature_info:
        level["reduction"] = level["reduction"] * stride // 2
    return model
'''


def timm_builder(arguments: Mapping[str, Any]) -> str:
    """The source of the `build()` that makes a network of its arguments."""
    return timm_regnet.BUILDER if arguments.get("network") == REGNET else BUILDER


def timm_module(spec: NetworkSpec) -> str:
    """The source of a small module with `ARGUMENTS` and `build()`; it imports timm only.

    Raises:
        NotExpressibleError: as `build_timm`.
    """
    build_timm(spec)
    arguments = timm_arguments(spec)
    return module_text(spec, "timm", arguments, timm_builder(arguments))


def build_timm(spec: NetworkSpec, weights: nn.Module | None = None) -> nn.Module:
    """The network as timm's module, with the weights of ours.

    Raises:
        InputError: timm isn't installed.
        NotExpressibleError: timm can't express it, or makes something else of it.
    """
    arguments = timm_arguments(spec)
    try:
        with border(f"{spec.name}: timm"):
            model = run_builder(arguments, timm_builder(arguments))
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

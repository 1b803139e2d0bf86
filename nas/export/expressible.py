"""What a format can express: the one place that both its exporter and `--exportable-to` read. Loads no torch.

A rule looks at a stage, the width that it takes and what all stages share, or at that alone; nothing else
of a network decides whether it can be exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from search_spaces.errors import unknown
from search_spaces.spec import NetworkSpec, StageSpec

TIMM_WORDS = {"conv": "cn", "ds": "ds", "dsa": "dsa", "mbconv": "ir", "fused": "er", "uib": "uir"}
"""Ops that timm's EfficientNet builder has, with its words for them."""


class Obstacle(NamedTuple):
    """Why a format has no such network.

    Attributes:
        part: a stage's index, or the name of another part.
        reason: in words.
    """

    part: int | str
    reason: str


class Rules(NamedTuple):
    """What a format can express.

    Attributes:
        stage: the reason for which it has no such stage behind that many channels, or None; asked with any
            network that has the same stem, head and settings.
        rest: the obstacles of stem, head and settings.
    """

    stage: Callable[[StageSpec, int, NetworkSpec], str | None]
    rest: Callable[[NetworkSpec], Iterator[Obstacle]]


def find_obstacle(form: str, spec: NetworkSpec) -> Obstacle | None:
    """The first reason for which the format `form` has no such network; None: it has it.

    Raises:
        InputError: there are no rules of that format.
    """
    rules = rules_of(form)
    channels = spec.stem.channels
    for index, stage in enumerate(spec.stages):
        if reason := rules.stage(stage, channels, spec):
            return Obstacle(index, reason)
        channels = stage.channels
    return next(rules.rest(spec), None)


def rules_of(form: str) -> Rules:
    """The rules of a format; raises `InputError` for one that has none."""
    if form not in RULES:
        raise unknown("exportable-to", form, RULES)
    return RULES[form]


def join_names(names: Sequence[str]) -> str:
    """Names for people: `timm`, `timm and onnx`, `timm, torchvision and onnx`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


MOBILENET, EFFICIENTNET, REGNET = "MobileNetV3", "EfficientNet", "RegNet"

_REGNET_STAGES = 4
"""Of timm's RegNet."""


def _regnet_stage(stage: StageSpec, in_channels: int) -> str | None:
    if stage.op != "bottleneck":
        return f"its {REGNET} has no op {stage.op!r}"
    if stage.kernel != 3:
        return f"the convolutions of its {REGNET} are 3x3, not {stage.kernel}x{stage.kernel}"
    if stage.gate != "sigmoid" or stage.activation:
        return f"its {REGNET} has one activation, and sigmoids as gates"
    blocks = stage.blocks(in_channels)
    if any(block.skip not in ("projection", "identity") for block in blocks):
        return f"its {REGNET} has a shortcut around each block, a projection where the shape changes"
    if regnet_se_ratio(stage, in_channels) is None:
        widths = " and ".join(str(width) for width in dict.fromkeys(b.squeeze_channels for b in blocks))
        return f"its {REGNET} rounds SE to the nearest, and no ratio gives {widths} channels"
    return None


def regnet_se_ratio(stage: StageSpec, in_channels: int) -> float | None:
    """The SE ratio by which a RegNet, which rounds to the nearest, gets a stage's; None: there is none."""
    blocks = stage.blocks(in_channels)
    if all(round(block.in_channels * stage.se_ratio) == block.squeeze_channels for block in blocks):
        return stage.se_ratio
    low = max((block.squeeze_channels - 0.5) / block.in_channels for block in blocks)
    high = min((block.squeeze_channels + 0.5) / block.in_channels for block in blocks)
    return (low + high) / 2 if low < high else None


def _regnet_rest(spec: NetworkSpec) -> Iterator[Obstacle]:
    if spec.stochastic_depth:
        yield Obstacle("head", f"stochastic depth of its {REGNET} drops branches beside projections, too")


def timm_kind(spec: NetworkSpec) -> str:
    """The class of timm that may say a network: `RegNet`, or what its EfficientNet builder makes."""
    regnet = len(spec.stages) == _REGNET_STAGES and not spec.pooled_channels
    return REGNET if regnet and all(stage.op == "bottleneck" for stage in spec.stages) else EFFICIENTNET


def _timm_stage(stage: StageSpec, in_channels: int, shared: NetworkSpec) -> str | None:
    if timm_kind(shared) == REGNET:
        wide = f"its blocks have stride 1 or 2, not {stage.stride}" if stage.stride > 2 else None
        return wide or _regnet_stage(stage, in_channels)  # beyond 2 it pads otherwise
    if stage.op == "bottleneck":
        return f"its EfficientNet builder has no op {stage.op!r}, its RegNet four stages of no other"
    if stage.op not in TIMM_WORDS:
        return f"its EfficientNet builder has no op {stage.op!r}"
    if stage.stride > 2:
        return f"its blocks have stride 1 or 2, not {stage.stride}"
    skips = {block.skip for block in stage.blocks(in_channels)}
    if skips - {"none", "identity"}:
        return f"it has no {stage.skip} skip where the shape changes"
    if stage.op == "conv" and stage.se_ratio:
        return "its plain convolution has no SE"
    if stage.op == "dsa" and "identity" in skips:
        return "its dsa block has no skip"
    return None


def _timm_rest(spec: NetworkSpec) -> Iterator[Obstacle]:
    if timm_kind(spec) == REGNET:
        if spec.stem.kernel != 3 or spec.stem.pool:
            own = f"{spec.stem.kernel}x{spec.stem.kernel}{' with pooling' if spec.stem.pool else ''}"
            yield Obstacle("stem", f"the stem of its RegNet is a 3x3 convolution, not {own}")
        yield from _regnet_rest(spec)
        return
    if spec.stem.pool:
        yield Obstacle("stem", "its EfficientNet's stem has no pooling")
    if len({block.gate for block in spec.blocks() if block.se_ratio}) > 1:
        yield Obstacle("head", "the gates of its SE are all of one kind")
    if spec.pooled_channels:
        if spec.stem.kernel != 3:
            yield Obstacle(
                "stem", f"the stem of its MobileNetV3 is a 3x3 convolution, not {spec.stem.kernel}"
            )
        if 2 * math.prod(stage.stride for stage in spec.stages) > 32:
            yield Obstacle("head", "its MobileNetV3 has strides of 32 at most")


def torchvision_kind(spec: NetworkSpec) -> str:
    """The class of torchvision that may say a network: MobileNetV3 has its own head, RegNet its own block."""
    if spec.pooled_channels:
        return MOBILENET
    return REGNET if all(stage.op == "bottleneck" for stage in spec.stages) else EFFICIENTNET


_MISSING = {"mbconv": "expansion convolution", "fused": "projection"}


def _torchvision_stage(stage: StageSpec, in_channels: int, shared: NetworkSpec) -> str | None:
    kind = torchvision_kind(shared)
    if kind == REGNET:
        return _regnet_stage(stage, in_channels)
    ops = ("ds", "mbconv") if kind == MOBILENET else ("ds", "mbconv", "conv", "fused")
    if stage.op not in ops:
        return f"its {kind} has no op {stage.op!r}"
    own = stage.activation or shared.activation
    if kind == MOBILENET:
        if own not in ("relu", "hard_swish"):
            return f"the activations of its {kind} are relu and hard_swish, not {own}"
    elif stage.op in ("conv", "fused") and stage.se_ratio:
        return "its fused MBConv has no SE"
    elif stage.gate != "sigmoid" or stage.activation:
        return f"its {kind} has one activation, and sigmoids as gates"
    if stage.stride > 2:
        return f"its blocks have stride 1 or 2, not {stage.stride}"
    blocks = stage.blocks(in_channels)
    if any(block.skip not in ("none", "identity") for block in blocks):
        return f"it has no {stage.skip} skip where the shape changes"
    if stage.op in ("mbconv", "fused") and any(block.inner_channels == block.in_channels for block in blocks):
        return f"expansion {stage.expansion:g} keeps the width here, and then it has no {_MISSING[stage.op]}"
    return None


def _torchvision_rest(spec: NetworkSpec) -> Iterator[Obstacle]:
    stem, kind = spec.stem, torchvision_kind(spec)
    if stem.kernel != 3 or stem.pool:
        own = f"{stem.kernel}x{stem.kernel}{' with pooling' if stem.pool else ''}"
        yield Obstacle("stem", f"its stem is a 3x3 convolution, not {own}")
    if spec.in_channels != 3:
        yield Obstacle("stem", f"its images have 3 channels, not {spec.in_channels}")
    if kind == REGNET:
        yield from _regnet_rest(spec)
        if spec.head_channels:
            yield Obstacle("head", f"its {kind} has no convolution in the head")
        if spec.dropout:
            yield Obstacle("head", f"its {kind} has no dropout")
        return
    if not spec.head_channels:
        yield Obstacle("head", "it has a 1x1 convolution in the head")
    if spec.pooled_norm:
        yield Obstacle("head", f"between the pooling and the classifier its {kind} has a bias, not BN")
    if kind == MOBILENET and spec.activation != "hard_swish":
        yield Obstacle("stem", f"the activation of its {kind}'s stem is hard_swish, not {spec.activation}")
    if kind == EFFICIENTNET and spec.activation != "silu":
        every = "stage0" if len(spec.stages) == 1 else f"stage0 to stage{len(spec.stages) - 1}"
        yield Obstacle(every, f"the activation of its MBConv is silu, not {spec.activation}")


def _any_stage(stage: StageSpec, in_channels: int, shared: NetworkSpec) -> str | None:
    return None


def _any_rest(spec: NetworkSpec) -> Iterator[Obstacle]:
    return iter(())


_ANY = Rules(_any_stage, _any_rest)

RULES = {
    "timm": Rules(_timm_stage, _timm_rest),
    "torchvision": Rules(_torchvision_stage, _torchvision_rest),
    # programs hold whatever can be run
    "onnx": _ANY,
    "exported": _ANY,
    "torchscript": _ANY,
}
"""By format: those that other programs read. A spec's own formats hold any network, and say nothing here."""

"""A spec for torchvision: the MBConvConfig settings that its EfficientNet takes, or another of its classes.

Which class says a network is decided in `nas.export.expressible.torchvision_kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from nas.export import torchvision_mobilenet, torchvision_regnet
from nas.export.exact import border, check_exact, check_expressible
from nas.export.expressible import EFFICIENTNET, MOBILENET, REGNET, torchvision_kind
from nas.export.module import module_text, run_builder
from search_spaces.spec import NetworkSpec, StageSpec


def torchvision_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The network as plain data: one MBConvConfig's arguments for each stage, and the rest.

    Of a network for another class than EfficientNet, which `network` names, it is what that class takes.
    A stage has `se_ratio` (0: no SE) where its SE is not torchvision's own, a quarter of the block's input,
    `fused` where it is of FusedMBConv (a plain convolution: of expansion 1), and `skip` where its blocks have
    none.

    Raises:
        NotExpressibleError: torchvision has no such stage; the message says which and why.
    """
    check_expressible(spec, "torchvision")
    arguments = _KINDS[torchvision_kind(spec)][0](spec)
    return arguments | ({} if spec.stem.stride == 2 else {"stem_stride": spec.stem.stride})


def _efficientnet_arguments(spec: NetworkSpec) -> dict[str, Any]:
    settings, channels = [], spec.stem.channels
    for stage in spec.stages:
        settings.append(_setting(stage, channels))
        channels = stage.channels
    return {
        "inverted_residual_setting": settings,
        "dropout": spec.dropout,
        "stochastic_depth_prob": spec.stochastic_depth,
        "num_classes": spec.num_classes,
        "last_channel": spec.head_channels,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "resolution": spec.resolution,
    }


def _setting(stage: StageSpec, channels: int) -> dict[str, Any]:
    setting: dict[str, Any] = {
        "expand_ratio": stage.expansion,
        "kernel": stage.kernel,
        "stride": stage.stride,
        "input_channels": channels,
        "out_channels": stage.channels,
        "num_layers": stage.repeats,
    }
    blocks = stage.blocks(channels)
    if stage.op in ("conv", "fused"):
        setting["fused"] = True
    elif any(block.squeeze_channels != max(1, block.in_channels // 4) for block in blocks):
        setting["se_ratio"] = stage.se_ratio
    if any(b.skip == "none" and b.in_channels == b.out_channels and b.stride == 1 for b in blocks):
        setting["skip"] = False
    return setting


BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """torchvision's EfficientNet; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from torch import nn
    from torchvision.models.efficientnet import (
        EfficientNet,
        FusedMBConv,
        FusedMBConvConfig,
        MBConv,
        MBConvConfig,
    )
    from torchvision.ops import SqueezeExcitation

    def block(fused, se_ratio, skip, config, *more):
        if fused:
            made = FusedMBConv(config, *more)
            made.use_res_connect &= skip
            return made
        squeeze = max(1, int(config.input_channels * (se_ratio or 0)))

        def gate(channels, own, activation):
            return SqueezeExcitation(channels, squeeze, activation) if se_ratio else nn.Identity()

        made = MBConv(config, *more) if se_ratio is None else MBConv(config, *more, se_layer=gate)
        made.use_res_connect &= skip
        return made

    given = dict(arguments)
    given.pop("resolution")
    stride = given.pop("stem_stride", 2)
    stages = []
    for stage in map(dict, given.pop("inverted_residual_setting")):
        fused = stage.pop("fused", False)
        make = partial(block, fused, stage.pop("se_ratio", None), stage.pop("skip", True))
        config = (FusedMBConvConfig if fused else MBConvConfig)(**stage, block=make)
        # its constructor rounds widths to multiples of 8; these are exact, and an expansion of 1 keeps them
        config.input_channels, config.out_channels = stage["input_channels"], stage["out_channels"]
        if stage["expand_ratio"] == 1:
            config.adjust_channels = lambda channels, ratio: channels
        stages.append(config)
    given["norm_layer"] = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    model = EfficientNet(stages, **(given | changes))
    model.features[0][0].stride = (stride, stride)  # its constructor knows 2 only; the padding is the same
    return model
'''


_KINDS: dict[str, tuple[Callable[[NetworkSpec], dict[str, Any]], str | None]] = {
    EFFICIENTNET: (_efficientnet_arguments, None),
    MOBILENET: (torchvision_mobilenet.mobilenet_arguments, torchvision_mobilenet.BUILDER),
    REGNET: (torchvision_regnet.torchvision_regnet_arguments, torchvision_regnet.BUILDER),
}
"""By class: what it takes of a spec, and the source of its `build()`; None: `BUILDER`."""


def torchvision_builder(arguments: Mapping[str, Any]) -> str:
    """The source of the `build()` that makes a network of its arguments."""
    _, made = _KINDS.get(str(arguments.get("network")), (None, None))
    return made or BUILDER


def torchvision_module(spec: NetworkSpec) -> str:
    """The source of a small module with `ARGUMENTS` and `build()`; it imports torchvision only.

    Raises:
        NotExpressibleError: as `build_torchvision`.
    """
    build_torchvision(spec)
    arguments = torchvision_arguments(spec)
    return module_text(spec, "torchvision", arguments, torchvision_builder(arguments))


def build_torchvision(spec: NetworkSpec, weights: nn.Module | None = None) -> nn.Module:
    """The network as torchvision's module, with the weights of ours.

    Raises:
        NotExpressibleError: torchvision can't express it, or makes something else of it.
    """
    arguments = torchvision_arguments(spec)
    with border(f"{spec.name}: torchvision"):
        model = run_builder(arguments, torchvision_builder(arguments))
    check_exact(spec, model, "torchvision", weights)
    return model

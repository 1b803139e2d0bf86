"""A spec for torchvision: the MBConvConfig settings that its EfficientNet takes."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.export.exact import check_exact, refuse
from nas.export.module import module_text, run_builder
from search_spaces.layers import make_divisible
from search_spaces.spec import NetworkSpec


def torchvision_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The network as plain data: one MBConvConfig's arguments for each stage, and the rest.

    torchvision's blocks always have SE, of a quarter of the block's input, and SiLU.

    Raises:
        NotExpressibleError: torchvision has no such stage; the message says which and why.
    """
    if (spec.stem.kernel, spec.stem.stride, spec.stem.pool) != (3, 2, False):
        raise refuse(spec, "torchvision", None, "its stem is a 3x3 convolution of stride 2")
    if spec.activation != "silu":
        raise refuse(spec, "torchvision", None, f"its activation is silu, not {spec.activation}")
    if spec.in_channels != 3:
        raise refuse(spec, "torchvision", None, "its images have 3 channels")
    if not spec.head_channels:
        raise refuse(spec, "torchvision", None, "it has a 1x1 convolution in the head")
    settings, channels = [], spec.stem.channels
    for index, stage in enumerate(spec.stages):
        if stage.op not in ("ds", "mbconv"):
            raise refuse(spec, "torchvision", index, f"its MBConv has no op {stage.op!r}")
        blocks = stage.blocks(channels)
        if any(
            block.skip == "none" and block.in_channels == block.out_channels and block.stride == 1
            for block in blocks
        ):
            raise refuse(spec, "torchvision", index, "its skips can't be left out")
        if any(block.skip not in ("none", "identity") for block in blocks):
            raise refuse(spec, "torchvision", index, f"it has no {stage.skip} skip where the shape changes")
        if any(block.squeeze_channels != max(1, block.in_channels // 4) for block in blocks):
            raise refuse(spec, "torchvision", index, f"its SE ratio is 0.25, not {stage.se_ratio:g}")
        if stage.op == "ds" and any(make_divisible(b.in_channels) != b.in_channels for b in blocks):
            raise refuse(spec, "torchvision", index, "its MBConv1 rounds the width inside to a multiple of 8")
        settings.append(
            {
                "expand_ratio": stage.expansion,
                "kernel": stage.kernel,
                "stride": stage.stride,
                "input_channels": channels,
                "out_channels": stage.channels,
                "num_layers": stage.repeats,
            }
        )
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


_BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """torchvision's EfficientNet; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from torch import nn
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    given = dict(arguments)
    given.pop("resolution")
    stages = []
    for stage in given.pop("inverted_residual_setting"):
        config = MBConvConfig(**stage)
        # its constructor rounds widths to multiples of 8; these are exact
        config.input_channels, config.out_channels = stage["input_channels"], stage["out_channels"]
        stages.append(config)
    given["norm_layer"] = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    return EfficientNet(stages, **(given | changes))
'''


def torchvision_module(spec: NetworkSpec) -> str:
    """The source of a small module with `ARGUMENTS` and `build()`; it imports torchvision only.

    Raises:
        NotExpressibleError: as `build_torchvision`.
    """
    build_torchvision(spec)
    return module_text(spec, "torchvision", torchvision_arguments(spec), _BUILDER)


def build_torchvision(spec: NetworkSpec, weights: nn.Module | None = None) -> nn.Module:
    """The network as torchvision's module, with the weights of ours.

    Raises:
        NotExpressibleError: torchvision can't express it, or makes something else of it.
    """
    model = run_builder(torchvision_arguments(spec), _BUILDER)
    check_exact(spec, model, "torchvision", weights)
    return model

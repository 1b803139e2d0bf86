"""A spec for torchvision: the MBConvConfig settings that its EfficientNet takes."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.export.exact import border, check_exact, refuse
from nas.export.module import module_text, run_builder
from search_spaces.spec import NetworkSpec, StageSpec, make_divisible


def torchvision_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """The network as plain data: one MBConvConfig's arguments for each stage, and the rest.

    torchvision's blocks always have SE, of a quarter of the block's input, and SiLU.

    Raises:
        NotExpressibleError: torchvision has no such stage; the message says which and why.
    """
    settings, channels = [], spec.stem.channels
    for index, stage in enumerate(spec.stages):
        reason = _obstacle(stage, channels)
        if reason:
            raise refuse(spec, "torchvision", index, reason)
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
    stem = spec.stem
    if (stem.kernel, stem.stride, stem.pool) != (3, 2, False):
        own = f"{stem.kernel}x{stem.kernel} of stride {stem.stride}{' with pooling' if stem.pool else ''}"
        raise refuse(spec, "torchvision", "stem", f"its stem is a 3x3 convolution of stride 2, not {own}")
    if spec.in_channels != 3:
        raise refuse(spec, "torchvision", "stem", f"its images have 3 channels, not {spec.in_channels}")
    if not spec.head_channels:
        raise refuse(spec, "torchvision", "head", "it has a 1x1 convolution in the head")
    if spec.activation != "silu":
        every = "stage0" if len(spec.stages) == 1 else f"stage0 to stage{len(spec.stages) - 1}"
        raise refuse(
            spec, "torchvision", every, f"the activation of its MBConv is silu, not {spec.activation}"
        )
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


def _obstacle(stage: StageSpec, channels: int) -> str | None:
    """Why torchvision has no such stage, or None; `channels` is the width that it takes."""
    if stage.op not in ("ds", "mbconv"):
        return f"its MBConv has no op {stage.op!r}"
    if stage.stride > 2:
        return f"its blocks have stride 1 or 2, not {stage.stride}"
    blocks = stage.blocks(channels)
    if any(b.skip == "none" and b.in_channels == b.out_channels and b.stride == 1 for b in blocks):
        return "its skips can't be left out"
    if any(block.skip not in ("none", "identity") for block in blocks):
        return f"it has no {stage.skip} skip where the shape changes"
    if any(block.squeeze_channels != max(1, block.in_channels // 4) for block in blocks):
        return f"its SE ratio is 0.25, not {stage.se_ratio:g}"
    if stage.op == "ds" and any(make_divisible(b.in_channels) != b.in_channels for b in blocks):
        return "its MBConv1 rounds the width inside to a multiple of 8"
    if stage.op == "mbconv" and any(block.inner_channels == block.in_channels for block in blocks):
        return f"expansion {stage.expansion:g} keeps the width here, and then it has no expansion convolution"
    return None


BUILDER = '''
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
    return module_text(spec, "torchvision", torchvision_arguments(spec), BUILDER)


def build_torchvision(spec: NetworkSpec, weights: nn.Module | None = None) -> nn.Module:
    """The network as torchvision's module, with the weights of ours.

    Raises:
        NotExpressibleError: torchvision can't express it, or makes something else of it.
    """
    arguments = torchvision_arguments(spec)
    with border(f"{spec.name}: torchvision"):
        model = run_builder(arguments, BUILDER)
    check_exact(spec, model, "torchvision", weights)
    return model

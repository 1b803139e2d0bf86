"""A spec for torchvision's MobileNetV3: one InvertedResidualConfig for each block, and its head.

Traps: its head is six times as wide as the last block, and it knows no stochastic depth; the configuration
rounds widths to multiples of 8; a block whose expanded width is its input's has no expansion convolution; SE
is a quarter of what it weighs, by whole division, rounded to multiples of 8.
"""

from __future__ import annotations

from typing import Any

from nas.export.expressible import MOBILENET
from search_spaces.block import BlockSpec
from search_spaces.layers import make_divisible
from search_spaces.spec import NetworkSpec

_CODES = {"relu": "RE", "hard_swish": "HS"}
"""Its words for the two activations that it has."""

_HEAD_RATIO = 6


def mobilenet_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """A network that torchvision's MobileNetV3 can say, as plain data.

    A block has `squeeze_channels` where its SE is not of torchvision's own width, `gate` where that is a
    plain sigmoid, and `skip` where it has none; the network has `lastconv_channels` where its head is of
    another width than torchvision's own.
    """
    arguments: dict[str, Any] = {
        "network": MOBILENET,
        "inverted_residual_setting": [_setting(block, spec.activation) for block in spec.blocks()],
        "last_channel": spec.pooled_channels,
        "dropout": spec.dropout,
        "num_classes": spec.num_classes,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "resolution": spec.resolution,
    }
    if spec.stochastic_depth:
        arguments["stochastic_depth_prob"] = spec.stochastic_depth
    if spec.head_channels != _HEAD_RATIO * spec.stages[-1].channels:
        arguments["lastconv_channels"] = spec.head_channels
    return arguments


def _setting(block: BlockSpec, usual: str) -> dict[str, Any]:
    setting: dict[str, Any] = {
        "input_channels": block.in_channels,
        "kernel": block.kernel,
        "expanded_channels": block.inner_channels,
        "out_channels": block.out_channels,
        "use_se": bool(block.squeeze_channels),
        "activation": _CODES[block.activation or usual],
        "stride": block.stride,
    }
    squeeze = block.squeeze_channels
    if squeeze and squeeze != make_divisible(block.inner_channels // 4):
        setting["squeeze_channels"] = squeeze
    if squeeze and block.gate != "hard_sigmoid":
        setting["gate"] = block.gate
    if block.skip == "none" and block.stride == 1 and block.in_channels == block.out_channels:
        setting["skip"] = False
    return setting


BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """torchvision's MobileNetV3; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from torch import nn
    from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig, MobileNetV3
    from torchvision.ops import Conv2dNormActivation, SqueezeExcitation, StochasticDepth

    given = dict(arguments)
    given.pop("network")
    given.pop("resolution")
    for name in changes.keys() - {"num_classes", "dropout"}:  # its constructor takes any name, in silence
        raise TypeError(f"build() got an unexpected keyword argument {name!r}")
    stride = given.pop("stem_stride", 2)
    depth = given.pop("stochastic_depth_prob", 0)
    width = given.pop("lastconv_channels", None)
    norm = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    configs = []
    for block in map(dict, given.pop("inverted_residual_setting")):
        own = block.pop("squeeze_channels", None), block.pop("gate", None), block.pop("skip", True)
        config = InvertedResidualConfig(**block, dilation=1, width_mult=1)
        # its constructor rounds widths to multiples of 8; these are exact
        for name in ("input_channels", "expanded_channels", "out_channels"):
            setattr(config, name, block[name])
        config.own = own
        configs.append(config)

    def block(config, norm_layer):
        squeeze, gate, skip = config.own

        def se(channels, theirs):
            if gate is None:
                return SqueezeExcitation(channels, squeeze or theirs, scale_activation=nn.Hardsigmoid)
            return SqueezeExcitation(channels, squeeze or theirs, nn.Hardswish if config.use_hs else nn.ReLU)

        made = InvertedResidual(config, norm_layer, se)
        made.use_res_connect &= skip
        rate = depth * configs.index(config) / len(configs)
        if rate and made.use_res_connect:
            made.block.append(StochasticDepth(rate, "row"))
        return made

    model = MobileNetV3(configs, block=block, norm_layer=norm, **(given | changes))
    model.features[0][0].stride = (stride, stride)  # its constructor knows 2 only; the padding is the same
    if width is not None:  # and a head of 6 times the last width
        layers = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        model.features[-1] = Conv2dNormActivation(model.features[-1][0].in_channels, width, 1, **layers)
        nn.init.kaiming_normal_(model.features[-1][0].weight, mode="fan_out")
        model.classifier[0] = nn.Linear(width, model.classifier[0].out_features)
        nn.init.normal_(model.classifier[0].weight, 0, 0.01)
        nn.init.zeros_(model.classifier[0].bias)
    return model
'''

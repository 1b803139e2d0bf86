"""A spec for torchvision's RegNet: the lists that its BlockParams hold."""

from __future__ import annotations

from typing import Any

from nas.export.expressible import REGNET, regnet_se_ratio
from search_spaces.spec import NetworkSpec


def torchvision_regnet_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """A network that torchvision's RegNet can say, as plain data; `se_ratios` are of each stage."""
    inner = [stage.blocks(stage.channels)[-1].inner_channels for stage in spec.stages]
    before = [spec.stem.channels, *(stage.channels for stage in spec.stages[:-1])]
    return {
        "network": REGNET,
        "depths": [stage.repeats for stage in spec.stages],
        "widths": [stage.channels for stage in spec.stages],
        "group_widths": [s.group_width or width for s, width in zip(spec.stages, inner, strict=True)],
        "bottleneck_multipliers": [stage.expansion for stage in spec.stages],
        "strides": [stage.stride for stage in spec.stages],
        "se_ratios": [regnet_se_ratio(s, width) for s, width in zip(spec.stages, before, strict=True)],
        "stem_width": spec.stem.channels,
        "activation": spec.activation,
        "num_classes": spec.num_classes,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "resolution": spec.resolution,
    }


BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """torchvision's RegNet; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from torch import nn
    from torchvision.models.regnet import BlockParams, RegNet, ResBottleneckBlock

    given = dict(arguments)
    given.pop("network")
    given.pop("resolution")
    stride = given.pop("stem_stride", 2)
    activations = {"relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU, "hard_swish": nn.Hardswish}
    given["activation"] = activations[given["activation"]]
    given["norm_layer"] = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    lists = ("depths", "widths", "group_widths", "bottleneck_multipliers", "strides")
    params = BlockParams(**{name: given.pop(name) for name in lists})
    # its parameters have one SE ratio for all stages
    ratios = iter([r for r, depth in zip(given.pop("se_ratios"), params.depths) for _ in range(depth)])
    given["block_type"] = lambda *widths: ResBottleneckBlock(*widths[:-1], next(ratios))
    model = RegNet(params, **(given | changes))
    model.stem[0].stride = (stride, stride)  # its constructor knows 2 only; the padding is the same
    return model
'''

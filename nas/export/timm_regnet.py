"""A spec for timm's RegNet: its stages, in the place of the line from which it computes them."""

from __future__ import annotations

from typing import Any

from nas.export.expressible import REGNET, regnet_se_ratio
from search_spaces.spec import NetworkSpec


def timm_regnet_arguments(spec: NetworkSpec) -> dict[str, Any]:
    """A network that timm's RegNet can say, as plain data."""
    stages, channels = [], spec.stem.channels
    for stage in spec.stages:
        inner = stage.blocks(stage.channels)[-1].inner_channels
        stages.append(
            {
                "depth": stage.repeats,
                "out_chs": stage.channels,
                "stride": stage.stride,
                "bottle_ratio": stage.expansion,
                "group_size": stage.group_width or inner,
                "se_ratio": regnet_se_ratio(stage, channels),
            }
        )
        channels = stage.channels
    return {
        "network": REGNET,
        "stages": stages,
        "num_classes": spec.num_classes,
        "num_features": spec.head_channels,
        "in_chans": spec.in_channels,
        "stem_width": spec.stem.channels,
        "act_layer": spec.activation,
        "bn_eps": spec.bn_eps,
        "bn_momentum": spec.bn_momentum,
        "drop_rate": spec.dropout,
        "resolution": spec.resolution,
    }


BUILDER = '''
def build(arguments=ARGUMENTS, **changes):
    """timm's RegNet; `changes` replace its own arguments, e.g. num_classes."""
    from functools import partial

    from timm.layers import calculate_drop_path_rates, get_act_layer
    from timm.models.regnet import RegNet, RegNetCfg
    from torch import nn

    given = dict(arguments)
    given.pop("network")
    given.pop("resolution")
    stride = given.pop("stem_stride", 2)
    stages = given.pop("stages")
    norm = partial(nn.BatchNorm2d, eps=given.pop("bn_eps"), momentum=given.pop("bn_momentum"))
    layers = {"act_layer": get_act_layer(given.pop("act_layer")), "norm_layer": norm}

    class Stages(RegNet):
        """With stages as they are written; from a configuration it computes them by a line of widths."""

        def _get_stage_args(self, cfg, output_stride=32, drop_path_rate=0.0):
            if output_stride != 32:
                raise ValueError(f"output_stride {output_stride}: these stages have their strides")
            depths = [stage["depth"] for stage in stages]
            rates = calculate_drop_path_rates(drop_path_rate, depths, stagewise=True)
            own = [{**s, "dilation": 1, "drop_path_rates": r} for s, r in zip(stages, rates)]
            return own, {"downsample": "conv1x1", "linear_out": False, **layers}

    ends = {name: given.pop(name) for name in ("stem_width", "num_features")}
    model = Stages(RegNetCfg(**ends, **layers), **(given | changes))
    model.__class__ = RegNet  # it is one, and can be pickled
    model.stem.conv.stride = (stride, stride)  # its constructor knows 2 only; the padding is the same
    reduction = stride
    for level, stage in zip(model.feature_info, [{"stride": 1}, *stages]):
        reduction *= stage["stride"]
        level["reduction"] = reduction
    return model
'''

"""Networks of MobileNetV3's and RegNet's kind in the classes that libraries have for them: exact, or refused."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest

from nas.export.exact import NotExpressibleError, check_exact
from nas.export.module import run_builder
from nas.export.timm import build_timm, timm_arguments, timm_builder
from nas.export.torchvision import (
    build_torchvision,
    torchvision_arguments,
    torchvision_builder,
    torchvision_module,
)
from search_spaces import NetworkSpec, StageSpec, reference
from search_spaces.spec import StemSpec
from tests.nas.export.test_exports import loaded, small
from tests.nas.export.test_probe import FAULTS


def test_a_mistyped_change_of_the_module_is_no_silence(tmp_path):
    module = loaded(torchvision_module(small(reference("mobilenetv3-small"))), tmp_path)
    assert module.build(num_classes=7).classifier[-1].out_features == 7
    with pytest.raises(TypeError, match="'num_clases'"):
        module.build(num_clases=7)


@pytest.mark.parametrize(
    ("stage", "changes", "reason"),
    [
        (StageSpec("conv", 24), {}, "stage1: .*its MobileNetV3 has no op 'conv'"),
        (StageSpec("ds", 24, activation="silu"), {}, "stage1: .*are relu and hard_swish, not silu"),
        (StageSpec("ds", 24), {"activation": "silu"}, "stage0: .*are relu and hard_swish, not silu"),
        (StageSpec("ds", 24, stride=3), {}, "stage1: .*stride 1 or 2, not 3"),
        (StageSpec("ds", 24, skip="pooling"), {}, "stage1: .*no pooling skip"),
        (StageSpec("mbconv", 16, expansion=1.1), {}, "stage1: .*keeps the width"),
        (StageSpec("ds", 24), {"activation": "relu"}, "stem: .*hard_swish, not relu"),
        (StageSpec("ds", 24), {"pooled_norm": True}, "head: .*has a bias, not BN"),
        (StageSpec("ds", 24), {"head_channels": 0}, "head: .*1x1 convolution in the head"),
        (StageSpec("ds", 24), {"in_channels": 1}, "stem: .*3 channels, not 1"),
        (StageSpec("ds", 24, se_ratio=0.3), {"head_channels": 100, "stochastic_depth": 0.3}, None),
        (StageSpec("mbconv", 22, 7, 2, 2.5, 2, 0.25, "none", gate="hard_sigmoid"), {"bn_eps": 0.1}, None),
    ],
)
def test_mobilenet_v3_of_other_stages(stage, changes, reason):
    """torchvision's MobileNetV3 takes any widths, or the stage and the reason are named."""
    spec = small(reference("mobilenetv3-small"))
    first = replace(spec.stages[0], activation="") if changes.get("activation") == "silu" else spec.stages[0]
    spec = spec.replace(stages=(first, stage), **changes)
    if reason is None:
        build_torchvision(spec)
    else:
        with pytest.raises(NotExpressibleError, match=reason):
            torchvision_arguments(spec)


def grouped(channels=32, **fields):
    given = {"stride": 2, "expansion": 1, "se_ratio": 0.25, "skip": "projection", "group_width": 8}
    return StageSpec("bottleneck", channels, **given | fields)


@pytest.mark.parametrize(
    ("stage", "changes", "timm", "torchvision"),
    [
        (grouped(kernel=5), {}, *["stage1: .*its RegNet are 3x3, not 5x5"] * 2),
        (grouped(skip="none"), {}, *["stage1: .*a shortcut around each block"] * 2),
        (grouped(skip="pooling"), {}, *["stage1: .*a shortcut around each block"] * 2),
        (grouped(activation="silu"), {}, *["stage1: .*has one activation"] * 2),
        (grouped(gate="hard_sigmoid"), {}, *["stage1: .*sigmoids as gates"] * 2),
        (grouped(64, se_ratio=0.24, repeats=2), {}, *["stage1: .*no ratio gives 3 and 15 channels"] * 2),
        (StageSpec("ds", 24), {}, "stage0: .*RegNet four stages of no", "stage0: .*no op 'bottleneck'"),
        (grouped(), {"stochastic_depth": 0.2}, *["head: .*drops branches beside projections"] * 2),
        (grouped(), {"dropout": 0.1}, None, "head: .*RegNet has no dropout"),
        (grouped(), {"head_channels": 64}, None, "head: .*no convolution in the head"),
        (grouped(), {"in_channels": 1}, None, "stem: .*3 channels, not 1"),
        (grouped(), {"pooled_channels": 8}, "stage0: .*RegNet four", "stage0: .*MobileNetV3 has no op 'bott"),
        (grouped(), {"stem": StemSpec(16, 7, 2, True)}, *["stem: .*3x3 convolution, not 7x7 with pool"] * 2),
        (grouped(24, group_width=0), {}, None, None),
        (grouped(stride=3), {}, "stage1: .*stride 1 or 2, not 3", None),
        (grouped(30, expansion=0.5, group_width=5, repeats=2), {"activation": "silu"}, None, None),
    ],
)
def test_regnets_of_other_stages(stage, changes, timm, torchvision):
    """Any widths, groups and strides, or the stage and the reason are named."""
    spec = NetworkSpec("net", (grouped(16), stage, grouped(32, stride=1), grouped(48)), StemSpec(16),
                       head_channels=0, resolution=64, num_classes=5, activation="relu", dropout=0,
                       stochastic_depth=0).replace(**changes)  # fmt: skip
    for make, arguments, reason in (
        (build_timm, timm_arguments, timm),
        (build_torchvision, torchvision_arguments, torchvision),
    ):
        if reason is None:
            make(spec)
        else:
            with pytest.raises(NotExpressibleError, match=reason):
                arguments(spec)


def test_five_stages_are_too_many_for_timms_regnet():
    spec = reference("regnety-200mf").replace(num_classes=5)
    spec = spec.replace(stages=(grouped(16), *(replace(stage, repeats=1) for stage in spec.stages)))
    build_torchvision(spec)
    with pytest.raises(NotExpressibleError, match="stage0: .*its RegNet four stages"):
        build_timm(spec)


POOLED = NetworkSpec(
    "pooled",
    (
        StageSpec("ds", 16, se_ratio=0.25, activation="relu", gate="hard_sigmoid"),
        StageSpec("mbconv", 24, 5, 2, 4, 3, 0.25, gate="hard_sigmoid"),
    ),
    stem=StemSpec(16),
    head_channels=144,
    num_classes=10,
    resolution=64,
    activation="hard_swish",
    pooled_channels=32,
)


def of_block(index, **fields):
    return lambda given: given["inverted_residual_setting"][index].update(fields)


ARGUMENT_FAULTS = {
    "kernel": of_block(2, kernel=3),
    "activation": of_block(1, activation="RE"),
    "another activation": of_block(0, activation="HS"),
    "stride": of_block(1, stride=1),
    "expansion": of_block(2, expanded_channels=80),
    "no SE": of_block(3, use_se=False),
    "SE rule": of_block(3, squeeze_channels=32),
    "SE's gate": of_block(3, gate="sigmoid"),
    "skip": of_block(3, skip=False),
    "BN's epsilon": lambda given: given.update(bn_eps=1e-5),
    "dropout": lambda given: given.update(dropout=0.3),
    "stochastic depth": lambda given: given.update(stochastic_depth_prob=0.1),
    "stem": lambda given: given.update(stem_stride=1),
    "head": lambda given: given.update(lastconv_channels=136),
    "last channel": lambda given: given.update(last_channel=40),
}


@cache
def pooled():
    """Seen to be the same network once."""
    return build_torchvision(POOLED)


@pytest.mark.parametrize("fault", ARGUMENT_FAULTS)
def test_a_fault_in_what_mobilenet_v3_is_made_of_is_seen(fault):
    given = deepcopy(torchvision_arguments(POOLED))
    assert repr(run_builder(given, torchvision_builder(given))) == repr(pooled())
    ARGUMENT_FAULTS[fault](given)
    with pytest.raises(NotExpressibleError, match="differ|eps|drops|dropout|parameters|orders it otherwise"):
        check_exact(POOLED, run_builder(given, torchvision_builder(given)), "torchvision")


def bottleneck(channels, stride=2, se_ratio=0.25):
    return StageSpec("bottleneck", channels, 3, stride, 1, 1, se_ratio, "projection", group_width=8)


GROUPED = NetworkSpec(
    "grouped", (bottleneck(16), bottleneck(16, 1), bottleneck(24), bottleneck(32)), StemSpec(16), 0, 64,
    num_classes=10, activation="relu", dropout=0, stochastic_depth=0,
)  # fmt: skip


def of_stage(index, timm, theirs, value):
    """A field of a stage, by what each library calls it."""

    def plant(given):
        if "stages" in given:
            given["stages"][index][timm] = value
        else:
            given[theirs][index] = value

    return plant


REGNET_FAULTS = {
    "group width": of_stage(2, "group_size", "group_widths", 12),
    "SE's width": of_stage(2, "se_ratio", "se_ratios", 0.5),
    "no SE": of_stage(2, "se_ratio", "se_ratios", 0),
    "stride": of_stage(1, "stride", "strides", 2),
    "width": of_stage(3, "out_chs", "widths", 40),
    "inner width": of_stage(3, "bottle_ratio", "bottleneck_multipliers", 0.5),
    "depth": of_stage(1, "depth", "depths", 2),
    "activation": lambda given: given.update(
        {name: "silu" for name in ("act_layer", "activation") if name in given}
    ),
    "BN's epsilon": lambda given: given.update(bn_eps=1e-5),
    "BN's momentum": lambda given: given.update(bn_momentum=0.1),
    "stem": lambda given: given.update(stem_stride=1),
}


@pytest.mark.parametrize(
    "library",
    [(timm_arguments, timm_builder), (torchvision_arguments, torchvision_builder)],
    ids=["timm", "torchvision"],
)
@pytest.mark.parametrize("fault", REGNET_FAULTS)
def test_a_fault_in_what_a_regnet_is_made_of_is_seen(fault, library):
    arguments, make = library
    given = deepcopy(arguments(GROUPED))
    check_exact(GROUPED, run_builder(given, make(given)), "theirs", sizes=((64, 64),))
    REGNET_FAULTS[fault](given)
    with pytest.raises(
        NotExpressibleError, match="differ|eps|momentum|parameters|orders it otherwise|BN layers"
    ):
        check_exact(GROUPED, run_builder(given, make(given)), "theirs")


@pytest.mark.parametrize("fault", ["same padding", "bn epsilon", "missing gate", "skip left out"])
def test_a_fault_in_torchvisions_mobilenet_v3_is_seen(fault):
    theirs = deepcopy(pooled())
    FAULTS[fault](theirs)
    with pytest.raises(NotExpressibleError, match="differ|eps|drops"):
        check_exact(POOLED, theirs, "torchvision")

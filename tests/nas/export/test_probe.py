"""The exactness check sees: it takes the true network and rejects each planted fault, in every format."""

import io
import warnings
from copy import deepcopy
from functools import cache

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from nas.export.exact import NotExpressibleError, check_exact
from nas.export.onnx import check_onnx, onnx_bytes
from nas.export.probe import (
    SIZES,
    TOLERANCE,
    BlindError,
    gap,
    give_sight,
    images,
    largest_gap,
    sees,
)
from nas.export.program import check_program, compared_sizes, dynamic_axes, program_bytes
from nas.export.timm import build_timm
from nas.export.torchvision import build_torchvision
from nas.network.builder import build
from search_spaces import InputError, NetworkSpec, StageSpec
from search_spaces.spec import StemSpec

MBCONV = NetworkSpec(
    "probe",
    (
        StageSpec("ds", 24, se_ratio=0.25),
        StageSpec("mbconv", 16, 3, 2, 4, 3, 0.25),
        StageSpec("mbconv", 16, 5, 1, 4, 2, 0.25),
    ),
    stem=StemSpec(16),
    head_channels=32,
    num_classes=10,
    resolution=64,
)


def first(model, kind, where=lambda layer: True):
    return next(layer for layer in model.modules() if isinstance(layer, kind) and where(layer))


def swap_module(model, old, new):
    for parent in model.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
                return
    raise AssertionError("nothing was planted")


class Same(nn.Conv2d):
    def forward(self, x):
        size, pads = x.shape[-2:], []
        for side, kernel, stride in zip(size[::-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


def same_padding(model):
    layer = first(model, nn.Conv2d, lambda c: c.stride == (2, 2))
    layer.__class__ = Same


def other_padding(model):
    layer = first(model, nn.Conv2d, lambda c: c.kernel_size == (3, 3) and c.stride == (1, 1))
    layer.padding_mode, layer._reversed_padding_repeated_twice = "reflect", [1, 1, 1, 1]


def shifted_kernel(model):
    layer = first(model, nn.Conv2d, lambda c: c.kernel_size == (3, 3))
    layer.register_forward_hook(lambda module, given, y: torch.roll(y, 1, -1))


def dilation(model):
    layer = first(model, nn.Conv2d, lambda c: c.kernel_size == (3, 3) and c.stride == (1, 1))
    layer.dilation, layer.padding = (2, 2), (2, 2)


def activation(model, new):
    kinds = (nn.SiLU, nn.ReLU, nn.ReLU6)
    old = first(model, nn.Module, lambda m: isinstance(m, kinds) or type(m).__name__ in ("Swish", "SwishMe"))
    swap_module(model, old, new)


def epsilon(model):
    first(model, nn.BatchNorm2d).eps = 1e-5


def missing_gate(model):
    gate = first(model, nn.Module, lambda m: type(m).__name__ in ("SqueezeExcite", "SqueezeExcitation"))
    gate.forward = lambda x: x


def hard_gate(model):
    gate = first(model, nn.Module, lambda m: type(m).__name__ in ("SqueezeExcite", "SqueezeExcitation"))
    name = "gate" if hasattr(gate, "gate") else "scale_activation"
    setattr(gate, name, nn.Hardsigmoid())


def strides_swapped(model):
    layers = [c for c in model.modules() if isinstance(c, nn.Conv2d) and c.groups > 1]
    layers[0].stride, layers[1].stride = layers[1].stride, layers[0].stride


def blocks_of(model):
    kinds = ("Block", "MBConv", "InvertedResidual", "DepthwiseSeparableConv")
    return [m for m in model.modules() if type(m).__name__ in kinds]


def blocks_swapped(model):
    one, other = blocks_of(model)[2:4]
    assert [t.shape for t in one.state_dict().values()] == [t.shape for t in other.state_dict().values()]
    one.forward, other.forward = other.forward, one.forward


def no_skip(model):
    block = blocks_of(model)[-1]
    for name in ("has_skip", "use_res_connect"):
        if hasattr(block, name):
            setattr(block, name, False)
            return
    block.shortcut = None


def pooling(model):
    kinds = ("AdaptiveAvgPool2d", "FastAdaptiveAvgPool")
    last = [m for m in model.modules() if type(m).__name__ in kinds][-1]
    flat = type(last).__name__ == "FastAdaptiveAvgPool"
    last.forward = lambda x: x.amax((2, 3), keepdim=not flat)


def bias(model):
    layer = first(model, nn.Linear)
    forward = layer.forward
    layer.forward = lambda x: forward(x) - layer.bias


FAULTS = {
    "same padding": same_padding,
    "reflected padding": other_padding,
    "shifted kernel": shifted_kernel,
    "dilation": dilation,
    "silu -> hard_swish": lambda model: activation(model, nn.Hardswish()),
    "silu -> relu": lambda model: activation(model, nn.ReLU()),
    "bn epsilon": epsilon,
    "missing gate": missing_gate,
    "hard gate": hard_gate,
    "strides swapped": strides_swapped,
    "blocks swapped": blocks_swapped,
    "skip left out": no_skip,
    "max for average pooling": pooling,
    "bias": bias,
}


@cache
def made(make):
    """By a library, seen to be the same network once."""
    return make(MBCONV)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("make", [build_timm, build_torchvision, build], ids=["timm", "torchvision", "ours"])
def test_a_fault_in_a_library_is_seen(make, fault):
    theirs = deepcopy(made(make))
    FAULTS[fault](theirs)
    with pytest.raises(NotExpressibleError, match="differ|eps|drops"):
        check_exact(MBCONV, theirs, "theirs")


@pytest.mark.parametrize("fault", FAULTS)
def test_outputs_alone_show_it(fault):
    """Without the direct comparison of settings, too: the gap is far above the tolerance."""
    model = give_sight(build(MBCONV, seed=0), 3)
    wrong = deepcopy(model)
    FAULTS[fault](wrong)
    assert largest_gap(model, deepcopy(model), 3) <= TOLERANCE
    assert largest_gap(model, wrong, 3, SIZES[:2]) > 100 * TOLERANCE


def test_relu6_clips_and_pooling_shows():
    spec = MBCONV.replace(
        activation="relu",
        stem=StemSpec(16, pool=True),
        stages=(StageSpec("mbconv", 24, 3, 2, 4, 1, 0, "pooling"),),
    )
    faults = {
        "relu6": lambda model: activation(model, nn.ReLU6()),
        "ceil": lambda model: setattr(first(model, nn.MaxPool2d), "ceil_mode", True),
        "average": lambda model: swap_module(model, first(model, nn.MaxPool2d), nn.AvgPool2d(3, 2, 1)),
        "none": lambda model: swap_module(model, first(model, nn.MaxPool2d), nn.Identity()),
    }
    model = give_sight(build(spec, seed=0), 3)
    for name, plant in faults.items():
        wrong = deepcopy(model)
        plant(wrong)
        assert largest_gap(model, wrong, 3, SIZES[:2]) > 10 * TOLERANCE, name


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (
            lambda m: setattr(first(m, nn.BatchNorm2d, lambda b: b.num_features == 64), "momentum", 0.1),
            "momentum 0.1",
        ),
        (lambda m: setattr(first(m, nn.Dropout), "p", 0.5), "dropout 0.5"),
        (
            lambda m: setattr(first(m, StochasticDepth, lambda s: s.p > 0.12), "p", 0.3),
            "block 4 drops .* 0.3",
        ),
        (lambda m: setattr(first(m, nn.BatchNorm2d), "eps", 1e-5), "eps 1e-05"),
    ],
)
def test_what_evaluation_hides_is_compared(plant, message):
    theirs = build_torchvision(MBCONV)
    plant(theirs)
    with pytest.raises(NotExpressibleError, match=message):
        check_exact(MBCONV, theirs, "torchvision")


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        pytest.param(form, fault, marks=[] if fault in quick else pytest.mark.slow)
        for form, quick in (
            ("exported", ("same padding", "bn epsilon", "blocks swapped")),
            ("torchscript", ("silu -> hard_swish", "bn epsilon")),
        )
        for fault in ("same padding", "silu -> hard_swish", "bn epsilon", "blocks swapped")
    ],
)
def test_a_fault_in_a_program_is_seen(form, fault):
    fresh = build(MBCONV, seed=0)  # its own outputs hardly depend on the image
    wrong = deepcopy(fresh)
    FAULTS[fault](wrong)
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        given = images(3, (64, 64), 2)
        program = torch.export.export(wrong.eval(), (given,), dynamic_shapes=(dynamic_axes(MBCONV, False),))
        if form == "exported":
            torch.export.save(program, stream)
        else:
            torch.jit.save(torch.jit.trace(program.module(), given, check_trace=False), stream)
    with pytest.raises(InputError, match="differ"):
        check_program(MBCONV, fresh.eval(), stream.getvalue(), form, ((64, 64),))


def test_weights_of_a_program_are_compared():
    fresh, other = build(MBCONV, seed=0).eval(), build(MBCONV, seed=1).eval()
    with pytest.raises(NotExpressibleError, match="differ"):
        check_program(MBCONV, fresh, program_bytes(MBCONV, other, "exported"), "exported", ((64, 64),))


ONNX_FAULTS = {
    "pads": lambda graph: attribute(graph, "Conv", "pads", [0, 0, 2, 2], lambda n: strided(n)),
    "strides": lambda graph: swap_strides(graph),
    "activation": lambda graph: rename(graph, "Sigmoid", "HardSigmoid"),
    "weights": lambda graph: nudge(graph),
    "skip": lambda graph: drop_skip(graph),
}


def strided(node):
    return any(a.name == "strides" and list(a.ints) == [2, 2] for a in node.attribute)


def attribute(graph, op, name, value, where):
    node = next(n for n in graph.node if n.op_type == op and where(n))
    found = next(a for a in node.attribute if a.name == name)
    found.CopyFrom(onnx.helper.make_attribute(name, value))


def swap_strides(graph):
    convs = [n for n in graph.node if n.op_type == "Conv"]
    deep = [n for n in convs if any(a.name == "group" and a.i > 1 for a in n.attribute)]
    for node, stride in ((deep[0], 2), (deep[1], 1)):
        next(a for a in node.attribute if a.name == "strides").CopyFrom(
            onnx.helper.make_attribute("strides", [stride] * 2)
        )


def rename(graph, old, new):
    next(n for n in graph.node if n.op_type == old).op_type = new


def nudge(graph):
    """What another epsilon of one BN makes of a folded convolution."""
    tensor = next(t for t in graph.initializer if len(t.dims) == 4)
    values = onnx.numpy_helper.to_array(tensor) * 0.998
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def drop_skip(graph):
    node = [n for n in graph.node if n.op_type == "Add"][-1]
    others = [n.output[0] for n in graph.node]
    kept = max(node.input, key=others.index)
    node.op_type = "Identity"
    del node.input[:]
    node.input.append(kept)


def test_faults_in_an_onnx_graph_are_seen():
    model = give_sight(build(MBCONV, seed=0), 3)
    content = onnx_bytes(MBCONV, model, dynamic=True)
    sizes = compared_sizes(MBCONV, True)
    check_onnx(MBCONV, model, content, sizes)
    for name, plant in ONNX_FAULTS.items():
        proto = onnx.load_from_string(content)
        plant(proto.graph)
        del proto.graph.value_info[:]
        with pytest.raises(InputError):
            check_onnx(MBCONV, model, proto.SerializeToString(), sizes)
            raise AssertionError(f"{name} was not seen")


def test_fresh_weights_are_blind_and_said_so():
    b0 = MBCONV.replace(stages=tuple(StageSpec("mbconv", 16, 3, 1, 6, 8, 0.25, "none") for _ in range(3)))
    model = build(b0, seed=0).eval()
    with torch.no_grad():
        assert not sees(model(images(3, (64, 64))))
        with pytest.raises(BlindError, match="too little to compare"):
            largest_gap(model, model, 3)
        assert sees(give_sight(model, 3)(images(3, (64, 64))))


def test_the_gap_is_relative_to_the_spread():
    outputs = torch.tensor([[1.0], [1.01]])
    assert gap(outputs, outputs + 0.01) == pytest.approx(2**0.5, rel=1e-3)
    with pytest.raises(BlindError):
        gap(outputs - 1, outputs, sight=0.1)
    assert gap(outputs, outputs[:, :0]) == float("inf")
    assert gap(outputs, outputs * float("nan")) == float("inf")


def test_trained_weights_are_checked_as_they_are():
    model = give_sight(build(MBCONV, seed=4), 3, seed=4)
    theirs = build_timm(MBCONV, model)
    with torch.no_grad():
        assert torch.equal(theirs(images(3, (64, 64))), model(images(3, (64, 64))))
    model.head[-1].bias.data[0] = float("nan")
    with pytest.raises(InputError, match=r"not finite: head.*bias"):
        build_timm(MBCONV, model)

"""What a model has that no spec can say: the reasons for which an import is refused, read off its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn

from nas.export.settings import BLOCKS, outermost

ACTIVATIONS = {"SiLU": "silu", "Swish": "silu", "ReLU": "relu", "ReLU6": "relu6",
               "Hardswish": "hard_swish", "HardSwish": "hard_swish", "HardswishMe": "hard_swish",
               "HardSwishMe": "hard_swish", "SwishMe": "silu"}  # fmt: skip
"""Class names of the activations that a spec can say."""

_OTHER_ACTIVATIONS = ("GELU", "GELUTanh", "Mish", "PReLU", "LeakyReLU", "ELU", "SELU", "Tanh", "QuickGELU")
_GATES = ("EcaModule", "CecaModule", "EffectiveSEModule", "GatherExcite", "GlobalContext", "CbamModule",
          "LightCbamModule", "SelectiveKernel", "SplitAttn", "BatNonLocalAttn", "NonLocalAttn")  # fmt: skip


_OTHER_BLOCKS = (
    "MobileAttention",
    "CondConvResidual",
)
_HOMES = ("efficientnet", "_efficientnet_blocks", "mobilenetv2", "mobilenetv3", "mnasnet", "resnet", "regnet",
          "blocks")  # fmt: skip
"""Files of timm, torchvision and this package whose blocks are meant; others have some of the same names."""


def obstacles(model: nn.Module) -> list[str]:
    """Every reason for which no spec describes `model`, in words; empty if none is known."""
    if not any(type(module).__name__ in BLOCKS for module in outermost(model)):
        own = list(_blocks(model))
        return own[-1:]  # what else such a network has says nothing more
    found = [reason for check in _CHECKS for reason in check(model)]
    return list(dict.fromkeys(found))


def gates(model: nn.Module) -> list[nn.Module]:
    """SE modules: timm's and torchvision's."""
    return [module for module in model.modules() if squeeze(module) is not None]


def squeeze(module: nn.Module) -> Any:
    """The first layer of an SE module, or None of any other."""
    if type(module).__name__ in _GATES or not (
        hasattr(module, "gate") or hasattr(module, "scale_activation")
    ):
        return None
    layers = [getattr(module, name, None) for name in ("conv_reduce", "fc1")]
    return next((layer for layer in layers if isinstance(layer, nn.Conv2d)), None)


def is_hard(gate: nn.Module) -> bool:
    """Whether an SE module has a hard sigmoid."""
    kind = type(getattr(gate, "gate", getattr(gate, "scale_activation", None))).__name__.lower()
    return "sigmoid" in kind and "hard" in kind


def between(gate: nn.Module) -> str:
    """The class of the activation between the two convolutions of an SE module."""
    return type(getattr(gate, "act1", getattr(gate, "activation", None))).__name__


def behind_pooling(model: nn.Module) -> list[nn.Module]:
    """Convolutions, BN and linear layers behind the global pooling, where that is a module; no others."""
    found = list(outermost(model))
    pooled = [
        i for i, m in enumerate(found) if isinstance(m, nn.AdaptiveAvgPool2d) or hasattr(m, "pool_type")
    ]
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    return [m for m in found[max(pooled) + 1 :] if isinstance(m, kinds)] if pooled else []


def _names(model: nn.Module) -> list[str]:
    return [type(module).__name__ for module in model.modules()]


def _convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Convolutions outside of SE and other gates."""
    others = [module for module in model.modules() if type(module).__name__ in _GATES]
    inside = {id(module) for gate in (*gates(model), *others) for module in gate.modules()}
    return [m for m in model.modules() if isinstance(m, nn.Conv2d) and id(m) not in inside]


def _blocks(model: nn.Module) -> Iterator[str]:
    names = set(_names(model))
    if "LayerScale2d" in names:
        yield "it scales the channels of its blocks (layer scale)"
    if any("Attention" in name for name in names):
        yield "it has attention"
    for block in outermost(model):
        home = type(block).__module__.rpartition(".")[2]
        if type(block).__name__ in BLOCKS and home not in _HOMES:
            yield f"its blocks are {home}'s {type(block).__name__}, not MobileNet's or ResNet's"
    if not any(type(m).__name__ in BLOCKS for m in outermost(model)) and type(model).__name__ != "MNASNet":
        names_in_order = dict.fromkeys(_names(model)[1:])
        kinds = [n for n in names_in_order if any(word in n for word in ("Block", "Bottle", "Basic", "Fire"))]
        what = f" (it has {', '.join(kinds[:3])})" if kinds else ""
        yield f"it is not built of MBConv, MobileNet or ResNet blocks{what}"


def _layers(model: nn.Module) -> Iterator[str]:
    names = set(_names(model))
    if "CondConv2d" in names or "CondConvResidual" in names:
        yield "its kernels depend on the image (CondConv)"
    if "MixedConv2d" in names:
        yield "it mixes kernel sizes in one convolution (MixConv)"
    if any(name.endswith("StdConv2d") or name.startswith("StdConv2d") for name in names):
        yield "it standardises the weights of its convolutions"
    for module in model.modules():
        name = type(module).__name__
        leaf = not any(isinstance(m, (nn.Conv2d, nn.BatchNorm2d)) for m in module.modules())
        if leaf and ("Norm" in name or name.startswith("FilterResponse")) and name != "NormMlpClassifierHead":
            kind = next(
                (k for k in ("GroupNorm", "LayerNorm", "EvoNorm", "FilterResponseNorm") if k in name), name
            )
            yield f"it normalises with {kind}, not BN"
    if any(name.startswith("BlurPool") for name in names):
        yield "it blurs where it strides (anti-aliasing)"
    elif any(isinstance(getattr(m, "aa", None), nn.AvgPool2d) for m in model.modules()):
        yield "it average-pools where it strides (anti-aliasing)"
    if "SpaceToDepth" in names or any(
        isinstance(getattr(m, "conv_s2d", None), nn.Module) for m in model.modules()
    ):
        yield "it moves space to depth"
    if "DropBlock2d" in names:
        yield "it drops blocks of its feature maps (DropBlock)"


def _convolution_shapes(model: nn.Module) -> Iterator[str]:
    convolutions = _convolutions(model)
    if any(type(m).__name__.endswith("Same") for m in model.modules()):
        yield "it pads as TensorFlow does (SAME)"
    elif any(not _symmetric(conv) for conv in convolutions):
        yield "its convolutions don't pad by half of their kernel"
    sayable = {id(conv) for block in outermost(model) for conv in _grouped(block)}
    if any(
        conv.groups not in (1, conv.in_channels) or 1 < conv.groups != conv.out_channels
        for conv in convolutions
        if id(conv) not in sayable
    ):
        yield "it has grouped convolutions outside of bottlenecks"
    if any(conv.dilation != (1, 1) for conv in convolutions):
        yield "it has dilated convolutions"
    if any(
        conv.kernel_size[0] != conv.kernel_size[1] or conv.kernel_size[0] % 2 == 0 for conv in convolutions
    ):
        yield "it has kernels of even or unequal sides"


def _grouped(block: nn.Module) -> list[nn.Conv2d]:
    """The grouped convolutions of a bottleneck that keep its inner width, as a spec's do; of others none."""
    if type(block).__name__ not in ("Bottleneck", "ResBottleneckBlock"):
        return []
    convs = [conv for conv in block.modules() if isinstance(conv, nn.Conv2d)]
    return [conv for conv in convs if conv.groups > 1 and conv.in_channels == conv.out_channels]


def _symmetric(conv: nn.Conv2d) -> bool:
    if isinstance(conv.padding, str):
        return conv.stride == (1, 1)
    wanted = tuple(d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    return tuple(conv.padding) == wanted


def _squeezes(model: nn.Module) -> Iterator[str]:
    names = set(_names(model)) & set(_GATES)
    for name in sorted(names):
        yield f"it has a gate other than SE ({name})"
    for gate in gates(model):
        gate_layer = getattr(gate, "gate", getattr(gate, "scale_activation", None))
        kind = type(gate_layer).__name__
        if is_hard(gate):
            if between(gate) != "ReLU":
                yield f"its SE has a hard sigmoid, and {between(gate)} where a spec has ReLU"
        elif kind != "Sigmoid":
            yield f"the gate of its SE is {kind}, not a sigmoid"
        if any(isinstance(module, nn.BatchNorm2d) for module in gate.modules()):
            yield "it has BN inside SE"
        if getattr(gate, "add_maxpool", False):
            yield "its SE pools by the maximum, too"
    for block in model.modules():
        order = [
            name for name, child in block.named_children() if name == "conv3" or squeeze(child) is not None
        ]
        if type(block).__name__ == "Bottleneck" and isinstance(getattr(block, "act3", None), nn.Identity):
            yield "its bottlenecks have no activation behind the sum"
        if type(block).__name__ == "Bottleneck" and order[-2:] == ["conv3", "se"]:
            yield "its SE stands behind the block's last convolution, a spec's after the k x k one"


def _activations(model: nn.Module) -> Iterator[str]:
    inside = {id(getattr(g, name, None)) for g in gates(model) for name in ("gate", "scale_activation")}
    kinds = [type(m).__name__ for m in model.modules() if id(m) not in inside]
    ends = [type(m).__name__ for m in outermost(model)]
    used = dict.fromkeys(ACTIVATIONS[kind] for kind in ends if kind in ACTIVATIONS)
    others = dict.fromkeys(kind for kind in kinds if kind in _OTHER_ACTIVATIONS)
    if others:
        yield f"it has the activation {', '.join(others)}"
    if len(used) > 1:
        yield f"it has several activations outside of its blocks ({', '.join(used)})"
    for block in outermost(model):
        own = block_activations(block) if type(block).__name__ in BLOCKS else []
        if len(own) > 1:
            yield f"it has several activations in one block ({', '.join(own)})"


def block_activations(block: nn.Module) -> list[str]:
    """The activations in a block, each once; that in a hard SE is always the same and doesn't count."""
    hard = {id(m) for gate in gates(block) if is_hard(gate) for m in gate.modules()}
    kinds = [type(m).__name__ for m in block.modules() if id(m) not in hard]
    return list(dict.fromkeys(ACTIVATIONS[kind] for kind in kinds if kind in ACTIVATIONS))


def _ends(model: nn.Module) -> Iterator[str]:
    kinds = ["block" if type(m).__name__ in BLOCKS else m for m in outermost(model)]
    first = kinds.index("block") if "block" in kinds else 0
    stem = [m for m in kinds[:first] if isinstance(m, nn.Conv2d)]
    others = any(type(m).__name__ in _OTHER_BLOCKS for m in outermost(model))  # they aren't its stem
    if len(stem) > 1 and not others and type(model).__name__ != "MNASNet":
        yield f"its stem has {len(stem)} convolutions"
    pools = [m for m in kinds if isinstance(m, nn.MaxPool2d) and not _usual(m)]
    if pools:
        yield "the pooling of its stem isn't 3x3 of stride 2 with padding 1"
    if any(str(getattr(m, "pool_type", "avg")) not in ("avg", "") for m in model.modules()):
        yield "its global pooling is not the average"
    middle = behind_pooling(model)[:-1]
    normed = len(middle) == 2 and isinstance(middle[1], nn.BatchNorm2d)
    if len(middle) > 1 and not normed:
        yield f"its head has {len(middle)} layers between the pooling and the classifier, not one"
    elif middle and (getattr(middle[0], "bias", None) is None) != normed:
        yield "the layer between the pooling and the classifier has neither bias nor BN, or both"
    elif not middle and len(_linear(model, kinds)) > 1:
        yield "it has a linear layer before the classifier"
    found = [getattr(module, "downsample", None) for module in model.modules()]
    shortcuts = [shortcut for shortcut in found if isinstance(shortcut, nn.Module)]
    if any(isinstance(m, nn.AvgPool2d) for shortcut in shortcuts for m in shortcut.modules()):
        yield "it pools in its projections (ResNet-D)"


def _linear(model: nn.Module, kinds: Iterable[object]) -> list[nn.Module]:
    """The linear layers that images go through; those that weigh a CondConv's kernels are a part of it."""
    weighing = [getattr(module, "routing_fn", None) for module in model.modules()]
    return [m for m in kinds if isinstance(m, nn.Linear) and not any(m is one for one in weighing)]


def _usual(pool: nn.MaxPool2d) -> bool:
    values = (pool.kernel_size, pool.stride, pool.padding)
    sides = tuple(value[0] if isinstance(value, (tuple, list)) else value for value in values)
    return sides == (3, 2, 1) and not pool.ceil_mode and pool.dilation in (1, (1, 1))


def _biases(model: nn.Module) -> Iterator[str]:
    middle = {id(m) for m in behind_pooling(model)}
    if any(conv.bias is not None for conv in _convolutions(model) if id(conv) not in middle):
        yield "its convolutions have biases"


_CHECKS: tuple[Callable[[nn.Module], Iterator[str]], ...] = (
    _blocks,
    _layers,
    _convolution_shapes,
    _squeezes,
    _activations,
    _ends,
    _biases,
)

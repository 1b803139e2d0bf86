"""A spec from a model of torchvision or timm: of the MBConv, MobileNetV2 and ResNet families.

The blocks are read off the modules, whatever the library calls them; that the result is the same network is
then checked as for an export, with copied weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from nas.export.exact import check_exact
from search_spaces.errors import InputError, unknown
from search_spaces.layers import make_divisible
from search_spaces.spec import NetworkSpec, StageSpec, StemSpec

_ACTIVATIONS = {"SiLU": "silu", "Swish": "silu", "ReLU": "relu", "ReLU6": "relu6", "Hardswish": "hard_swish"}
_BLOCKS = (
    "MBConv",
    "InvertedResidual",
    "DepthwiseSeparableConv",
    "ConvBnAct",
    "Bottleneck",
    "BasicBlock",
)
LIBRARIES = ("timm", "torchvision")


def import_spec(source: str) -> NetworkSpec:
    """The spec of `timm:NAME` or `torchvision:NAME`, at the resolution that the library gives for it.

    Raises:
        InputError: an unknown library or model, or a network that no spec describes exactly.
    """
    library, colon, name = source.partition(":")
    if library not in LIBRARIES or not colon:
        raise InputError(f"from {source!r}: expected timm:NAME or torchvision:NAME")
    model, resolution = _timm(name) if library == "timm" else _torchvision(name)
    try:
        spec = replace(_read(model, source), resolution=resolution)
        check_exact(spec, model, library)
    except InputError as error:
        if str(error).startswith("from "):
            raise
        raise InputError(f"from {source!r}: no spec describes it exactly: {error}") from None
    return spec


def _timm(name: str) -> tuple[nn.Module, int]:
    try:
        import timm
    except ImportError:
        raise InputError(
            f"from timm:{name}: timm is not installed; pip install 'baseline-nas[timm]'"
        ) from None
    if not timm.is_model(name.partition(".")[0]):
        raise unknown("model of timm", name, timm.list_models())
    model: nn.Module = timm.create_model(name, pretrained=False)
    return model, int(getattr(model, "default_cfg", {}).get("input_size", (3, 224, 224))[-1])


def _torchvision(name: str) -> tuple[nn.Module, int]:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise unknown("model of torchvision", name, models.list_models(module=models))
    model: nn.Module = models.get_model(name, weights=None)
    try:
        crop = models.get_model_weights(name).DEFAULT.transforms().crop_size[0]  # type: ignore[attr-defined]
    except (AttributeError, ValueError, IndexError):
        crop = 224
    return model, int(crop)


def _read(model: nn.Module, source: str) -> NetworkSpec:
    blocks = [module for module in _outermost(model) if type(module).__name__ in _BLOCKS]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    inside = {id(c) for block in blocks for c in block.modules()}
    outside = [c for c in convolutions if id(c) not in inside]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    classifiers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if not blocks or not norms or len(classifiers) != 1 or not 1 <= len(outside) <= 2:
        raise InputError(f"from {source!r}: not a network of MBConv, MobileNetV2 or ResNet blocks")
    stem, head = outside[0], outside[1] if len(outside) == 2 else None
    drops = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    pool = any(isinstance(m, nn.MaxPool2d) for m in model.modules())
    return NetworkSpec(
        name=source.replace(":", "-"),
        stages=_stages([_block(block, source) for block in blocks]),
        stem=StemSpec(stem.out_channels, stem.kernel_size[0], stem.stride[0], pool),
        head_channels=head.out_channels if head is not None else 0,
        in_channels=stem.in_channels,
        num_classes=classifiers[0].out_features,
        activation=_activation(model, source),
        bn_momentum=float(norms[0].momentum or 0.1),
        bn_eps=norms[0].eps,
        dropout=float(max(drops, default=getattr(model, "drop_rate", 0.0))),
        stochastic_depth=max((_drop_path(m) for m in model.modules()), default=0.0),
    )


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Submodules in order, not looking into blocks."""
    for child in module.children():
        yield child
        if type(child).__name__ not in _BLOCKS:
            yield from _outermost(child)


def _drop_path(module: nn.Module) -> float:
    if type(module).__name__ == "StochasticDepth":
        return float(getattr(module, "p", 0.0))
    return float(getattr(module, "drop_prob", 0.0) or 0.0) if type(module).__name__ == "DropPath" else 0.0


def _activation(model: nn.Module, source: str) -> str:
    for module in model.modules():
        kind = type(module).__name__
        if kind in _ACTIVATIONS:
            return _ACTIVATIONS[kind]
    raise InputError(f"from {source!r}: its activation is none of {', '.join(set(_ACTIVATIONS.values()))}")


def _block(block: nn.Module, source: str) -> tuple[int, StageSpec]:
    """(input channels, the block as a stage of one)."""
    gates = [m for m in block.modules() if hasattr(m, "fc1") or hasattr(m, "conv_reduce")]
    squeeze: Any = next((getattr(m, "fc1", None) or m.conv_reduce for m in gates), None)
    hidden = {id(c) for gate in gates for c in gate.modules()}
    shortcut = getattr(block, "downsample", None)
    hidden |= {id(c) for c in shortcut.modules()} if shortcut is not None else set()
    convs: list[Any] = [c for c in block.modules() if isinstance(c, nn.Conv2d) and id(c) not in hidden]
    cin, cout = convs[0].in_channels, convs[-1].out_channels
    stride = max(c.stride[0] for c in convs)
    kind = type(block).__name__
    if kind in ("Bottleneck", "BasicBlock"):
        middle = convs[1] if kind == "Bottleneck" else convs[0]
        if middle.groups != 1:
            raise InputError(f"from {source!r}: grouped convolutions have no place in a spec")
        ratio = middle.out_channels / cout if kind == "Bottleneck" else 1
        op = "bottleneck" if kind == "Bottleneck" else "basic"
        return cin, StageSpec(op, cout, middle.kernel_size[0], stride, ratio, 1, 0, "projection")
    skips = bool(getattr(block, "use_res_connect", getattr(block, "has_skip", False)))
    keeps = stride == 1 and cin == cout
    skip = "none" if keeps and not skips else "identity"
    ratio = 0.0
    if squeeze is not None:
        ratio = 0.25 if max(1, int(cin * 0.25)) == squeeze.out_channels else squeeze.out_channels / cin
    depthwise = next((c for c in convs if c.groups == c.in_channels > 1), None)
    if depthwise is None:
        return cin, StageSpec("conv", cout, convs[0].kernel_size[0], stride, 1, 1, ratio, skip)
    expansion: float = 1
    if len(convs) == 3:
        expansion = depthwise.in_channels / cin
        if make_divisible(cin * round(expansion)) == depthwise.in_channels:
            expansion = round(expansion)  # what was meant, before the width was rounded
    op = "ds" if len(convs) == 2 else "mbconv"
    return cin, StageSpec(op, cout, depthwise.kernel_size[0], stride, expansion, 1, ratio, skip)


def _stages(blocks: list[tuple[int, StageSpec]]) -> tuple[StageSpec, ...]:
    """Equal blocks behind one another are one stage."""
    stages: list[StageSpec] = []
    for cin, block in blocks:
        last = stages[-1] if stages else None
        more = last is not None and block.stride == 1 and cin == block.channels
        if last is not None and more and replace(block, stride=last.stride, repeats=last.repeats) == last:
            stages[-1] = replace(last, repeats=last.repeats + 1)
        else:
            stages.append(block)
    return tuple(stages)

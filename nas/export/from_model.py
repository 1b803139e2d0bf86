"""A spec from a model of torchvision or timm: of the MBConv, MobileNet and ResNet families.

The network is read off the modules, whatever the library calls them; that the result is the same network is
then checked as for an export, with copied weights.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import nn

from nas.export.exact import check_exact
from nas.export.library_model import find_model
from nas.export.model_block import Reading, loose_block, read_block, stages
from nas.export.obstacles import ACTIVATIONS, behind_pooling, obstacles
from nas.export.probe import SIZES
from nas.export.settings import BLOCKS, Drop, dropout, drops, norms, outermost
from search_spaces.errors import InputError
from search_spaces.quoting import printable
from search_spaces.spec import NetworkSpec, StemSpec


def import_spec(source: str) -> NetworkSpec:
    """The spec of `timm:NAME` or `torchvision:NAME`, at the resolution that the library gives for it.

    A file that this package has exported for one of the two may stand for the name.

    Raises:
        InputError: an unknown library or model, or a network that no spec describes exactly.
    """
    model = find_model(source)
    name = printable(source.replace(":", "-").replace("/", "-"))[:200]
    try:
        spec = replace(read_model(model.outline(), name), resolution=model.resolution)
        check_exact(spec, model.make(), source.partition(":")[0], sizes=SIZES)
    except InputError as error:
        if str(error).startswith("from "):
            raise
        raise InputError(f"from {source!r}: no spec describes it exactly: {error}") from None
    return spec


def read_model(model: nn.Module, name: str) -> NetworkSpec:
    """The spec of a module of torchvision or timm, called `name`; its outputs are not compared.

    Raises:
        InputError: it has what no spec can say; the message holds the reasons.
    """
    reasons = obstacles(model)
    if reasons:
        raise InputError("; ".join(reasons))
    parts = _parts(model)
    stem, pool, blocks, head, classifier = parts
    middle = behind_pooling(model)[:-1]
    head_channels = head.out_channels if head is not None else 0
    dropping = drops(model)
    if middle and not head_channels and len(blocks) > 1 and _is_head(blocks[-1]):
        head_channels = blocks.pop().channels  # timm's MobileNetV3 has it as a block
        dropping = dropping[:-1]
    eps, momentum = _norm_settings(model)
    return NetworkSpec(
        name=name,
        stages=stages(blocks),
        stem=StemSpec(stem.out_channels, stem.kernel_size[0], stem.stride[0], pool),
        head_channels=head_channels,
        pooled_channels=_pooled_channels(middle),
        pooled_norm=any(isinstance(layer, nn.BatchNorm2d) for layer in middle),
        in_channels=stem.in_channels,
        num_classes=classifier.out_features,
        activation=_activation(model),
        bn_momentum=momentum,
        bn_eps=eps,
        dropout=dropout(model),
        stochastic_depth=stochastic_depth(dropping),
    )


def _is_head(block: Reading) -> bool:
    """Whether it is no more than a 1x1 convolution: one without a skip, which needs equal shapes."""
    plain = (block.op, block.kernel, block.stride, block.squeeze) == ("conv", 1, 1, 0)
    return plain and not (block.keeps and block.skip != "none")


def _pooled_channels(middle: list[nn.Module]) -> int:
    """The width of the layer between pooling and classifier, a convolution or a linear one; 0: none."""
    for layer in middle:
        if isinstance(layer, nn.Conv2d):
            return layer.out_channels
        if isinstance(layer, nn.Linear):
            return layer.out_features
    return 0


_Parts = tuple[nn.Conv2d, bool, list[Reading], "nn.Conv2d | None", nn.Linear]


def _parts(model: nn.Module) -> _Parts:
    """(stem, whether it pools, blocks, the 1x1 convolution of the head if any, classifier)."""
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Linear)
    aside = {id(layer) for layer in behind_pooling(model)[:-1]}
    units = [m for m in outermost(model) if isinstance(m, kinds) or type(m).__name__ in BLOCKS]
    units = [m for m in units if id(m) not in aside]
    convolutions = [m for m in units if isinstance(m, nn.Conv2d)]
    if not convolutions or units[0] is not convolutions[0] or not isinstance(units[-1], nn.Linear):
        raise InputError("it doesn't begin with a convolution and end with a classifier")
    stem, classifier, units = convolutions[0], units[-1], units[1:-1]
    head: nn.Conv2d | None = None
    if len(units) > 1 and isinstance(units[-2], nn.Conv2d) and isinstance(units[-1], nn.BatchNorm2d):
        if units[-2].kernel_size != (1, 1) or units[-2].stride != (1, 1):
            raise InputError("the convolution of its head isn't 1x1")
        head, units = units[-2], units[:-2]
    if not units or not isinstance(units[0], nn.BatchNorm2d):
        raise InputError("there is no BN behind the convolution of its stem")
    units = units[1:]
    pool = bool(units) and isinstance(units[0], nn.MaxPool2d)
    units = units[1:] if pool else units
    blocks: list[Reading] = []
    while units:
        if type(units[0]).__name__ in BLOCKS:
            blocks.append(read_block(units[0]))
            units = units[1:]
        else:  # torchvision's MnasNet: a separable convolution without a module of its own
            blocks.append(loose_block(units[:4]))
            units = units[4:]
    return stem, pool, blocks, head, classifier


def _norm_settings(model: nn.Module) -> tuple[float, float]:
    """(epsilon, momentum) of BN, the same in all layers."""
    found = {(norm.eps, norm.momentum, norm.affine, norm.track_running_stats) for norm in norms(model)}
    if len(found) != 1:
        what = "epsilon" if len({eps for eps, *_ in found}) > 1 else "momentum"
        raise InputError(f"its BN's {what} differs from layer to layer")
    ((eps, momentum, affine, tracks),) = found
    if momentum is None or not affine or not tracks:
        raise InputError("its BN has no weights, or no running statistics with a momentum")
    return eps, momentum


def _activation(model: nn.Module) -> str:
    for module in (*outermost(model), *model.modules()):  # the stem's, not that of the first block
        if type(module).__name__ in ACTIVATIONS:
            return ACTIVATIONS[type(module).__name__]
    raise InputError(f"its activation is none of {', '.join(dict.fromkeys(ACTIVATIONS.values()))}")


def stochastic_depth(found: list[Drop]) -> float:
    """The rate p of which block i of n drops p i / n, as our networks and both libraries have it.

    Raises:
        InputError: the rates don't grow so.
    """
    count = len(found)
    rates = [(index, drop.rate) for index, drop in enumerate(found) if drop.rate or drop.acts]
    if not any(rate for _, rate in rates):
        return 0.0
    index, last = rates[-1]
    if not index:
        raise InputError("its first block drops its branch (stochastic depth), a spec's never does")
    raw = last * count / index
    near = [float(f"{raw:.{digits}g}") for digits in (6, 9, 12, 15)]
    near += [raw, math.nextafter(raw, 1), math.nextafter(raw, 0)]
    for rate in near:  # what was written, not what rounding has made of it
        if all(rate * place / count == value for place, value in rates):
            return rate
    if all(abs(raw * place / count - value) <= 1e-9 for place, value in rates):
        return float(f"{raw:.12g}")
    raise InputError("its stochastic depth doesn't grow by the same step from block to block")

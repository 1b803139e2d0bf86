"""A block, and the ops that it can be: an op is one entry here, all other rooms read its layers.

SE stands after the depthwise (or plain) convolution, as in MnasNet and EfficientNet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from search_spaces.added import Registry, added_names
from search_spaces.errors import InputError
from search_spaces.layers import Conv, Gate, Layer, Pool, make_divisible


@dataclass(frozen=True)
class BlockSpec:
    """One block with all that its cost and its module depend on, but the resolution.

    `skip` is the shortcut the block really has: a stage's `identity` on a block that changes the
    shape is `none` here, and `pooling` or `projection` on one that keeps it is `identity`.
    `activation` is empty where it is the network's; `gate` is the kind of its SE, one of `GATES`;
    `start_kernel` is that of a depthwise convolution before the expansion (0: none); `group_width` the
    channels of each group of the k x k convolution (0: it isn't grouped).
    """

    op: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    expansion: float
    se_ratio: float
    skip: str
    activation: str = ""
    gate: str = "sigmoid"
    start_kernel: int = 0
    group_width: int = 0

    @property
    def inner_channels(self) -> int:
        """Channels of the k x k convolution: expanded (MBConv), narrowed (bottleneck), or as they come."""
        return OPS[self.op].inner(self)

    @property
    def squeeze_channels(self) -> int:
        """Channels inside SE (0: no SE).

        They are a part of the block's input; of what a `hard_sigmoid` gate weighs, rounded to multiples of 8.
        """
        if not self.se_ratio:
            return 0
        if self.gate == "hard_sigmoid":
            return make_divisible(self.inner_channels * self.se_ratio)
        return max(1, int(self.in_channels * self.se_ratio))

    def values(self) -> list[object]:
        """All fields in order for a digest; those that came later only where they aren't as before."""
        later = {"activation": "", "gate": "sigmoid", "start_kernel": 0, "group_width": 0}
        fields = vars(self)
        found = [value for name, value in fields.items() if name not in later]
        return found + [f"{name}={fields[name]}" for name, usual in later.items() if fields[name] != usual]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The residual branch, first layer first."""
        return _layers(self)

    @property
    def shortcut(self) -> tuple[Layer, ...] | None:
        """The layers of the shortcut, none where it is an identity; None where there is no shortcut."""
        if self.skip == "none":
            return None
        if self.skip == "projection":
            return (Conv(self.in_channels, self.out_channels, 1, self.stride, activation=False),)
        if self.skip == "pooling":
            return (Pool(self.in_channels, self.out_channels, self.stride),)
        return ()

    @property
    def final_activation(self) -> bool:
        """Whether an activation follows the sum of branch and shortcut."""
        return OPS[self.op].final_activation


GATES = ("sigmoid", "hard_sigmoid")
"""SE as in MnasNet and EfficientNet, and as in MobileNetV3: of another width, with other functions."""


@dataclass(frozen=True)
class Op:
    """A kind of block.

    Attributes:
        name: as specs and spaces write it.
        label: as people read it.
        short: as a stage's words name it (`search_spaces.notation`); empty: by the label.
        word: in block notation (`search_spaces.notation`), timm's where timm has it.
        colour: of its boxes in diagrams, `#rrggbb`.
        layers: the residual branch of a block.
        inner: channels of its k x k convolution.
        expands: whether it has an expansion ratio; a space writes that behind the name (`mbconv6`).
        unexpanded: the op that it is with expansion 1, if that is another one.
        final_activation: whether an activation follows the sum of branch and shortcut.
        universal: whether it has a depthwise convolution before its expansion, one behind it, both or none.
        grouped: whether its k x k convolution may have groups; it is as wide as output times expansion.
    """

    name: str
    label: str
    word: str
    colour: str
    layers: Callable[[BlockSpec], tuple[Layer, ...]]
    inner: Callable[[BlockSpec], int]
    expands: bool = False
    unexpanded: str | None = None
    final_activation: bool = False
    short: str = ""
    universal: bool = False
    grouped: bool = False


def _accepted(name: str, op: object) -> Op:
    if not isinstance(op, Op) or op.name != name:
        raise TypeError(f"expected a search_spaces.Op named {name!r}")
    _check_free(op)
    return op


OPS: Registry[Op] = Registry("nas.ops", {}, _accepted)
"""Blocks that a stage can repeat, by name; installed packages add theirs by the entry points `nas.ops`."""


def register_op(op: Op) -> None:
    """Add an op; all that reads or counts or builds a spec in this process knows it from then on.

    Raises:
        InputError: its name or its word is taken.
    """
    _check_free(op)
    OPS[op.name] = op


def _check_free(op: Op) -> None:
    for other in OPS.present.values():
        if op.name == other.name or op.word == other.word:
            raise InputError(f"op {op.name!r}: name or word {op.word!r} is taken by {other.name!r}")


@lru_cache(maxsize=1 << 16)
def _layers(block: BlockSpec) -> tuple[Layer, ...]:
    return OPS[block.op].layers(block)


def _gate(block: BlockSpec, channels: int) -> tuple[Layer, ...]:
    squeeze = block.squeeze_channels
    return (Gate(channels, squeeze, block.gate == "hard_sigmoid"),) if squeeze else ()


def _plain(block: BlockSpec) -> tuple[Layer, ...]:
    cin, cout = block.in_channels, block.out_channels
    return (Conv(cin, cout, block.kernel, block.stride), *_gate(block, cout))


def _separable(block: BlockSpec, activation: bool = False) -> tuple[Layer, ...]:
    inner = block.inner_channels
    depthwise = Conv(inner, inner, block.kernel, block.stride, groups=inner)
    return (depthwise, *_gate(block, inner), Conv(inner, block.out_channels, activation=activation))


def _separable_activated(block: BlockSpec) -> tuple[Layer, ...]:
    return _separable(block, activation=True)


def _mbconv(block: BlockSpec) -> tuple[Layer, ...]:
    return (Conv(block.in_channels, block.inner_channels), *_separable(block))


def _universal(block: BlockSpec) -> tuple[Layer, ...]:
    cin, inner, start, middle = block.in_channels, block.inner_channels, block.start_kernel, block.kernel
    layers: list[Layer] = []
    if start:
        stride = 1 if middle else block.stride
        layers.append(Conv(cin, cin, start, stride, groups=cin, activation=False))
    layers.append(Conv(cin, inner))
    if middle:
        layers.append(Conv(inner, inner, middle, block.stride, groups=inner))
    return (*layers, *_gate(block, inner), Conv(inner, block.out_channels, activation=False))


def _fused(block: BlockSpec) -> tuple[Layer, ...]:
    inner = block.inner_channels
    spatial = Conv(block.in_channels, inner, block.kernel, block.stride)
    return (spatial, *_gate(block, inner), Conv(inner, block.out_channels, activation=False))


def _basic(block: BlockSpec) -> tuple[Layer, ...]:
    cin, cout, kernel = block.in_channels, block.out_channels, block.kernel
    second = Conv(cout, cout, kernel, activation=False)
    return (Conv(cin, cout, kernel, block.stride), second, *_gate(block, cout))


def _bottleneck(block: BlockSpec) -> tuple[Layer, ...]:
    inner = block.inner_channels
    groups = inner // block.group_width if block.group_width else 1
    return (
        Conv(block.in_channels, inner),
        Conv(inner, inner, block.kernel, block.stride, groups),
        *_gate(block, inner),
        Conv(inner, block.out_channels, activation=False),
    )


def _as_it_comes(block: BlockSpec) -> int:
    return block.in_channels


def _as_it_goes(block: BlockSpec) -> int:
    return block.out_channels


def _expanded(block: BlockSpec) -> int:
    # equal to in x expansion for the published widths; as torchvision and timm round it
    return make_divisible(block.in_channels * block.expansion)


def _narrowed(block: BlockSpec) -> int:
    return max(1, round(block.out_channels * block.expansion))


for _op in (
    # k x k convolution
    Op("conv", "conv", "cn", "#5b8def", _plain, _as_it_goes, short="Conv"),
    # depthwise k x k, linear 1x1; it is MBConv1
    Op("ds", "depthwise separable", "ds", "#2fa39a", _separable, _as_it_comes, short="MBConv1"),
    # the same with an activation after the 1x1 too (MobileNetV1)
    Op(
        "dsa", "depthwise separable (act.)", "dsa", "#1d7f78", _separable_activated, _as_it_comes,
        short="SepConv",
    ),
    # inverted residual: 1x1 expansion before `ds` (MobileNetV2)
    Op("mbconv", "MBConv", "ir", "#e08a3c", _mbconv, _expanded, expands=True, unexpanded="ds"),
    # the same with one k x k convolution for the 1x1 and the depthwise one (EfficientNetV2, Tan & Le 2021,
    # figure 2); where it expands nothing it is that convolution alone
    Op(
        "fused", "fused MBConv", "er", "#c8556f", _fused, _expanded,
        expands=True, unexpanded="conv", short="FusedMBConv",
    ),
    # MobileNetV4's universal inverted bottleneck (Qin et al. 2024, section 3): a depthwise convolution before
    # the expansion, behind it, both (extra depthwise) or none (feed-forward); only behind it, it is an MBConv
    Op(
        "uib", "universal inverted bottleneck", "uir", "#b5a33c", _universal, _expanded,
        expands=True, short="UIB", universal=True,
    ),
    # ResNet's two (He et al. 2016), the stride on the k x k convolution, as in torchvision's v1.5; the second
    # one grouped is RegNet's (Radosavovic et al. 2020, section 3.2), SE behind the k x k convolution
    Op("basic", "basic block", "bb", "#a56cc1", _basic, _as_it_goes, final_activation=True, short="Basic"),
    Op(
        "bottleneck", "bottleneck", "bt", "#7d57c1", _bottleneck, _narrowed,
        expands=True, final_activation=True, short="Bottleneck", grouped=True,
    ),
):  # fmt: skip
    register_op(_op)

OPS.built_in = frozenset(OPS.present)


class WithOps:
    """Something that travels to another process with the ops that only this one knows; there it is itself.

    Built-in ops, and those of installed packages, another process finds itself.
    """

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __reduce__(self) -> tuple[Any, ...]:
        elsewhere = OPS.built_in | set(added_names(OPS.group))
        own = tuple(op for name, op in OPS.present.items() if name not in elsewhere)
        return _arrive, (own, self.thing)


def _arrive(ops: tuple[Op, ...], thing: object) -> object:
    for op in ops:
        if op.name not in OPS.present:
            register_op(op)
    return thing

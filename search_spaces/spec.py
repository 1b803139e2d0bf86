"""The network spec: a concrete network as frozen, validated data, and its document format.

A `NetworkSpec` is a stem, stages of repeated blocks and a head; `StageSpec.blocks` expands a stage
into `BlockSpec`s (`search_spaces.block`, where the ops are). Nothing here computes or builds:
`nas.network.cost` counts a spec and `nas.network.builder` makes a module of it, from the same layers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_type_hints

from search_spaces.block import GATES, OPS, BlockSpec
from search_spaces.document import check_fields, check_schema, read_document
from search_spaces.errors import InputError, shown, unknown
from search_spaces.quoting import check_name

SCHEMA_VERSION = 1

SKIPS = ("none", "identity", "pooling", "projection")
"""The shortcut around a block.

- `identity`: added where the block keeps its shape, absent elsewhere (MobileNetV2, EfficientNet).
- `pooling`: on every block; where the shape changes the shortcut is average-pooled by the stride and
  its channels are cut or zero-padded, so it stays without parameters (MnasNet's SkipOp names the
  pooling skip but doesn't define it; this is ResNet's option A with a pooling).
- `projection`: on every block; where the shape changes it is a 1x1 convolution with BN (ResNet).
"""

ACTIVATIONS = ("relu", "relu6", "silu", "hard_swish")

_MAX_REPEATS, _MAX_CHANNELS, _MAX_RESOLUTION = 1024, 1 << 16, 1 << 14


def _check_int(where: str, field: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{where}: {field} {shown(value)}: expected an integer from {low} to {high}")


def _check_number(where: str, field: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"{where}: {field} {shown(value)}: expected a number from {low:g} to {high:g}")


def _check_kernel(where: str, value: object, field: str = "kernel") -> None:
    _check_int(where, field, value, 1, 31)
    if value % 2 == 0:  # type: ignore[operator]
        raise InputError(f"{where}: {field} {shown(value)}: expected an odd size")


@dataclass(frozen=True)
class StageSpec:
    """`repeats` blocks of one kind; the first one has the stride and changes the width.

    `expansion` 1 with op `mbconv` is MBConv1 and is stored as what it is, `ds`; with `fused` it is `conv`.
    `activation` is one of `ACTIVATIONS` where it is not the network's (MobileNetV3's first stages); `gate`,
    one of `search_spaces.block.GATES`, is the kind of SE. `uib` has a `start_kernel` before its expansion and
    `kernel` behind it, 0 where there is none; with the second alone it is stored as what it is, `mbconv`.
    `bottleneck` may have a k x k convolution in groups of `group_width` channels (RegNet, ResNeXt), which
    divides its inner width; one group is stored as 0, none.

    Raises:
        InputError: a field breaks its rule.
    """

    op: str
    channels: int
    kernel: int = 3
    stride: int = 1
    expansion: float = 1
    repeats: int = 1
    se_ratio: float = 0
    skip: str = "identity"
    activation: str = ""
    gate: str = "sigmoid"
    start_kernel: int = 0
    group_width: int = 0

    def __post_init__(self) -> None:
        where = "stage"
        if self.op not in OPS:
            raise InputError(f"{where}: {unknown('op', self.op, OPS)}")
        if self.skip not in SKIPS:
            raise InputError(f"{where}: {unknown('skip', self.skip, SKIPS)}")
        if self.activation and self.activation not in ACTIVATIONS:
            raise InputError(f"{where}: {unknown('activation', self.activation, ACTIVATIONS)}")
        if self.gate not in GATES:
            raise InputError(f"{where}: {unknown('gate', self.gate, GATES)}")
        _check_int(where, "channels", self.channels, 1, _MAX_CHANNELS)
        universal = OPS[self.op].universal
        if not universal or self.kernel != 0 or isinstance(self.kernel, bool):
            _check_kernel(where, self.kernel)
        if self.start_kernel != 0 or isinstance(self.start_kernel, bool):
            _check_kernel(where, self.start_kernel, "start_kernel")
            if not universal:
                raise InputError(
                    f"{where}: start_kernel {self.start_kernel}: op {self.op!r} has none, expected 0"
                )
        _check_int(where, "stride", self.stride, 1, 8)
        if self.stride > 1 and not self.kernel and not self.start_kernel:
            raise InputError(f"{where}: stride {self.stride}: expected 1 without a depthwise convolution")
        _check_int(where, "repeats", self.repeats, 1, _MAX_REPEATS)
        _check_number(where, "expansion", self.expansion, 0.01, 64)
        _check_number(where, "se_ratio", self.se_ratio, 0, 1)
        op = OPS[self.op]
        if not op.expands and self.expansion != 1:
            raise InputError(
                f"{where}: expansion {shown(self.expansion)}: op {self.op!r} has none, expected 1"
            )
        if universal and self.kernel and not self.start_kernel and self.expansion != 1:
            object.__setattr__(self, "op", "mbconv")
        if op.unexpanded is not None and self.expansion == 1:
            object.__setattr__(self, "op", op.unexpanded)
        if self.group_width != 0 or isinstance(self.group_width, bool):
            self._check_groups(where)
        if not self.se_ratio:
            object.__setattr__(self, "gate", "sigmoid")  # there is none: one network, one digest
        for field in ("expansion", "se_ratio"):  # 6.0 and 6 are one value, and one digest
            value = getattr(self, field)
            if value == int(value):
                object.__setattr__(self, field, int(value))

    def _check_groups(self, where: str) -> None:
        _check_int(where, "group_width", self.group_width, 1, _MAX_CHANNELS)
        if not OPS[self.op].grouped:
            raise InputError(
                f"{where}: group_width {self.group_width}: op {self.op!r} has no groups, expected 0"
            )
        inner = self._block(self.channels, 1).inner_channels
        if inner % self.group_width:
            raise InputError(
                f"{where}: group_width {self.group_width}: expected a divisor of its inner width, {inner}"
            )
        if inner == self.group_width:
            object.__setattr__(self, "group_width", 0)

    def blocks(self, in_channels: int) -> tuple[BlockSpec, ...]:
        """The stage's blocks, the first of which takes `in_channels`."""
        first = self._block(in_channels, self.stride)
        if self.repeats == 1:
            return (first,)
        return (first, *(self._block(self.channels, 1),) * (self.repeats - 1))

    def _block(self, in_channels: int, stride: int) -> BlockSpec:
        keeps_shape = stride == 1 and in_channels == self.channels
        if keeps_shape:
            skip = "none" if self.skip == "none" else "identity"
        else:
            skip = "none" if self.skip == "identity" else self.skip
        return BlockSpec(
            self.op,
            in_channels,
            self.channels,
            self.kernel,
            stride,
            self.expansion,
            self.se_ratio,
            skip,
            self.activation,
            self.gate,
            self.start_kernel,
            self.group_width,
        )

    def widened(self, channels: int) -> StageSpec:
        """The stage with about another width: of a grouped one the nearest that its groups divide.

        A group is never wider than what it is a part of (as RegNet's authors fit widths to groups).
        """
        if not self.group_width:
            return replace(self, channels=channels)
        plain = replace(self, channels=channels, group_width=0)
        inner = plain._block(channels, 1).inner_channels
        group = min(self.group_width, inner)
        if inner % group == 0:
            return replace(plain, group_width=group)
        near = round(int(inner / group + 0.5) * group / self.expansion)
        for step in range(_MAX_CHANNELS):  # the first fits, but where an expansion above 1 skips widths
            for width in (near + step, near - step):
                if width > 0 and not replace(plain, channels=width)._block(width, 1).inner_channels % group:
                    return replace(plain, channels=width, group_width=group)
        raise InputError(f"stage: channels {channels}: no width near it has groups of {self.group_width}")

    def to_document(self) -> dict[str, Any]:
        """The stage as plain data; what came later only where it isn't as before."""
        usual = {"activation": "", "gate": "sigmoid", "start_kernel": 0, "group_width": 0}
        return {name: value for name, value in vars(self).items() if usual.get(name) != value}


@dataclass(frozen=True)
class StemSpec:
    """The first convolution (BN, activation), and ResNet's 3x3 max pooling of stride 2 if `pool`."""

    channels: int = 32
    kernel: int = 3
    stride: int = 2
    pool: bool = False

    def __post_init__(self) -> None:
        _check_int("stem", "channels", self.channels, 1, _MAX_CHANNELS)
        _check_kernel("stem", self.kernel)
        _check_int("stem", "stride", self.stride, 1, 8)
        if not isinstance(self.pool, bool):
            raise InputError(f"stem: pool {shown(self.pool)}: expected true or false")


@dataclass(frozen=True)
class NetworkSpec:
    """A concrete network.

    Attributes:
        name: for people, 1 to 200 printable characters; not part of the digest.
        stages: at least one.
        stem: the first layer.
        head_channels: width of the 1x1 convolution before the global average pooling (0: none).
        resolution: input height and width, pixels.
        in_channels: of the input image.
        num_classes: outputs of the classifier.
        activation: one of `ACTIVATIONS`, everywhere.
        bn_momentum: weight of the new batch in BN's running statistics (torch's convention, so the
            published 0.99 is 0.01 here).
        bn_eps: BN's epsilon.
        dropout: rate before the classifier.
        stochastic_depth: drop rate of the last block; it grows linearly from 0 with the block's index.
        pooled_channels: width of another 1x1 convolution, with a bias and the activation, between the pooling
            and the classifier (MobileNetV3's head; 0: none).
        pooled_norm: whether that one has BN instead of a bias (MobileNetV4's head).

    Raises:
        InputError: a field breaks its rule.
    """

    name: str
    stages: tuple[StageSpec, ...]
    stem: StemSpec = StemSpec()
    head_channels: int = 1280
    resolution: int = 224
    in_channels: int = 3
    num_classes: int = 1000
    activation: str = "silu"
    bn_momentum: float = 0.01
    bn_eps: float = 1e-3
    dropout: float = 0.2
    stochastic_depth: float = 0.2
    pooled_channels: int = 0
    pooled_norm: bool = False

    def __post_init__(self) -> None:
        check_name("network", "name", self.name)
        where = f"network {self.name!r}"
        if not self.stages or not all(isinstance(stage, StageSpec) for stage in self.stages):
            raise InputError(f"{where}: stages: expected at least one StageSpec")
        # a stage's own activation that is the network's is none of its own: one network, one digest
        stages = (replace(s, activation="") if s.activation == self.activation else s for s in self.stages)
        object.__setattr__(self, "stages", tuple(stages))
        if self.activation not in ACTIVATIONS:
            raise InputError(f"{where}: {unknown('activation', self.activation, ACTIVATIONS)}")
        _check_int(where, "head_channels", self.head_channels, 0, _MAX_CHANNELS)
        _check_int(where, "pooled_channels", self.pooled_channels, 0, _MAX_CHANNELS)
        if not isinstance(self.pooled_norm, bool):
            raise InputError(f"{where}: pooled_norm {shown(self.pooled_norm)}: expected true or false")
        if self.pooled_norm and not self.pooled_channels:
            raise InputError(f"{where}: pooled_norm true: expected pooled_channels above 0 with it")
        _check_int(where, "resolution", self.resolution, 1, _MAX_RESOLUTION)
        _check_int(where, "in_channels", self.in_channels, 1, 1024)
        _check_int(where, "num_classes", self.num_classes, 1, 1 << 20)
        _check_number(where, "bn_momentum", self.bn_momentum, 1e-6, 1)
        _check_number(where, "bn_eps", self.bn_eps, 1e-12, 1)
        _check_number(where, "dropout", self.dropout, 0, 0.999)
        _check_number(where, "stochastic_depth", self.stochastic_depth, 0, 0.999)
        for field in ("bn_momentum", "dropout", "stochastic_depth"):  # 0.0 and 0 are one digest here, too
            if getattr(self, field) == int(getattr(self, field)):
                object.__setattr__(self, field, int(getattr(self, field)))

    def blocks(self) -> tuple[BlockSpec, ...]:
        """All blocks from the stem to the head."""
        blocks: list[BlockSpec] = []
        channels = self.stem.channels
        for stage in self.stages:
            blocks.extend(stage.blocks(channels))
            channels = stage.channels
        return tuple(blocks)

    @cached_property
    def digest(self) -> str:
        """16 hex digits that two specs share exactly if they describe the same network.

        Taken over the blocks, not the stages: a shortcut that has no effect, or one stage written as
        two, makes no difference. The name makes none either.
        """
        parts: list[object] = [SCHEMA_VERSION]
        parts += [getattr(self, field) for field in _SETTINGS if field not in _LATER]
        parts += [f"{field}={value}" for field, value in self._later()]
        parts.append(list(vars(self.stem).values()))
        parts += [block.values() for block in self.blocks()]
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_document(self) -> dict[str, Any]:
        """The spec as plain data, readable again by `from_document`."""
        document: dict[str, Any] = {"schema": SCHEMA_VERSION, "name": self.name}
        document |= {field: getattr(self, field) for field in _SETTINGS if field not in _LATER}
        document |= self._later()
        document["stem"] = dict(vars(self.stem))
        document["stages"] = [stage.to_document() for stage in self.stages]
        return document

    def _later(self) -> list[tuple[str, Any]]:
        """Settings that came after the first documents and digests, where they aren't as it was before."""
        return [(field, getattr(self, field)) for field in _LATER if getattr(self, field)]

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str = "spec") -> NetworkSpec:
        """The spec in a document; `where` names it in errors.

        Raises:
            InputError: unknown schema version or field, a missing field, or a value out of its rule.
        """
        if not isinstance(document, Mapping):
            raise InputError(f"{where}: expected a mapping, found {type(document).__name__}")
        check_schema(document, where, SCHEMA_VERSION)
        fields = check_fields(document, where, ("schema", "name", "stages"), ("stem", *_SETTINGS))
        del fields["schema"]
        stages = fields.pop("stages")
        if not isinstance(stages, list) or not stages:
            raise InputError(f"{where}: stages {shown(stages)}: expected a list of at least one stage")
        if len(stages) > _MAX_REPEATS:
            raise InputError(f"{where}: {len(stages)} stages: expected at most {_MAX_REPEATS}")
        try:
            parsed = tuple(
                part_from_document(StageSpec, stage, f"stages[{index}]") for index, stage in enumerate(stages)
            )
            stem = part_from_document(StemSpec, fields.pop("stem", {}), "stem")
            return cls(stages=parsed, stem=stem, **fields)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None

    def replace(self, **changes: Any) -> NetworkSpec:
        """A copy with some fields changed."""
        return replace(self, **changes)


_LATER = ("pooled_channels", "pooled_norm")

_SETTINGS = tuple(field for field in get_type_hints(NetworkSpec) if field not in ("name", "stages", "stem"))


def part_from_document(cls: type[Any], document: object, where: str) -> Any:
    """A `StageSpec` or `StemSpec` from its mapping; errors are prefixed with `where`."""
    required = ("op", "channels") if cls is StageSpec else ()
    hints = get_type_hints(cls)
    fields = check_fields(document, where, required, [name for name in hints if name not in required])
    for name, value in fields.items():
        if isinstance(value, (list, dict)):
            raise InputError(f"{where}: {name} {shown(value)}: expected a single value")
        if hints[name] is str and not isinstance(value, str):
            raise InputError(f"{where}: {name} {shown(value)}: expected a text")
    try:
        return cls(**fields)
    except InputError as error:
        raise InputError(f"{where}: {str(error).split(': ', 1)[1]}") from None


def read_spec(path: str) -> NetworkSpec:
    """The spec in a YAML or JSON file.

    Raises:
        InputError: the file can't be read or is no spec; the message names the file and the rule.
    """
    return NetworkSpec.from_document(read_document(path), str(path))

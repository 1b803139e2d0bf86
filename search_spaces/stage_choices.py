"""What a stage of a staged space may be, shared by its blocks or block by block, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from search_spaces.block import OPS
from search_spaces.decision import Choice
from search_spaces.document import check_fields
from search_spaces.errors import InputError, shown
from search_spaces.spec import StageSpec
from search_spaces.together import StageField

FIELDS = (
    "op",
    "kernel",
    "se_ratio",
    "skip",
    "channels",
    "repeats",
    "start_kernel",
    "gate",
    "activation",
)
"""What is chosen of a stage."""

OF_A_BLOCK = tuple(name for name in FIELDS if name != "repeats")
"""What a block may choose for itself."""

_LATER: dict[str, tuple[Choice, ...]] = {"start_kernel": (0,), "gate": ("sigmoid",), "activation": ("",)}
"""What came after the first documents, and how it was before."""

_MOST_CHOICES = 1000
"""Of one field of a stage. Tables of costs have an entry for each pair of neighbouring widths."""


@lru_cache(maxsize=1 << 16)
def make_stage(
    op: str,
    kernel: int,
    se_ratio: float,
    skip: str,
    channels: int,
    repeats: int,
    start_kernel: int,
    gate: str,
    activation: str,
    stride: int,
) -> StageSpec:
    """The stage of these choices, in the order of `FIELDS`; `op` with its expansion ratio."""
    name, expansion = split_op(op)
    return StageSpec(
        name, channels, kernel, stride, expansion, repeats, se_ratio, skip, activation, gate, start_kernel
    )


@lru_cache(maxsize=1 << 16)
def joined(stage: StageSpec, more: StageSpec) -> StageSpec | None:
    """Both as one stage, if the second goes on with what the first is."""
    alike = {**vars(stage), "stride": 1, "repeats": more.repeats} == vars(more)
    return StageSpec(**{**vars(stage), "repeats": stage.repeats + more.repeats}) if alike else None


def split_op(text: object) -> tuple[str, float]:
    """`mbconv6` -> ("mbconv", 6); ops without an expansion ratio have no number."""
    match = re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)", str(text))
    if match and match[1] in OPS and OPS[match[1]].expands:
        return match[1], float(match[2])
    return str(text), 1


def op_names(op: str, expansion: float, start_kernel: int = 0) -> tuple[str, ...]:
    """What a space may call an op with its expansion; a `uib` without a first kernel is an `mbconv`."""
    if not OPS[op].expands:
        return (op,)
    kinds = (op, "uib") if op == "mbconv" and not start_kernel else (op,)
    return tuple(f"{kind}{expansion:g}" for kind in kinds)


def is_universal(op: object) -> bool:
    """Whether an op, as a space names it, has two depthwise kernels, either of which may be 0."""
    name = split_op(op)[0]
    return name in OPS and OPS[name].universal


@dataclass(frozen=True)
class StageChoices:
    """What one stage of the space may be.

    A field with several values is a decision, one with a single value is fixed.

    Attributes:
        op: `conv`, `ds`, `dsa`, `basic`, or `mbconv`/`fused`/`uib`/`bottleneck` with the expansion ratio
            behind it (`mbconv6`); `mbconv1` is written `ds`, `fused1` `conv`.
        stride: of the stage's first block; fixed.
        repeats: numbers of blocks; 0, no such stage, only of the last one.
        start_kernel: of `uib`, before its expansion; 0: none.
        gate: the kind of SE.
        activation: "": the network's.
        blocks: what each block chooses for itself, a mapping of fields to values for each; the last one
            holds for all further blocks, each of which chooses by itself, too. What it doesn't name, the
            blocks of the stage have in common; widths are their own only where the stage has one depth. Of
            a block that isn't there, since the stage has fewer, nothing is chosen.

    Raises:
        InputError: a value is not one the op can have.
    """

    op: tuple[str, ...]
    channels: tuple[int, ...]
    kernel: tuple[int, ...] = (3,)
    repeats: tuple[int, ...] = (1,)
    se_ratio: tuple[float, ...] = (0,)
    skip: tuple[str, ...] = ("identity",)
    stride: int = 1
    start_kernel: tuple[int, ...] = (0,)
    gate: tuple[str, ...] = ("sigmoid",)
    activation: tuple[str, ...] = ("",)
    blocks: tuple[Mapping[str, tuple[Any, ...]], ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        self._check_numbers()
        for index, row in enumerate(self.blocks):
            for name, values in row.items():
                self._check(name, values, f"stage: blocks[{index}]", index)
        for name in FIELDS:
            own = [name in row for row in self.blocks]
            values = getattr(self, name)
            if own and all(own):
                if len(values) > 1:
                    raise InputError(
                        f"stage: {name} {shown(list(values))}: all blocks have choices of their own, these "
                        "decide nothing"
                    )
                continue
            self._check(name, values, "stage")
        if 0 in self.repeats and (self.blocks or self.stride != 1):
            raise InputError("stage: repeats 0: expected stride 1 and no blocks of their own with it")
        if len(self.blocks) > max(self.repeats):
            raise InputError(
                f"stage: blocks: {len(self.blocks)} of them: expected at most {max(self.repeats)}, as repeats"
            )
        for index, row in enumerate(self.blocks):
            if "channels" in row and len(self.repeats) > 1:
                raise InputError(f"stage: blocks[{index}]: channels: expected one number of repeats with it")

    def _check_numbers(self) -> None:
        """Raise `InputError` unless every field has values, and not too many."""
        for name in FIELDS:
            unused = bool(self.blocks) and all(name in row for row in self.blocks)
            listed = [("stage", getattr(self, name))] if getattr(self, name) or not unused else []
            listed += [(f"stage: blocks[{i}]", row[name]) for i, row in enumerate(self.blocks) if name in row]
            for where, values in listed:
                if not values:
                    raise InputError(f"{where}: {name}: expected at least one choice")
                if len(values) > _MOST_CHOICES:
                    raise InputError(
                        f"{where}: {name}: {len(values):,} choices: expected at most {_MOST_CHOICES:,}"
                    )

    def of_block(self, block: int, name: str) -> tuple[Any, ...]:
        """The values of a field that a block may have, its own or the stage's."""
        row = self.blocks[min(block, len(self.blocks) - 1)] if self.blocks else {}
        values: tuple[Any, ...] = row[name] if name in row else getattr(self, name)
        return values

    def _check(self, name: str, values: tuple[Any, ...], where: str, block: int = 0) -> None:
        for value in values if name == "activation" else ():
            if not isinstance(value, str):
                raise InputError(f"{where}: activation {shown(value)}: expected a text")
        if name == "repeats":  # one of several may be 0
            values = tuple(value for value in values if type(value) is not int or value) or (0,)
        options = {other: self.of_block(block, other) for other in FIELDS}
        options["repeats"] = (1,)
        first = {other: choices[0] for other, choices in options.items()}
        # kernels that a plain op can't have are of the ones that can, if there are some
        able = {
            "op": next(filter(is_universal, options["op"]), first["op"]),
            "kernel": next((value for value in options["kernel"] if value), first["kernel"]),
        }
        for value in values:
            stage = None
            for tried in (first, first | able):
                try:
                    stage = make_stage(**{**tried, name: value}, stride=1 if block else self.stride)
                    break
                except InputError as error:
                    reason = error
            if stage is None:
                raise InputError(f"{where}: {str(reason).removeprefix('stage: ')}")
            names = op_names(stage.op, stage.expansion, stage.start_kernel)
            universal = any(options["start_kernel"]) or 0 in options["kernel"]
            if name == "op" and value not in (names if universal else names[:1]):
                raise InputError(f"{where}: op {shown(value)}: write it {names[0]!r}")

    def to_document(self) -> dict[str, Any]:
        """As plain data, readable again by `read_choices`; what came later only where it is used."""
        own = {name for name in OF_A_BLOCK if self.blocks and all(name in row for row in self.blocks)}
        document: dict[str, Any] = {"stride": self.stride}
        for name in FIELDS:
            values = getattr(self, name)
            if name not in own and values != _LATER.get(name):
                document[name] = list(values)
        if self.blocks:
            document["blocks"] = [{name: list(values) for name, values in row.items()} for row in self.blocks]
        return document


@dataclass(frozen=True)
class Slot:
    """A place in the space's networks: a stage whose blocks are alike, or one block of a stage.

    Attributes:
        stage: its number.
        stride: of the first block in it.
        keys: by field, which field of the space decides it.
        block: its number in the stage; None: all of them.
    """

    stage: int
    stride: int
    keys: Mapping[str, StageField]
    block: int | None = None

    def repeats(self, depth: int) -> int:
        """How many blocks are here, of a stage of so many."""
        return depth if self.block is None else int(depth > self.block)


def slots_of(stage: StageChoices, number: int) -> Iterator[Slot]:
    """The slots of a stage of the space."""
    if not stage.blocks:
        yield Slot(number, stage.stride, {name: (number, name) for name in FIELDS})
        return
    for block in range(max(stage.repeats)):
        row = stage.blocks[min(block, len(stage.blocks) - 1)]
        keys = {name: (number, f"block{block}.{name}" if name in row else name) for name in FIELDS}
        yield Slot(number, 1 if block else stage.stride, keys, block)


def read_choices(row: object, where: str) -> StageChoices:
    """A stage of a space's document.

    Raises:
        InputError: another form, or what `StageChoices` refuses.
    """
    required = ("op", "channels")
    fields = check_fields(row, where, (), (*FIELDS, "stride", "blocks"))
    rows = fields.pop("blocks", [])
    if not isinstance(rows, list):
        raise InputError(f"{where}: blocks {shown(rows)}: expected a list")
    blocks = []
    for index, own in enumerate(rows):
        own = check_fields(own, f"{where}: blocks[{index}]", (), OF_A_BLOCK)
        blocks.append({name: _values(own, name, f"{where}: blocks[{index}]") for name in own})
    for name in required:
        if blocks and all(name in own for own in blocks):
            fields.setdefault(name, [])
    check_fields(fields, where, required, (*FIELDS, "stride"))
    for name in FIELDS:
        if name in fields:
            fields[name] = _values(fields, name, where)
    if isinstance(fields.get("stride"), (list, dict)):
        raise InputError(f"{where}: stride {shown(fields['stride'])}: expected a single value")
    try:
        return StageChoices(**fields, blocks=tuple(blocks))
    except InputError as error:
        raise InputError(f"{where}: {str(error).removeprefix('stage: ')}") from None


def _values(fields: Mapping[str, Any], name: str, where: str) -> tuple[Any, ...]:
    values = fields[name] if isinstance(fields[name], list) else [fields[name]]
    if any(isinstance(value, (list, dict)) for value in values):
        raise InputError(f"{where}: {name} {shown(values)}: expected a list of single values")
    return tuple(values)

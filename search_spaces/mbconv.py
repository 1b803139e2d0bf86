"""The generic staged space: per stage a choice of op, kernel, SE, skip, width and depth.

A space of this kind is data: `StagedSpace.from_document` reads one from a user's YAML file, and the
built-in spaces are made of the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.block import OPS
from search_spaces.decision import Choice, Decision
from search_spaces.document import check_fields, check_schema, read_document
from search_spaces.errors import InputError
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec, StageSpec

SCHEMA_VERSION = 1

_FIELDS = ("op", "kernel", "se_ratio", "skip", "channels", "repeats")


@lru_cache(maxsize=1 << 16)
def _stage(
    op: str, kernel: int, se_ratio: float, skip: str, channels: int, repeats: int, stride: int
) -> StageSpec:
    name, expansion = _split_op(op)
    return StageSpec(name, channels, kernel, stride, expansion, repeats, se_ratio, skip)


def _split_op(text: object) -> tuple[str, float]:
    """`mbconv6` -> ("mbconv", 6); ops without an expansion ratio have no number."""
    match = re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)", str(text))
    if match and match[1] in OPS and OPS[match[1]].expands:
        return match[1], float(match[2])
    return str(text), 1


def _op_name(stage: StageSpec) -> str:
    return f"{stage.op}{stage.expansion:g}" if OPS[stage.op].expands else stage.op


@dataclass(frozen=True)
class StageChoices:
    """What one stage of the space may be.

    A field with several values is a decision, one with a single value is fixed.

    Attributes:
        op: `conv`, `ds`, `dsa`, `basic`, or `mbconv`/`bottleneck` with the expansion ratio behind it
            (`mbconv6`); `mbconv1` is written `ds`.
        stride: of the stage's first block; fixed.

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

    def __post_init__(self) -> None:
        for field in _FIELDS:
            if not getattr(self, field):
                raise InputError(f"stage: {field}: expected at least one choice")
        first = {field: getattr(self, field)[0] for field in _FIELDS}
        for field in _FIELDS:
            for value in getattr(self, field):
                stage = _stage(**{**first, field: value}, stride=self.stride)
                if field == "op" and _op_name(stage) != value:
                    raise InputError(f"stage: op {value!r}: write it {_op_name(stage)!r}")


class StagedSpace(SearchSpace):
    """A space of networks that share stem, head and settings and differ in their stages.

    Args:
        name: of the space.
        stages: the choices of each stage.
        template: a network whose stem, head and settings all members share; its stages and name
            are not used.
    """

    def __init__(self, name: str, stages: tuple[StageChoices, ...], template: NetworkSpec) -> None:
        self.stages = stages
        self.template = template
        decisions = tuple(
            Decision(f"stage{index}.{field}", getattr(stage, field))
            for index, stage in enumerate(stages)
            for field in _FIELDS
            if len(getattr(stage, field)) > 1
        )
        super().__init__(name, decisions)

    def stage(
        self, number: int, op: str, kernel: int, se_ratio: float, skip: str, channels: int, repeats: int
    ) -> StageSpec:
        """Stage `number` with these choices."""
        return _stage(op, kernel, se_ratio, skip, channels, repeats, self.stages[number].stride)

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network an architecture describes."""
        self.check(architecture)
        indices = iter(architecture)
        stages = []
        for choices in self.stages:
            values = [getattr(choices, field) for field in _FIELDS]
            chosen = [value[next(indices)] if len(value) > 1 else value[0] for value in values]
            stages.append(_stage(*chosen, choices.stride))
        return self.template.replace(name=self.name, stages=tuple(stages))

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture whose blocks are those of `spec`."""
        if spec.stem != self.template.stem or spec.head_channels != self.template.head_channels:
            raise NotInSpaceError(f"network {spec.name!r}: stem or head differs from space {self.name!r}")
        if len(spec.stages) != len(self.stages):
            raise NotInSpaceError(
                f"network {spec.name!r} has {len(spec.stages)} stages, space {self.name!r} {len(self.stages)}"
            )
        indices: list[int] = []
        channels = spec.stem.channels
        for number, (stage, choices) in enumerate(zip(spec.stages, self.stages, strict=True)):
            values: dict[str, Choice] = {field: getattr(stage, field) for field in _FIELDS}
            values["op"] = _op_name(stage)
            values["skip"] = self._equal_skip(stage, choices, channels)
            if stage.stride != choices.stride:
                raise NotInSpaceError(
                    f"network {spec.name!r}: stage{number}.stride {stage.stride}: expected {choices.stride}"
                )
            for field in _FIELDS:
                options = getattr(choices, field)
                if values[field] not in options:
                    raise NotInSpaceError(
                        f"network {spec.name!r}: stage{number}.{field} {values[field]!r}: "
                        f"space {self.name!r} has {', '.join(map(str, options))}"
                    )
                if len(options) > 1:
                    indices.append(options.index(values[field]))
            channels = stage.channels
        return Architecture(indices)

    @staticmethod
    def _equal_skip(stage: StageSpec, choices: StageChoices, in_channels: int) -> str:
        """The stage's skip, or another of the choices that leads to the same blocks."""
        if stage.skip not in choices.skip:
            for skip in choices.skip:
                other = StageSpec(**{**vars(stage), "skip": skip})
                if other.blocks(in_channels) == stage.blocks(in_channels):
                    return skip
        return stage.skip

    def to_document(self) -> dict[str, Any]:
        """The space as plain data, readable again by `from_document`."""
        network = self.template.to_document()
        for field in ("schema", "name", "stages"):
            del network[field]
        stages = [
            {"stride": stage.stride} | {field: list(getattr(stage, field)) for field in _FIELDS}
            for stage in self.stages
        ]
        return {"schema": SCHEMA_VERSION, "space": self.name, "network": network, "stages": stages}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str = "space") -> StagedSpace:
        """The space in a document; `where` names it in errors.

        Raises:
            InputError: unknown schema version or field, a missing field, or a value out of its rule.
        """
        check_schema(document, where, SCHEMA_VERSION)
        fields = check_fields(document, where, ("schema", "space", "stages"), ("network",))
        rows = fields["stages"]
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{where}: stages {rows!r}: expected a list of at least one stage")
        stages = tuple(_read_choices(row, f"{where}: stages[{index}]") for index, row in enumerate(rows))
        network = check_fields(fields.get("network", {}), f"{where}: network", (), _SETTINGS)
        placeholder = [{"op": "ds", "channels": 1}]
        template = NetworkSpec.from_document(
            {"schema": 1, "name": fields["space"], "stages": placeholder, **network}, f"{where}: network"
        )
        return cls(fields["space"], stages, template)

    @classmethod
    def read(cls, path: str) -> StagedSpace:
        """The space in a YAML or JSON file; raises `InputError` with the file's name."""
        return cls.from_document(read_document(path), str(path))


_SETTINGS = tuple(
    field
    for field in NetworkSpec("any", (StageSpec("ds", 1),)).to_document()
    if field not in ("schema", "name", "stages")
)


def _read_choices(row: object, where: str) -> StageChoices:
    fields = check_fields(row, where, ("op", "channels"), ("kernel", "repeats", "se_ratio", "skip", "stride"))
    for field in _FIELDS:
        if field in fields:
            values = fields[field] if isinstance(fields[field], list) else [fields[field]]
            if any(isinstance(value, (list, dict)) for value in values):
                raise InputError(f"{where}: {field} {values!r}: expected a list of single values")
            fields[field] = tuple(values)
    try:
        return StageChoices(**fields)
    except InputError as error:
        raise InputError(f"{where}: {str(error).removeprefix('stage: ')}") from None

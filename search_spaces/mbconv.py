"""The generic staged space: per stage a choice of op, kernel, SE, skip, width and depth.

A space of this kind is data: `StagedSpace.from_document` reads one from a user's YAML file, and the
built-in spaces are made of the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.block import OPS
from search_spaces.decision import Choice, Decision
from search_spaces.document import check_fields, check_schema, read_document
from search_spaces.errors import InputError, shown
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec, StageSpec
from search_spaces.together import Exportable, JointChoices, StageField, read_together

SCHEMA_VERSION = 1

FIELDS = ("op", "kernel", "se_ratio", "skip", "channels", "repeats")
"""What is chosen of a stage."""


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


_MOST_CHOICES = 1000
"""Of one field of a stage. Tables of costs have an entry for each pair of neighbouring widths."""


@dataclass(frozen=True)
class StageChoices:
    """What one stage of the space may be.

    A field with several values is a decision, one with a single value is fixed.

    Attributes:
        op: `conv`, `ds`, `dsa`, `basic`, or `mbconv`/`fused`/`bottleneck` with the expansion ratio behind it
            (`mbconv6`); `mbconv1` is written `ds`, `fused1` `conv`.
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
        for field in FIELDS:
            if not (count := len(getattr(self, field))):
                raise InputError(f"stage: {field}: expected at least one choice")
            if count > _MOST_CHOICES:
                raise InputError(f"stage: {field}: {count:,} choices: expected at most {_MOST_CHOICES:,}")
        first = {field: getattr(self, field)[0] for field in FIELDS}
        for field in FIELDS:
            for value in getattr(self, field):
                stage = _stage(**{**first, field: value}, stride=self.stride)
                if field == "op" and _op_name(stage) != value:
                    raise InputError(f"stage: op {shown(value)}: write it {_op_name(stage)!r}")


class StagedSpace(SearchSpace):
    """A space of networks that share stem, head and settings and differ in their stages.

    Args:
        name: of the space.
        stages: the choices of each stage.
        template: a network whose stem, head and settings all members share; its stages and name
            are not used.
        together: fields that one decision decides, where not all combinations are meant.
        exportable: what the space was constrained to (`search_spaces.constrain`).

    Raises:
        InputError: `together` names a field that isn't there, or twice, or values that it doesn't have.
    """

    def __init__(
        self,
        name: str,
        stages: tuple[StageChoices, ...],
        template: NetworkSpec,
        together: tuple[JointChoices, ...] = (),
        exportable: Exportable | None = None,
    ) -> None:
        self.stages = stages
        self.template = template
        self.together = together
        self.exportable = exportable
        groups = _grouped(stages, together)
        decisions: list[Decision] = []
        self._places: dict[StageField, tuple[int, tuple[int, ...]]] = {}
        for number, stage in enumerate(stages):
            for field in FIELDS:
                options = getattr(stage, field)
                if (number, field) in self._places:
                    continue
                if group := groups.get((number, field)):
                    for column, (other, name_there) in enumerate(group.fields):
                        values = getattr(stages[other], name_there)
                        found = tuple(values.index(choice[column]) for choice in group.choices)
                        self._places[other, name_there] = len(decisions), found
                    decisions.append(group.decision())
                elif len(options) > 1:
                    self._places[number, field] = len(decisions), tuple(range(len(options)))
                    decisions.append(Decision(f"stage{number}.{field}", options))
        super().__init__(name, tuple(decisions))

    def stage(
        self, number: int, op: str, kernel: int, se_ratio: float, skip: str, channels: int, repeats: int
    ) -> StageSpec:
        """Stage `number` with these choices."""
        return _stage(op, kernel, se_ratio, skip, channels, repeats, self.stages[number].stride)

    def place(self, number: int, field: str) -> tuple[int, tuple[int, ...]] | None:
        """What decides a field of a stage: a decision's position and, by its choice, the index of the value.

        None: nothing does, there is one value.
        """
        return self._places.get((number, field))

    def variants(self, number: int) -> Iterator[tuple[int, StageSpec]]:
        """All that stage `number` can be: the width before it, and the stage; some may come twice."""
        fields = [(number, field) for field in FIELDS]
        before = None if number == 0 else self._places.get((number - 1, "channels"))
        places = [self._places[field] for field in fields if field in self._places]
        positions = list(dict.fromkeys(place[0] for place in ([before] if before else []) + places))
        architecture = [0] * len(self.decisions)
        for chosen in product(*(range(len(self.decisions[position])) for position in positions)):
            for position, index in zip(positions, chosen, strict=True):
                architecture[position] = index
            width = self.template.stem.channels
            if number:
                width = int(self._value(number - 1, "channels", architecture))
            yield width, self._stage_of(number, architecture)

    def _value(self, number: int, field: str, architecture: Sequence[int]) -> Choice:
        values: tuple[Choice, ...] = getattr(self.stages[number], field)
        place = self._places.get((number, field))
        return values[0] if place is None else values[place[1][architecture[place[0]]]]

    def _stage_of(self, number: int, architecture: Sequence[int]) -> StageSpec:
        chosen: list[Any] = [self._value(number, field, architecture) for field in FIELDS]
        return self.stage(number, *chosen)

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network an architecture describes."""
        self.check(architecture)
        stages = tuple(self._stage_of(number, architecture) for number in range(len(self.stages)))
        return self.template.replace(name=self.name, stages=stages)

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture whose blocks are those of `spec`."""
        ends = [(s.stem, s.head_channels, s.pooled_channels, s.pooled_norm) for s in (spec, self.template)]
        if ends[0] != ends[1]:
            raise NotInSpaceError(f"network {spec.name!r}: stem or head differs from space {self.name!r}")
        if len(spec.stages) != len(self.stages):
            raise NotInSpaceError(
                f"network {spec.name!r} has {len(spec.stages)} stages, space {self.name!r} {len(self.stages)}"
            )
        # by field its value; of a skip every one that leads to the same blocks
        wanted: dict[StageField, tuple[Choice, ...]] = {}
        channels = spec.stem.channels
        for number, (stage, choices) in enumerate(zip(spec.stages, self.stages, strict=True)):
            values: dict[str, tuple[Choice, ...]] = {field: (getattr(stage, field),) for field in FIELDS}
            values["op"] = (_op_name(stage),)
            values["skip"] = self._equal_skips(stage, choices, channels)
            if stage.activation or stage.gate != "sigmoid":
                raise NotInSpaceError(
                    f"network {spec.name!r}: stage{number}: an activation or a gate of its own, in no space"
                )
            if stage.stride != choices.stride:
                raise NotInSpaceError(
                    f"network {spec.name!r}: stage{number}.stride {stage.stride}: expected {choices.stride}"
                )
            for field in FIELDS:
                options = getattr(choices, field)
                wanted[number, field] = tuple(value for value in values[field] if value in options)
                if not wanted[number, field]:
                    raise NotInSpaceError(
                        f"network {spec.name!r}: stage{number}.{field} {values[field][0]!r}: "
                        f"space {self.name!r} has {', '.join(map(str, options))}"
                    )
            channels = stage.channels
        indices = {
            place: getattr(self.stages[key[0]], key[1]).index(wanted[key][0])
            for key, (place, _) in self._places.items()
        }
        for group in self.together:
            found = [c for c in product(*(wanted[key] for key in group.fields)) if c in group.choices]
            if not found:
                values_there = ", ".join(str(wanted[key][0]) for key in group.fields)
                raise NotInSpaceError(
                    f"network {spec.name!r}: {group.name} {values_there}: space {self.name!r} has no such "
                    "combination"
                )
            indices[self._places[group.fields[0]][0]] = group.choices.index(found[0])
        return Architecture(indices[position] for position in range(len(self.decisions)))

    @staticmethod
    def _equal_skips(stage: StageSpec, choices: StageChoices, in_channels: int) -> tuple[str, ...]:
        """The stage's skip, and the other choices that lead to the same blocks."""
        blocks = stage.blocks(in_channels)
        others = [skip for skip in choices.skip if skip != stage.skip]
        equal = [s for s in others if replace(stage, skip=s).blocks(in_channels) == blocks]
        return (stage.skip, *equal)

    def with_network(self, **fields: Any) -> StagedSpace:
        """The same choices for networks with other settings, such as `num_classes` or `resolution`.

        Raises:
            InputError: a value that breaks the setting's rule.
        """
        template = self.template.replace(**fields)
        return StagedSpace(self.name, self.stages, template, self.together, self.exportable)

    def to_document(self) -> dict[str, Any]:
        """The space as plain data, readable again by `from_document`."""
        network = self.template.to_document()
        for field in ("schema", "name", "stages"):
            del network[field]
        stages = [
            {"stride": stage.stride} | {field: list(getattr(stage, field)) for field in FIELDS}
            for stage in self.stages
        ]
        document = {"schema": SCHEMA_VERSION, "space": self.name, "network": network, "stages": stages}
        if self.together:
            document["together"] = [group.to_document() for group in self.together]
        if self.exportable is not None:
            document["exportable"] = self.exportable.to_document()
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str = "space") -> StagedSpace:
        """The space in a document; `where` names it in errors.

        Raises:
            InputError: unknown schema version or field, a missing field, or a value out of its rule.
        """
        check_schema(document, where, SCHEMA_VERSION)
        optional = ("network", "together", "exportable")
        fields = check_fields(document, where, ("schema", "space", "stages"), optional)
        rows = fields["stages"]
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{where}: stages {shown(rows)}: expected a list of at least one stage")
        stages = tuple(_read_choices(row, f"{where}: stages[{index}]") for index, row in enumerate(rows))
        network = check_fields(fields.get("network", {}), f"{where}: network", (), _SETTINGS)
        placeholder = [{"op": "ds", "channels": 1}]
        template = NetworkSpec.from_document(
            {"schema": 1, "name": fields["space"], "stages": placeholder, **network}, f"{where}: network"
        )
        rows = fields.get("together", [])
        if not isinstance(rows, list):
            raise InputError(f"{where}: together {shown(rows)}: expected a list")
        together = tuple(read_together(row, f"{where}: together[{i}]") for i, row in enumerate(rows))
        exportable = None
        if "exportable" in fields:
            exportable = Exportable.from_document(fields["exportable"], f"{where}: exportable")
        try:
            return cls(fields["space"], stages, template, together, exportable)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None

    @classmethod
    def read(cls, path: str) -> StagedSpace:
        """The space in a YAML or JSON file; raises `InputError` with the file's name."""
        return cls.from_document(read_document(path), str(path))


_SETTINGS = tuple(
    field
    for field in NetworkSpec("any", (StageSpec("ds", 1),), pooled_channels=1, pooled_norm=True).to_document()
    if field not in ("schema", "name", "stages")
)


def _grouped(
    stages: tuple[StageChoices, ...], together: tuple[JointChoices, ...]
) -> dict[StageField, JointChoices]:
    """The groups by each of their fields, checked against the stages."""
    found: dict[StageField, JointChoices] = {}
    for group in together:
        where = f"together {group.name!r}"
        for column, (number, field) in enumerate(group.fields):
            if number >= len(stages) or field not in FIELDS:
                raise InputError(f"{where}: there is no stage{number}.{field}")
            if (number, field) in found:
                raise InputError(f"{where}: stage{number}.{field} is in two of them")
            found[number, field] = group
            used, known = {choice[column] for choice in group.choices}, getattr(stages[number], field)
            if used != set(known):
                odd = sorted(map(str, used ^ set(known)))[0]
                raise InputError(f"{where}: stage{number}.{field} {odd}: is not in the stage and in a choice")
    return found


def _read_choices(row: object, where: str) -> StageChoices:
    fields = check_fields(row, where, ("op", "channels"), ("kernel", "repeats", "se_ratio", "skip", "stride"))
    for field in FIELDS:
        if field in fields:
            values = fields[field] if isinstance(fields[field], list) else [fields[field]]
            if any(isinstance(value, (list, dict)) for value in values):
                raise InputError(f"{where}: {field} {shown(values)}: expected a list of single values")
            fields[field] = tuple(values)
    try:
        return StageChoices(**fields)
    except InputError as error:
        raise InputError(f"{where}: {str(error).removeprefix('stage: ')}") from None

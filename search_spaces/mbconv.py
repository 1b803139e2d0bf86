"""The generic staged space: per stage, or per block, a choice of op, kernels, SE, skip, width and depth.

A space of this kind is data: `StagedSpace.from_document` reads one from a user's YAML file, and the
built-in spaces are made of the same parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.decision import Choice, Decision
from search_spaces.document import check_fields, check_schema, read_document
from search_spaces.errors import InputError, shown
from search_spaces.fields import check_combined, conditions, field_name, grouped, stage_options
from search_spaces.membership import BlockMatch, why_not
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec, StageSpec
from search_spaces.stage_choices import FIELDS as FIELDS
from search_spaces.stage_choices import Slot, joined, make_stage, read_choices, slots_of
from search_spaces.stage_choices import StageChoices as StageChoices
from search_spaces.together import HEAD, STEM, Exportable, JointChoices, StageField, read_together

SCHEMA_VERSION = 1

_MOST_BLOCKS = 1024
"""Blocks that choose by themselves; of a network there can't be many more."""


class StagedSpace(SearchSpace):
    """A space of networks that share settings and differ in their stages, and maybe in the ends' widths.

    Args:
        name: of the space.
        stages: the choices of each stage.
        template: a network whose stem, head and settings all members share; its stages and name
            are not used.
        together: fields that one decision decides, where not all combinations are meant.
        exportable: what the space was constrained to (`search_spaces.constrain`).
        stem_channels, head_channels: the widths of stem and head where they are chosen; else the template's.

    Attributes:
        slots: the places in its networks, in order: stages, or blocks that choose by themselves.
        options: the values of each field, by the field; what several slots share is there once.

    Raises:
        InputError: `together` names a field that isn't there, or twice, or values that it doesn't have; a
            stage but the last one may be missing; values can't go together, or say one block in two ways.
    """

    def __init__(
        self,
        name: str,
        stages: tuple[StageChoices, ...],
        template: NetworkSpec,
        together: tuple[JointChoices, ...] = (),
        exportable: Exportable | None = None,
        stem_channels: tuple[int, ...] = (),
        head_channels: tuple[int, ...] = (),
    ) -> None:
        for width in stem_channels:
            template.replace(stem=replace(template.stem, channels=width))
        for width in head_channels:
            template.replace(head_channels=width)
        if stem_channels:
            template = template.replace(stem=replace(template.stem, channels=stem_channels[0]))
        if head_channels:
            template = template.replace(head_channels=head_channels[0])
        self.stages, self.template, self.together, self.exportable = stages, template, together, exportable
        self.stem_channels, self.head_channels = stem_channels, head_channels
        for number, stage in enumerate(stages):
            if 0 in stage.repeats and not 0 < number == len(stages) - 1:
                raise InputError(f"stage{number}: repeats 0: expected in the last of several stages only")
        if (count := sum(max(stage.repeats) for stage in stages if stage.blocks)) > _MOST_BLOCKS:
            raise InputError(f"{count:,} blocks that choose by themselves: expected at most {_MOST_BLOCKS:,}")
        self.slots = tuple(slot for number, stage in enumerate(stages) for slot in slots_of(stage, number))
        self.options: dict[StageField, tuple[Any, ...]] = {
            STEM: stem_channels or (template.stem.channels,),
            **stage_options(stages, self.slots),
            HEAD: head_channels or (template.head_channels,),
        }
        groups = grouped(self.options, together)
        decisions: list[Decision] = []
        self._places: dict[StageField, tuple[int, tuple[int, ...]]] = {}
        for key, options in self.options.items():
            if key in self._places:
                continue
            if group := groups.get(key):
                for column, other in enumerate(group.fields):
                    found = tuple(self.options[other].index(choice[column]) for choice in group.choices)
                    self._places[other] = len(decisions), found
                decisions.append(group.decision())
            elif len(options) > 1:
                self._places[key] = len(decisions), tuple(range(len(options)))
                decisions.append(Decision(field_name(key), options))
        super().__init__(name, tuple(decisions), conditions(self.options, self.slots, self._places))
        for slot in self.slots:
            check_combined(slot, self.options, groups, template.activation)

    def stage(
        self,
        number: int,
        op: str,
        kernel: int,
        se_ratio: float,
        skip: str,
        channels: int,
        repeats: int,
        start_kernel: int = 0,
        gate: str = "sigmoid",
        activation: str = "",
    ) -> StageSpec:
        """Slot `number` with these choices."""
        stride = self.slots[number].stride
        return make_stage(
            op, kernel, se_ratio, skip, channels, repeats, start_kernel, gate, activation, stride
        )

    def place(self, key: StageField) -> tuple[int, tuple[int, ...]] | None:
        """What decides a field: a decision's position and, by its choice, the index of the value.

        None: nothing does, there is one value.
        """
        return self._places.get(key)

    def ends(self) -> Iterator[NetworkSpec]:
        """The template with each width of the stem and each of the head."""
        for stem, head in product(self.options[STEM], self.options[HEAD]):
            yield self.template.replace(stem=replace(self.template.stem, channels=stem), head_channels=head)

    def width_key(self, number: int) -> StageField:
        """The field that is the width before slot `number`: its predecessor's, or the stem's."""
        return self.slots[number - 1].keys["channels"] if number else STEM

    def variants(self, number: int) -> Iterator[tuple[int, StageSpec]]:
        """All that slot `number` can be: the width before it, and the stage; some may come twice."""
        before = self.width_key(number)
        keys = [before, *self.slots[number].keys.values()]
        positions = list(dict.fromkeys(self._places[key][0] for key in keys if key in self._places))
        architecture = [0] * len(self.decisions)
        for chosen in product(*(range(len(self.decisions[position])) for position in positions)):
            for position, index in zip(positions, chosen, strict=True):
                architecture[position] = index
            if (stage := self.stage_at(number, architecture)) is not None:
                yield int(self.value(before, architecture)), stage

    def value(self, key: StageField, architecture: Sequence[int]) -> Choice:
        """The value that an architecture gives a field."""
        place = self._places.get(key)
        chosen: Choice = self.options[key][0 if place is None else place[1][architecture[place[0]]]]
        return chosen

    def stage_at(self, number: int, architecture: Sequence[int]) -> StageSpec | None:
        """What an architecture has in slot `number`; None: nothing is there."""
        slot = self.slots[number]
        chosen: dict[str, Any] = {name: self.value(key, architecture) for name, key in slot.keys.items()}
        chosen["repeats"] = slot.repeats(chosen["repeats"])
        return make_stage(**chosen, stride=slot.stride) if chosen["repeats"] else None

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network an architecture describes."""
        self.check(architecture)
        stages: list[StageSpec] = []
        before: Slot | None = None
        for number, slot in enumerate(self.slots):
            if (stage := self.stage_at(number, architecture)) is None:
                continue
            longer = joined(stages[-1], stage) if before and before.stage == slot.stage else None
            stages[-1 if longer else len(stages) :] = [longer or stage]
            before = slot
        ends: dict[str, Any] = {}
        if self.stem_channels:
            ends["stem"] = replace(self.template.stem, channels=int(self.value(STEM, architecture)))
        if self.head_channels:
            ends["head_channels"] = self.value(HEAD, architecture)
        return self.template.replace(name=self.name, stages=tuple(stages), **ends)

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture whose blocks are those of `spec`."""
        ends = [
            (replace(s.stem, channels=1), s.pooled_channels, s.pooled_norm) for s in (spec, self.template)
        ]
        widths = spec.stem.channels in self.options[STEM] and spec.head_channels in self.options[HEAD]
        if ends[0] != ends[1] or not widths:
            raise NotInSpaceError(f"network {spec.name!r}: stem or head differs from space {self.name!r}")
        usual = self.template.activation
        values = BlockMatch(self.slots, self.options, self.together, usual, spec).values()
        if values is None:
            raise NotInSpaceError(why_not(spec, self.name, self.stages, self.options, self.together, usual))
        indices = [0] * len(self.decisions)
        for key, (place, among) in self._places.items():
            if key in values:
                indices[place] = among.index(self.options[key].index(values[key]))
        for group in self.together:
            rows = [
                index
                for index, row in enumerate(group.choices)
                if all(values.get(key, value) == value for key, value in zip(group.fields, row, strict=True))
            ]
            indices[self._places[group.fields[0]][0]] = rows[0]
        return Architecture(self.canonical(Architecture(indices)))

    def replaced(self, **changes: Any) -> StagedSpace:
        """A copy with other arguments.

        Raises:
            InputError: as the class itself.
        """
        names = ("name", "stages", "template", "together", "exportable", "stem_channels", "head_channels")
        return StagedSpace(**{name: getattr(self, name) for name in names} | changes)

    def with_network(self, **fields: Any) -> StagedSpace:
        """The same choices for networks with other settings, such as `num_classes` or `resolution`.

        Raises:
            InputError: a value that breaks the setting's rule.
        """
        return self.replaced(template=self.template.replace(**fields))

    def to_document(self) -> dict[str, Any]:
        """The space as plain data, readable again by `from_document`."""
        network = self.template.to_document()
        for field in ("schema", "name", "stages"):
            del network[field]
        stages = [stage.to_document() for stage in self.stages]
        document = {"schema": SCHEMA_VERSION, "space": self.name, "network": network, "stages": stages}
        for field in _ENDS:
            if widths := getattr(self, field):
                document[field] = list(widths)
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
        optional = ("network", "together", "exportable", *_ENDS)
        fields = check_fields(document, where, ("schema", "space", "stages"), optional)
        rows = fields["stages"]
        if not isinstance(rows, list) or not rows:
            raise InputError(f"{where}: stages {shown(rows)}: expected a list of at least one stage")
        stages = tuple(read_choices(row, f"{where}: stages[{index}]") for index, row in enumerate(rows))
        network = check_fields(fields.get("network", {}), f"{where}: network", (), _SETTINGS)
        placeholder = [{"op": "ds", "channels": 1}]
        template = NetworkSpec.from_document(
            {"schema": 1, "name": fields["space"], "stages": placeholder, **network}, f"{where}: network"
        )
        for name in _ENDS:
            if name in fields and (not isinstance(fields[name], list) or not fields[name]):
                raise InputError(f"{where}: {name} {shown(fields[name])}: expected a list of widths")
            if any(isinstance(value, (list, dict)) for value in fields.get(name, ())):
                raise InputError(f"{where}: {name} {shown(fields[name])}: expected a list of widths")
        rows = fields.get("together", [])
        if not isinstance(rows, list):
            raise InputError(f"{where}: together {shown(rows)}: expected a list")
        together = tuple(read_together(row, f"{where}: together[{i}]") for i, row in enumerate(rows))
        exportable = None
        if "exportable" in fields:
            exportable = Exportable.from_document(fields["exportable"], f"{where}: exportable")
        try:
            ends = {name: tuple(fields[name]) for name in _ENDS if name in fields}
            return cls(fields["space"], stages, template, together, exportable, **ends)
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

_ENDS = ("stem_channels", "head_channels")

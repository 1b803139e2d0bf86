"""Whether a network's blocks are those of a staged space, and which values of its fields say so.

Blocks are compared, not stages: a network that writes one stage as two is the same network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from search_spaces.block import BlockSpec
from search_spaces.decision import Choice
from search_spaces.errors import InputError
from search_spaces.fields import Options
from search_spaces.spec import SKIPS, NetworkSpec
from search_spaces.stage_choices import FIELDS, Slot, StageChoices, make_stage, op_names
from search_spaces.together import HEAD, STEM, JointChoices, StageField

_Values = dict[StageField, Choice]


class BlockMatch:
    """A search for the values of a space's fields that give a network's blocks.

    Args:
        slots, options, together: of the space.
        usual: the space's own activation.
        spec: the network.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        options: Options,
        together: Sequence[JointChoices],
        usual: str,
        spec: NetworkSpec,
    ) -> None:
        self._slots, self._options, self._usual, self._spec = slots, options, usual, spec
        self._blocks = spec.blocks()
        # a skip that the network's own stage says comes before others that lead to the same block
        self._skips = [stage.skip for stage in spec.stages for _ in range(stage.repeats)]
        self._groups = [group for group in together if all(key in options for key in group.fields)]
        self._open = self._open_fields()

    def values(self) -> _Values | None:
        """The values of all fields that the network decides; None: it is none of the space."""
        begun: _Values = {STEM: self._spec.stem.channels, HEAD: self._spec.head_channels}
        if any(value not in self._options[key] for key, value in begun.items()) or not self._meant(begun):
            return None
        failed: set[tuple[object, ...]] = set()
        start = (0, 0, begun)
        stack = [(self._state(*start), self._onward(*start))]
        while stack:
            state, ways = stack[-1]
            if (way := next(ways, None)) is None:
                failed.add(state)
                stack.pop()
            elif way[0] == len(self._slots):
                if way[1] == len(self._blocks):
                    return way[2]
            elif (reached := self._state(*way)) not in failed:
                stack.append((reached, self._onward(*way)))
        return None

    def _state(self, number: int, offset: int, values: _Values) -> tuple[object, ...]:
        """All that it depends on whether the slots from `number` on can be the blocks from `offset` on."""
        return number, offset, *(values.get(key) for key in self._open[number])

    def _open_fields(self) -> list[list[StageField]]:
        """By slot, the fields decided before it that what follows depends on."""
        later: set[StageField] = set()
        found: list[list[StageField]] = []
        before = [set(slot.keys.values()) for slot in self._slots]
        for slot in reversed(self._slots):
            later |= set(slot.keys.values())
            linked = {key for group in self._groups if later & set(group.fields) for key in group.fields}
            found.append(sorted(later | linked))
        known: set[StageField] = {STEM, HEAD}
        result = []
        for own, fields in zip(before, reversed(found), strict=True):
            result.append([key for key in fields if key in known])
            known |= own
        return result

    def _onward(self, number: int, offset: int, values: _Values) -> Iterator[tuple[int, int, _Values]]:
        """The ways to fill slot `number` with blocks from `offset` on: next slot, next block, all values."""
        slot = self._slots[number]
        depth = slot.keys["repeats"]
        for value in (values[depth],) if depth in values else self._options[depth]:
            count = slot.repeats(int(value))
            if offset + count > len(self._blocks):
                continue
            for chosen in self._ways(slot, offset, count) if count else [_Values()]:
                chosen[depth] = value
                if any(values.get(key, choice) != choice for key, choice in chosen.items()):
                    continue
                if self._meant(more := values | chosen):
                    yield number + 1, offset + count, more

    def _ways(self, slot: Slot, offset: int, count: int) -> Iterator[_Values]:
        """Values of a slot's fields with which it is the network's blocks from `offset` on."""
        part = self._blocks[offset : offset + count]
        listed = [values_of(slot, self._options, name, part[0], self._usual) for name in FIELDS]
        skip = FIELDS.index("skip")
        listed[skip] = sorted(listed[skip], key=lambda name: name != self._skips[offset])
        for row in product(*listed):
            fields: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
            made = {**fields, "repeats": count}
            if made["activation"] == self._usual:
                made["activation"] = ""
            try:
                stage = make_stage(**made, stride=slot.stride)
            except InputError:  # an op that can't have these
                continue
            if stage.blocks(part[0].in_channels) == part:
                yield {slot.keys[name]: value for name, value in fields.items() if name != "repeats"}

    def _meant(self, values: Mapping[StageField, Choice]) -> bool:
        """Whether every group has a combination with these values, as far as they are known."""
        for group in self._groups:
            known = [(column, values[key]) for column, key in enumerate(group.fields) if key in values]
            if known and not any(all(row[c] == value for c, value in known) for row in group.choices):
                return False
        return True


def values_of(slot: Slot, options: Options, name: str, block: BlockSpec, usual: str) -> list[Any]:
    """Which values of a slot's field a block may have come from."""
    listed = options[slot.keys[name]]
    if name == "op":
        return [value for value in listed if value in op_names(block.op, block.expansion, block.start_kernel)]
    if name == "skip":
        return list(listed)
    if name == "repeats":
        return [1]
    if name == "gate" and not block.se_ratio:
        return list(listed)
    if name == "activation":
        return [value for value in listed if ("" if value == usual else value) == block.activation]
    own = {"channels": block.out_channels}.get(name) or getattr(block, name)
    return [value for value in listed if value == own]


def why_not(
    spec: NetworkSpec,
    name: str,
    stages: Sequence[StageChoices],
    options: Options,
    together: Sequence[JointChoices],
    usual: str,
) -> str:
    """The first thing that a network has and the space called `name` hasn't, in words."""
    seen: dict[StageField, tuple[Choice, ...]] = {
        STEM: (spec.stem.channels,),
        HEAD: (spec.head_channels,),
    }
    network = f"network {spec.name!r}"
    if len(spec.stages) != len(stages):
        return f"{network} has {len(spec.stages)} stages, space {name!r} {len(stages)}"
    width = spec.stem.channels
    for number, (stage, choices) in enumerate(zip(spec.stages, stages, strict=True)):
        where = f"{network}: stage{number}"
        if stage.stride != choices.stride:
            return f"{where}.stride {stage.stride}: expected {choices.stride}"
        if stage.group_width:
            return f"{where}.group_width {stage.group_width}: a space has no grouped stages"
        for field in FIELDS:
            values = set(_in_order(options, number, field))
            own: tuple[Choice, ...] = (getattr(stage, field),)
            if field == "op":
                own = op_names(stage.op, stage.expansion, stage.start_kernel)
            if field == "activation" and not own[0]:
                own = ("", usual)
            if field == "skip":
                blocks = stage.blocks(width)
                own += tuple(s for s in SKIPS if replace(stage, skip=s).blocks(width) == blocks)
            if not values & set(own):
                listed = ", ".join(map(str, _in_order(options, number, field)))
                return f"{where}.{field} {own[0]!r}: space {name!r} has {listed}"
            seen[number, field] = own
        width = stage.channels
    for group in together:
        own_values = [seen.get(key, options[key]) for key in group.fields]
        if not any(all(v in own for v, own in zip(row, own_values, strict=True)) for row in group.choices):
            values_there = ", ".join(str(own[0]) for own in own_values)
            return f"{network}: {group.name} {values_there}: space {name!r} has no such combination"
    return f"{network}: space {name!r} has no such combination"


def _in_order(options: Options, number: int, field: str) -> list[Choice]:
    """All values of a field that a stage or a block of it may have."""
    keys = [key for key in options if key[0] == number and key[1].rpartition(".")[2] == field]
    return list(dict.fromkeys(value for key in keys for value in options[key]))

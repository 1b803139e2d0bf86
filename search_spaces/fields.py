"""The fields of a staged space: their values, which go together, and when they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from search_spaces.decision import Choice
from search_spaces.errors import InputError
from search_spaces.space import Condition
from search_spaces.spec import StageSpec
from search_spaces.stage_choices import FIELDS, Slot, StageChoices, make_stage
from search_spaces.together import JointChoices, StageField, place_name

Options = Mapping[StageField, tuple[Any, ...]]
Places = Mapping[StageField, tuple[int, tuple[int, ...]]]
"""By field, the decision that decides it, and by that one's choice the index of the field's value."""

_MOST_COMBINED = 300_000
"""Combinations of the fields of one block that have to go together."""
_COMBINED = ("op", "kernel", "start_kernel", "se_ratio", "gate", "activation")
"""Fields of which not all values go with all values of the others."""


def field_name(key: StageField) -> str:
    """`stage3.block2.op`."""
    return f"{place_name(key[0])}.{key[1]}"


def stage_options(stages: Sequence[StageChoices], slots: Sequence[Slot]) -> dict[StageField, tuple[Any, ...]]:
    """The values of each field of the stages, in the order of the decisions: a depth before what is on it."""
    found: dict[StageField, tuple[Any, ...]] = {}
    for number, stage in enumerate(stages):
        own: dict[StageField, tuple[Any, ...]] = {}
        shared: dict[StageField, tuple[Any, ...]] = {}
        for slot in slots:
            if slot.stage == number:
                for name, key in slot.keys.items():
                    values = stage.repeats if name == "repeats" else stage.of_block(slot.block or 0, name)
                    (shared if key[1] == name else own)[key] = values
        first = ["repeats"] if 0 in stage.repeats else []
        for name in (*first, *FIELDS):
            if (number, name) in shared:
                found[number, name] = shared[number, name]
        found |= own
    return found


def grouped(options: Options, together: Sequence[JointChoices]) -> dict[StageField, JointChoices]:
    """The groups by each of their fields; raises `InputError` for fields or values that aren't there."""
    found: dict[StageField, JointChoices] = {}
    for group in together:
        where = f"together {group.name!r}"
        for column, key in enumerate(group.fields):
            if key not in options:
                raise InputError(f"{where}: there is no {field_name(key)}")
            if key in found:
                raise InputError(f"{where}: {field_name(key)} is in two of them")
            found[key] = group
            used, known = {choice[column] for choice in group.choices}, options[key]
            if used != set(known):
                odd = sorted(map(str, used ^ set(known)))[0]
                raise InputError(f"{where}: {field_name(key)} {odd}: is not in the stage and in a choice")
    return found


def conditions(options: Options, slots: Sequence[Slot], places: Places) -> dict[int, Condition]:
    """Which decisions count with some depths only.

    Raises:
        InputError: a decision decides fields of blocks that aren't there together.
    """
    # by field the depth's decision, and its choices with which a block is there that has the field
    needs: dict[StageField, tuple[int, set[int]] | None] = {}
    for slot in slots:
        depth = slot.keys["repeats"]
        there = [bool(slot.repeats(value)) for value in options[depth]]
        for name, key in slot.keys.items():
            if name == "repeats" or all(there) or depth not in places or needs.get(key, ()) is None:
                needs[key] = None
                continue
            position, values = places[depth]
            indices = {index for index, value in enumerate(values) if there[value]}
            before = needs.get(key)
            needs[key] = position, indices | (before[1] if before else set())
    found: dict[int, tuple[StageField, Condition | None]] = {}
    for key, (position, _) in places.items():
        need = needs.get(key)
        condition = (need[0], frozenset(need[1])) if need is not None and need[0] != position else None
        other, known = found.setdefault(position, (key, condition))
        if known != condition:
            raise InputError(
                f"{field_name(other)} and {field_name(key)} are decided together: expected fields of blocks "
                "that are there or missing together"
            )
    return {position: condition for position, (_, condition) in found.items() if condition is not None}


def check_combined(
    slot: Slot, options: Options, groups: Mapping[StageField, JointChoices], usual: str
) -> None:
    """Raise `InputError` unless all values of a slot go together, each combination another block.

    Args:
        slot: of the space.
        options: the space's fields.
        groups: by field.
        usual: the network's activation.
    """
    names = [name for name in _COMBINED if len(options[slot.keys[name]]) > 1]
    plain = ("start_kernel", "gate", "activation")
    kernels = options[slot.keys["kernel"]]
    if 0 not in kernels and all(name not in names and _is_usual(slot, options, name) for name in plain):
        return
    keys = [slot.keys[name] for name in names]
    if (count := prod(len(options[key]) for key in keys)) > _MOST_COMBINED:
        raise InputError(
            f"{place_name(slot.stage)}: {count:,} combinations of {', '.join(names)}: expected at most "
            f"{_MOST_COMBINED:,}"
        )
    meant: list[tuple[list[int], set[tuple[Choice, ...]]]] = []
    for group in {id(groups[key]): groups[key] for key in keys if key in groups}.values():
        shared = [key for key in keys if key in group.fields]
        columns = [group.fields.index(key) for key in shared]
        rows = {tuple(choice[column] for column in columns) for choice in group.choices}
        meant.append(([keys.index(key) for key in shared], rows))
    fixed = {name: options[key][0] for name, key in slot.keys.items()} | {"repeats": 1}
    seen: dict[StageSpec, str] = {}
    for row in product(*(options[key] for key in keys)):
        if any(tuple(row[place] for place in places) not in rows for places, rows in meant):
            continue
        chosen = {**fixed, **dict(zip(names, row, strict=True))}
        words = ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True))
        where = f"{place_name(slot.stage)}{'' if slot.block is None else f'.block{slot.block}'}"
        try:
            if chosen["activation"] == usual:
                chosen["activation"] = ""
            stage = make_stage(**chosen, stride=slot.stride)
        except InputError as error:
            reason = str(error).removeprefix("stage: ")
            raise InputError(f"{where}: {words}: {reason}; `together` lists what goes together") from None
        if stage in seen:
            raise InputError(f"{where}: {words} is the same as {seen[stage]}; `together` lists what is meant")
        seen[stage] = words


def _is_usual(slot: Slot, options: Options, name: str) -> bool:
    return options[slot.keys[name]] == {"start_kernel": (0,), "gate": ("sigmoid",), "activation": ("",)}[name]

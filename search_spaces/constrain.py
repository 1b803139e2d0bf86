"""A part of a staged space, exactly and as a space again: the networks whose stages obey a rule.

A rule sees a stage and the width before it. What it leaves of a stage's fields is split into its finest
product: fields that stay independent stay decisions of their own, and those that it couples (op and SE, say)
become one decision that names both. Where it couples a stage to the width before it, the decision spans both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from math import prod
from typing import Any, NamedTuple

from search_spaces.decision import Choice
from search_spaces.errors import InputError
from search_spaces.fields import field_name
from search_spaces.mbconv import FIELDS, StageChoices, StagedSpace
from search_spaces.spec import StageSpec
from search_spaces.together import HEAD, STEM, JointChoices, StageField, place_name

StageRule = Callable[[StageSpec, int], str | None]
"""The reason against a stage behind that many channels, or None."""

_MOST = 300_000
"""Combinations of one stage's choices that are looked at, and choices that one decision may have."""

_SKIP_ORDER = ("pooling", "projection", "none", "identity")
"""Which of two skips is left out first, where both lead to the same networks."""

_Row = tuple[Choice, ...]


class _Relation(NamedTuple):
    """Fields, and the combinations of their values that there are."""

    fields: tuple[StageField, ...]
    rows: set[_Row]

    def onto(self, fields: Sequence[StageField]) -> set[_Row]:
        """The combinations of some of its fields."""
        columns = [self.fields.index(field) for field in fields]
        return {tuple(row[column] for column in columns) for row in self.rows}


def constrain(space: StagedSpace, rule: StageRule) -> StagedSpace:
    """The networks of `space` to whose stages the rule has no objection, as a space of the same name.

    A skip that could be left out without losing a network (pooling on a block that keeps its shape is an
    identity) is left out where that keeps other fields apart.

    Raises:
        InputError: nothing is left, one network alone, or what is left can't be made of few decisions; the
            message names the stage and the reason.
    """
    parts = [_Relation(group.fields, set(group.choices)) for group in space.together]
    groups = list(parts)
    parts += [_Relation((key,), {(value,) for value in space.options[key]}) for key in (STEM, HEAD)]
    for number in range(len(space.slots)):
        parts += _factors(_allowed(space, number, rule, groups))
    listed_in = list(space.options)
    depths = [(n, "repeats") for n, stage in enumerate(space.stages) if stage.blocks]
    parts += [_Relation((key,), {(value,) for value in space.options[key]}) for key in depths]
    order = {key: (key[0] if key != HEAD else len(space.stages), listed_in.index(key)) for key in listed_in}
    left: dict[StageField, list[Any]] = {}
    together: list[JointChoices] = []
    for component in _components(parts):
        for factor in _factors(_join(component)):
            fields = sorted(factor.fields, key=order.__getitem__)
            listed = [space.options[field] for field in fields]
            rows = sorted(
                factor.onto(fields), key=lambda row: [v.index(x) for v, x in zip(listed, row, strict=True)]
            )
            for column, field in enumerate(fields):
                there = {row[column] for row in rows}
                left[field] = [value for value in listed[column] if value in there]
            if len(fields) > 1:
                together.append(JointChoices(tuple(fields), tuple(rows)))
    if (missing := (len(space.stages) - 1, "repeats")) in left and 0 in space.options[missing]:
        left[missing].insert(space.options[missing].index(0), 0)
        if any(missing in group.fields for group in together):
            raise InputError(
                f"{field_name(missing)}: depends on other choices, and may be 0: give it one depth"
            )
    stages = tuple(_rebuilt(stage, number, left) for number, stage in enumerate(space.stages))
    if not together and all(len(values) == 1 for values in left.values()):
        raise InputError("one network alone is left: nothing to search")
    together.sort(key=lambda group: order[group.fields[0]])
    ends = {
        "stem_channels": tuple(left[STEM]) if space.stem_channels else (),
        "head_channels": tuple(left[HEAD]) if space.head_channels else (),
    }
    return space.replaced(stages=stages, together=tuple(together), **ends)


def _rebuilt(stage: StageChoices, number: int, left: dict[StageField, list[Any]]) -> StageChoices:
    """The stage with the values that are left, its own blocks one by one."""
    shared: dict[str, Any] = {name: tuple(left.get((number, name), ())) for name in FIELDS}
    if not stage.blocks:
        return replace(stage, **shared)
    for name in FIELDS:  # what no block reads stays as it is
        shared[name] = shared[name] or getattr(stage, name)
    rows: list[dict[str, tuple[Any, ...]]] = []
    for block in range(max(stage.repeats)):
        own = stage.blocks[min(block, len(stage.blocks) - 1)]
        rows.append({name: tuple(left[number, f"block{block}.{name}"]) for name in own})
    last = next(n for n in range(1, len(rows) + 1) if all(row == rows[n - 1] for row in rows[n:]))
    return replace(stage, **shared, blocks=tuple(rows[:last]))


def _allowed(space: StagedSpace, number: int, rule: StageRule, groups: Sequence[_Relation]) -> _Relation:
    """What a stage may be, with the width before it, as far as this stage's own choices say."""
    slot = space.slots[number]
    where = field_name((slot.stage, f"block{slot.block}")) if slot.block is not None else f"stage{slot.stage}"
    # what isn't there obeys every rule: a block is asked for as one that is there
    names = [name for name in FIELDS if name != "repeats" or slot.block is None]
    before = space.width_key(number)
    fields = tuple(dict.fromkeys((before, *(slot.keys[name] for name in names))))
    values = [space.options[key] for key in fields]
    if (depth := slot.keys["repeats"]) in fields:
        values[fields.index(depth)] = tuple(value for value in space.options[depth] if value)
    count = prod(map(len, values))
    if count > _MOST:
        raise InputError(f"{where}: {count:,} combinations of its choices: expected at most {_MOST:,}")
    # as far as groups couple fields of this stage, only their combinations are meant
    meant = []
    for group in groups:
        if len(shared := [field for field in fields if field in group.fields]) > 1:
            meant.append(([fields.index(field) for field in shared], group.onto(shared)))
    rows: dict[_Row, StageSpec] = {}
    reasons: Counter[str] = Counter()
    pairs: Counter[_Row] = Counter()
    op, skip = (fields.index(slot.keys[field]) for field in ("op", "skip"))
    for row in product(*values):
        if any(tuple(row[column] for column in columns) not in known for columns, known in meant):
            continue
        chosen: dict[str, Any] = {name: row[fields.index(slot.keys[name])] for name in names}
        stage = space.stage(number, **{"repeats": 1, **chosen})
        pairs[row[op], row[skip]] += 1
        if reason := rule(stage, int(row[0])):
            reasons[reason] += 1
        else:
            rows[row] = stage
    if not rows:
        raise InputError(f"{where}: nothing is left: {reasons.most_common(1)[0][0]}")
    if not any(slot.keys["skip"] in group.fields for group in groups):
        # the blocks that each row leads to, behind its width
        made = {row: stage.blocks(int(row[0])) for row, stage in rows.items()}
        networks = set(made.values())
        partly = [p for p, n in pairs.items() if 0 < sum((r[op], r[skip]) == p for r in rows) < n]
        for pair in sorted(partly, key=lambda pair: _SKIP_ORDER.index(str(pair[1]))):
            kept = {row: stage for row, stage in rows.items() if (row[op], row[skip]) != pair}
            if {made[row] for row in kept} == networks:
                rows = kept
    return _Relation(fields, set(rows))


def _factors(relation: _Relation) -> Iterator[_Relation]:
    """The finest relations whose product it is."""
    while relation.fields:
        first, rest = relation.fields[0], relation.fields[1:]
        subsets = (more for size in range(len(rest) + 1) for more in combinations(rest, size))
        # there is one: all fields together are a factor
        found = next(more for more in subsets if _splits(relation, (first, *more)))
        part = (first, *found)
        other = tuple(field for field in rest if field not in found)
        yield _Relation(part, relation.onto(part))
        relation = _Relation(other, relation.onto(other))


def _splits(relation: _Relation, part: Sequence[StageField]) -> bool:
    """Whether these fields are independent of the others."""
    other = [field for field in relation.fields if field not in part]
    return len(relation.onto(part)) * len(relation.onto(other)) == len(relation.rows)


def _components(parts: Sequence[_Relation]) -> list[list[_Relation]]:
    """Relations that share fields, directly or through others."""
    found: list[list[_Relation]] = []
    for part in parts:
        near = [c for c in found if any(set(part.fields) & set(other.fields) for other in c)]
        found = [c for c in found if c not in near]
        found.append([part, *(other for component in near for other in component)])
    return found


def _join(parts: Sequence[_Relation]) -> _Relation:
    """The combinations of all their fields that each of them has."""
    waiting = sorted(parts, key=lambda part: len(part.rows))
    joined = waiting.pop(0)
    while waiting:
        part = next((p for p in waiting if set(p.fields) & set(joined.fields)), waiting[0])
        waiting = [other for other in waiting if other is not part]
        shared = [field for field in part.fields if field in joined.fields]
        new = tuple(field for field in part.fields if field not in joined.fields)
        by_shared: dict[_Row, list[_Row]] = {}
        for row in part.rows:
            found = dict(zip(part.fields, row, strict=True))
            key = tuple(found[field] for field in shared)
            by_shared.setdefault(key, []).append(tuple(found[field] for field in new))
        rows: set[_Row] = set()
        for row in joined.rows:
            found = dict(zip(joined.fields, row, strict=True))
            rows |= {(*row, *more) for more in by_shared.get(tuple(found[field] for field in shared), ())}
        joined = _Relation((*joined.fields, *new), rows)
        stages = ", ".join(place_name(number) for number in sorted({number for number, _ in joined.fields}))
        if not rows:
            raise InputError(f"{stages}: nothing is left: no choice of one goes with any of the others")
        if len(rows) > _MOST:
            raise InputError(
                f"{stages}: depend on each other in {len(rows):,} ways, which no decision could list: give "
                "these stages fewer widths or skips"
            )
    return joined

"""A part of a staged space, exactly and as a space again: the networks whose stages obey a rule.

A rule sees a stage and the width before it. What it leaves of a stage's fields is split into its finest
product: fields that stay independent stay decisions of their own, and those that it couples (op and SE, say)
become one decision that names both. Where it couples a stage to the width before it, the decision spans both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from math import prod
from typing import Any, NamedTuple

from search_spaces.decision import Choice
from search_spaces.errors import InputError
from search_spaces.mbconv import FIELDS, StageChoices, StagedSpace
from search_spaces.spec import StageSpec
from search_spaces.together import JointChoices, StageField

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
    for number in range(len(space.stages)):
        parts += _factors(_allowed(space, number, rule, groups))
    order = {(n, field): (n, place) for n in range(len(space.stages)) for place, field in enumerate(FIELDS)}
    left: dict[StageField, list[Any]] = {}
    together: list[JointChoices] = []
    for component in _components(parts):
        for factor in _factors(_join(component)):
            fields = sorted(factor.fields, key=order.__getitem__)
            listed = [getattr(space.stages[number], field) for number, field in fields]
            rows = sorted(
                factor.onto(fields), key=lambda row: [v.index(x) for v, x in zip(listed, row, strict=True)]
            )
            for column, field in enumerate(fields):
                there = {row[column] for row in rows}
                left[field] = [value for value in listed[column] if value in there]
            if len(fields) > 1:
                together.append(JointChoices(tuple(fields), tuple(rows)))
    stages = tuple(
        StageChoices(**{field: tuple(left[number, field]) for field in FIELDS}, stride=stage.stride)
        for number, stage in enumerate(space.stages)
    )
    if not together and all(len(values) == 1 for values in left.values()):
        raise InputError("one network alone is left: nothing to search")
    together.sort(key=lambda group: order[group.fields[0]])
    return StagedSpace(space.name, stages, space.template, tuple(together), space.exportable)


def _allowed(space: StagedSpace, number: int, rule: StageRule, groups: Sequence[_Relation]) -> _Relation:
    """What a stage may be, with the width before it, as far as this stage's own choices say."""
    own = [(number, field) for field in FIELDS]
    before = [(number - 1, "channels")] if number else []
    fields = (*before, *own)
    values = [getattr(space.stages[stage], field) for stage, field in fields]
    count = prod(map(len, values))
    if count > _MOST:
        raise InputError(f"stage{number}: {count:,} combinations of its choices: expected at most {_MOST:,}")
    # as far as groups couple fields of this stage, only their combinations are meant
    meant = []
    for group in groups:
        if len(shared := [field for field in fields if field in group.fields]) > 1:
            meant.append(([fields.index(field) for field in shared], group.onto(shared)))
    width = space.template.stem.channels
    rows: dict[_Row, StageSpec] = {}
    reasons: Counter[str] = Counter()
    pairs: Counter[_Row] = Counter()
    op, skip = (fields.index((number, field)) for field in ("op", "skip"))
    for row in product(*values):
        if any(tuple(row[column] for column in columns) not in known for columns, known in meant):
            continue
        stage = space.stage(number, *row[-len(FIELDS) :])
        pairs[row[op], row[skip]] += 1
        if reason := rule(stage, row[0] if number else width):
            reasons[reason] += 1
        else:
            rows[row] = stage
    if not rows:
        raise InputError(f"stage{number}: nothing is left: {reasons.most_common(1)[0][0]}")
    if not any((number, "skip") in group.fields for group in groups):
        # the blocks that each row leads to, behind its width
        made = {row: stage.blocks(row[0] if number else width) for row, stage in rows.items()}  # type: ignore[arg-type]
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
        stages = ", ".join(f"stage{number}" for number in sorted({number for number, _ in joined.fields}))
        if not rows:
            raise InputError(f"{stages}: nothing is left: no choice of one goes with any of the others")
        if len(rows) > _MOST:
            raise InputError(
                f"{stages}: depend on each other in {len(rows):,} ways, which no decision could list: give "
                "these stages fewer widths or skips"
            )
    return joined

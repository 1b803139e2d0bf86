"""Architectures of one staged space as the nearest ones of another: what was learned there, asked here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.block import OPS
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.stage_choices import split_op
from search_spaces.together import StageField

_MOST = 100_000
"""Combinations of the decisions that a single one of the other space follows from."""
_ANOTHER = 2.0
"""Distance of two ops of different kinds, texts that differ, and nothing from something; a factor e is 1."""


class Translation:
    """For each architecture of a space the one of another whose stages are most alike, decision by decision.

    A decision of the other space follows from whatever decides the same fields here: the op, kernel, width
    and so on of the same stage, or of the same block of it. What this space fixes is a constant; what it
    doesn't know is the middle choice.

    Args:
        space: of the architectures.
        other: of the answers.

    Attributes:
        followed: decisions of the other space that differ between architectures of this one.

    Raises:
        InputError: networks of another number of stages, or no decision of the other space follows.
    """

    def __init__(self, space: StagedSpace, other: StagedSpace) -> None:
        if len(space.stages) != len(other.stages):
            raise InputError(
                f"space {other.name!r}: its networks have {len(other.stages)} stages, those of space "
                f"{space.name!r} {len(space.stages)}"
            )
        self._rules = [_rule(space, other, place) for place in range(len(other.decisions))]
        self.followed = sum(len(np.unique(table)) > 1 for _, _, table in self._rules)
        if not self.followed:
            raise InputError(f"space {other.name!r}: none of its decisions is one of space {space.name!r}")

    def __call__(self, architectures: ArrayLike) -> NDArray[np.int64]:
        """Choice indices of the other space, shape (n, its decisions), of (n, decisions)."""
        rows = np.asarray(architectures, dtype=np.int64)
        columns = [table[rows[:, on] @ steps] for on, steps, table in self._rules]
        return np.stack(columns, axis=1)


_Rule = tuple[list[int], NDArray[np.int64], NDArray[np.int64]]
"""Positions here, the step of each in a table, and the table of the choice there."""


def _rule(space: StagedSpace, other: StagedSpace, place: int) -> _Rule:
    """How decision `place` of the other space follows."""
    wanted = [key for key in other.options if (other.place(key) or (None,))[0] == place]
    keys = [_same(space, key) for key in wanted]
    on = list(
        dict.fromkeys(at[0] for key in keys if key is not None and (at := space.place(key)) is not None)
    )
    sizes = [len(space.decisions[position]) for position in on]
    count = len(other.decisions[place])
    if math.prod(sizes) > _MOST or not any(key is not None for key in keys):
        on, sizes, keys = [], [], [None] * len(keys)
    if not any(key is not None for key in keys):
        return [], np.zeros(0, dtype=np.int64), np.array([(count - 1) // 2])
    choices = [[_choice(other, key, index) for key in wanted] for index in range(count)]
    table = []
    architecture = [0] * len(space.decisions)
    for chosen in product(*map(range, sizes)):
        for position, index in zip(on, chosen, strict=True):
            architecture[position] = index
        values = [None if key is None else space.value(key, architecture) for key in keys]
        table.append(int(np.argmin([_distance(values, choice) for choice in choices])))
    steps = np.array([math.prod(sizes[i + 1 :]) for i in range(len(sizes))], dtype=np.int64)
    return on, steps, np.array(table, dtype=np.int64)


def _same(space: StagedSpace, key: StageField) -> StageField | None:
    """What means the same here: the field; where blocks choose on one side only, that of the first."""
    stage, name = key
    block, _, field = name.rpartition(".")
    candidates = [name, field] if block else [name, f"block0.{name}"]
    return next(((stage, other) for other in candidates if (stage, other) in space.options), None)


def _choice(space: StagedSpace, key: StageField, index: int) -> Any:
    found = space.place(key)
    assert found is not None  # the decision is this one
    return space.options[key][found[1][index]]


def _distance(values: Sequence[Any], choice: Sequence[Any]) -> float:
    return sum(difference(a, b) for a, b in zip(values, choice, strict=True) if a is not None)


def _expanded(name: str) -> tuple[str, float]:
    """Kind and ratio of an op, `ds` as the `mbconv` of ratio 1 that it is; of any other text itself."""
    whole = [op.name for op in OPS.values() if op.unexpanded == name]
    return (whole[0], 1.0) if whole else split_op(name)


def difference(a: Any, b: Any) -> float:
    """How different two values of a field are: a factor of e in a number, or in an op's expansion, is 1."""
    if a == b:
        return 0.0
    if isinstance(a, str) or isinstance(b, str):
        (kind, ratio), (other, another) = _expanded(a), _expanded(b)
        return _ANOTHER * (kind != other) + abs(math.log(ratio / another))
    if not (a and b):
        return _ANOTHER
    return abs(math.log(a / b))

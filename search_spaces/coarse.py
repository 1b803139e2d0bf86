"""A part of a staged space for the first stage of a search: some fields are alike in the whole network.

As MobileNetV4 was found (Qin et al. 2024, section 5: coarse-grained and fine-grained search): first the sizes
and kinds of the stages, with one kernel everywhere, then the kernels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.architecture import Architecture
from search_spaces.decision import Choice, Decision
from search_spaces.errors import InputError, unknown
from search_spaces.mbconv import FIELDS, StagedSpace
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec
from search_spaces.together import StageField
from search_spaces.translation import difference

_Rule = tuple[list[int], NDArray[np.int64], NDArray[np.int64]]
"""Positions here, the step of each in a table, and the table of the whole space's choice."""


class CoarseSpace(SearchSpace):
    """The architectures of a staged space whose stages differ in the varied fields only.

    Each varied field is decided where the whole space decides it; each other one once for the network
    (`all.kernel`). A stage that hasn't the network's choice of it, or not with what is decided there (a plain
    convolution has no SE), takes its nearest one. Two architectures may so be one network.

    Args:
        whole: the space.
        varied: names of fields (`search_spaces.mbconv.FIELDS`).

    Attributes:
        whole: the space.
        varied: those of the fields that the space decides, in the order of `FIELDS`.
        tied: the other fields that it decides.

    Raises:
        InputError: an unknown field; the space decides none of them, or no other ones.
    """

    def __init__(self, whole: StagedSpace, varied: Collection[str]) -> None:
        for name in varied:
            if name not in FIELDS:
                raise unknown("field of a stage", name, FIELDS)
        decided: dict[str, list[StageField]] = {}
        for key in whole.options:
            if whole.place(key) is not None:
                decided.setdefault(_field(key), []).append(key)
        self.whole = whole
        self.varied = tuple(name for name in FIELDS if name in varied and name in decided)
        self.tied = tuple(name for name in FIELDS if name not in varied and name in decided)
        named = ", ".join(varied)
        if not self.varied:
            others = ", ".join(self.tied) or "nothing"
            raise InputError(f"{named}: space {whole.name!r} decides none of these, but {others}")
        if not self.tied:
            raise InputError(
                f"{named}: space {whole.name!r} decides nothing else, which leaves nothing to a fine stage"
            )
        common = {
            name: _ordered(dict.fromkeys(value for key in decided[name] for value in whole.options[key]))
            for name in self.tied
        }
        decisions = [Decision(f"all.{name}", values) for name, values in common.items()]
        self._rules: list[_Rule] = []
        for place, decision in enumerate(whole.decisions):
            rows = _Rows(whole, place, self.varied)
            on = [list(common).index(name) for name in rows.names]
            if len(rows.parts) > 1:
                on.insert(0, len(decisions))
                # where all of its fields vary it is the whole space's own
                decisions.append(rows.decision(decision.name) if rows.names else decision)
            table = [
                rows.nearest(part, dict(zip(rows.names, chosen, strict=True)))
                for part in rows.parts
                for chosen in product(*(common[name] for name in rows.names))
            ]
            sizes = [len(decisions[position]) for position in on]
            steps = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
            self._rules.append((on, np.array(steps, dtype=np.int64), np.array(table, dtype=np.int64)))
        super().__init__(f"coarse-{whole.name}"[:180], tuple(decisions))

    def widened(self, architectures: ArrayLike) -> NDArray[np.int64]:
        """Choice indices of the whole space, shape (n, its decisions), of (n, decisions); canonical."""
        rows = np.asarray(architectures, dtype=np.int64)
        columns = [table[rows[:, on] @ steps] for on, steps, table in self._rules]
        return self.whole.canonical_rows(np.stack(columns, axis=1))

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network that an architecture describes."""
        self.check(architecture)
        return self.whole.decode(Architecture(self.widened([architecture])[0].tolist()))

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The architecture that describes a network.

        Each choice is the one that most of what it decides has, found one decision after the other.
        """
        wanted = np.array(self.whole.encode(spec))
        found = np.zeros(len(self.decisions), dtype=np.int64)
        for _ in range(2):  # what a stage decides may depend on the network's choices, and these on it
            for position, decision in enumerate(self.decisions):
                tries = np.repeat(found[None], len(decision), axis=0)
                tries[:, position] = np.arange(len(decision))
                found = tries[int((self.widened(tries) == wanted).sum(1).argmax())]
        if (self.widened(found[None])[0] != wanted).any():
            raise NotInSpaceError(f"network {spec.name!r}: its stages differ in more than {self.varied}")
        return Architecture(found.tolist())

    def describe(self) -> str:
        """What differs between stages, and what doesn't."""
        return f"{', '.join(self.varied)} of each stage, one {' and one '.join(self.tied)} for all"


def _field(key: StageField) -> str:
    """`op` of a stage's `op`, and of its `block2.op`."""
    return key[1].rpartition(".")[2]


class _Rows:
    """The values of the fields that one decision of a space decides, by its choices."""

    def __init__(self, space: StagedSpace, place: int, varied: Collection[str]) -> None:
        keys, columns = [], []
        for key, options in space.options.items():
            if (at := space.place(key)) is not None and at[0] == place:
                keys.append(key)
                columns.append([options[index] for index in at[1]])
        self._rows = list(zip(*columns, strict=True))
        self._fields = [_field(key) for key in keys]
        self._own = [column for column, name in enumerate(self._fields) if name in varied]
        self._others = [column for column in range(len(keys)) if column not in self._own]
        self._label = "+".join(keys[column][1] for column in self._own)
        self.names = list(dict.fromkeys(self._fields[column] for column in self._others))
        self.parts = list(dict.fromkeys(map(self._part, self._rows)))

    def _part(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(row[column] for column in self._own)

    def decision(self, name: str) -> Decision:
        """Of the varied fields alone."""
        choices = (part[0] if len(part) == 1 else "_".join(map(str, part)) for part in self.parts)
        return Decision(f"{name.partition('.')[0]}.{self._label}", tuple(choices))

    def nearest(self, part: tuple[Any, ...], wanted: Mapping[str, Any]) -> int:
        """The choice with these values of the varied fields that is nearest in the others."""

        def away(index: int) -> float:
            row = self._rows[index]
            return sum(difference(wanted[self._fields[column]], row[column]) for column in self._others)

        return min((i for i, row in enumerate(self._rows) if self._part(row) == part), key=away)


def _ordered(values: Collection[Choice]) -> tuple[Choice, ...]:
    """Numbers by size, for choices in order tell more; others as they come."""
    if any(isinstance(value, str) for value in values):
        return tuple(values)
    return tuple(sorted(values))

"""The exact costs of many architectures of a staged space at once, by looking stages up in tables.

A stage's cost depends on its own choices and on the width before it, nothing else: the strides of a
staged space are fixed, so its resolution is. With a table for each stage, a million architectures take
about a second, where `cost` takes a few minutes; both give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.network.cost import (
    StageCost,
    check_cost_name,
    cost,
    head_cost,
    inference_memory,
    stage_cost,
    training_memory,
)
from search_spaces.architecture import Architecture
from search_spaces.mbconv import FIELDS, StagedSpace

_COLUMNS = ("macs", "params", "activations", "saved", "live", "benchmark_macs")
_LIVE = _COLUMNS.index("live")

_StageTable = tuple[NDArray[np.int64], dict[int, NDArray[np.int64]], "tuple[int, tuple[int, ...]] | None"]


class CostTable:
    """Costs by architecture for one space at its own resolution.

    Args:
        space: its tables are made on the first call.
    """

    def __init__(self, space: StagedSpace) -> None:
        self.space = space

    def __call__(self, architectures: ArrayLike, name: str) -> NDArray[np.float64]:
        """The cost called `name` (one of `nas.network.COSTS`) of each architecture.

        Args:
            architectures: choice indices, shape (n, decisions).
            name: of the cost.

        Returns:
            shape (n,), whole numbers.

        Raises:
            InputError: an unknown cost.
        """
        return self.values(architectures, (name,))[name]

    def values(self, architectures: ArrayLike, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Several costs at once, by name: as quick as one."""
        for name in names:
            check_cost_name(name)
        rows = np.asarray(architectures, dtype=np.int64)
        sums = np.tile(self._fixed, (len(rows), 1))
        before = np.zeros(len(rows), dtype=np.int64)
        for table, shifts, width in self._stages:
            place = np.zeros(len(rows), dtype=np.int64)
            for position, shift in shifts.items():
                place += shift[rows[:, position]]
            part = table[before, place]
            live = np.maximum(sums[:, _LIVE], part[:, _LIVE])
            sums += part
            sums[:, _LIVE] = live
            before = np.zeros_like(before)
            if width is not None:
                before = np.asarray(width[1], dtype=np.int64)[rows[:, width[0]]]
        found = dict(zip(_COLUMNS, sums.T, strict=True))
        return {name: np.asarray(_value(name, found), dtype=np.float64) for name in names}

    @cached_property
    def _parts(self) -> tuple[StageCost, ...]:
        first = Architecture(0 for _ in self.space.decisions)
        return cost(self.space.decode(first)).stages

    @cached_property
    def _fixed(self) -> NDArray[np.int64]:
        """The stem; the head is in the last stage's table, since its input has that stage's width."""
        return _row(self._parts[0])

    @cached_property
    def _stages(self) -> list[_StageTable]:
        """For each stage: table (widths before, choices, columns), place shifts, what decides the width.

        A shift says, by the position of a decision and its choice, how far that choice moves the place in
        the table.
        """
        template = self.space.template
        size = self._parts[0].resolution
        widths: tuple[int, ...] = (template.stem.channels,)
        stages: list[_StageTable] = []
        for number, choices in enumerate(self.space.stages):
            options = [getattr(choices, field) for field in FIELDS]
            shifts: dict[int, NDArray[np.int64]] = {}
            stride = 1
            for field, values in reversed(list(zip(FIELDS, options, strict=True))):
                if (place := self.space.place(number, field)) is not None:
                    shift = stride * np.asarray(place[1], dtype=np.int64)
                    shifts[place[0]] = shifts[place[0]] + shift if place[0] in shifts else shift
                stride *= len(values)
            last = number == len(self.space.stages) - 1
            table = np.empty((len(widths), stride, len(_COLUMNS)), dtype=np.int64)
            for before, width in enumerate(widths):
                for index, chosen in enumerate(product(*options)):
                    stage = self.space.stage(number, *chosen)
                    part = stage_cost(stage, width, size, template.activation)
                    row = _row(part)
                    if last:
                        row = _joined(row, _row(head_cost(template, stage.channels, part.resolution)))
                    table[before, index] = row
            stages.append((table, shifts, self.space.place(number, "channels")))
            size, widths = self._parts[number + 1].resolution, choices.channels
        return stages


def _value(name: str, columns: Mapping[str, Any]) -> Any:
    if name == "inference_memory":
        return inference_memory(columns["params"], columns["live"])
    if name == "training_memory":
        return training_memory(columns["params"], columns["saved"])
    return columns[name]


def _row(part: StageCost) -> NDArray[np.int64]:
    return np.array([getattr(part, column) for column in _COLUMNS], dtype=np.int64)


def _joined(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    total = a + b
    total[_LIVE] = max(a[_LIVE], b[_LIVE])
    return total

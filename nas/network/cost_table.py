"""The exact costs of many architectures of a staged space at once, by looking stages up in tables.

A stage's cost depends on its own choices and on the width before it, nothing else: the strides of a
staged space are fixed, so its resolution is. With a table for each stage (or block, where blocks choose by
themselves), a million architectures take about a second, where `cost` takes a few minutes; both give the
same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.network.analytic import check_cost_name, ridge_of
from nas.network.cost import (
    StageCost,
    cost,
    head_cost,
    inference_memory,
    stage_cost,
    training_memory,
)
from nas.network.roofline import LayerWork, head_work, roofline, stage_work, stem_work
from search_spaces.errors import InputError
from search_spaces.mbconv import FIELDS, StagedSpace
from search_spaces.stage_choices import Slot, make_stage
from search_spaces.together import HEAD, STEM, StageField

_COLUMNS = ("macs", "params", "activations", "saved", "live", "benchmark_macs")
_LIVE = _COLUMNS.index("live")

_SlotTable = tuple[NDArray[np.int64], dict[int, NDArray[np.int64]], StageField]
_Ridges = tuple[float, ...]


class CostTable:
    """Costs by architecture for one space at its own resolution.

    Args:
        space: its tables are made on the first call, for each set of ridge points once.
    """

    def __init__(self, space: StagedSpace) -> None:
        self.space = space
        self._known: dict[_Ridges, tuple[NDArray[np.int64], list[_SlotTable]]] = {}

    def __call__(self, architectures: ArrayLike, name: str) -> NDArray[np.float64]:
        """The cost called `name` (an analytic one) of each architecture.

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
        ridges = {name: ridge_of(check_cost_name(name)) for name in names}
        points = tuple(sorted({ridge for ridge in ridges.values() if ridge is not None}))
        if points not in self._known:
            self._known[points] = self._stems(points), self._slots(points)
        stems, slots = self._known[points]
        rows = np.asarray(architectures, dtype=np.int64)
        sums = stems[self._index(STEM, rows)]
        before = self._index(STEM, rows)
        for table, shifts, width in slots:
            place = np.zeros(len(rows), dtype=np.int64)
            for position, shift in shifts.items():
                place += shift[rows[:, position]]
            part = table[before, place]
            live = np.maximum(sums[:, _LIVE], part[:, _LIVE])
            sums = sums + part
            sums[:, _LIVE] = live
            before = self._index(width, rows)
        found: dict[Any, Any] = dict(zip((*_COLUMNS, *points), sums.T, strict=True))
        found |= {name: found[ridge] for name, ridge in ridges.items() if ridge is not None}
        return {name: np.asarray(_value(name, found), dtype=np.float64) for name in names}

    def _index(self, key: StageField, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of a field's value in each architecture, shape (n,)."""
        if (place := self.space.place(key)) is None:
            return np.zeros(len(rows), dtype=np.int64)
        return np.asarray(place[1], dtype=np.int64)[rows[:, place[0]]]

    def _stems(self, ridges: _Ridges) -> NDArray[np.int64]:
        """By width of the stem, shape (widths, columns).

        The head is in the last slot's table, since its input has that slot's width.
        """
        template = self.space.template
        specs = [template.replace(stem=replace(template.stem, channels=w)) for w in self.space.options[STEM]]
        size = template.resolution
        works = [stem_work(spec.stem, template.in_channels, size)[1] for spec in specs]
        return np.stack(
            [_row(cost(spec).stages[0], work, ridges) for spec, work in zip(specs, works, strict=True)]
        )

    def _slots(self, ridges: _Ridges) -> list[_SlotTable]:
        """For each slot: table (widths before, choices, columns), place shifts, the field that is its width.

        A shift says, by the position of a decision and its choice, how far that choice moves the place in
        the table.
        """
        space = self.space
        size = cost(space.template).stages[0].resolution
        known: dict[tuple[object, ...], NDArray[np.int64]] = {}
        found: list[_SlotTable] = []
        for number, slot in enumerate(space.slots):
            last = number == len(space.slots) - 1
            options = [space.options[slot.keys[field]] for field in FIELDS]
            if slot.block is not None:
                options[FIELDS.index("repeats")] = (0, 1)
            keys = [slot.keys[field] for field in FIELDS]
            if last:
                keys, options = [*keys, HEAD], [*options, space.options[HEAD]]
            shifts: dict[int, NDArray[np.int64]] = {}
            stride = 1
            for key, values in reversed(list(zip(keys, options, strict=True))):
                if (place := space.place(key)) is not None:
                    indices = np.asarray(place[1], dtype=np.int64)
                    if key[1] == "repeats" and slot.block is not None:
                        indices = np.array([slot.repeats(space.options[key][index]) for index in indices])
                    shift = stride * indices
                    shifts[place[0]] = shifts[place[0]] + shift if place[0] in shifts else shift
                elif key[1] == "repeats" and slot.block is not None:
                    options[FIELDS.index("repeats")] = values = (1,)
                stride *= len(values)
            widths = space.options[space.width_key(number)]
            alike = (slot.stride, size, widths, *options)
            if last or alike not in known:
                known[alike] = self._table(slot, size, widths, options, last, ridges)
            found.append((known[alike], shifts, slot.keys["channels"]))
            size = (size - 1) // slot.stride + 1
        return found

    def _table(
        self,
        slot: Slot,
        size: int,
        widths: Sequence[int],
        options: Sequence[Sequence[Any]],
        last: bool,
        ridges: _Ridges,
    ) -> NDArray[np.int64]:
        """Costs by width before and combination of choices, shape (widths, combinations, columns)."""
        template = self.space.template
        columns = len(_COLUMNS) + len(ridges)
        rows = []
        for width, chosen in product(widths, product(*options)):
            fields = dict(zip(FIELDS, chosen, strict=False))
            row, channels, out = np.zeros(columns, dtype=np.int64), width, size
            if fields["repeats"]:
                try:
                    stage = make_stage(**fields, stride=slot.stride)
                except InputError:  # values that aren't meant to go together: no architecture has them
                    stage = None
                if stage is not None:
                    part = stage_cost(stage, width, size, template.activation)
                    work = stage_work(stage, width, size)[1] if ridges else ()
                    row, channels, out = _row(part, work, ridges), stage.channels, part.resolution
            if last:
                ended = template.replace(head_channels=chosen[-1])
                end = _row(head_cost(ended, channels, out), head_work(ended, channels, out), ridges)
                row = _joined(row, end)
            rows.append(row)
        return np.array(rows, dtype=np.int64).reshape(len(widths), -1, columns)


def _value(name: str, columns: Mapping[str, Any]) -> Any:
    if name == "inference_memory":
        return inference_memory(columns["params"], columns["live"])
    if name == "training_memory":
        return training_memory(columns["params"], columns["saved"])
    return columns[name]


def _row(part: StageCost, work: Iterable[LayerWork], ridges: _Ridges) -> NDArray[np.int64]:
    counts = [getattr(part, column) for column in _COLUMNS]
    layers = tuple(work)
    return np.array([*counts, *(roofline(layers, ridge) for ridge in ridges)], dtype=np.int64)


def _joined(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    total = a + b
    total[_LIVE] = max(a[_LIVE], b[_LIVE])
    return total

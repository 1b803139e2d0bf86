"""A table of trained architectures, their choices, accuracies and costs, to compare controllers on."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.choice_space import ChoiceSpace
from nas.benchmark.landmarks import Landmarks
from nas.benchmark.oracle import Oracle
from nas.network.cost import COSTS
from nas.search.reward import parse_number, reward_of
from search_spaces.architecture import Architecture
from search_spaces.decision import Choice, Decision
from search_spaces.errors import InputError, shown, unknown
from search_spaces.parsing import parse_csv
from search_spaces.quoting import check_name
from search_spaces.reading import read_regular

ACCURACY, COST = "accuracy", "cost:"
"""The column of accuracies, and how the name of a cost begins that isn't one of `nas.network.COSTS`."""

_LONGEST, _MOST_COLUMNS, _MANY = 1 << 28, 1000, 20


@dataclass(frozen=True)
class BenchmarkTable:
    """Architectures with what was measured of each.

    Attributes:
        name: of the file.
        space: of the decisions that the columns name.
        rows: choice indices, shape (n, decisions); all different.
        accuracies: mean over a row's trainings, fractions, shape (n,).
        costs: by name, each of shape (n,), positive.
        noise: standard deviation over trainings of one architecture, pooled; None: none occurs twice.
        repeated: rows of the file that were a further training of one before.
    """

    name: str
    space: ChoiceSpace
    rows: NDArray[np.int64]
    accuracies: NDArray[np.float64]
    costs: Mapping[str, NDArray[np.float64]]
    noise: float | None
    repeated: int

    @cached_property
    def places(self) -> dict[Architecture, int]:
        """Where an architecture stands in `rows`."""
        return {Architecture(row): index for index, row in enumerate(self.rows.tolist())}

    @property
    def complete(self) -> bool:
        """Whether every combination of choices is there."""
        return len(self.rows) == self.space.size

    def describe(self) -> str:
        """What the file was understood to say, in a line."""
        decisions = ", ".join(f"{decision.name} ({len(decision)})" for decision in self.space.decisions)
        repeated = f" ({self.repeated} more rows are further trainings)" if self.repeated else ""
        missing = "" if self.complete else "; a proposal that it lacks is answered by the nearest row left"
        return (
            f"{self.name}: {len(self.rows):,} of {self.space.size:,} architectures{repeated}; decisions "
            f"{decisions}; costs {', '.join(self.costs) or 'none'}{missing}"
        )

    def nearest(self, wanted: Architecture, taken: Collection[Architecture]) -> Architecture:
        """The row with the fewest decisions changed that isn't taken, the first of equals; not all may be."""
        distance = (self.rows != np.array(wanted)).sum(1)
        order = np.argsort(distance, kind="stable")
        rows = (Architecture(self.rows[index].tolist()) for index in order)
        return next(row for row in rows if row not in taken)

    def oracle(self, targets: Mapping[str, float], exponent: float | None = None) -> Oracle:
        """The table, to be searched by accuracy x the product of (cost / target)^exponent.

        Raises:
            InputError: a target for a cost that the table lacks, or as `reward_of`.
        """
        for name in targets:
            if name not in self.costs:
                raise unknown(f"cost of {self.name}", name, list(self.costs))
        reward = reward_of("soft", targets, exponent)
        slope, offset = reward.line(self.costs.__getitem__)
        slopes, offsets = (np.broadcast_to(part, self.accuracies.shape) for part in (slope, offset))
        rewards = slopes * self.accuracies + offsets

        def line(architectures: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            places = self._find(architectures)
            return slopes[places], offsets[places]

        def costs(architecture: Architecture) -> dict[str, float]:
            place = self.places[architecture]
            # a record has MACs; of a table that tells none they are equal
            return {"macs": 1.0} | {name: float(column[place]) for name, column in self.costs.items()}

        return Oracle(
            self.name,
            self.space,
            reward,
            lambda architectures: rewards[self._find(architectures)],
            lambda architecture: float(self.accuracies[self.places[architecture]]),
            costs,
            line if self.complete and reward.objectives else None,
            partial(self._landmarks, rewards),
            self.noise,
            len(self.rows),
            None if self.complete else self.nearest,
        )

    def _find(self, architectures: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([self.places[Architecture(row)] for row in architectures.tolist()], dtype=np.int64)

    def _landmarks(self, rewards: NDArray[np.float64]) -> Landmarks:
        best = int(rewards.argmax())
        return Landmarks(
            float(np.median(rewards)), float(rewards[best]), Architecture(self.rows[best].tolist())
        )


def read_table(path: str, costs: Collection[str] = ()) -> BenchmarkTable:
    """A table in a CSV file with a header.

    `accuracy` is a fraction. Columns named as `nas.network.COSTS` (`macs`, `params`, ...), beginning with
    `cost:` or given in `costs` are costs; every other column is a decision, whose choices are what stands in
    it, numbers in their order, else texts in theirs. A row whose choices stood before is a further training
    of that architecture: accuracies are averaged.

    Raises:
        InputError: it can't be read so; the message names line and column.
    """
    try:
        data = read_regular(path, _LONGEST, "table")
    except OSError as error:
        raise InputError(f"table {path}: {error.strerror}") from None
    header, *lines = parse_csv(data, f"table {path}") or [[]]
    _check_header(path, header, costs)
    for number, row in enumerate(lines, start=2):
        if len(row) != len(header):
            raise InputError(f"table {path}: row {number} has {len(row)} values, the header {len(header)}")
    if not lines:
        raise InputError(f"table {path}: no rows, expected one for every architecture")
    columns = {name: [row[i] for row in lines] for i, name in enumerate(header)}
    accuracies = _numbers(path, ACCURACY, columns.pop(ACCURACY))
    if (odd := np.flatnonzero((accuracies < 0) | (accuracies > 1))).size:
        raise InputError(
            f"table {path}: row {odd[0] + 2}: accuracy {accuracies[odd[0]]:g}: expected a fraction"
        )
    found = {name: columns.pop(name) for name in list(columns) if _is_cost(name, costs)}
    known = {name.removeprefix(COST): _numbers(path, name, column) for name, column in found.items()}
    for name, column in known.items():
        if (odd := np.flatnonzero(column <= 0)).size:
            raise InputError(
                f"table {path}: row {odd[0] + 2}: {name} {column[odd[0]]:g}: expected more than 0"
            )
    decisions = tuple(_decision(path, name, column, len(columns)) for name, column in columns.items())
    indices = {decision.name: {c: i for i, c in enumerate(decision.choices)} for decision in decisions}
    rows = np.stack(
        [
            [indices[d.name][choice] for choice in _choices(columns[d.name])]
            for d in decisions
        ],
        axis=1,
    ).astype(np.int64)  # fmt: skip
    name = Path(path).stem
    return _merged(path, ChoiceSpace(_plain(name), decisions), rows, accuracies, known)


def _check_header(path: str, header: Sequence[str], costs: Collection[str]) -> None:
    if len(header) > _MOST_COLUMNS:
        raise InputError(f"table {path}: {len(header)} columns, expected at most {_MOST_COLUMNS}")
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"table {path}: column {place} has no name in the first row: name or remove it")
        check_name(f"table {path}", "column", name)
    if doubled := [name for name in header if header.count(name) > 1]:
        raise InputError(f"table {path}: two columns are called {doubled[0]!r}")
    if ACCURACY not in header:
        raise InputError(f"table {path}: no column {ACCURACY!r} among {', '.join(header)[:200]}")
    for name in costs:
        if name not in header and COST + name not in header:
            raise unknown(f"cost of table {path}", name, header)
    if not [name for name in header if name != ACCURACY and not _is_cost(name, costs)]:
        raise InputError(f"table {path}: no decision: every column is an accuracy or a cost")


def _is_cost(name: str, costs: Collection[str]) -> bool:
    return name in COSTS or name in costs or name.startswith(COST)


def _numbers(path: str, name: str, column: Sequence[str]) -> NDArray[np.float64]:
    values = []
    for number, text in enumerate(column, start=2):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"table {path}: row {number}: {name} {shown(text)}: expected a number")
        values.append(value)
    return np.array(values)


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _choices(column: Sequence[str]) -> list[Choice]:
    """Numbers where all are."""
    if not all(_NUMBER.fullmatch(text) and math.isfinite(float(text)) for text in column):
        return list(column)
    return [int(value) if (value := float(text)).is_integer() else value for text in column]


def _decision(path: str, name: str, column: Sequence[str], decisions: int) -> Decision:
    choices = sorted(set(_choices(column)), key=lambda choice: (isinstance(choice, str), choice))
    if len(choices) == len(column) > _MANY and decisions > 1:
        raise InputError(
            f"table {path}: column {name!r} has another value in each row, so it is no decision: "
            f"call it {COST}{name} if it is a cost, or remove it"
        )
    return Decision(name, tuple(choices))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "table"


def _merged(
    path: str,
    space: ChoiceSpace,
    rows: NDArray[np.int64],
    accuracies: NDArray[np.float64],
    costs: Mapping[str, NDArray[np.float64]],
) -> BenchmarkTable:
    """With the trainings of one architecture in one row."""
    kept, first, inverse, counts = np.unique(
        rows, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.ravel()
    means = np.bincount(inverse, accuracies) / counts
    freedom = int((counts - 1).sum())
    spread = float(((accuracies - means[inverse]) ** 2).sum())
    for name, column in costs.items():
        if (odd := np.flatnonzero(column != column[first][inverse])).size:
            other = column[first][inverse][odd[0]]
            raise InputError(
                f"table {path}: row {odd[0] + 2}: {name} {column[odd[0]]:g}, where an earlier row of its "
                f"architecture has {other:g}"
            )
    return BenchmarkTable(
        Path(path).name, space, kept, means, {name: column[first] for name, column in costs.items()},
        math.sqrt(spread / freedom) if freedom else None, freedom,
    )  # fmt: skip


def parse_table_targets(texts: Sequence[str]) -> dict[str, float]:
    """`macs=300M` as numbers by cost; raises `InputError` for anything else."""
    targets = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise InputError(f"target {shown(text)}: expected COST=NUMBER with --table, such as macs=300M")
        if name in targets:
            raise InputError(f"target: {name} is given twice")
        targets[name] = parse_number(value, f"target for {name}")
        if not (targets[name] > 0 and math.isfinite(targets[name])):
            raise InputError(f"target {shown(value)} for {name}: expected a positive number")
    return targets

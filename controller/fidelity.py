"""What a part of a training tells of the whole: a Gaussian process with the fidelity as an input.

As in Kennedy & O'Hagan (2000) what a network shows after a part of its training is, up to a line, what it
shows at the end plus a difference that depends on the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.encoding import Encoding
from controller.predictor import Points, Predictor, Prepared
from controller.row_factor import Floats

# medians of the added parameters before anything is seen, for targets of variance one
_CHOICES, _LEVEL, _COST, _UNSURE, _TRAINING = 0.03, 0.1, 0.1, 0.1, 0.05
_FEWEST = 3
"""Trainings to their end that a part of a training is put in line with."""
_STEEPEST = 3.0
"""Of such a line, or of its inverse."""


@dataclass(frozen=True)
class _Parts(Prepared):
    """With what each point lacks, and the training it is of."""

    training: Floats
    unsure: Floats
    shared: float

    @property
    def noise(self) -> Floats:
        """The more a training lacks, the less it says."""
        return self.unsure

    def __getitem__(self, rows: slice) -> _Parts:
        part = super().__getitem__(rows)
        assert isinstance(part, _Parts)
        return replace(part, training=self.training[rows], unsure=self.unsure[rows])

    def kernels(self, other: Prepared) -> tuple[Floats, Floats]:
        """As the base's, and what measurements of one training have in common."""
        assert isinstance(other, _Parts)
        linear, rough = super().kernels(other)
        linear += self.shared * _same(self.training, other.training)
        return linear, rough


class FidelityPredictor(Predictor):
    """The kernel of `Predictor`, and for points that lack s and s' of a training

        s s' (sum_d g <x_d, x'_d> + h + q z z') + r [same training] + u s [same point]:

    the difference to the end is linear in the choices, two measurements of a training err alike, and an
    early one says less. The points' z ends with two more columns, s from 0 (trained to the end) to 1 and the
    training's number; what is predicted is a new training's end, with s = 0 and the number -1.

    Args:
        encoding: of the space.
        further: how many inputs there are beside the cost's.
    """

    def __init__(self, encoding: Encoding, further: int = 0) -> None:
        super().__init__(encoding, further, (_CHOICES, _LEVEL, _COST, _UNSURE, _TRAINING))

    @property
    def seen_means(self) -> Floats:
        """Expected targets at the end of a training of what was seen, shape (n,)."""
        return self._ends

    def condition(self, seen: Points, y: Floats, whole: Points | None = None) -> None:
        """As the base's; `whole` may be in any order."""
        super().condition(seen, y, whole)
        ends = seen.z.copy()
        ends[:, -2:] = 0.0, -1.0
        self._ends = self.mean(seen.x, ends)

    def _inputs(self, z: Floats) -> Floats:
        return z[:, :-2]

    def _prepared(self, x: Floats, z: Floats, parameters: Floats | None = None) -> _Parts:
        parameters = self.parameters if parameters is None else parameters
        base = super()._prepared(x, z, parameters)
        choices, level, cost, unsure, training = np.exp(parameters[self._added])
        sizes, _ = self.encoding.sizes(self._orders(parameters))
        lack = z[:, -2:-1]
        right = np.column_stack([lack * x, lack, lack * z[:, :1]])
        weights = np.concatenate([choices * sizes, [level, cost]])
        return _Parts(
            np.column_stack([base.left, right * weights]),
            np.column_stack([base.right, right]),
            base.left_log,
            base.right_log,
            base.highest,
            z[:, -1],
            unsure * z[:, -2],
            float(training),
        )

    def _added_gradient(
        self, parameters: Floats, x: Floats, z: Floats, outer: Floats
    ) -> tuple[Sequence[float], Floats]:
        choices, level, cost, unsure, training = np.exp(parameters[self._added])
        sizes, _ = self.encoding.sizes(self._orders(parameters))
        lack, rows = z[:, -2], z[:, -2:-1] * x
        by_column = choices * sizes * ((outer @ rows) * rows).sum(0)
        costs = lack * z[:, 0]
        return (
            float(by_column.sum()),
            level * float(lack @ outer @ lack),
            cost * float(costs @ outer @ costs),
            unsure * float(np.diag(outer) @ lack),
            training * float((outer * _same(z[:, -1], z[:, -1])).sum()),
        ), by_column


def _same(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Which are measurements of one training, shape (n, n of the other)."""
    same: NDArray[np.bool_] = (one[:, None] == other[None, :]) & (one[:, None] >= 0)
    return same


class Measured(NamedTuple):
    """A measurement of a training.

    Attributes:
        training: its number.
        lack: the share of the training that was still to come, 0 at its end.
        value: what was measured, in line with what trainings end with.
    """

    training: int
    lack: float
    value: float


class PartialResults:
    """What is known of trainings that were seen whole or in part.

    Attributes:
        values: by training in the order they ended, by what was lacking then (0 at the end).
    """

    def __init__(self) -> None:
        self.values: dict[int, dict[float, float]] = {}

    def whole(self, training: int) -> bool:
        """Whether it was trained to its end."""
        return 0.0 in self.values[training]

    @property
    def ended_early(self) -> list[int]:
        """Those since the last one that was trained to its end."""
        found: list[int] = []
        for training in reversed(self.values):
            if self.whole(training):
                break
            found.append(training)
        return found

    def lines(self) -> dict[float, tuple[float, float]]:
        """By what is lacking (offset, slope), which bring its values into line with the ends.

        The line has the means and the deviations of those that have both (the reduced major axis); of fewer
        than three the means alone.
        """
        ends = [values for values in self.values.values() if 0.0 in values]
        found = {0.0: (0.0, 1.0)}
        for lack in sorted({lack for values in self.values.values() for lack in values} - {0.0}):
            both = np.array([(values[lack], values[0.0]) for values in ends if lack in values])
            early, last = both.T if len(both) else (np.zeros(1), np.zeros(1))
            slope = 1.0
            if len(both) >= _FEWEST and early.std() > 0 and last.std() > 0:
                slope = min(max(float(last.std() / early.std()), 1 / _STEEPEST), _STEEPEST)
            found[lack] = float(last.mean()) - slope * float(early.mean()), slope
        return found

    def parts(self, trainings: Sequence[int], all_of_them: bool = True) -> Iterator[Measured]:
        """What is known of some trainings, in their order, the last measurement of each first.

        Args:
            trainings: their numbers.
            all_of_them: earlier measurements too, of those that went on to the end; of one that ended
                early the last alone counts, which says better what the earlier ones said.
        """
        lines = self.lines() if all_of_them else {0.0: (0.0, 1.0)}
        for training in trainings:
            values = self.values[training]
            last = min(values)
            for lack in sorted(values) if last == 0.0 and all_of_them else [last]:
                offset, slope = lines[lack]
                yield Measured(training, lack, offset + slope * values[lack])

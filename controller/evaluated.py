"""What a predictor has been told: evaluations, whole or in part, and which of many it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.fidelity import Measured, PartialResults
from controller.row_factor import Floats
from search_spaces.architecture import Architecture

_MOST = 600
"""Results that a proposal is conditioned on; of more, the best and the latest. Bounds the time to ask."""

_STEP = 64
"""Results after which the best and the latest are chosen anew; until then new ones are added to them."""


class Evaluated:
    """Results in the order they came.

    Attributes:
        ids: of the proposals.
        seen: their architectures.
        trainings: what they showed; in units of what is learned.
        early: whether any was ended early.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.seen: list[Architecture] = []
        self.trainings = PartialResults()
        self.early = False
        self._chosen: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, id: int, architecture: Architecture, values: Mapping[float, float]) -> None:
        """A result; values by what was lacking of the whole evaluation, as `PartialResults` has them."""
        self.ids.append(id)
        self.seen.append(architecture)
        self.trainings.values[id] = dict(values)
        self.early = self.early or 0.0 not in values

    def kept(
        self, rewards: Callable[[Sequence[Architecture], Floats], Floats]
    ) -> tuple[int, NDArray[np.int64]]:
        """Which results to condition on: all, or the better half of the limit and the latest.

        (count, rows): the results up to that count were chosen from, all later ones are there.

        Args:
            rewards: of architectures and what they showed, shape (n,).
        """
        count = len(self)
        if count <= _MOST:
            return 0, np.arange(count)
        base = count - (count - _MOST) % _STEP
        if self._chosen is None or self._chosen[0] != base:
            order = np.argsort(-rewards(self.seen[:base], self._ends(base)), kind="stable")
            order = order[: _MOST * 2 // 3]
            latest = np.setdiff1d(np.arange(base), order)[-(_MOST - len(order)) :]
            self._chosen = base, np.sort(np.concatenate([order, latest]))
        return base, np.concatenate([self._chosen[1], np.arange(base, count)])

    def parts(self, rows: NDArray[np.int64]) -> tuple[list[Measured], NDArray[np.int64]]:
        """(the measurements of some results, for each result the place of its last one)."""
        parts = list(self.trainings.parts([self.ids[row] for row in rows.tolist()], self.early))
        starts = [place for place, part in enumerate(parts) if not place or parts[place - 1][0] != part[0]]
        return parts, np.array(starts, dtype=np.int64)

    def architectures(self, parts: Sequence[Measured]) -> list[Architecture]:
        """Of each measurement."""
        by_id = dict(zip(self.ids, self.seen, strict=True))
        return [by_id[part.training] for part in parts]

    def expected(
        self, base: int, rows: NDArray[np.int64], pending: Mapping[int, Architecture]
    ) -> list[Architecture]:
        """What was chosen of the results up to `base`, and all that was asked since, in that order.

        So a proposal is a new last one, and its result changes nothing.
        """
        later = dict(zip(self.ids[base:], self.seen[base:], strict=True)) | dict(pending)
        chosen = [self.seen[row] for row in rows[: len(rows) - (len(self.seen) - base)].tolist()]
        return chosen + [later[id] for id in sorted(later)]

    def state(self) -> list[list[Any]]:
        """As plain data."""
        return [
            [id, list(architecture), sorted(self.trainings.values[id].items())]
            for id, architecture in zip(self.ids, self.seen, strict=True)
        ]

    @classmethod
    def of(cls, state: Sequence[Any]) -> Evaluated:
        """The one that gave this state."""
        made = cls()
        for id, architecture, values in state:
            made.add(id, Architecture(architecture), dict(values))
        return made

    def _ends(self, count: int) -> Floats:
        """What each of the first results showed or would have shown at its end, shape (count,)."""
        parts, starts = self.parts(np.arange(count))
        return np.array([parts[start].value for start in starts.tolist()])

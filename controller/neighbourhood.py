"""Architectures that differ in one decision, and climbs along them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controller.row_factor import Floats
from search_spaces.space import SearchSpace

Rows = NDArray[np.int64]
"""Choice indices, shape (n, decisions)."""

_MOST = 500
"""Changes of one decision that are looked at around an architecture; of more, as many at random."""


class Neighbourhood:
    """What is one change away.

    Args:
        space: of the architectures.
        rng: draws, where there are too many changes.
    """

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        self._sizes, self._rng = np.array([len(decision) for decision in space.decisions]), rng
        moves = [(d, shift) for d, size in enumerate(self._sizes) for shift in range(1, size)]
        self._moves = np.array(moves, dtype=np.int64).reshape(-1, 2)

    def around(self, architectures: Rows) -> Rows:
        """One-decision changes of each, all or `_MOST` of them, shape (n x changes, decisions)."""
        moves = self._moves
        if len(moves) > _MOST:
            moves = moves[self._rng.choice(len(moves), _MOST, replace=False)]
        position, shift = moves.T
        count = len(position)
        changed = np.repeat(architectures, count, axis=0)
        index = np.arange(len(changed))
        where = np.tile(position, len(architectures))
        changed[index, where] = (changed[index, where] + np.tile(shift, len(architectures))) % self._sizes[
            where
        ]
        return changed

    def climb(
        self, start: NDArray[np.int64], kept: NDArray[np.bool_], scores: Callable[[Rows], Floats]
    ) -> NDArray[np.int64]:
        """Where no change of a decision raises the score any more.

        Args:
            start: choice indices, shape (decisions,).
            kept: the decisions that stay, shape (decisions,).
            scores: of architectures, shape (n,).
        """
        place, height = start, float(scores(start[None])[0])
        while True:
            nearby = self.around(place[None])
            nearby = nearby[(nearby == place)[:, kept].all(axis=1)]
            if not len(nearby):
                return place
            found = scores(nearby)
            if not found.max() > height:
                return place
            place, height = nearby[int(found.argmax())], float(found.max())

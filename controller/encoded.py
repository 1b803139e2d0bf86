"""What a model needs of architectures that it meets again at every proposal, computed once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.predictor import Points
from controller.row_factor import Floats
from search_spaces.architecture import Architecture

Describe = Callable[[NDArray[np.int64]], tuple[Floats, Floats, Floats, Floats]]
"""Architectures (n, decisions) -> (x of shape (n, columns), z as `Points` has it, slope and offset (n,))."""


class EncodedArchitectures:
    """Encodings and reward lines by architecture.

    Each is computed alone: of several at once, the last bits could depend on which they are, and then a
    controller that resumes, and computes them anew, would differ.

    Args:
        describe: computes them.
    """

    def __init__(self, describe: Describe) -> None:
        self._describe, self._inputs = describe, 1
        self._places: dict[Architecture, int] = {}
        self._table = np.empty((0, 0))

    def __call__(self, architectures: Sequence[Architecture]) -> tuple[Points, Floats, Floats]:
        """(points, slope, offset) of these."""
        places = list(map(self._places.get, architectures))
        if None in places:
            for architecture in architectures:
                if architecture not in self._places:  # some may be listed several times
                    self._add(architecture)
            places = [self._places[architecture] for architecture in architectures]
        rows = self._table[np.array(places, dtype=np.int64)]
        inputs = -2 - self._inputs
        points = Points(architectures, np.ascontiguousarray(rows[:, :inputs]), rows[:, inputs:-2].copy())
        return points, rows[:, -2].copy(), rows[:, -1].copy()

    def _add(self, architecture: Architecture) -> None:
        x, z, slope, offset = self._describe(np.array([architecture], dtype=np.int64))
        self._inputs = z.size
        row = np.concatenate([x[0], z.ravel(), slope, offset])
        count = len(self._places)
        if count == len(self._table):
            larger = np.empty((max(64, 2 * count), len(row)))
            larger[:count] = self._table if count else 0
            self._table = larger
        self._table[count] = row
        self._places[architecture] = count

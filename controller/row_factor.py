"""A Cholesky factor that grows by rows: what a matrix shares with the one before is not factored again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Floats = NDArray[np.float64]

_BLOCK = 48
"""Rows of a block: more of them make a whole matrix faster, fewer a single row more."""


class RowFactor:
    """The lower factor L of a symmetric positive definite matrix whose rows come and go.

    L is kept in blocks of rows, each computed from those above it (the bordered form, Golub & Van Loan 2013,
    section 4.2.9): a row at the end costs O(n^2), one that is taken out what the blocks from its own on cost.
    A block's bits depend on the rows up to its end alone and not on how the matrix grew, so a controller that
    resumes has the very factor of one that was never stopped.
    """

    def __init__(self) -> None:
        self._keys: list[Hashable] = []
        self._rows: list[Floats] = []  # a block of L, as far as its diagonal block
        self._inverses: list[Floats] = []  # of the diagonal blocks

    def __len__(self) -> int:
        return len(self._keys)

    def update(self, keys: Sequence[Hashable], kernel: Callable[[slice, slice], Floats]) -> None:
        """Factor the matrix of these rows.

        Args:
            keys: what each row is of; rows with equal keys are equal, until `clear`.
            kernel: the matrix's entries in (rows, columns); asked for those up to the diagonal.

        Raises:
            numpy.linalg.LinAlgError: it is not positive definite.
        """
        shared = self._shared(keys)
        if shared == len(keys) == len(self):
            return
        whole = shared // _BLOCK
        del self._rows[whole:], self._inverses[whole:], self._keys[whole * _BLOCK :]
        for start in range(whole * _BLOCK, len(keys), _BLOCK):
            stop = min(start + _BLOCK, len(keys))
            self._append(start, kernel(slice(start, stop), slice(0, stop)))
            self._keys += keys[start:stop]

    def clear(self) -> None:
        """Forget all rows: the entries are others from now on."""
        del self._rows[:], self._inverses[:], self._keys[:]

    def forward(self, right: Floats) -> Floats:
        """V with L V = right, both of shape (n, columns)."""
        solved = np.empty_like(right)
        for (start, stop), row, inverse in self._blocks():
            solved[start:stop] = inverse @ (right[start:stop] - row[:, :start] @ solved[:start])
        return solved

    def solve(self, right: Floats) -> Floats:
        """w with L L' w = right, both of shape (n,)."""
        rest = self.forward(right[:, None])[:, 0]
        for (start, stop), row, inverse in reversed(list(self._blocks())):
            rest[start:stop] = inverse.T @ rest[start:stop]
            rest[:start] -= row[:, :start].T @ rest[start:stop]
        return rest

    def dense(self) -> Floats:
        """L itself, shape (n, n)."""
        whole = np.zeros((len(self), len(self)))
        for (start, stop), row, _ in self._blocks():
            whole[start:stop, :stop] = row
        return whole

    def _blocks(self) -> list[tuple[tuple[int, int], Floats, Floats]]:
        """((first row, row after the last), block of L, inverse of its diagonal block)."""
        starts = range(0, len(self), _BLOCK)
        places = [(start, start + len(row)) for start, row in zip(starts, self._rows, strict=True)]
        return list(zip(places, self._rows, self._inverses, strict=True))

    def _append(self, start: int, block: Floats) -> None:
        row = np.empty_like(block)
        for (a, b), above, inverse in self._blocks():
            row[:, a:b] = (block[:, a:b] - row[:, :a] @ above[:, :a].T) @ inverse.T
        left = row[:, :start]
        row[:, start:] = np.linalg.cholesky(block[:, start:] - left @ left.T)
        self._rows.append(row)
        identity = np.eye(len(row))
        inverse = solve_triangular(row[:, start:], identity, lower=True, check_finite=False)
        self._inverses.append(np.ascontiguousarray(inverse))

    def _shared(self, keys: Sequence[Hashable]) -> int:
        """How many of the first rows are as they were."""
        low, high = 0, min(len(self._keys), len(keys))
        if self._keys[:high] == list(keys[:high]):
            return high
        while low < high:  # slices are compared much faster than one key after the other
            middle = (low + high + 1) // 2
            if self._keys[low:middle] == list(keys[low:middle]):
                low = middle
            else:
                high = middle - 1
        return low

"""A factor that grew by rows is the factor of the whole matrix, to the bit."""

import numpy as np
import pytest

from controller.row_factor import RowFactor

POINTS = np.random.default_rng(0).normal(size=(400, 30))


def factored(keys, factor=None, asked=None):
    """The factor of the matrix of these rows; counts in `asked` the entries that were computed."""
    factor = RowFactor() if factor is None else factor
    points = POINTS[keys]

    def kernel(rows, columns):
        if asked is not None:
            asked.append((rows.stop - rows.start) * (columns.stop - columns.start))
        block = points[rows] @ points[columns].T
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] += 0.5
        return block

    factor.update(keys, kernel)
    return factor


@pytest.mark.parametrize("count", [0, 1, 47, 48, 49, 200])
def test_it_is_the_cholesky_factor(count):
    keys = list(range(count))
    lower = factored(keys).dense()
    assert np.array_equal(lower, np.tril(lower))
    assert lower @ lower.T == pytest.approx(POINTS[keys] @ POINTS[keys].T + 0.5 * np.eye(count))


def test_it_solves():
    factor, keys = factored(list(range(130))), list(range(130))
    matrix = POINTS[keys] @ POINTS[keys].T + 0.5 * np.eye(130)
    right = np.random.default_rng(1).normal(size=(130, 7))
    assert factor.dense() @ factor.forward(right) == pytest.approx(right)
    assert matrix @ factor.solve(right[:, 0]) == pytest.approx(right[:, 0])


def test_rows_come_and_go_and_leave_no_trace():
    rng, factor, keys, new = np.random.default_rng(2), RowFactor(), list(range(60)), 60
    for step in range(120):
        if step % 5 == 4:
            del keys[int(rng.integers(len(keys)))]
        else:
            keys.append(new)
            new += 1
        factored(keys, factor)
        if step % 17 == 0 or step == 119:
            assert np.array_equal(factor.dense(), factored(keys).dense())
    factor.clear()
    assert len(factor) == 0
    assert np.array_equal(factored(keys, factor).dense(), factored(keys).dense())


def test_a_row_at_the_end_costs_no_whole_matrix():
    asked = []
    factor = factored(list(range(300)), asked=asked)
    assert sum(asked) > 300 * 300 / 2
    asked.clear()
    factored(list(range(301)), factor, asked)
    assert sum(asked) <= 48 * 301
    asked.clear()
    factored(list(range(301)), factor, asked)
    assert not asked

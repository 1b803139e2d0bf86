"""The surrogate that a user means: the embedded one, or one of records of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from nas.search.benchmark.surrogate import Surrogate, read_surrogate

CACHE = Path("~/.cache/baseline-nas")
"""Where fitted surrogates and fetched records are kept."""


@lru_cache(maxsize=4)
def load_surrogate(data: str | None = None, progress: Callable[[str], None] | None = None) -> Surrogate:
    """The embedded surrogate, or (with the path of the records) one fitted on them and kept.

    Args:
        data: folder or archive of Accel-NASBench's records; or a surrogate's file (`.npz`).
        progress: told what is being fitted, which takes about half a minute the first time.

    Raises:
        InputError: the data are missing, damaged, or no records.
    """
    if data is None:
        return read_surrogate()
    if Path(data).suffix == ".npz":
        return read_surrogate(Path(data))
    from nas.search.benchmark.fit import surrogate_of  # scikit-learn and torch, only to fit

    return surrogate_of(data, CACHE.expanduser(), progress)

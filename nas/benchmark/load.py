"""The surrogate that a user means: the embedded one, or one of records of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nas.benchmark.run_surrogate import read_run_surrogate
from nas.benchmark.surrogate_file import read_surrogate
from nas.benchmark.truth import AccuracyModel

CACHE = Path("~/.cache/baseline-nas")
"""Where fitted surrogates and fetched records are kept."""

CURVES = "curves"
"""The embedded benchmark of recorded trainings, epoch by epoch."""
_CURVES_FILE = Path(__file__).with_name("curves.json")

_loaded: dict[tuple[str | None, object], AccuracyModel] = {}


def load_surrogate(data: str | None = None, progress: Callable[[str], None] | None = None) -> AccuracyModel:
    """The embedded surrogate, or one fitted on the records at `data` and kept. Once a process.

    Args:
        data: folder or archive of Accel-NASBench's records; a surrogate's file (`.npz`), or a benchmark of
            runs (`.json`, by `nas benchmark`, or `curves`, the embedded one).
        progress: told what is being fitted, which takes about half a minute the first time.

    Raises:
        InputError: the data are missing, damaged, or no records.
    """
    key = data, _stamp(data)
    if key not in _loaded:
        _loaded[key] = _load(data, progress)
    return _loaded[key]


def _stamp(data: str | None) -> object:
    """What tells a file from the one that was there before; None of anything else."""
    if data is None or not Path(data).is_file():
        return None
    known = Path(data).stat()
    return known.st_mtime_ns, known.st_size, known.st_ino


def _load(data: str | None, progress: Callable[[str], None] | None) -> AccuracyModel:
    if data is None:
        return read_surrogate()
    if Path(data).suffix == ".npz":
        return read_surrogate(Path(data))
    if is_run_benchmark(data):
        return read_run_surrogate(run_benchmark_file(data))
    from nas.benchmark.fit import surrogate_of  # scikit-learn and torch, only to fit

    return surrogate_of(data, CACHE.expanduser(), progress)


def keep_loaded(data: str, surrogate: AccuracyModel) -> None:
    """Have `load_surrogate` give this one for `data`, which is no file of it."""
    _loaded[data, None] = surrogate


def is_loaded(data: str) -> bool:
    """Whether `load_surrogate` has it."""
    return (data, None) in _loaded


def is_run_benchmark(data: str | None) -> bool:
    """Whether this names a benchmark by `nas benchmark`: `curves`, or a file."""
    return data is not None and (data == CURVES or Path(data).suffix == ".json")


def run_benchmark_file(data: str) -> Path:
    """Where it is."""
    return _CURVES_FILE if data == CURVES else Path(data)

"""Numbers of any kind, as the plain ones that a journal and a controller take."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from nas.errors import TrialFailedError
from nas.search.trial import Measurement


def number(value: Any) -> float | None:
    """A number as a float: Python's, NumPy's, a scalar tensor or array without dimensions; else None.

    NaN and infinities are numbers; truth values, texts and arrays with dimensions are none.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return None


def plain(measurement: Mapping[str, Any]) -> Measurement:
    """What an evaluation measured, as plain numbers.

    Raises:
        TrialFailedError: a value is no number; names it.
    """
    row: Measurement = {}
    for name, value in measurement.items():
        if (found := number(value)) is None:
            raise TrialFailedError(
                f"measurement {name!r}: expected a number, found {type(value).__name__} {str(value)[:60]!r}"
            )
        row[str(name)] = value if type(value) in (int, float) else found
    return row

"""Costs that follow from the spec alone, by name: those of `Cost`, and the roofline at any ridge point."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from nas.network.cost import COSTS, cost
from nas.network.roofline import network_work, roofline
from search_spaces.errors import InputError, shown, unknown
from search_spaces.spec import NetworkSpec

ROOFLINE = "roofline"
"""Name of the cost at `RIDGE`; `roofline_20` is the same at ridge 20."""
RIDGE = 5.0
"""MACs per byte where none is given: about a CPU core's in fp32, with some 50 G MACs and 10 GB a second."""
_HIGHEST = 1e6


def check_ridge(value: float) -> float:
    """`value` if it can be a ridge point, else `InputError`."""
    if not (math.isfinite(value) and 0 <= value <= _HIGHEST):
        raise InputError(f"ridge {value:g}: expected MACs per byte, a number from 0 to {_HIGHEST:g}")
    return value


def roofline_name(ridge: float) -> str:
    """The cost's name at this ridge point; raises `InputError` as `check_ridge`."""
    return f"{ROOFLINE}_{check_ridge(ridge):g}"


def ridge_of(name: str) -> float | None:
    """The ridge point in a cost's name; None: it is no roofline.

    Raises:
        InputError: `roofline_` with something else behind it than a ridge point.
    """
    stem, line, text = name.partition("_")
    if stem != ROOFLINE:
        return None
    if not line:
        return RIDGE
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise InputError(
            f"cost {shown(name)}: expected a ridge point behind {ROOFLINE}_, such as {ROOFLINE}_20"
        )
    return check_ridge(float(text))


def is_analytic(name: str) -> bool:
    """Whether the cost called so follows from a spec alone; raises `InputError` as `ridge_of`."""
    return name in COSTS or ridge_of(name) is not None


def check_cost_name(name: str) -> str:
    """`name` if it is an analytic cost's; raises `InputError` (with a suggestion) if not."""
    if not is_analytic(name):
        raise unknown("cost", name, [*COSTS, ROOFLINE])
    return name


def analytic_costs(spec: NetworkSpec, names: Iterable[str] = ()) -> dict[str, float]:
    """All of `COSTS` of a network, and those of `names` that are rooflines; other names are left out."""
    counted = cost(spec)
    found: dict[str, float] = {name: getattr(counted, name) for name in COSTS}
    for name in names:
        if (ridge := ridge_of(name)) is not None:
            found[name] = roofline((work for part in network_work(spec) for work in part), ridge)
    return found


def analytic_cost(spec: NetworkSpec, name: str) -> float:
    """One analytic cost of a network; raises `InputError` for the name of another."""
    return analytic_costs(spec, [check_cost_name(name)])[name]

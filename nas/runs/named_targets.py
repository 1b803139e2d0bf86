"""The costs that a reward may weigh, and their targets as a user writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nas.latency.table import LATENCY, LatencyTable
from nas.network.analytic import ROOFLINE, is_analytic
from nas.network.cost import COSTS
from nas.runs.cost_settings import GROUP, CostSettings
from nas.runs.evaluator_settings import EvaluatorSettings
from nas.runs.evaluators import EVALUATORS
from nas.search.reward import parse_target
from search_spaces.added import added_names
from search_spaces.errors import InputError, shown, unknown
from search_spaces.spec import NetworkSpec


def check_cost(name: str, evaluator: EvaluatorSettings, latency: bool, own: Collection[str] = ()) -> None:
    """Raise `InputError` for a cost that neither this evaluator, a latency table nor `own` knows."""
    known = [*COSTS, ROOFLINE, *evaluator.measured_costs, *([LATENCY] if latency else []), *own]
    if name in known or is_analytic(name):
        return
    for kind, other in EVALUATORS.items():
        if name in other.measures:
            if kind == evaluator.kind:
                raise InputError(f"cost {name!r}: a benchmark of runs knows analytic costs only")
            raise InputError(f"cost {name!r}: only the {kind} knows it (--evaluator {kind})")
    if name == LATENCY:
        raise InputError(f"cost {LATENCY!r}: give --latency-table, which `nas latency --space` makes")
    raise unknown("cost", name, dict.fromkeys([*known, *added_names(GROUP), "MODULE:FUNCTION"]))


def resolve_targets(
    targets: Mapping[str, Any],
    evaluator: EvaluatorSettings,
    latency_table: str | None,
    own: Mapping[str, CostSettings],
) -> dict[str, float]:
    """Targets as numbers: `400M`, `15ms`, or what a known network or a spec file costs.

    Raises:
        InputError: an unknown cost, or a text that is none of these.
    """
    resolved: dict[str, float] = {}
    for name, value in targets.items():
        check_cost(name, evaluator, latency_table is not None, own)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise InputError(f"target {shown(value)} for {name}: expected a number or a text")
        resolved[name] = parse_target(str(value), name, _measure(name, evaluator, latency_table, own))
    return resolved


def _measure(
    name: str, evaluator: EvaluatorSettings, latency_table: str | None, own: Mapping[str, CostSettings]
) -> Callable[[NetworkSpec], float] | None:
    """What gives that cost of a network, where it is no analytic one; loads its files when it is called."""
    if name in own:
        return lambda spec: own[name].make(name)(spec)
    if name == LATENCY and latency_table is not None:
        return lambda spec: LatencyTable.read(latency_table)(spec)
    if name in evaluator.measured_costs:
        return lambda spec: evaluator.make().costs(spec)[name]
    return None

"""Scaling by training: the grid of coefficients (paper, step 1), and the study of the ways to scale.

Both are searches over a list of networks, so they run on Ray, are journaled and resumed as any search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nas.network.scaling import MODES, Coefficients, scale, scale_to
from nas.runs.settings import SearchSettings
from nas.search.results import Results
from nas.search.trial import Record, Scored
from nas.studies.entries import entry
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.spec import NetworkSpec

BASELINE = "baseline"
COEFFICIENTS, STUDY = "coefficients", "scaling-study"
"""Names of the two spaces."""


def coefficient_settings(
    spec: NetworkSpec, grid: Sequence[Coefficients], settings: SearchSettings
) -> SearchSettings:
    """The search for alpha, beta, gamma: every point of the grid at phi = 1, the accuracy decides.

    Points that rounding makes the same network are trained once, under the first one's label.
    """
    networks: dict[str, NetworkSpec] = {}
    about: dict[str, dict[str, Any]] = {}
    digests = set()
    for c in grid:
        scaled = scale(spec, 1, c)
        if scaled.digest not in digests:
            digests.add(scaled.digest)
            label = f"{c.alpha:g} {c.beta:g} {c.gamma:g}"
            networks[label] = scaled.replace(name=f"{spec.name} {label}"[:200])
            about[label] = dict(vars(c))
    return _listed(COEFFICIENTS, networks, about, spec, settings)


def study_settings(
    spec: NetworkSpec, budgets: Sequence[float], settings: SearchSettings, coefficients: Coefficients
) -> SearchSettings:
    """The study: the baseline, and each of `MODES` at each budget (times the baseline's MACs).

    Raises:
        InputError: a budget that isn't above 1, or one named twice.
    """
    if not budgets or min(budgets) <= 1 or len(set(budgets)) != len(budgets):
        raise InputError(
            f"budgets {','.join(f'{b:g}' for b in budgets)}: expected different numbers above 1 (times the "
            "baseline's MACs), such as 2,4,8"
        )
    networks = {BASELINE: spec}
    about: dict[str, dict[str, Any]] = {BASELINE: {"mode": BASELINE, "factor": 1.0}}
    for factor in budgets:
        for mode in MODES:
            label = f"{mode} x{factor:g}"
            networks[label] = scale_to(spec, factor, mode, coefficients)
            about[label] = {"mode": mode, "factor": float(factor)}
    return _listed(STUDY, networks, about, spec, settings)


def _listed(
    name: str,
    networks: dict[str, NetworkSpec],
    about: dict[str, dict[str, Any]],
    spec: NetworkSpec,
    settings: SearchSettings,
) -> SearchSettings:
    # a proxy keeps whole channels only, so widths that differ here stay different
    return settings.over(name, networks, about).trained(baseline_resolution=spec.resolution)


@dataclass(frozen=True)
class StudyPoint:
    """One trained network of a study.

    Attributes:
        mode: one of `MODES`, or `baseline`.
        factor: MACs in those of the baseline, as asked; `macs` as they are.
        accuracy: on the held-out images.
    """

    mode: str
    factor: float
    macs: int
    accuracy: float


def study_points(space: ListedSpace, records: Iterable[Record]) -> list[StudyPoint]:
    """The finished networks of a study, by mode and budget."""
    points = []
    for record in Results(records).finished:
        known = entry(space, record)
        points.append(StudyPoint(known["mode"], float(known["factor"]), int(record.macs), record.accuracy))
    order = (BASELINE, *MODES)
    return sorted(points, key=lambda p: (order.index(p.mode), p.factor))


def coefficients_of(space: ListedSpace, record: Record) -> Coefficients:
    """The coefficients that a trial of the grid search stands for."""
    return Coefficients(**entry(space, record))


def best_first(records: Iterable[Record]) -> list[Record]:
    """The trials of a grid, those with a result first, the highest accuracy first."""
    records = list(records)
    scored = sorted((r for r in records if isinstance(r, Scored)), key=lambda r: (-r.accuracy, r.trial))
    return [*scored, *(r for r in records if not isinstance(r, Scored))]

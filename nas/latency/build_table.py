"""Making a latency table: measure the parts of a space, fit the line, and check it on other networks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.latency.parts import Part, parts, space_parts
from nas.latency.runtimes import make_module, make_runner
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.latency.timing import time_network, time_together
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

_TOGETHER = {"torch": 100, "onnxruntime": 1}
"""Parts that are timed in turns. Each session of ONNX Runtime has threads of its own, which wait for the
next run by spinning: in turns they would take the cores from one another."""
_SWEEPS = 2
"""Everything is measured twice, minutes apart, and the lower value kept: a machine that is shared can be
slow for seconds on end, which no statistic of one spell of runs would tell."""
_RUNS = 15
_FITTED = 30


def measure_parts(
    chosen: Sequence[Part], setting: Setting, tick: Callable[[int], None] = lambda done: None
) -> dict[str, float]:
    """Milliseconds by key of each part, as `nas.latency.timing.time_together` measures them.

    Args:
        chosen: each once.
        setting: as `nas.latency.runtimes.prepare` gave it.
        tick: called with the number of parts that were just done.
    """
    entries: dict[str, float] = {}
    together = _TOGETHER[setting.runtime]
    for sweep in range(_SWEEPS):
        # large and small parts of all stages together, other ones in each sweep
        shuffled = list(chosen)
        random.Random(sweep).shuffle(shuffled)
        for start in range(0, len(shuffled), together):
            group = shuffled[start : start + together]
            runners = [make_runner(make_module(part), part.channels, part.size, setting) for part in group]
            for part, value in zip(group, time_together(runners, setting), strict=True):
                entries[part.key] = min(value, entries.get(part.key, math.inf))
            tick(len(group))
    return entries


def work(space: StagedSpace | ListedSpace, checked: int = 50, calibrated: int | None = None) -> int:
    """How many ticks `build_table` makes, or `calibrate_table` with so many networks.

    Raises:
        InputError: too few networks to rank, or to calibrate with.
    """
    if not isinstance(checked, int) or not 3 <= checked <= 10_000:
        raise InputError(f"checked {checked!r}: expected an integer from 3 to 10000")
    if calibrated is not None:
        if not isinstance(calibrated, int) or not 3 <= calibrated <= 1000:
            raise InputError(f"calibrate {calibrated!r}: expected an integer from 3 to 1000")
        return _SWEEPS * (calibrated + checked)
    return _SWEEPS * (len(space_parts(space)) + _FITTED + checked)


def build_table(
    space: StagedSpace | ListedSpace,
    setting: Setting,
    references: Iterable[NetworkSpec] = (),
    fitted: int = _FITTED,
    checked: int = 50,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> LatencyTable:
    """The table of a space, with its error on random networks that had no part in it.

    Args:
        space: whose parts to measure.
        setting: as `nas.latency.runtimes.prepare` gave it.
        references: networks that shall be predictable too, e.g. to name them as a target.
        fitted: random networks that are measured to fit the line.
        checked: others, to check it; `about` says how well they were predicted.
        seed: of the random networks.
        tick: called with the number of parts or networks that were just done.

    Raises:
        InputError: too few networks to fit a line or to rank.
    """
    work(space, checked)
    if not isinstance(fitted, int) or fitted < 4:
        raise InputError(f"fitted {fitted!r}: expected an integer of at least 4")
    chosen = {part.key: part for part in space_parts(space)}
    for spec in references:
        chosen |= {part.key: part for part in parts(spec)}
    entries = measure_parts(list(chosen.values()), setting, tick)
    plain = LatencyTable(setting, entries, about={"space": space.name})
    rng = np.random.default_rng(seed)
    networks = [space.decode(space.sample(rng)) for _ in range(fitted + checked)]
    latencies = measure_networks(networks, setting, tick)
    sums = np.array([plain.total(network) for network in networks])
    counts = np.array([len(parts(network)) for network in networks], dtype=np.float64)
    line = _line(sums[:fitted], counts[:fitted], latencies[:fitted])
    table = LatencyTable(setting, entries, *line)
    predicted = np.array([table(network) for network in networks[fitted:]])
    about = {"space": space.name, "fitted": fitted} | fidelity(predicted, latencies[fitted:])
    return replace(table, about=about)


def measure_networks(
    networks: Sequence[NetworkSpec], setting: Setting, tick: Callable[[int], None] = lambda done: None
) -> NDArray[np.float64]:
    """Milliseconds of each network, shape (n,), as `measure_parts` has them of parts."""
    latencies = np.full(len(networks), np.inf)
    for _ in range(_SWEEPS):
        for index, network in enumerate(networks):
            timing = time_network(network, setting, _RUNS)
            latencies[index] = min(latencies[index], timing.value(setting))
            tick(1)
    return latencies


def fidelity(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, Any]:
    """How well latencies are predicted.

    Rank correlation (Spearman), median and largest relative error, and the share of predictions within 10%
    (nn-Meter's figure: Zhang et al. 2021, section 6).
    """
    from scipy.stats import spearmanr

    errors = np.abs(predicted - measured) / measured
    return {
        "checked": len(measured),
        "rank_correlation": float(spearmanr(predicted, measured)[0]),
        "median_error": float(np.median(errors)),
        "largest_error": float(errors.max()),
        "within_10": float(np.mean(errors <= 0.1)),
        "lowest": float(measured.min()),
        "highest": float(measured.max()),
    }


def _line(
    sums: NDArray[np.float64], counts: NDArray[np.float64], latencies: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Offset, slope and the share of each part with the least squared relative error."""
    weighted = np.stack([np.ones(len(sums)), sums, counts], axis=1) / latencies[:, None]
    (offset, slope, per_part), *_ = np.linalg.lstsq(weighted, np.ones(len(sums)), rcond=None)
    if slope <= 0:
        raise InputError(
            f"latency table: the parts' sums don't follow the networks' latencies (slope {slope:.3g}): "
            "the machine is too busy to measure on"
        )
    return float(offset), float(slope), float(per_part)

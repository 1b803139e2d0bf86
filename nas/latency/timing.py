"""Timing of inferences: warm-up, the median, and how far single runs spread around it."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.latency.runtimes import TimedRun, make_runner
from nas.latency.setting import Setting
from nas.network.builder import build
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

_WARM_UP = 0.2
"""Seconds, and at least three runs: caches, lazy initialisation and clocks settle."""
_PASSES = 10


@dataclass(frozen=True)
class Timing:
    """The latency of one inference, milliseconds.

    Attributes:
        median: of the runs.
        low, high: their 10th and 90th percentile.
        runs: how many, after the warm-up.
        least: the shortest.
    """

    median: float
    low: float
    high: float
    runs: int
    least: float = 0.0

    def value(self, setting: Setting) -> float:
        """What stands for the network: the median, of CPU time the least."""
        return self.least if setting.clock == "cpu" else self.median


def time_network(spec: NetworkSpec, setting: Setting, runs: int = 50) -> Timing:
    """Measure a network at its own resolution, its weights random.

    Args:
        spec: the network.
        setting: as `nas.latency.runtimes.prepare` gave it.
        runs: timed inferences.

    Raises:
        InputError: `runs` is not an integer of at least 1.
    """
    if not isinstance(runs, int) or runs < 1:
        raise InputError(f"runs {runs!r}: expected an integer of at least 1")
    run = make_runner(build(spec, 0), spec.in_channels, spec.resolution, setting)
    began, warm = time.perf_counter(), 0
    while warm < 3 or time.perf_counter() - began < _WARM_UP:
        run()
        warm += 1
    times = [_once(run, setting) for _ in range(runs)]
    low, median, high = np.percentile(times, [10, 50, 90])
    return Timing(float(median), float(low), float(high), runs, min(times))


def time_together(runners: Sequence[TimedRun], setting: Setting) -> list[float]:
    """The latency of each, milliseconds, measured in passes over all of them in a random order.

    So each starts as it does inside a network, with others' data in the caches; and what disturbs the
    machine for a moment disturbs single passes, which the lower quartile leaves out; of CPU time the least.
    """
    for run in runners:
        run()
        run()
    order = list(range(len(runners)))
    shuffle = random.Random(0).shuffle
    times = np.empty((_PASSES, len(runners)))
    for row in times:
        shuffle(order)
        for index in order:
            row[index] = _once(runners[index], setting)
    return [float(value) for value in np.percentile(times, 0 if setting.clock == "cpu" else 25, axis=0)]


def _once(run: TimedRun, setting: Setting) -> float:
    clock = time.thread_time if setting.clock == "cpu" else time.perf_counter
    began = clock()
    run()
    return 1000 * (clock() - began)

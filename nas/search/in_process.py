"""A search in this process, one trial after the other."""

from __future__ import annotations

import time
from collections.abc import Callable

from nas.errors import TrialFailedError
from nas.search.evaluator import Evaluator
from nas.search.loop import SearchLoop
from nas.search.numeric import plain
from nas.search.trial import Measurement


def run_in_process(loop: SearchLoop, evaluator: Evaluator, tick: Callable[[], None] = lambda: None) -> None:
    """Run all trials one after the other in this process: for evaluators that take no time.

    `tick` is called after each, e.g. to redraw a table.
    """
    while (trial := loop.next_trial()) is not None:
        began, clock = time.time(), time.perf_counter()
        rows: list[Measurement] = []
        try:
            for measured in evaluator.start(trial.spec, trial.seed):
                rows.append(measurement := plain(measured))
                loop.measure(trial, measurement)
        except TrialFailedError as error:
            loop.fail(trial, str(error), None, began, time.perf_counter() - clock)
        else:
            loop.finish(trial, rows, started=began, seconds=time.perf_counter() - clock)
        tick()

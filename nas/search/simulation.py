"""A search simulated: the same loop, driven by a virtual clock on workers that there are not.

What a trial gives and how long it takes is known beforehand (a surrogate's answer, a record's); the
simulation decides only in which order results come back, and so what the controller knows when it is asked.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from nas.errors import TrialFailedError
from nas.search.loop import SearchLoop
from nas.search.trial import Measurement, Record, Trial


class Workers(Protocol):
    """Trials under evaluation, and which of them ends next."""

    def start(self, trial: Trial, second: float) -> None:
        """Take one on at that second of the virtual clock."""

    def end(self) -> tuple[float, float, Trial]:
        """The next to end: (the second it was started, the second it ends, the trial)."""

    def __len__(self) -> int: ...


class TimedWorkers:
    """Workers that take as long as `seconds` says of each trial.

    Args:
        seconds: that a trial takes.

    Attributes:
        busy: seconds that the workers have been given, summed.
    """

    def __init__(self, seconds: Callable[[Trial], float]) -> None:
        self.seconds, self.busy = seconds, 0.0
        self._running: list[tuple[float, int, float, Trial]] = []

    def start(self, trial: Trial, second: float) -> None:
        """Take one on."""
        took = self.seconds(trial)
        self.busy += took
        heapq.heappush(self._running, (second + took, trial.id, second, trial))

    def end(self) -> tuple[float, float, Trial]:
        """The one with the earliest end; of equals the one proposed first."""
        second, _, began, trial = heapq.heappop(self._running)
        return began, second, trial

    def __len__(self) -> int:
        return len(self._running)


class RandomWorkers:
    """Workers of which any may be the next to end, all equally likely; the clock counts the ends.

    Args:
        rng: draws them.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self._ended = rng, 0
        self._running: list[tuple[float, Trial]] = []

    def start(self, trial: Trial, second: float) -> None:
        """Take one on."""
        self._running.append((second, trial))

    def end(self) -> tuple[float, float, Trial]:
        """Any of them."""
        self._ended += 1
        began, trial = self._running.pop(int(self.rng.integers(len(self._running))))
        return began, float(self._ended), trial

    def __len__(self) -> int:
        return len(self._running)


def simulate(
    loop: SearchLoop,
    evaluate: Callable[[Trial], Measurement],
    workers: Workers,
    count: int = 1,
    batch: bool = False,
) -> Iterator[tuple[float, Record]]:
    """Run a loop's trials until it is done, or as long as somebody asks for the next record.

    Args:
        loop: what to run.
        evaluate: the one measurement of a trial, asked when it ends; `TrialFailedError` if it has none.
        workers: say which trial ends next.
        count: of the workers.
        batch: all wait for the last one before new trials start; else a worker that is done gets the
            next trial at once.

    Yields:
        (second, record) of every ended trial in the order they end, also of those that need no evaluation
        because their network had one.
    """
    clock, told = 0.0, len(loop.records)

    def new() -> Iterator[tuple[float, Record]]:
        nonlocal told
        while told < len(loop.records):
            told += 1
            yield clock, loop.records[told - 1]

    while True:
        while len(workers) < count and (trial := loop.next_trial()) is not None:
            workers.start(trial, clock)
        yield from new()
        if not len(workers):
            return
        for _ in range(len(workers) if batch else 1):
            began, clock, trial = workers.end()
            try:
                row = evaluate(trial)
            except TrialFailedError as error:
                loop.fail(trial, str(error), None, began, clock - began)
            else:
                loop.finish(trial, [row], started=began, seconds=clock - began)
            yield from new()

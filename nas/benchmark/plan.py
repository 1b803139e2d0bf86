"""A search on a cluster, simulated: how long on how many workers, and at what loss, before paying for it.

A discrete-event simulation: each trial takes the training time that Accel-NASBench's records let
predict for its architecture, and results reach the controller in the order in which they would end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.base import Controller
from nas.benchmark.truth import AccuracyModel, Truth
from nas.search.journal import MemoryJournal
from nas.search.loop import SearchLoop
from nas.search.reward import Reward
from nas.search.simulation import TimedWorkers, simulate
from nas.search.trial import Trial
from search_spaces.errors import InputError, unknown

MODES = ("asynchronous", "batch")


@dataclass(frozen=True)
class WorkerPlan:
    """What a search would take.

    Attributes:
        workers: how many train at once.
        mode: `asynchronous`: a worker that is done gets the next proposal; `batch`: all wait for the
            slowest of them.
        seconds: from start to end.
        busy_seconds: that workers trained, summed (worker hours are what is paid: workers x seconds).
        utilisation: busy part of the workers' time.
        reward: the highest true reward of the trials.
        best: (second, highest reward so far) at each improvement.
    """

    workers: int
    mode: str
    seconds: float
    busy_seconds: float
    utilisation: float
    reward: float
    best: list[tuple[float, float]]

    def paid_to(self, goal: float) -> float:
        """Worker hours that are paid until a trial of at least this true reward ended; infinite: none did."""
        seconds = next((second for second, reward in self.best if reward >= goal - 1e-12), math.inf)
        return self.workers * seconds / 3600


def check_workers(workers: int, trials: int, speed: float) -> None:
    """Raise `InputError` for a number that `plan_workers` refuses."""
    for name, value, low, high in (
        ("workers", workers, 1, 1 << 16),
        ("trials", trials, 1, 10_000_000),
        ("speed", speed, 1e-6, 1e6),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} {value:g}: expected {low:g} to {high:g}")


def plan_workers(
    controller: Controller,
    surrogate: AccuracyModel,
    truth: Truth,
    reward: Reward,
    workers: int,
    trials: int,
    mode: str = "asynchronous",
    speed: float = 1.0,
) -> WorkerPlan:
    """Simulate one search.

    Args:
        controller: fresh, of the space `accel-nasbench`.
        surrogate: of the training times.
        truth: the accuracy and the costs of architectures.
        reward: that `truth` was made with.
        workers: 1 or more.
        trials: how many in all.
        mode: one of `MODES`.
        speed: of a worker, in those that the records were trained on.

    Raises:
        InputError: workers, trials or speed out of range, or an unknown mode.
    """
    check_workers(workers, trials, speed)
    if mode not in MODES:
        raise unknown("mode", mode, MODES)

    def seconds(trial: Trial) -> float:
        row = [trial.proposal.architecture]
        return float(surrogate.measured(row)["train_time"][0]) / speed

    loop = SearchLoop(controller, reward, MemoryJournal(), trials, costs=truth.costs)
    staff = TimedWorkers(seconds)
    clock, highest = 0.0, float("-inf")
    best: list[tuple[float, float]] = []
    for clock, record in simulate(loop, truth.measure, staff, workers, mode == "batch"):
        if record.reward is not None and record.reward > highest:
            highest = record.reward
            best.append((clock, highest))
    return WorkerPlan(workers, mode, clock, staff.busy, staff.busy / (workers * clock), highest, best)

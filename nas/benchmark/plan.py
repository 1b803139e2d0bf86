"""A search on a cluster, simulated: how long on how many workers, and at what loss, before paying for it.

A discrete-event simulation: each trial takes the training time that Accel-NASBench's records let
predict for its architecture, and results reach the controller in the order in which they would end.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from controller.base import Controller
from nas.benchmark.landmarks import Rewards
from nas.benchmark.surrogate import Surrogate
from nas.network.cost_table import CostTable
from nas.search.objective import make_objective
from nas.search.reward import Reward
from search_spaces.errors import InputError

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


def plan_workers(
    controller: Controller,
    surrogate: Surrogate,
    truth: Rewards,
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
        truth: the reward of architectures.
        reward: for the metrics that the controller is told.
        workers: 1 or more.
        trials: how many in all.
        mode: one of `MODES`.
        speed: of a worker, in those that the records were trained on.

    Raises:
        InputError: workers, trials or speed out of range.
    """
    for name, value, low, high in (
        ("workers", workers, 1, 1 << 16),
        ("trials", trials, 1, 10_000_000),
        ("speed", speed, 1e-6, 1e6),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} {value:g}: expected {low:g} to {high:g}")
    objective = make_objective(surrogate.space, reward, surrogate)
    costs = CostTable(surrogate.space)
    clock = busy = 0.0
    started = 0
    highest = float("-inf")
    best: list[tuple[float, float]] = []
    running: list[tuple[float, int, float, float, float]] = []
    while started < trials or running:
        while started < trials and len(running) < workers:
            proposal = controller.ask()
            started += 1
            row = np.array([proposal.architecture])
            took = float(surrogate.measured(row)["train_time"][0]) / speed
            busy += took
            slope, offset = objective(row)
            value = float(truth(row)[0])
            accuracy = (value - float(offset[0])) / float(slope[0])
            macs = float(costs(row, "macs")[0])
            heapq.heappush(running, (clock + took, proposal.id, value, accuracy, macs))
        # asynchronously the first to end frees its worker; in a batch the last one frees them all
        for _ in range(1 if mode == "asynchronous" else len(running)):
            clock, id, value, accuracy, macs = heapq.heappop(running)
            controller.tell(id, value, {"accuracy": accuracy, "macs": macs})
            if value > highest:
                highest = value
                best.append((clock, value))
    return WorkerPlan(workers, mode, clock, busy, busy / (workers * clock), highest, best)

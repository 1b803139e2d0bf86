"""Controllers side by side on the benchmark: many seeds, in processes of this machine, no cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.registry import make_controller
from nas.benchmark.landmarks import Landmarks, landmarks
from nas.benchmark.load import load_surrogate
from nas.benchmark.truth import Truth
from nas.search.convergence import Convergence
from nas.search.journal import MemoryJournal
from nas.search.loop import SearchLoop
from nas.search.objective import make_objective
from nas.search.reach import check_reach
from nas.search.reward import make_reward
from nas.search.simulation import RandomWorkers, simulate
from nas.search.trial import Measurement, Trial
from search_spaces.errors import InputError


@dataclass(frozen=True)
class Task:
    """One run of one controller.

    Attributes:
        controller: name.
        family: of the surrogate that answers.
        seed: of the controller and of the noise.
        trials: how many.
        noise: standard deviation of the accuracy, points.
        pending: proposals out at once; their results come in a random order.
        data: of the benchmark, as `load_surrogate` takes it.
        target: of `benchmark_macs`.
        until: stop at the first trial that reaches this true reward.
    """

    controller: str
    family: str
    seed: int
    trials: int
    noise: float = 0
    pending: int = 1
    data: str | None = None
    target: str = "400M"
    until: float | None = None


@dataclass(frozen=True)
class Trace:
    """What a run did.

    Attributes:
        task: which run.
        rewards: true rewards in the order the results came, shape (trials,).
        incumbent: true reward of the one believed best at the end.
        ask_seconds: of each ask.
    """

    task: Task
    rewards: NDArray[np.float64]
    incumbent: float
    ask_seconds: NDArray[np.float64]

    def evaluations(self, goal: float) -> float:
        """The number of results when the best true reward first reached `goal`; infinite if it didn't.

        A network that is proposed again counts again: a result like any other, if not another training.
        """
        reached = np.flatnonzero(self.rewards >= goal - 1e-12)
        return float(reached[0] + 1) if len(reached) else float("inf")


def run_task(task: Task, convergence: Convergence | None = None) -> Trace:
    """Run one task in this process; `convergence` may end it before it has all its trials."""
    surrogate = load_surrogate(task.data)
    reward = make_reward("soft", {"benchmark_macs": task.target})
    truth = Truth(surrogate, task.family, reward)
    objective = make_objective(surrogate.space, reward, surrogate)
    controller = make_controller(task.controller, surrogate.space, task.seed, None, objective)
    loop = SearchLoop(
        controller,
        reward,
        MemoryJournal(),
        task.trials,
        task.seed,
        convergence=convergence,
        costs=truth.costs,
    )
    rng = np.random.default_rng([task.seed, 1])

    def evaluate(trial: Trial) -> Measurement:
        true = truth.accuracy(trial.proposal.architecture)
        error = task.noise / 100 * float(rng.normal()) if task.noise else 0.0
        return {"epoch": 1, "accuracy": min(max(true + error, 0.0), 1.0), "true": true}

    rewards: dict[int, float] = {}
    for _, record in simulate(loop, evaluate, RandomWorkers(rng), task.pending):
        rewards[record.trial] = reward(record.measurements[-1]["true"], record.costs)
        if task.until is not None and rewards[record.trial] >= task.until:
            break
    chosen = controller.incumbent()
    assert chosen is not None  # every proposal was told
    return Trace(task, np.array(list(rewards.values())), rewards[chosen], np.array(loop.ask_seconds))


@dataclass(frozen=True)
class Comparison:
    """All traces, and what they are measured against, by surrogate family."""

    traces: list[Trace]
    landmarks: dict[str, Landmarks]

    def of(self, controller: str, family: str) -> list[Trace]:
        """The traces of one controller on one surrogate, by seed."""
        found = [t for t in self.traces if (t.task.controller, t.task.family) == (controller, family)]
        return sorted(found, key=lambda trace: trace.task.seed)

    def row(self, controller: str, family: str) -> dict[str, float]:
        """Median evaluations to each goal, the most of any seed to 99%, and more.

        `inf` where more than half of the seeds (or for `most`, any) didn't get there.
        """
        traces, known = self.of(controller, family), self.landmarks[family]
        row = {
            name: float(np.median([t.evaluations(goal) for t in traces]))
            for name, goal in known.goals.items()
        }
        row["most"] = max(t.evaluations(known.goals["99%"]) for t in traces)
        row["final"] = float(np.median([t.rewards.max() for t in traces]))
        row["incumbent"] = float(np.median([t.incumbent for t in traces]))
        row["ask_ms"] = 1e3 * float(np.mean([t.ask_seconds.mean() for t in traces]))
        return row


def compare_controllers(
    controllers: Sequence[tuple[str, int]],
    families: Sequence[str],
    seeds: Sequence[int],
    noise: bool = False,
    pending: int = 1,
    data: str | None = None,
    target: str = "400M",
    processes: int = 0,
    done: Callable[[int, int], None] = lambda done, of: None,
) -> Comparison:
    """Run every controller on every surrogate with every seed.

    Args:
        controllers: (name, trials).
        families: of surrogates.
        seeds: of the runs.
        noise: answer with the noise that the records show between trainings of one architecture.
        pending: proposals out at once.
        data: as `load_surrogate` takes it.
        target: of the reward's MACs, by the benchmark's convention.
        processes: 0: one for each core.
        done: told how many runs have ended.

    Raises:
        InputError: an unknown name or a number out of its range, before anything runs.
    """
    if not seeds or not controllers or not families:
        raise InputError("compare: expected at least one controller, surrogate and seed")
    if not 1 <= pending <= 1 << 16:
        raise InputError(f"pending {pending}: expected 1 to {1 << 16}")
    surrogate = load_surrogate(data)
    reward = make_reward("soft", {"benchmark_macs": target})
    check_reach(surrogate.space, reward)
    for name, trials in controllers:
        make_controller(name, surrogate.space)
        if not 1 <= trials <= 10_000_000:
            raise InputError(f"trials {trials}: expected 1 to 10000000")
    known = {f: landmarks(surrogate, Truth(surrogate, f, reward)) for f in families}
    points = float(surrogate.about["noise"]) if noise else 0.0
    tasks = [
        Task(name, family, seed, trials, points, pending, data, target)
        for name, trials in controllers
        for family in families
        for seed in seeds
    ]
    tasks.sort(key=lambda task: -task.trials)
    traces = []
    with ProcessPoolExecutor(
        processes or os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_one_thread
    ) as pool:
        for future in as_completed([pool.submit(run_task, task) for task in tasks]):
            traces.append(future.result())
            done(len(traces), len(tasks))
    return Comparison(traces, known)


def _one_thread() -> None:
    """The processes share the cores; each takes one."""
    import torch

    torch.set_num_threads(1)

"""Controllers side by side where rewards are known: many seeds, in processes of this machine, no cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.base import Controller, Proposal, SpaceExhaustedError
from controller.registry import make_controller
from nas.benchmark.landmarks import Landmarks
from nas.benchmark.oracle import Nearest, Oracle
from nas.benchmark.source import OracleSource, make_oracle
from nas.search.convergence import Convergence
from nas.search.journal import MemoryJournal
from nas.search.loop import SearchLoop
from nas.search.simulation import RandomWorkers, simulate
from nas.search.trial import Measurement, Record, Trial
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError


@dataclass(frozen=True)
class Task:
    """One run of one controller.

    Attributes:
        controller: name, with options of its own behind commas: `optuna,sampler=gp`.
        source: of what answers.
        seed: of the controller and of the noise.
        trials: how many, at most.
        noise: standard deviation of the accuracy, a fraction.
        pending: proposals out at once; their results come in a random order.
        until: stop at the first trial that reaches this true reward.
    """

    controller: str
    source: OracleSource
    seed: int
    trials: int
    noise: float = 0
    pending: int = 1
    until: float | None = None


@dataclass(frozen=True)
class Trace:
    """What a run did.

    Attributes:
        task: which run.
        rewards: true rewards in the order the results came, shape (trials,).
        incumbent: true reward of the one believed best at the end.
        ask_seconds: of each ask.
        architectures: in the order of their results, shape (trials, decisions).
    """

    task: Task
    rewards: NDArray[np.float64]
    incumbent: float
    ask_seconds: NDArray[np.float64]
    architectures: NDArray[np.int64]

    def evaluations(self, goal: float) -> float:
        """The number of results when the best true reward first reached `goal`; infinite if it didn't.

        A network that is proposed again counts again: a result like any other, if not another training.
        """
        reached = np.flatnonzero(self.rewards >= goal - 1e-12)
        return float(reached[0] + 1) if len(reached) else float("inf")


class _TableLoop(SearchLoop):
    """A search of a table that lacks some architectures: a proposal becomes the nearest row that is left."""

    def __init__(self, oracle: Oracle, nearest: Nearest, *given: Any, **named: Any) -> None:
        self._oracle, self._nearest = oracle, nearest
        self._rows: set[Architecture] = set()
        super().__init__(*given, **named)

    def _ask(self) -> Proposal:
        if len(self._rows) == self._oracle.count:
            raise SpaceExhaustedError(f"all {self._oracle.count} rows of {self._oracle.name} proposed")
        proposal = super()._ask()
        row = self._nearest(proposal.architecture, self._rows)
        self._rows.add(row)
        if row != proposal.architecture:
            self.controller.amend(proposal.id, row)
        return Proposal(proposal.id, row)


def run_task(task: Task, convergence: Convergence | None = None) -> Trace:
    """Run one task in this process; `convergence` may end it before it has all its trials."""
    oracle = make_oracle(task.source)
    reward = oracle.reward
    controller = _make(task.controller, oracle, task.seed)
    make = SearchLoop if oracle.nearest is None else partial(_TableLoop, oracle, oracle.nearest)
    loop = make(
        controller,
        reward,
        MemoryJournal(),
        task.trials,
        task.seed,
        convergence=convergence,
        costs=oracle.costs,
    )
    rng = np.random.default_rng([task.seed, 1])

    def evaluate(trial: Trial) -> Measurement:
        true = oracle.accuracy(trial.proposal.architecture)
        error = task.noise * float(rng.normal()) if task.noise else 0.0
        return {"epoch": 1, "accuracy": min(max(true + error, 0.0), 1.0), "true": true}

    rewards: dict[int, float] = {}
    seen: list[Record] = []
    for _, record in simulate(loop, evaluate, RandomWorkers(rng), task.pending):
        seen.append(record)
        rewards[record.trial] = reward(record.measurements[-1]["true"], record.costs)
        if task.until is not None and rewards[record.trial] >= task.until:
            break
    chosen = controller.incumbent()
    assert chosen is not None  # every proposal was told
    rows = np.array([record.architecture for record in seen], dtype=np.int64)
    return Trace(task, np.array(list(rewards.values())), rewards[chosen], np.array(loop.ask_seconds), rows)


def _make(text: str, oracle: Oracle, seed: int) -> Controller:
    name, *options = text.split(",")
    for option in options:
        if "=" not in option:
            raise InputError(f"controller {text!r}: option {option!r}: expected KEY=VALUE")
    values = {key: value for key, _, value in (option.partition("=") for option in options)}
    return make_controller(name, oracle.space, seed, values, oracle.objective)


@dataclass(frozen=True)
class Comparison:
    """All traces, and what they are measured against, by the oracle's label."""

    traces: list[Trace]
    landmarks: dict[str, Landmarks]

    def of(self, controller: str, oracle: str) -> list[Trace]:
        """The traces of one controller on one oracle, by seed."""
        found = [t for t in self.traces if (t.task.controller, t.task.source.label) == (controller, oracle)]
        return sorted(found, key=lambda trace: trace.task.seed)

    def row(self, controller: str, oracle: str) -> dict[str, float]:
        """Median evaluations to each goal, the most of any seed to 99%, and more.

        `inf` where more than half of the seeds (or for `most`, any) didn't get there.
        """
        traces, known = self.of(controller, oracle), self.landmarks[oracle]
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
    sources: Sequence[OracleSource],
    seeds: Sequence[int],
    noise: bool = False,
    pending: int = 1,
    processes: int = 0,
    done: Callable[[int, int], None] = lambda done, of: None,
) -> Comparison:
    """Run every controller on every oracle with every seed.

    Args:
        controllers: (name and options as in `Task`, trials).
        sources: of the oracles, with different labels.
        seeds: of the runs.
        noise: answer with the noise that is known between trainings of one architecture.
        pending: proposals out at once.
        processes: 0: one for each core.
        done: told how many runs have ended, at first that none has: what was given is right.

    Raises:
        InputError: an unknown name or a number out of its range, before anything runs.
    """
    if not seeds or not controllers or not sources:
        raise InputError("compare: expected at least one controller, surrogate and seed")
    if not 1 <= pending <= 1 << 16:
        raise InputError(f"pending {pending}: expected 1 to {1 << 16}")
    labels = [source.label for source in sources]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"compare: {twice[0]!r} is given twice")
    oracles = [make_oracle(source) for source in sources]
    points = [oracle.noise_asked() if noise else 0.0 for oracle in oracles]
    for name, trials in controllers:
        for oracle in oracles:
            _make(name, oracle, 0)
        if not 1 <= trials <= 10_000_000:
            raise InputError(f"trials {trials}: expected 1 to 10000000")
    known = {label: oracle.landmarks() for label, oracle in zip(labels, oracles, strict=True)}
    tasks = [
        Task(name, source, seed, trials, error, pending)
        for name, trials in controllers
        for source, error in zip(sources, points, strict=True)
        for seed in seeds
    ]
    tasks.sort(key=lambda task: -task.trials)
    done(0, len(tasks))
    traces: list[Trace] = []
    for trace in _run_all(tasks, processes):
        traces.append(trace)
        done(len(traces), len(tasks))
    return Comparison(traces, known)


def _run_all(tasks: Sequence[Task], processes: int) -> Iterator[Trace]:
    """The traces as they come; of one process it is this one."""
    if processes == 1:
        yield from map(run_task, tasks)
        return
    with ProcessPoolExecutor(
        processes or os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_one_thread
    ) as pool:
        for future in as_completed([pool.submit(run_task, task) for task in tasks]):
            yield future.result()


def _one_thread() -> None:
    """The processes share the cores; each takes one."""
    import torch

    torch.set_num_threads(1)

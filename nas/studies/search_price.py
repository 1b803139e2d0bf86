"""What a rediscovery would have cost, had its networks been trained: over seeds, in GPU-hours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nas.benchmark.compare import Task, run_task
from nas.benchmark.landmarks import benchmark_landmarks, true_rewards
from nas.benchmark.load import is_run_benchmark
from nas.benchmark.price import GoalPrice, goal_prices, hours_to, price_goals, training_hours
from nas.benchmark.source import OracleSource
from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.folder import Run
from search_spaces.errors import InputError


def price_rediscovery(
    run: Run, target: str, seeds: int = 1, done: Callable[[int, int], None] = lambda done, of: None
) -> list[GoalPrice]:
    """GPU-hours to B0's reward and to 99% of the way to the best known, of the run and of further seeds.

    Args:
        run: a finished search on the benchmark, the first seed.
        target: of its `benchmark_macs`.
        seeds: how many in all; the others are simulated here, by the same controller and as many trials.
        done: told how many have ended.

    Returns:
        nothing where the benchmark was made of runs, which tells no training times.

    Raises:
        InputError: seeds out of range, or a run on something else.
    """
    if not 1 <= seeds <= 10_000:
        raise InputError(f"seeds {seeds}: expected 1 to 10000")
    settings = run.settings
    if not isinstance(settings.evaluator, BenchmarkSettings):
        raise InputError(f"{run.folder}: not a search on the benchmark")
    if is_run_benchmark(settings.evaluator.records):
        return []
    evaluator = settings.evaluator.make()
    surrogate, family = evaluator.surrogate, evaluator.family
    truth = true_rewards(surrogate, family, settings.make_reward())
    goals = price_goals(benchmark_landmarks(truth))
    rows = np.array([record.architecture for record in run.records()], dtype=np.int64)
    parts = [(truth(rows), training_hours(surrogate, rows))]
    source = OracleSource(family, data=settings.evaluator.records, target=target)
    for number in range(1, seeds):
        done(number, seeds)
        seed, goal = settings.seed + number, max(goals.values())
        task = Task(settings.controller.name, source, seed, settings.trials, until=goal)
        trace = run_task(task)
        parts.append((trace.rewards, training_hours(surrogate, trace.architectures)))
    return goal_prices(
        "this search" if seeds == 1 else f"over {seeds} seeds",
        {
            goal: [hours_to(value, rewards, hours) for rewards, hours in parts]
            for goal, value in goals.items()
        },
    )

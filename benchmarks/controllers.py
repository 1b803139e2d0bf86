"""The predictor under noise, with many pending, and at 2000 results.

`nas compare` is the comparison of the controllers; this measures what it doesn't. Seeds from 1000 on
were used for no setting.

    python benchmarks/controllers.py [SEEDS]
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from controller import make_controller
from nas.benchmark.compare import Task, run_task
from nas.benchmark.landmarks import benchmark_landmarks, true_rewards
from nas.benchmark.plan import plan_workers
from nas.benchmark.source import OracleSource
from nas.benchmark.surrogate_file import read_surrogate
from nas.search.journal import MemoryJournal
from nas.search.loop import SearchLoop
from nas.search.objective import make_objective
from nas.search.reward import make_reward
from nas.search.simulation import RandomWorkers, simulate

REWARD = make_reward("soft", {"benchmark_macs": "400M"})
FIRST = 1000


def rewards_of(family):
    surrogate = read_surrogate()
    return surrogate, true_rewards(surrogate, family, REWARD)


def ask_time(count):
    """Mean seconds of ten asks with `count` results, on one core."""
    surrogate, truth = rewards_of("mlp")
    objective = make_objective(surrogate.space, REWARD, surrogate)
    controller = make_controller("predictor", surrogate.space, 0, None, objective)
    # a controller that has seen that many random results
    sizes = [len(decision) for decision in surrogate.space.decisions]
    rows = np.unique(np.random.default_rng(0).integers(sizes, size=(count, len(sizes))), axis=0)
    slope, _ = objective(rows)
    results = [
        [id, row, value]
        for id, (row, value) in enumerate(zip(rows.tolist(), truth(rows) / slope, strict=True))
    ]
    proposed = sorted(map(tuple, rows.tolist()))
    state = controller.state_dict() | {"results": results, "proposed": proposed, "next_id": len(rows)}
    controller.load_state_dict(state)
    loop = SearchLoop(controller, REWARD, MemoryJournal(), 40, costs=truth.costs)
    for _ in simulate(loop, truth.measure, RandomWorkers(np.random.default_rng(0))):
        pass
    return float(np.mean(loop.ask_seconds)), float(np.max(loop.ask_seconds))


def main(seeds=20):
    seeds = range(FIRST, FIRST + int(seeds))
    noise = read_surrogate().about["noise"]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        print("time per ask on one core: mean of 40 with their refits, and the slowest")
        for count in (500, 2000):
            mean, slowest = ask_time(count)
            print(f"  at {count} results: {1e3 * mean:.1f} ms, {1e3 * slowest:.0f} ms (wanted: 30 and 100)")

        tasks = [Task("predictor", OracleSource("mlp"), seed, 300, noise / 100) for seed in seeds]
        chosen = [trace.incumbent for trace in pool.map(run_task, tasks)]
        print(
            f"noise of {noise:.2f} points: true reward of the incumbent at 300: "
            f"median {np.median(chosen):.4f}, worst {min(chosen):.4f} (wanted: .666)"
        )

        for family in ("mlp", "gb"):
            surrogate, truth = rewards_of(family)
            known = benchmark_landmarks(truth)
            source = OracleSource(family)
            for pending in (1, 16, 64, 256):
                tasks = [
                    Task("predictor", source, seed, 800, pending=pending, until=known.goals["99%"])
                    for seed in seeds
                ]
                needed = [trace.evaluations(known.goals["99%"]) for trace in pool.map(run_task, tasks)]
                print(
                    f"{family}, {pending} pending: {np.median(needed):.0f} evaluations to 99%, "
                    f"most {max(needed):.0f}"
                )
    surrogate, truth = rewards_of("mlp")
    for name, trials in (("evolution", 8000), ("predictor", 2560)):
        objective = make_objective(surrogate.space, REWARD, surrogate)
        controller = make_controller(name, surrogate.space, 0, None, objective)
        began = time.perf_counter()
        found = plan_workers(controller, surrogate, truth, REWARD, 256, trials)
        print(
            f"256 asynchronous workers, {name}, {trials} trials: utilisation {100 * found.utilisation:.1f}%, "
            f"reward {found.reward:.4f}, simulated in {time.perf_counter() - began:.0f} s"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])

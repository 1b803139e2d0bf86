"""Does a search that stops by itself stop at the right time, and is what it says of the next trials true?

    python benchmarks/convergence.py [SEEDS FIRST PROCESSES]

The predictor with `--until converged` on the two ImageNet surrogates, with their noise too, and on the
recorded curves: trials until it would have stopped, what 700 trials bring more, and in how many runs the next
100 brought what was forecast with 90%.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from evaluations import oracle_of, source_of

from nas.benchmark.compare import Task, run_task
from nas.benchmark.surrogate_file import read_surrogate
from nas.search.convergence import Convergence

TRIALS, NEXT = 700, 100


class Watch(Convergence):
    """Notes when a search would have stopped and what it would have said, and lets it go on."""

    def __init__(self):
        super().__init__(NEXT)
        self.rewards, self.stop, self.told = [], None, None

    def ended(self, reward):
        super().ended(reward)
        self.rewards.append(reward)
        if self.stop is None and super().reached:
            self.stop, self.told = len(self.rewards), self.forecast(NEXT)

    @property
    def reached(self):
        return False


def converged(name, noise, seed):
    """(trials when it would have stopped, missed share of the way, whether as forecast, the forecast's end).

    The last two are None where it didn't stop before the last 100 trials.
    """
    _, landmarks = oracle_of(name)
    watch, way = Watch(), landmarks.best - landmarks.median
    true = run_task(Task("predictor", source_of(name), seed, TRIALS, noise / 100), watch).rewards
    stop = watch.stop or TRIALS
    missed = (true.max() - true[:stop].max()) / way
    if stop + NEXT > TRIALS:
        return stop, missed, None, None
    seen = np.array(watch.rewards)
    brought = seen[: stop + NEXT].max() - seen[:stop].max()
    return stop, missed, watch.told.low <= brought <= watch.told.high, watch.told.high / way


def main(seeds="20", first="5000", processes="2"):
    seeds = range(int(first), int(first) + int(seeds))
    noise = read_surrogate().about["noise"]
    with ProcessPoolExecutor(int(processes), get_context("spawn")) as pool:
        for name, points in (("mlp", 0), ("gb", 0), ("curves", 0), ("mlp", noise)):
            rows = pool.map(converged, [name] * len(seeds), [points] * len(seeds), seeds)
            stops, missed, inside, ends = zip(*rows, strict=True)
            told = [each for each in inside if each is not None]
            ends = [each for each in ends if each is not None]
            print(
                f"{name}, noise {points:.2f}: stopped after {np.median(stops):.0f} trials ({min(stops)} to "
                f"{max(stops)}); {TRIALS} would have brought {100 * np.median(missed):.2f}% of the way more "
                f"at the median, {100 * max(missed):.1f}% at most; the next {NEXT} as forecast in "
                f"{sum(told)} of {len(told)} runs (up to {100 * np.median(ends):.1f}% at the median)",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])

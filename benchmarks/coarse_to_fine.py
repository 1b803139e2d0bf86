"""What a coarse stage saves: evaluations of both stages to 95 and 99% of the way, beside one stage.

Each line is a search of TRIALS at most: in one stage, or with a coarse stage first, a STAGE as `nas search
--coarse` takes it (`40`, `40,op,channels,repeats`; a share is one of TRIALS). `ratio` is the median against
that of one stage. Behind it, how far the best network with these ties is on the way.

    python benchmarks/coarse_to_fine.py [SEEDS TRIALS PENDING PROCESSES FIRST_SEED] [ORACLE|STAGE ...]

A STAGE that is a number alone comes after an ORACLE or another STAGE, or else behind all five numbers.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from evaluations import GOALS, evaluations, oracle_of

from controller import make_controller
from nas.benchmark.landmarks import climbed_landmarks
from nas.benchmark.load import CURVES
from nas.benchmark.surrogate import FAMILIES
from nas.runs.coarse_settings import as_coarse
from search_spaces.coarse import CoarseSpace

ORACLES = (*FAMILIES, CURVES)
ONE = "one stage"
STAGES = (ONE, "20", "40", "60", "40,op,channels,repeats", "40,op,channels,repeats,kernel")


def stage_of(space, stage, trials):
    """The coarse stage; fields that the space doesn't decide are left out, so that a stage fits several."""
    settings = as_coarse(stage)
    decided = {name for d in space.decisions for name in d.name.rpartition(".")[2].split("+")}
    varied = ",".join(name for name in settings.varied.split(",") if name in decided)
    return replace(settings, varied=varied).stage(space, trials)


@cache
def reached_by(name, varied):
    """How far the best network of a coarse part is on the way, as a share."""
    oracle, landmarks = oracle_of(name)
    part = CoarseSpace(oracle.space, varied)
    best = climbed_landmarks(part, lambda rows: oracle.rewards(part.widened(rows))).best
    return (best - landmarks.median) / (landmarks.best - landmarks.median)


def run(task):
    """Results until each goal was reached; one more than there are trials where it wasn't."""
    name, stage, seed, trials, pending = task
    oracle, _ = oracle_of(name)
    coarse = None if stage == ONE else stage_of(oracle.space, stage, trials)
    controller = make_controller("predictor", oracle.space, seed, None, oracle.objective, coarse=coarse)
    return evaluations(controller, name, seed, trials, pending)


def main(*words):
    numbers = []
    while len(numbers) < 5 and len(words) > len(numbers) and words[len(numbers)].isdigit():
        numbers.append(int(words[len(numbers)]))
    seeds, trials, pending, processes, first = (*numbers, *(20, 250, 1, 2, 4000)[len(numbers) :])
    rest = words[len(numbers) :]
    stages = [ONE, *(word for word in rest if word not in ORACLES)] if len(rest) else STAGES
    stages = stages if len(stages) > 1 else STAGES
    print(
        f"median, mean (most) over {seeds} seeds from {first}, {pending} pending; {trials + 1}: not reached"
    )
    with ProcessPoolExecutor(processes) as pool:
        for name in [word for word in rest if word in ORACLES] or ORACLES:
            usual = None
            for stage in stages:
                tasks = [(name, stage, first + seed, trials, pending) for seed in range(seeds)]
                found = np.array(list(pool.map(run, tasks)))
                usual = np.median(found, axis=0) if usual is None else usual
                cells = [
                    f"{goal} {np.median(column):5g}, {column.mean():5.1f} ({column.max()}) "
                    f"ratio {np.median(column) / at:.2f}"
                    for goal, column, at in zip(GOALS, found.T, usual, strict=True)
                ]
                if stage != ONE:
                    part, _ = stage_of(oracle_of(name)[0].space, stage, trials)
                    cells.append(f"coarse networks reach {reached_by(name, part.varied):.1%}")
                print(f"{name:8s} {stage:40s}" + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What a prior brings the predictor, by how much it knows: evaluations to 95 and 99% of the way.

A prior of correlation r is r parts of the accuracy itself, the rest those of the same function with all its
choices relabelled, which has the same roughness and other peaks; `upside down` is the accuracy with its sign
changed. On `curves` there is ImageNet's surrogate too, as `nas search --prior imagenet` has it.

    python benchmarks/priors.py [SEEDS TRIALS PENDING] [ORACLE ...]
"""

import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from evaluations import GOALS, evaluations, oracle_of
from scipy.stats import kendalltau

from controller import make_controller
from nas.benchmark.load import CURVES, load_surrogate
from nas.benchmark.prior import IMAGENET, Prior
from nas.benchmark.surrogate import FAMILIES

KINDS = {"none": None, IMAGENET: None, "r .8": 0.8, "r .5": 0.5, "unrelated": 0.0, "upside down": -1.0}
FIRST_SEED = 3000


def prior_of(oracle, correlation):
    """Accuracies as a task tells them that agrees with the oracle so far."""
    sizes = np.array([len(decision) for decision in oracle.space.decisions])
    labels = [np.random.default_rng(7 + d).permutation(size) for d, size in enumerate(sizes)]

    def accuracy(rows):
        slope, offset = oracle.objective(rows) if oracle.objective else (1.0, 0.0)
        return (oracle.rewards(rows) - offset) / slope

    def relabelled(rows):
        return accuracy(np.stack([label[rows[:, d]] for d, label in enumerate(labels)], axis=1))

    sample = np.random.default_rng(0).integers(sizes, size=(2000, len(sizes)))
    means, scales = zip(*((f(sample).mean(), f(sample).std()) for f in (accuracy, relabelled)), strict=True)
    rest = math.sqrt(1 - correlation**2)

    def prior(rows):
        own, other = (
            (f(rows) - m) / s for f, m, s in zip((accuracy, relabelled), means, scales, strict=True)
        )
        return means[0] + scales[0] * (correlation * own + rest * other)

    return prior


def run(task):
    """Results until each goal was reached; one more than there are trials where it wasn't."""
    name, kind, seed, trials, pending = task
    oracle, _ = oracle_of(name)
    prior = Prior(IMAGENET, oracle.space) if kind == IMAGENET else None
    if KINDS[kind] is not None:
        prior = prior_of(oracle, KINDS[kind])
    controller = make_controller("predictor", oracle.space, seed, None, oracle.objective, prior)
    return evaluations(controller, name, seed, trials, pending)


def main(seeds=20, trials=250, pending=1, *names):
    seeds, trials, pending = int(seeds), int(trials), int(pending)
    print(f"median (most) over {seeds} seeds from {FIRST_SEED}, {pending} pending; {trials + 1}: not reached")
    print(f"{'oracle':14s} {'goal':5s}" + "".join(f"{kind:>15s}" for kind in KINDS))
    with ProcessPoolExecutor(2) as processes:
        for name in names or (*FAMILIES, CURVES, "ordered", "shuffled", "unordered", "conditional"):
            found = {}
            for kind in KINDS:
                if kind != IMAGENET or name == CURVES:
                    tasks = [(name, kind, FIRST_SEED + s, trials, pending) for s in range(seeds)]
                    found[kind] = np.array(list(processes.map(run, tasks)))
            if name == CURVES:
                known = load_surrogate(CURVES).trainings
                tau = kendalltau(Prior(IMAGENET, known.space)(known.rows), known.means)[0]
                print(f"ImageNet's surrogate ranks the trainings of {CURVES} with tau {tau:.2f}")
            for place, goal in enumerate(GOALS):
                cells = [
                    f"{np.median(found[kind][:, place]):.0f} ({found[kind][:, place].max()})"
                    if kind in found
                    else ""
                    for kind in KINDS
                ]
                print(f"{name:14s} {goal:5s}" + "".join(f"{cell:>15s}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How many evaluations a controller takes to each goal: shared by the scripts that ask so."""

import math
from functools import cache

import numpy as np

from nas.benchmark.load import CURVES
from nas.benchmark.source import OracleSource, make_oracle
from nas.benchmark.surrogate import FAMILIES

GOALS = ("95%", "99%")


def source_of(name):
    """A surrogate, the recorded curves, or a synthetic function."""
    if name == CURVES:
        return OracleSource(name, "table", targets=(("macs", 400e6),))
    return OracleSource(name, "surrogate" if name in FAMILIES else "synthetic")


@cache
def oracle_of(name):
    """(oracle, landmarks) of one of those."""
    oracle = make_oracle(source_of(name))
    return oracle, oracle.landmarks()


def evaluations(controller, name, seed, trials, pending):
    """Results until each of `GOALS` was reached; one more than there are trials where it wasn't."""
    oracle, landmarks = oracle_of(name)
    goals, rng = np.array([landmarks.goals[goal] for goal in GOALS]), np.random.default_rng([seed, 1])
    waiting, reached, best = [], np.full(len(goals), trials + 1), -math.inf
    for count in range(1, trials + 1):
        while len(waiting) < pending:
            waiting.append(controller.ask())
        proposal = waiting.pop(int(rng.integers(len(waiting))))
        reward = float(oracle.rewards(np.array([proposal.architecture]))[0])
        controller.tell(proposal.id, reward)
        best = max(best, reward)
        reached[(reached > trials) & (goals <= best + 1e-12)] = count
        if (reached <= trials).all():
            break
    return reached

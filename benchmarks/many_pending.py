"""What an ask of the predictor takes with a thousand proposals pending, beside factoring all of it anew.

Both propose the same. CPU time on one thread.

    python benchmarks/many_pending.py [RESULTS PENDING ASKS]
"""

import sys
import time

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from controller import make_controller
from controller.predictor import Predictor
from nas.benchmark.landmarks import true_rewards
from nas.benchmark.surrogate_file import read_surrogate
from nas.search.objective import make_objective
from nas.search.reward import make_reward

REWARD = make_reward("soft", {"benchmark_macs": "400M"})


class Anew(Predictor):
    """The same process, written down plainly: at every ask the matrix of all results and all pending
    proposals is computed and factored, and all candidates are scored exactly."""

    awaits = False

    def condition(self, seen, y, whole=None):
        self._of_seen, self._of_all = seen, whole or seen
        self._weights = cho_solve((self._factor(seen), True), y, check_finite=False)
        self._means = self._plain(seen, seen.x, seen.z).T @ self._weights
        self._lower = self._factor(self._of_all)

    def predict_from_seen(self, x, z):
        kernel = self._plain(self._of_all, x, z)
        known = solve_triangular(self._lower, kernel, lower=True, check_finite=False)
        return self._plain(self._of_seen, x, z).T @ self._weights, self._left(x, z, known)

    def _factor(self, points):
        kernel = self._plain(points, points.x, points.z)
        kernel[np.diag_indices_from(kernel)] += self.noise
        return np.linalg.cholesky(kernel)

    def _plain(self, points, x, z):
        sizes, scales, nonlinear, cost = self._split(self.parameters)
        linear = (points.x * sizes) @ x.T + cost * np.outer(points.z, z) + 4.0
        half = -0.5 * ((points.x**2) @ scales)[:, None] - 0.5 * ((x * x) @ scales)
        return linear + nonlinear * np.exp(np.minimum((points.x * scales) @ x.T + half, 0))


def crowded(surrogate, truth, results, pending):
    """A controller with random results, and pending offspring of the best of them."""
    objective = make_objective(surrogate.space, REWARD, surrogate)
    controller = make_controller("predictor", surrogate.space, 0, None, objective)
    rng, sizes = np.random.default_rng(0), np.array([len(d) for d in surrogate.space.decisions])
    rows = np.unique(rng.integers(sizes, size=(results, len(sizes))), axis=0)
    rewards, (slope, _) = truth(rows), objective(rows)
    best = rows[np.argsort(-rewards)[:60]]
    taken, crowd = set(map(tuple, rows.tolist())), []
    while len(crowd) < pending:
        mother, father = best[rng.integers(len(best), size=2)]
        child = np.where(rng.random(len(sizes)) < 0.5, mother, father)
        child = np.where(rng.random(len(sizes)) < 1.5 / len(sizes), rng.integers(sizes), child)
        if (architecture := tuple(child.tolist())) not in taken:
            taken.add(architecture)
            crowd.append([len(rows) + len(crowd), *architecture])
    seen = zip(range(len(rows)), rows.tolist(), (rewards / slope).tolist(), strict=True)
    controller.load_state_dict(
        controller.state_dict()
        | {"results": list(seen), "pending": crowd, "proposed": sorted(taken)}
        | {"next_id": len(rows) + len(crowd)}
    )
    return controller


def measured(controller, truth, asks):
    """(CPU seconds of each ask, what was proposed)."""
    rng, times, proposed = np.random.default_rng(1), [], []
    controller.ask()  # fits the parameters, and factors all of it once
    for _ in range(asks):
        proposal = controller.pending[int(rng.integers(len(controller.pending)))]
        controller.tell(proposal.id, float(truth([proposal.architecture])[0]), {})
        began = time.process_time()
        proposed.append(controller.ask())
        times.append(time.process_time() - began)
    return np.array(times), proposed


def main(results=500, pending=1000, asks=30):
    surrogate = read_surrogate()
    truth = true_rewards(surrogate, "mlp", REWARD)
    found = {}
    for name in ("by rows", "anew"):
        controller = crowded(surrogate, truth, int(results), int(pending))
        if name == "anew":
            controller.predictor = Anew(controller._encoding)
        found[name] = measured(controller, truth, int(asks))
    (rows, first), (anew, second) = found["by rows"], found["anew"]
    same = "the same" if first == second else "OTHER"
    print(
        f"{pending} pending, {results} results: {1e3 * rows.mean():.0f} ms an ask by rows, at most "
        f"{1e3 * rows.max():.0f}; anew {1e3 * anew.mean():.0f}: {anew.mean() / rows.mean():.1f} times as "
        f"much; {same} proposals"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

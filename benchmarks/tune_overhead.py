"""Time per trial of our search loop on Ray against bare Ray Tune, both with an instant evaluation.

Bare Tune has a trivial searcher, reused actors, the same number of trials at once and none of its own
loggers. The two alternate, so that a slow moment of the machine hits both.

    python benchmarks/tune_overhead.py [TRIALS] [ROUNDS]
"""

import sys
import tempfile
import time
from pathlib import Path

import ray
from ray import tune
from ray.tune.search import Searcher

from controller import make_controller
from nas.search.cluster import Resources, connect
from nas.search.evaluators.base import Evaluation, Evaluator
from nas.search.journal import Journal
from nas.search.loop import SearchLoop
from nas.search.ray_tune import run_on_ray
from nas.search.reward import make_reward
from search_spaces import get_space

CONCURRENT = 2


class _Instant(Evaluation):
    def __init__(self, seed):
        self.value, self.finished_ = seed % 1000 / 1000, False

    def __next__(self):
        self.finished_ = True
        return {"epoch": 1, "accuracy": self.value}

    @property
    def finished(self):
        return self.finished_


class InstantEvaluator(Evaluator):
    name = "instant"

    def start(self, spec, seed):
        return _Instant(seed)


class _Trivial(Searcher):
    def __init__(self, trials):
        super().__init__(metric="reward", mode="max")
        self.left = trials

    def suggest(self, trial_id):
        if not self.left:
            return Searcher.FINISHED
        self.left -= 1
        return {"x": self.left}

    def on_trial_complete(self, trial_id, result=None, error=False):
        pass

    def save(self, path):
        Path(path).write_text("")

    def restore(self, path):
        pass


class _Bare(tune.Trainable):
    def step(self):
        return {"reward": 0.5, "done": True}

    def reset_config(self, config):
        return True


def bare(trials, folder):
    tuner = tune.Tuner(
        tune.with_resources(_Bare, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=_Trivial(trials), num_samples=-1, max_concurrent_trials=CONCURRENT, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    began = time.perf_counter()
    tuner.fit()
    return time.perf_counter() - began


def ours(trials, folder):
    folder.mkdir()
    with Journal(folder) as journal:
        controller = make_controller("evolution", get_space("mnasnet"), 0)
        loop = SearchLoop(controller, make_reward("soft", {"macs": "400M"}), journal, trials)
        began = time.perf_counter()
        run_on_ray(loop, InstantEvaluator(), folder, Resources(CONCURRENT))
        took = time.perf_counter() - began
        assert len(journal.records) == trials
    return took


def main(trials=1000, rounds=2):
    connect()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        # the first of anything pays for starting Ray's worker processes
        bare(20, root / "warm-bare")
        ours(20, root / "warm-ours")
        for index in range(rounds):
            mine = ours(trials, root / f"ours{index}")
            theirs = bare(trials, root / f"bare{index}")
            ratios.append(mine / theirs)
            print(
                f"{trials} trials: ours {mine / trials * 1e3:.1f} ms each, "
                f"bare Tune {theirs / trials * 1e3:.1f} ms, ratio {ratios[-1]:.2f}",
                flush=True,
            )
    print(f"best ratio {min(ratios):.2f}, mean {sum(ratios) / len(ratios):.2f} (wanted: at most 1.3)")
    ray.shutdown()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

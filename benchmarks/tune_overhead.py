"""Time per trial of our search loop on Ray against bare Ray Tune, both with an instant evaluation.

Bare Tune has a trivial searcher, reused actors, the same number of trials at once and none of its own
loggers. The two alternate, so that a slow moment of the machine hits both; each run is a process of its
own, whose processor time and highest memory are the driver's.

    python benchmarks/tune_overhead.py [TRIALS] [ROUNDS] [CONCURRENT]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ray
from ray import tune
from ray.tune.search import Searcher

from controller import make_controller
from nas.cluster.nodes import Resources, connect
from nas.cluster.tune import run_on_ray
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.journal import Journal
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from search_spaces import get_space


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


def bare(trials, folder, concurrent):
    tuner = tune.Tuner(
        tune.with_resources(_Bare, {"cpu": 2 / concurrent}),
        tune_config=tune.TuneConfig(
            search_alg=_Trivial(trials), num_samples=-1, max_concurrent_trials=concurrent, reuse_actors=True
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


def ours(trials, folder, concurrent):
    folder.mkdir()
    with Journal(folder) as journal:
        controller = make_controller("evolution", get_space("mnasnet"), 0)
        loop = SearchLoop(controller, make_reward("soft", {"macs": "400M"}), journal, trials)
        began = time.perf_counter()
        run_on_ray(loop, InstantEvaluator(), folder, Resources(concurrent, cpus=2 / concurrent))
        took = time.perf_counter() - began
        assert len(journal.records) == trials
    return took


def measure(which, trials, concurrent):
    """Seconds for the trials, the driver's CPU seconds, its memory before and at most (MB)."""
    connect()
    run = {"ours": ours, "bare": bare}[which]
    with tempfile.TemporaryDirectory() as name:
        # the first of anything pays for starting Ray's worker processes
        run(2 * concurrent, Path(name) / "warm", concurrent)
        before, cpu = peak(), time.process_time()
        took = run(trials, Path(name) / "run", concurrent)
    figures = {"seconds": took, "cpu": time.process_time() - cpu, "before": before, "peak": peak()}
    ray.shutdown()
    return figures


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(trials=1000, rounds=2, concurrent=2):
    ratios = []
    for _ in range(rounds):
        found = {}
        for which in ("ours", "bare"):
            command = [sys.executable, __file__, "measure", which, str(trials), str(concurrent)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
            found[which] = json.loads(done.stdout.splitlines()[-1])
        mine, theirs = found["ours"], found["bare"]
        ratios.append(mine["seconds"] / theirs["seconds"])
        each = {which: row["seconds"] / trials * 1e3 for which, row in found.items()}
        busy = {which: row["cpu"] / trials * 1e3 for which, row in found.items()}
        more = {which: row["peak"] - row["before"] for which, row in found.items()}
        print(
            f"{trials} trials, {concurrent} at once: ours {each['ours']:.1f} ms each, bare Tune "
            f"{each['bare']:.1f} ms, ratio {ratios[-1]:.2f}; of the driver's CPU {busy['ours']:.1f} and "
            f"{busy['bare']:.1f} ms; its memory at most {mine['peak']:.0f} and {theirs['peak']:.0f} MB, "
            f"{more['ours']:.0f} and {more['bare']:.0f} more than before",
            flush=True,
        )
    print(f"best ratio {min(ratios):.2f}, mean {sum(ratios) / len(ratios):.2f} (wanted: at most 1.3)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    else:
        main(*map(int, sys.argv[1:]))

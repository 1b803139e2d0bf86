"""Does the proxy task tell networks apart? Validation accuracies of random architectures on digits.

python benchmarks/proxy_spread.py [ARCHITECTURES] [SPACE]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from controller import make_controller
from nas.cluster.nodes import Resources, connect
from nas.cluster.tune import run_on_ray
from nas.data.load import load_data
from nas.runs.flat import make_settings
from nas.search.journal import Journal
from nas.search.loop import SearchLoop
from nas.search.reward import Reward
from nas.search.train_evaluator import TrainEvaluator
from search_spaces import get_space


def main(count=30, space="mnasnet"):
    settings = make_settings(space=space).training
    evaluator = TrainEvaluator(load_data("digits"), settings.make_recipe(), settings.make_proxy())
    connect()
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        loop = SearchLoop(make_controller("random", get_space(space), 1), Reward(), journal, int(count))
        run_on_ray(loop, evaluator, Path(folder) / "ray", Resources())
        accuracies = np.array([r.accuracy for r in journal.records if r.accuracy is not None])
        seconds = np.array([r.seconds for r in journal.records])
    quartiles = np.percentile(accuracies, [0, 25, 50, 75, 100])
    print(f"{len(accuracies)} random architectures of {space}: {evaluator.describe()}")
    print("accuracy min, quartiles, max: " + " ".join(f"{q:.3f}" for q in quartiles))
    print(
        f"spread {100 * (quartiles[-1] - quartiles[0]):.1f} points, middle half "
        f"{100 * (quartiles[3] - quartiles[1]):.1f} points (wanted: at least 10); "
        f"{np.median(seconds):.1f} s each at the median"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

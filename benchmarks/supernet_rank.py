"""Does a supernet rank networks as their own trainings do? The ranking sheet, and what each costs.

python benchmarks/supernet_rank.py SUPERNET.pt [NETWORKS] [EPOCHS]

Random networks of its space are trained one by one, in this process, on the supernet's data and recipe.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from nas.commands.common import out
from nas.report.ranking_table import print_ranking
from nas.runs.supernet_data import load_trained, settings_of
from nas.search.ranking import rank_networks
from nas.search.supernet_evaluator import SupernetEvaluator
from nas.search.train_evaluator import TrainEvaluator
from nas.supernet.plan import read_supernet


def measured(evaluator, specs):
    """(last accuracy, CPU seconds) of each network."""
    rows = []
    for spec in specs:
        began = time.process_time()
        *_, last = evaluator.start(spec, 0)
        rows.append((last["accuracy"], time.process_time() - began))
    return np.array(rows)


def main(file, count=12, epochs=6):
    stored = read_supernet(file)
    loaded, _ = load_trained(settings_of(stored.plan), False, print)
    space, rng = stored.plan.make_space(), np.random.default_rng(1)
    specs = list(
        {spec.digest: spec for spec in (space.decode(space.sample(rng)) for _ in range(int(count)))}.values()
    )
    supernet = SupernetEvaluator(stored, loaded.data)
    alone = TrainEvaluator(loaded.data, replace(loaded.recipe, epochs=int(epochs)), loaded.proxy)
    measured(supernet, specs[:1])  # what is made once
    shared, trained = measured(supernet, specs), measured(alone, specs)
    print(f"{len(specs)} random networks of {space.name}, on {alone.describe()}; {supernet.describe()}")
    for name, rows in (("supernet", shared), ("trained alone", trained)):
        low, middle, high = np.percentile(rows[:, 0], [0, 50, 100])
        print(
            f"{name}: accuracy {low:.3f}, {middle:.3f}, {high:.3f} (lowest, middle, highest); "
            f"{np.median(rows[:, 1]):.2f} CPU seconds a network"
        )
    sheet = rank_networks(specs, trained[:, 0], {"the supernet": shared[:, 0]}, what="their own trainings")
    print_ranking(sheet, out())


if __name__ == "__main__":
    main(*sys.argv[1:])

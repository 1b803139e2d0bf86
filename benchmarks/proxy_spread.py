"""Does a search's proxy task tell networks apart, and how much of the spread is theirs, not the seed's?

    python benchmarks/proxy_spread.py [ARCHITECTURES [SPACE [DATA [SEEDS [SETTING=VALUE ...]]]]]

ARCHITECTURES (30) random members of SPACE (`mnasnet`) are trained as a search on DATA (`digits`) trains
them, two at once, from SEEDS (1) seeds. SETTING is one of the proxy task's: epochs, subset, width,
resolution, stem_stride.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from nas.search.results import Results
from nas.session import start_search
from nas.studies.proxy_design import accuracies, variance
from search_spaces import get_space


def settings_of(data, changes):
    given = dict(text.split("=") for text in changes)
    kinds = {"epochs": int, "resolution": int, "stem_stride": int, "subset": float, "width": float}
    given = {name: kinds[name](value) for name, value in given.items()}
    recipe = {"epochs": given.pop("epochs")} if "epochs" in given else {}
    return make_settings(data=data, recipe_changes=recipe, **given)


def main(count="30", space="mnasnet", data="digits", seeds="1", *changes):
    drawn, rng = get_space(space), np.random.default_rng(1)
    networks = {str(number): drawn.decode(drawn.sample(rng)) for number in range(int(count))}
    base = settings_of(data, changes).over("random", networks)
    runs, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(int(seeds)):
            settings = replace(base, seed=seed)
            where = Path(folder) / str(seed)
            run = start_search(settings, where, Placement(concurrent=2), Console(stderr=True))
            records = Results(run.records()).finished
            runs.append(accuracies(records))
            seconds += [record.seconds for record in records]
    first = np.array(list(runs[0].values()))
    quartiles = np.percentile(first, [0, 25, 50, 75, 100])
    print(f"{len(first)} random architectures of {space} on {data} {' '.join(changes)}".rstrip())
    print("accuracy min, quartiles, max: " + " ".join(f"{q:.3f}" for q in quartiles))
    print(
        f"spread {100 * (quartiles[-1] - quartiles[0]):.1f} points, middle half "
        f"{100 * (quartiles[3] - quartiles[1]):.1f} points; {np.median(seconds):.1f} s each at the median, "
        f"{np.max(seconds):.1f} at most"
    )
    if len(runs) > 1:
        found = variance(runs)
        print(
            f"standard deviation between trainings of one network {100 * found.within:.1f} points, between "
            f"networks {100 * found.between:.1f}: intraclass correlation {found.reliability:.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Records the benchmark `curves`: random networks of the default space, trained here, every epoch kept.

Trains 500 networks on Fashion-MNIST once, the first 50 of them by another seed too, and writes what
`--benchmark-data curves` answers from. Three core-hours or so; begun again, it goes on.

    python benchmarks/record_curves.py FOLDER [NETWORKS AGAIN]
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console

from nas.benchmark.load import CURVES, run_benchmark_file
from nas.benchmark.run_surrogate import RunSurrogate, Trainings, fit_parameters
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.search.results import Results
from nas.session import resume_search, start_search
from nas.studies.run_benchmark import held_out_sheet

PROXY = {"data": "fashion-mnist", "stem_stride": 2, "subset": 0.08, "recipe_changes": {"epochs": 8}}
SEEDS = (11,)


def trained(folder, settings):
    """The finished records of a search in that folder, which is begun or gone on with."""
    console, placement = Console(stderr=True), Placement(concurrent=2)
    if Run.is_run(folder):
        run = resume_search(folder, placement, console, settings.trials)
    else:
        run = start_search(settings, folder, placement, console)
    return run, Results(run.records()).finished


def main(folder, networks=500, again=50):
    folder = Path(folder)
    settings = make_settings(
        space="mnasnet",
        exportable_to="timm,onnx",
        controller="random",
        trials=int(networks),
        seed=1,
        **PROXY,
    )
    run, first = trained(folder / "first", settings)
    first.sort(key=lambda record: record.trial)
    # as random as all of them, those that hardly learned too: their noise is another
    names = {str(record.trial): run.spec(record) for record in first[: int(again)]}
    of_one = {record.digest: [record] for record in first}
    for seed in SEEDS if names else ():
        listed = make_settings(trials=len(names), seed=seed, **PROXY).over("again", names)
        for record in trained(folder / f"again-{seed}", listed)[1]:
            of_one[record.digest].append(record)
    curves = [
        [[round(row["accuracy"], 4) for row in record.measurements] for record in records]
        for records in of_one.values()
    ]
    rows = np.array([records[0].architecture for records in of_one.values()], dtype=np.int64)
    accuracies = [[curve[-1] for curve in each] for each in curves]
    trainings = Trainings(run.space, rows, accuracies, curves)
    sheet = held_out_sheet(trainings)
    tau = sheet.rows[0].all
    seconds = [record.seconds for records in of_one.values() for record in records]
    about = {
        "command": f"python benchmarks/record_curves.py FOLDER {networks} {again}",
        "trained": run.settings.evaluator.depends_on,
        "data": "Fashion-MNIST (Xiao et al. 2017)",
        "versions": {name: version(name) for name in ("baseline-nas", "torch")},
        "accuracy_of": run.settings.evaluator.accuracy_of,
        "targets": {"macs": 400e6},
        "networks": len(rows),
        "trainings": sum(map(len, accuracies)),
        "core_hours": round(sum(seconds) / 3600, 2),
        "noise": None if trainings.noise is None else 100 * trainings.noise,
        "held_out_tau": [tau.tau, tau.low, tau.high],
        "floor": [sheet.floor.name, sheet.floor.all.tau],
    }
    made = RunSurrogate(trainings, fit_parameters(trainings), about)
    made.write(run_benchmark_file(CURVES))
    print(json.dumps({key: about[key] for key in about if key != "trained"}, indent=1))
    final = np.array([each[0] for each in accuracies])
    print("accuracies:", np.percentile(final, [0, 25, 50, 75, 100]).round(3).tolist())
    if trainings.noise:
        share = 1 - trainings.noise**2 / (final.var() + 1e-12)
        print(f"noise {100 * trainings.noise:.2f} points, the networks' own part of the spread {share:.3f}")
    for row in sheet.to_dict()["rows"]:
        print(row)


if __name__ == "__main__":
    main(*sys.argv[1:])

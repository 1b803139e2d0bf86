"""Does a search on real photographs find a better network than EfficientNet-B0, at equal cost?

    python benchmarks/experiment.py PHOTOS FOLDER [HOURS] [SEEDS] [FAMILY SEEDS]

PHOTOS is a folder of class folders in train/ and val/. At `TARGET` MACs, 5% to either side:

1. `nas search` with its default controller: `TRIALS` short trainings, two at once;
2. random search: random members of the same space that cost as much, trained and scored alike, one after the
   other until it has trained as many multiply-adds (a busy machine changes core-hours, and not those);
3. the random networks again, from another seed, and the published ones: how well the short training tells
   networks apart;
4. both winners, EfficientNet-B0, MobileNetV2 and MnasNet-A1 (their widths scaled to the target), each trained
   fully by one recipe from several seeds, and scored on val/; once, the random networks that the short
   training puts at its quartiles: whether it ranks as the full one does;
5. the five by compound scaling at 2 and 4 times the MACs.

What was done is in FOLDER/experiment.json after each step, and is not done again: the same command goes on.
After HOURS no further training is begun. Each training has one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.console import Console
from scipy.stats import t as student

from nas.network.cost import cost
from nas.network.scaling import scale_by, scale_to
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.search.kendall import kendall
from nas.search.results import Results
from nas.session import resume_search, start_search
from nas.studies.proxy_design import accuracies, variance
from search_spaces import reference
from search_spaces.document import write_atomically, write_document
from search_spaces.spec import NetworkSpec

matplotlib.use("Agg")
from matplotlib import pyplot

PIXELS, TARGET, BAND = 64, 16e6, 0.05
TRIALS, AT_ONCE = 30, 2
SUBSET = 0.634  # 5,000 of Imagenette's images
RECIPE, CHANGES = "adamw", {"stochastic_depth": 0.0, "dropout": 0.1}
EPOCHS = 16
REFERENCES = ("efficientnet-b0", "mobilenet-v2", "mnasnet-a1")
OURS, RANDOM = "search", "random search"
QUARTILES = (25, 50, 75)
FACTORS = (1, 2, 4)


class Journal:
    """What has been done, in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, Any] = {"searches": {}, "short": {}, "trainings": []}
        if path.is_file():
            self.done |= json.loads(path.read_text())

    def keep(self) -> None:
        write_atomically(self.path, json.dumps(self.done, indent=1) + "\n")

    def has(self, network: str, factor: int, seed: int) -> bool:
        done = self.done["trainings"]
        return any((t["network"], t["factor"], t["seed"]) == (network, factor, seed) for t in done)


def settings_of(photos: str, **more: Any) -> Any:
    return make_settings(
        data=f"imagefolder:{photos}",
        space="mnasnet",
        exportable_to="timm,onnx",
        full_resolution=PIXELS,
        reward="absolute",
        exponent=-1.0,
        targets={"macs": TARGET},
        recipe=RECIPE,
        recipe_changes=CHANGES,
        subset=SUBSET,
        **more,
    )


def macs(spec: NetworkSpec, classes: int) -> int:
    return cost(spec.replace(num_classes=classes)).macs


def core_hours(records: Any) -> float:
    return float(sum(record.seconds for record in records)) / 3600


def work(run: Run, records: Any, classes: int) -> int:
    """Multiply-adds of the networks that were trained, which all see as many images."""
    return sum(macs(run.spec(record), classes) for record in records)


def kept(run: Run, record: Any, finished: Any, classes: int) -> dict[str, Any]:
    return {
        "spec": run.spec(record).to_document(),
        "proxy_accuracy": record.accuracy,
        "trials": len(finished),
        "work": work(run, finished, classes),
        "core_hours": round(core_hours(finished), 3),
    }


def search(photos: str, folder: Path, classes: int) -> dict[str, Any]:
    console, placement = Console(stderr=True), Placement(concurrent=AT_ONCE)
    if Run.is_run(folder):
        run = resume_search(folder, placement, console, TRIALS)
    else:
        run = start_search(settings_of(photos, trials=TRIALS), folder, placement, console)
    results = run.results(run.records())
    winner = run.winner(results)
    assert winner is not None
    return kept(run, winner, results.finished, classes)


def random_search(photos: str, folder: Path, allowed: int, classes: int) -> dict[str, Any]:
    """Members of the band, as random as the space's own samples, until they are as much work."""
    console, placement = Console(stderr=True), Placement(concurrent=AT_ONCE)
    if not Run.is_run(folder):
        settings = settings_of(photos)
        space, rng = settings.make_space(), np.random.default_rng(0)
        names: dict[str, NetworkSpec] = {}
        while len(names) < 4 * TRIALS:
            spec = space.decode(space.sample(rng)).replace(num_classes=classes)
            if abs(macs(spec, classes) / TARGET - 1) <= BAND:
                names[str(len(names))] = spec
        listed = replace(settings.over("random", names), trials=TRIALS // 2)
        run = start_search(listed, folder, placement, console)
    while True:
        run = Run.open(folder)
        results = Results(run.records())
        number = len(results.finished)
        done = work(run, results.finished, classes)
        left = round((allowed - done) / (done / number)) if number else TRIALS // 2
        if left < 1:
            break
        resume_search(folder, placement, console, number + left)
    return kept(run, max(results.finished, key=lambda record: record.accuracy), results.finished, classes)


def listed(photos: str, folder: Path, name: str, networks: dict[str, NetworkSpec], seed: int) -> Run:
    """Each of these networks trained once as the searches do."""
    console, placement = Console(stderr=True), Placement(concurrent=AT_ONCE)
    if Run.is_run(folder):
        return resume_search(folder, placement, console, len(networks))
    settings = replace(settings_of(photos).over(name, networks), seed=seed)
    return start_search(settings, folder, placement, console)


def judge_short(photos: str, folder: Path, classes: int) -> dict[str, Any]:
    """How well the short training tells networks apart, and what it says of those to be trained fully."""
    first = Run.open(folder / "random")
    records = [record for record in Results(first.records()).finished if record.trial < TRIALS]
    networks = {str(record.choices["network"]): first.spec(record) for record in records}
    again = listed(photos, folder / "again", "random", networks, seed=1)
    published = {name: as_wide(name, classes) for name in REFERENCES}
    references = listed(photos, folder / "references", "published", published, seed=0)
    runs = [accuracies(records), accuracies(Results(again.records()).finished)]
    found, values = variance(runs), sorted(runs[0].items(), key=lambda item: item[1])
    others = {}
    for percent in QUARTILES:
        name, accuracy = values[round(percent / 100 * (len(values) - 1))]
        others[f"random, {percent}%"] = {
            "spec": networks[name].to_document(),
            "proxy_accuracy": accuracy,
        }
    return {
        "networks": len(values),
        "reliability": found.reliability,
        "within": found.within,
        "between": found.between,
        "quartiles": np.percentile(list(runs[0].values()), [0, *QUARTILES, 100]).tolist(),
        "seconds": float(np.median([record.seconds for record in records])),
        "published": accuracies(Results(references.records()).finished),
        "others": others,
    }


def as_wide(name: str, classes: int) -> NetworkSpec:
    """A published network in the width whose MACs are nearest to the target."""
    spec = scale_by(reference(name), resolution=PIXELS)
    widths = [scale_by(spec, width=width) for width in np.arange(0.3, 1.5, 0.005)]
    return min(widths, key=lambda each: abs(macs(each, classes) / TARGET - 1))


def network_of(journal: Journal, name: str, classes: int) -> NetworkSpec:
    found = journal.done["searches"] | journal.done["short"].get("others", {})
    if name in found:
        return NetworkSpec.from_document(found[name]["spec"]).replace(num_classes=classes)
    return as_wide(name, classes)


def train(photos: str, folder: Path, name: str, spec: NetworkSpec, factor: int, seed: int) -> dict[str, Any]:
    """One full training by `nas train`, gone on with where it was stopped."""
    stem = folder / f"{name.replace(' ', '-')}-x{factor}-{seed}"
    out, command = stem.with_suffix(".pt"), [sys.executable, "-m", "nas", "train"]
    if out.is_file():
        command += ["--resume", str(out)]
    else:
        document = stem.with_suffix(".yaml")
        write_document(document, spec.to_document())
        command += [str(document), "--data", f"imagefolder:{photos}", "--recipe", RECIPE]
        command += ["--epochs", str(EPOCHS), "--seed", str(seed), "--out", str(out)]
        command += [part for key, value in CHANGES.items() for part in ("--set", f"{key}={value}")]
    with (folder / f"{stem.name}.log").open("a") as log:
        done = subprocess.run(
            [*command, "--workers", "0", "--json"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
        )
    result = json.loads(done.stdout)
    found = cost(NetworkSpec.from_document(result["spec"]))
    return {
        "network": name,
        "factor": factor,
        "seed": seed,
        "macs": found.macs,
        "params": found.params,
        "resolution": result["spec"]["resolution"],
        "test_accuracy": result["test_accuracy"],
        "core_hours": round(sum(row["seconds"] for row in result["epochs"]) / 3600, 3),
    }


def train_all(
    photos: str, folder: Path, journal: Journal, seeds: dict[int, int], classes: int, until: float
) -> None:
    """Everything that isn't trained yet, two at once, the target's size and the first seeds first."""
    wanted = [
        (name, factor, seed)
        for factor in FACTORS
        for seed in range(seeds[factor])
        for name in (
            OURS,
            RANDOM,
            *REFERENCES,
            *(journal.done["short"]["others"] if (factor, seed) == (1, 0) else ()),
        )
        if not journal.has(name, factor, seed)
    ]

    def one(task: tuple[str, int, int]) -> None:
        if time.time() > until:
            return
        name, factor, seed = task
        spec = network_of(journal, name, classes)
        scaled = spec if factor == 1 else scale_to(spec, factor, "compound")
        done = train(photos, folder, name, scaled, factor, seed)
        journal.done["trainings"].append(done)
        journal.keep()
        print(done, flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, wanted))


def table(journal: Journal) -> list[str]:
    """The accuracies, with 95% intervals by the spread between seeds, pooled over all networks."""
    of: dict[int, dict[str, list[dict[str, Any]]]] = {factor: {} for factor in FACTORS}
    for each in journal.done["trainings"]:
        of[each["factor"]].setdefault(each["network"], []).append(each)
    groups = [each for named in of.values() for each in named.values()]
    freedom = sum(len(each) - 1 for each in groups)
    squares = sum(np.var([t["test_accuracy"] for t in each]) * len(each) for each in groups)
    spread = float(np.sqrt(squares / freedom)) if freedom else float("nan")
    half = student.ppf(0.975, freedom) * spread if freedom else float("nan")
    lines = [f"two trainings of one network differ by a sd of {100 * spread:.2f} points"] if freedom else []
    for factor, named in of.items():
        for name, each in named.items():
            search = journal.done["searches"].get(name, {}).get("core_hours", 0.0)
            mean = 100 * np.mean([t["test_accuracy"] for t in each])
            lines.append(
                f"| x{factor} | {name} | {each[0]['macs'] / 1e6:.2f}M | {each[0]['params'] / 1e6:.2f}M | "
                f"{mean:.1f} +- {100 * half / len(each) ** 0.5:.1f} "
                f"({len(each)}) | {search:.2f} + {np.mean([t['core_hours'] for t in each]):.2f} |"
            )
    return lines


def ranking(journal: Journal) -> list[str]:
    """Whether the short training ranks networks as the full one does."""
    short = journal.done["short"]
    told = {name: each["proxy_accuracy"] for name, each in journal.done["searches"].items()}
    told |= short["published"] | {name: each["proxy_accuracy"] for name, each in short["others"].items()}
    full: dict[str, list[float]] = {}
    for each in journal.done["trainings"]:
        if each["factor"] == 1:
            full.setdefault(each["network"], []).append(each["test_accuracy"])
    lines = [
        f"short training of {short['networks']} random networks within the band, {short['seconds']:.0f} s "
        f"each: accuracies at 0, 25, 50, 75, 100% {' '.join(f'{value:.3f}' for value in short['quartiles'])}",
        f"sd between networks {100 * short['between']:.1f} points, between trainings of one "
        f"{100 * short['within']:.1f}, intraclass correlation {short['reliability']:.3f}",
    ]
    lines += [
        f"| {name} | {told[name]:.3f} | {100 * np.mean(full[name]):.1f} |"
        for name in sorted(full, key=lambda name: -float(np.mean(full[name])))
    ]
    if len(full) > 2:
        pairs = [(told[name], np.mean(each)) for name, each in full.items()]
        tau = kendall(*np.array(pairs).T)
        lines.append(f"Kendall's tau over these {len(full)}: {tau.tau:.2f} ({tau.low:.2f} to {tau.high:.2f})")
    return lines


def draw(journal: Journal, path: Path) -> None:
    """Test accuracy against MACs: a point for each training, a line through the means of each family."""
    figure, axis = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for name in dict.fromkeys(t["network"] for t in journal.done["trainings"]):
        trained = [t for t in journal.done["trainings"] if t["network"] == name]
        sizes = sorted({t["factor"] for t in trained})
        means = [
            np.mean(
                [(t["macs"] / 1e6, 100 * t["test_accuracy"]) for t in trained if t["factor"] == size], axis=0
            )
            for size in sizes
        ]
        if means:
            (line,) = axis.plot(*np.transpose(means), label=name)
            axis.plot(
                [t["macs"] / 1e6 for t in trained],
                [100 * t["test_accuracy"] for t in trained],
                *("o",),
                markersize=4,
                color=line.get_color(),
            )
    sizes = [t["macs"] / 1e6 for t in journal.done["trainings"]]
    axis.set(xlabel="MACs, millions (logarithmic)", ylabel="test accuracy, %", xscale="log")
    axis.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
    ticks = [
        float(f"{TARGET * factor / 1e6:.3g}")
        for factor in FACTORS
        if TARGET * factor / 1e6 < 1.3 * max(sizes)
    ]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)


def main(photos: str, folder: str, hours: str = "24", seeds: str = "3", family_seeds: str = "1") -> None:
    until, place = time.time() + 3600 * float(hours), Path(folder)
    photos = str(Path(photos).absolute())
    classes = sum(each.is_dir() for each in (Path(photos) / "train").iterdir())
    place.mkdir(parents=True, exist_ok=True)
    journal = Journal(place / "experiment.json")
    searches = journal.done["searches"]
    if OURS not in searches:
        searches[OURS] = search(photos, place / "search", classes)
        journal.keep()
    if RANDOM not in searches:
        searches[RANDOM] = random_search(photos, place / "random", searches[OURS]["work"], classes)
        journal.keep()
    if not journal.done["short"]:
        journal.done["short"] = judge_short(photos, place, classes)
        journal.keep()
    counts = {factor: int(seeds) if factor == 1 else int(family_seeds) for factor in FACTORS}
    train_all(photos, place, journal, counts, classes, until)
    print("\n".join([*table(journal), *ranking(journal)]))
    draw(journal, place / "experiment.png")


if __name__ == "__main__":
    main(*sys.argv[1:])

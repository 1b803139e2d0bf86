"""Commands on the ImageNet benchmark: `nas rediscover`, `compare`, `plan` and `data`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import click

from nas.benchmark.load import CACHE
from nas.benchmark.surrogate import FAMILIES
from nas.commands.common import out, print_json, progress
from nas.commands.outputs import OutPath, Target, declare
from nas.network.cost_words import si
from nas.report.tables import comparison_table, plan_table, rediscovery_tables
from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from nas.session import start_search
from search_spaces.document import make_folder, write_atomically
from search_spaces.errors import InputError, unknown
from search_spaces.notation import WORDS_LEGEND
from search_spaces.quoting import shell_command

_RANDOM = 10_000


@click.command(epilog=f"Example: nas rediscover --seed 1\n\n{WORDS_LEGEND}.")
@click.option("--trials", type=int, default=300, help="At most. Default: 300.")
@click.option("--controller", default="predictor", help="As for `nas search`. Default: predictor.")
@click.option("--surrogate", default="mlp", help="mlp or gb. Default: mlp.")
@click.option("--benchmark-data", help="Accel-NASBench's records. Default: the embedded surrogate.")
@click.option("--target", default="400M", help="Of the MACs, by the benchmark's convention. Default: 400M.")
@click.option("--seed", type=int, default=0, help="Default: 0.")
@click.option("--seeds", type=int, default=1, help="For the spread of what it would cost. Default: 1.")
@click.option("--gpu-hour", type=float, help="Price of a GPU's hour, for what it would cost.")
@click.option("--out", "folder", type=OutPath(), help="Run folder to make. Default: runs/rediscover-TIME.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def rediscover(
    trials: int,
    controller: str,
    surrogate: str,
    benchmark_data: str | None,
    target: str,
    seed: int,
    seeds: int,
    gpu_hour: float | None,
    folder: str | None,
    as_json: bool,
) -> None:
    """From nothing to a network beyond EfficientNet-B0, on the ImageNet benchmark, in a minute."""
    _check_price(gpu_hour)
    _check_seeds(seeds)
    settings = make_settings(
        space="accel-nasbench",
        controller=controller,
        evaluator="benchmark",
        benchmark_data=benchmark_data,
        surrogate=surrogate,
        trials=trials,
        until="converged" if controller == "predictor" else "trials",
        targets={"benchmark_macs": target},
        seed=seed,
    )
    path = Path(folder or f"runs/rediscover-{time.strftime('%Y%m%d-%H%M%S')}")
    run = start_search(settings, path, Placement(), progress())

    from nas.report.price_table import price_lines, price_table
    from nas.studies.rediscovery import trace_rediscovery
    from nas.studies.search_price import price_rediscovery

    found = trace_rediscovery(run, _RANDOM)
    prices = price_rediscovery(
        run, target, seeds, lambda done, of: progress().print(f"seed {done + 1} of {of}", style="dim")
    )
    if as_json:
        priced = [vars(price) | {"gpu_hour": gpu_hour} for price in prices]
        print_json(found.to_dict() | {"price": priced})
        return
    for table in rediscovery_tables(found):
        out().print(table)
    out().print(found.summary(), highlight=False, soft_wrap=True)
    if prices:
        out().print(price_table(prices, gpu_hour))
    for line in price_lines(prices):
        out().print(line, highlight=False, soft_wrap=True)
    out().print(f"the run: {shell_command('nas', 'show', path)}", highlight=False, soft_wrap=True)


@click.command(
    "compare",
    epilog="Example: nas compare --controller predictor:300 --controller evolution:1000 --out compare/",
)
@click.option(
    "--controller",
    "controllers",
    multiple=True,
    metavar="NAME[:TRIALS][,KEY=VALUE]",
    help="Several, with options of theirs: optuna:200,sampler=gp. Default: predictor:300, local-search:600, "
    "evolution:1000, random:1000.",
)
@click.option(
    "--surrogate", "families", multiple=True, help="mlp, gb. Default: both, unless something else is given."
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="FILE",
    help="CSV of trained architectures: a column for each decision, `accuracy`, costs (`macs`, `cost:NAME`); "
    "or FILE.json by `nas benchmark`.",
)
@click.option(
    "--synthetic",
    "functions",
    multiple=True,
    metavar="NAME[:SEED]",
    help="Functions of known structure: ordered, shuffled, unordered, cell, conditional, triples, deceptive, "
    "two, hundred, wide, costly, costly-ordered; `all` for each.",
)
@click.option("--seeds", type=int, default=20, help="Runs of each. Default: 20.")
@click.option("--first-seed", type=int, default=0, help="Default: 0.")
@click.option("--noise", is_flag=True, help="Answer with the noise of repeated trainings.")
@click.option("--pending", type=int, default=1, help="Proposals out at once. Default: 1.")
@click.option("--benchmark-data", help="Accel-NASBench's records. Default: the embedded surrogate.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Of the surrogates' MACs, by the benchmark's convention (default: 400M); of tables COST=NUMBER "
    "(default: none, so that the reward is the accuracy).",
)
@click.option("--exponent", type=float, help="w of the tables' reward. Default: -0.07.")
@click.option("--processes", type=int, default=0, help="Default: one for each core.")
@click.option("--out", "folder", type=OutPath(), help="Folder for compare.json and compare.png.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def compare_command(
    controllers: tuple[str, ...],
    families: tuple[str, ...],
    tables: tuple[str, ...],
    functions: tuple[str, ...],
    seeds: int,
    first_seed: int,
    noise: bool,
    pending: int,
    benchmark_data: str | None,
    targets: tuple[str, ...],
    exponent: float | None,
    processes: int,
    folder: str | None,
    as_json: bool,
) -> None:
    """Controllers side by side: on the ImageNet benchmark, on tables of one's own, on synthetic functions."""
    from rich.progress import Progress

    import nas.benchmark.compare as comparing
    from nas.benchmark.source import sources_of

    texts = controllers or ("predictor:300", "local-search:600", "evolution:1000", "random:1000")
    named = [_controller(text) for text in texts]
    notes: list[str] = []
    sources = sources_of(families, tables, functions, benchmark_data, targets, exponent, notes.append)
    if not 1 <= seeds <= 100_000:
        raise InputError(f"seeds {seeds}: expected 1 to 100000")
    _check_seed(first_seed, "first-seed")
    if not 0 <= processes <= 4096:
        raise InputError(f"processes {processes}: expected 0 to 4096")
    if folder is not None:
        picture, table = str(Path(folder) / "compare.png"), str(Path(folder) / "compare.json")
        files = [Target(picture, "PNG picture"), Target(table, "comparison")]
        declare(files, [*tables, *([benchmark_data] if benchmark_data else [])], folder)
    with Progress(console=progress(), transient=True) as bar:
        task = bar.add_task("runs", total=None)

        def done(count: int, of: int) -> None:
            while notes:  # not before all that was given is known to be right
                _note(notes.pop(0), as_json)
            bar.update(task, completed=count, total=of)

        comparison = comparing.compare_controllers(
            named, sources, range(first_seed, first_seed + seeds), noise, pending, processes, done
        )
    names = [name for name, _ in named]
    rows = [
        {"controller": name, "surrogate": source.label, "kind": source.kind, "trials": trials, "seeds": seeds}
        | {
            key: value if math.isfinite(value) else None
            for key, value in comparison.row(name, source.label).items()
        }
        for source in sources
        for name, trials in named
    ]
    document: dict[str, Any] = {
        "rows": rows,
        "landmarks": {
            family: {**known.goals, "median": known.median, "best": known.best}
            for family, known in comparison.landmarks.items()
        },
        "noise": noise,
        "pending": pending,
        "first_seed": first_seed,
    }
    if folder is not None:
        import json

        from nas.report.plots import plot_comparison

        make_folder(folder)
        plot_comparison(comparison, names, Path(folder) / "compare.png")
        write_atomically(Path(folder) / "compare.json", json.dumps(document, indent=2) + "\n")
    if as_json:
        print_json(document)
        return
    for family, known in document["landmarks"].items():
        own = [row for row in rows if row["surrogate"] == family]
        out().print(comparison_table(family, own, noise, pending))
        goals = ", ".join(f"{name} {value:.4f}" for name, value in known.items())
        out().print(f"rewards: {goals}", highlight=False, soft_wrap=True)
    if folder is not None:
        out().print(f"wrote {folder}/compare.png and compare.json", highlight=False, soft_wrap=True)


def _note(text: str, as_json: bool) -> None:
    """Beside the result: not where that is one document."""
    (progress() if as_json else out()).print(text, highlight=False, soft_wrap=True)


def _check_seeds(seeds: int) -> None:
    if not 1 <= seeds <= 10_000:
        raise InputError(f"seeds {seeds}: expected 1 to 10000")


def _check_price(gpu_hour: float | None) -> None:
    if gpu_hour is not None and not 0 <= gpu_hour < math.inf:
        raise InputError(f"gpu-hour {gpu_hour:g}: expected a price of 0 or more")


def _check_seed(seed: int, option: str) -> None:
    if not 0 <= seed < 1 << 63:
        raise InputError(f"{option} {seed}: expected an integer from 0 to 2^63 - 1")


def _controller(text: str) -> tuple[str, int]:
    head, comma, options = text.partition(",")
    name, colon, trials = head.partition(":")
    if colon and not trials.isdigit():
        raise InputError(f"controller {text!r}: expected NAME, NAME:TRIALS or NAME:TRIALS,KEY=VALUE")
    return name + comma + options, int(trials) if colon else 1000


@click.command("plan", epilog="Example: nas plan --trials 8000 --workers 1,64,256,2048 --gpu-hour 2.5")
@click.option("--trials", type=int, default=8000, help="Default: 8000.")
@click.option("--workers", default="1,8,64,256,1024,2048", help="Numbers. Default: 1,8,64,256,1024,2048.")
@click.option("--controller", default="evolution", help="As for `nas search`. Default: evolution (quick).")
@click.option("--surrogate", default="mlp", help="mlp or gb. Default: mlp.")
@click.option("--benchmark-data", help="Accel-NASBench's records. Default: the embedded surrogate.")
@click.option("--target", default="400M", help="Of the MACs, by the benchmark's convention. Default: 400M.")
@click.option("--speed", type=float, default=1.0, help="Of a worker against the records' GPUs. Default: 1.")
@click.option("--gpu-hour", type=float, help="Price of a worker's hour, for a column of costs.")
@click.option("--seed", type=int, default=0, help="Default: 0.")
@click.option("--seeds", type=int, default=1, help="Searches of each, for the 95th percentile. Default: 1.")
@click.option("--out", "target_file", type=OutPath(), help="PNG to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def plan_command(
    trials: int,
    workers: str,
    controller: str,
    surrogate: str,
    benchmark_data: str | None,
    target: str,
    speed: float,
    gpu_hour: float | None,
    seed: int,
    seeds: int,
    target_file: str | None,
    as_json: bool,
) -> None:
    """What a search takes on N workers, simulated with the benchmark's training times."""
    import nas.benchmark.plan as planning
    from controller.registry import make_controller
    from nas.benchmark.landmarks import benchmark_landmarks, true_rewards
    from nas.benchmark.load import load_surrogate
    from nas.benchmark.price import goal_prices, price_goals
    from nas.report.price_table import price_lines, price_table
    from nas.search.objective import make_objective
    from nas.search.reach import check_reach
    from nas.search.reward import make_reward

    counts = []
    for text in workers.split(","):
        if not text.strip().isdigit():
            raise InputError(f"workers {workers!r}: expected numbers such as 1,64,256")
        counts.append(int(text))
        planning.check_workers(counts[-1], trials, speed)
    if surrogate not in FAMILIES:
        raise unknown("surrogate", surrogate, FAMILIES)
    _check_seed(seed, "seed")
    _check_seeds(seeds)
    _check_price(gpu_hour)
    if target_file is not None:
        declare([Target(target_file, "PNG picture")], [benchmark_data] if benchmark_data else [])
    known = load_surrogate(benchmark_data, lambda text: progress().print(text, style="dim"))
    reward = make_reward("soft", {"benchmark_macs": target})
    check_reach(known.space, reward)
    truth = true_rewards(known, surrogate, reward)
    objective = make_objective(known.space, reward, known)
    goals = price_goals(benchmark_landmarks(truth))
    plans, prices = [], []
    for count in counts:
        for mode in planning.MODES if count > 1 else planning.MODES[:1]:
            found = [
                planning.plan_workers(
                    make_controller(controller, known.space, number, None, objective),
                    *(known, truth, reward, count, trials, mode, speed),
                )
                for number in range(seed, seed + seeds)
            ]
            plans.append(found[0])
            hours = {goal: [plan.paid_to(value) for plan in found] for goal, value in goals.items()}
            prices += goal_prices(f"{count} worker{'s' * (count > 1)}, {mode}", hours)
    if target_file is not None:
        from nas.report.plots import plot_plans

        plot_plans(plans, Path(target_file))
    if as_json:
        rows = [dict(vars(one)) for one in plans]
        if gpu_hour is not None:
            for row, one in zip(rows, plans, strict=True):
                row["cost"] = one.workers * one.seconds / 3600 * gpu_hour
        priced = [vars(price) for price in prices]
        print_json({"trials": trials, "controller": controller, "plans": rows, "price": priced})
        return
    out().print(plan_table(plans, trials, gpu_hour))
    out().print(price_table(prices, gpu_hour))
    for line in price_lines(prices):
        out().print(line, highlight=False, soft_wrap=True)
    if target_file is not None:
        out().print(f"wrote {target_file}", highlight=False, soft_wrap=True)


@click.command("data", epilog="Example: nas data accel-nasbench")
@click.argument("name")
@click.option(
    "--out", "target", type=OutPath(), help=f"File to write. Default: {CACHE}/accel-nasbench.tar.gz."
)
@click.option("--url", help="Another place to fetch it from; the content must be the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def data_command(name: str, target: str | None, url: str | None, as_json: bool) -> None:
    """Fetch public data: accel-nasbench, the records of 5138 networks trained on ImageNet."""
    from rich.progress import DownloadColumn, Progress

    from nas.benchmark.download import URL, download

    if name != "accel-nasbench":
        raise unknown("data", name, ["accel-nasbench"])
    path = Path(target) if target else CACHE.expanduser() / "accel-nasbench.tar.gz"
    if not path.is_file():  # else it is compared with what it should be
        declare([Target(str(path), "archive")], folder=str(path.parent))
    with Progress(
        *Progress.get_default_columns(), DownloadColumn(), console=progress(), transient=True
    ) as bar:
        task = bar.add_task(name, total=None)
        download(
            path, url or URL, progress=lambda done, of: bar.update(task, completed=done, total=of or None)
        )
    if as_json:
        print_json({"written": str(path), "bytes": path.stat().st_size})
        return
    out().print(
        f"{path}: {si(path.stat().st_size)}B, checked\n"
        f"use it: {shell_command('nas', 'search', '--evaluator', 'benchmark', '--benchmark-data', path)}",
        highlight=False,
        soft_wrap=True,
    )

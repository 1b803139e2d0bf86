"""`nas scale`: a family of one network, the largest within a budget, coefficients and study by training."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nas.commands.columns import take_columns
from nas.commands.common import out, pairs, print_json, progress
from nas.commands.given import only_for_fetched, only_for_files, only_with
from nas.commands.networks import find_network
from nas.commands.options import DATA, PLACE, GroupedCommand, options, take_placement
from nas.commands.outputs import OutPath, Target, declare
from nas.network.cost import cost
from nas.network.scaling import Budget, Coefficients, coefficient_grid, family, largest_phi, phi_text, scale
from nas.report.tables import family_table
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from search_spaces.document import make_folder, write_document
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.quoting import file_stem
from search_spaces.spec import NetworkSpec


@click.command(
    "scale", cls=GroupedCommand, epilog="Example: nas scale runs/first/best.yaml --phi 0..7 --out family/"
)
@click.argument("spec", metavar="SPEC|CHECKPOINT|RUN")
@click.option("--phi", help="Compound coefficient: a number, or a range such as 0..7.")
@click.option("--alpha", type=float, default=1.2, help="Depth's coefficient. Default: 1.2.")
@click.option("--beta", type=float, default=1.1, help="Width's. Default: 1.1.")
@click.option("--gamma", type=float, default=1.15, help="Resolution's. Default: 1.15.")
@click.option("--resolution-step", type=int, default=1, help="Round resolutions to a multiple. Default: 1.")
@click.option("--published", is_flag=True, help="The published steps B0 to B7 instead of a phi.")
@click.option("--budget", help="The largest phi within so many MACs (1.8G) ...")
@click.option("--max-params", help="... so many parameters (10M) ...")
@click.option("--max-memory", help="... so many bytes of training memory (2G), one image.")
@click.option(
    "--search", "searching", is_flag=True, help="Find alpha, beta, gamma by training a grid at phi 1."
)
@click.option(
    "--tolerance", type=float, default=0.05, help="Grid: of alpha beta^2 gamma^2 around 2. Default: .05."
)
@click.option("--grid-step", type=float, default=0.05, help="Grid: default: 0.05.")
@click.option(
    "--study", "studying", is_flag=True, help="Train width, depth, resolution, compound at equal MACs."
)
@click.option(
    "--law", "by_law", is_flag=True, help="Find alpha, beta, gamma by a law of a dozen small trainings."
)
@click.option("--budgets", default="2,4,8", help="Study: times the baseline's MACs. Default: 2,4,8.")
@click.option("--plot", type=OutPath(), help="PNG to write: cost against phi, and each axis's share.")
@click.option(
    "--out", "target", type=OutPath(), help="File for one member, folder for several or a training's run."
)
@options("as_json", "seed")
@options(*DATA, data={"default": "digits"})
@options(
    "recipe", "changes", "epochs", "resolution", "width", "stem_stride", "subset", recipe={"default": "adamw"}
)
@options(*PLACE, "storage")
def scale_command(
    spec: str,
    phi: str | None,
    alpha: float,
    beta: float,
    gamma: float,
    resolution_step: int,
    published: bool,
    budget: str | None,
    max_params: str | None,
    max_memory: str | None,
    searching: bool,
    tolerance: float,
    grid_step: float,
    studying: bool,
    by_law: bool,
    budgets: str,
    plot: str | None,
    target: str | None,
    as_json: bool,
    **training: Any,
) -> None:
    """Scale a network's depth, width and resolution together (EfficientNet's compound scaling)."""
    found = find_network(spec)
    network = found.spec
    coefficients = Coefficients(alpha, beta, gamma)
    limits = (budget, max_params, max_memory)
    ways = {
        "--phi": phi is not None,
        "--published": published,
        "--budget, --max-params or --max-memory": any(limit is not None for limit in limits),
        "--search": searching,
        "--law": by_law,
        "--study": studying,
    }
    if sum(ways.values()) != 1:
        given = [name for name, is_given in ways.items() if is_given]
        raise InputError(f"scale: expected one of {'; '.join(ways)}; given: {', '.join(given) or 'none'}")
    growing = "--phi, --budget, --max-params or --max-memory"
    trains = searching or by_law or studying
    steps_given = not (published or trains)
    only_with(steps_given or studying, f"{growing} or --study", "alpha", "beta", "gamma")
    only_with(steps_given, growing, "resolution_step")
    only_with(searching, "--search", "tolerance", "grid_step")
    only_with(studying, "--study", "budgets")
    only_with(not trains, f"{growing} or --published", "plot")
    only_with(trains, "--search, --law or --study", *training)
    only_for_fetched(training["data"], "data_root", "download")
    only_for_files(training["data"], "workers")
    if trains:
        training["data"] = take_columns(training, training["data"])
        from nas.studies.scaling import coefficient_settings, study_settings
        from nas.studies.scaling_law import law_settings

        if searching:
            grid = coefficient_grid(tolerance, grid_step)
            _train(lambda settings: coefficient_settings(network, grid, settings), target, as_json, training)
        elif by_law:
            _train(lambda settings: law_settings(network, settings), target, as_json, training)
        else:
            sizes = _numbers(budgets)
            _train(
                lambda settings: study_settings(network, sizes, settings, coefficients),
                *(target, as_json, training),
            )
        return
    for name in ("image_column", "label_column"):
        if training[name] is not None:
            raise InputError(
                f"{name.replace('_', '-')} {training[name]!r}: only with --search, --law or --study"
            )
    if published:
        members = [(member.name, member) for member in family(network)]
    else:
        if phi is not None:
            steps = _phis(phi)
        else:
            steps = [largest_phi(network, _budget(*limits), coefficients, resolution_step)]
        members = [
            (f"phi {phi_text(step)}", scale(network, step, coefficients, resolution_step)) for step in steps
        ]
    paths = _paths(members, target)
    files = [Target(path, "spec") for path in paths]
    files += [] if plot is None else [Target(plot, "PNG picture", "plot")]
    declare(files, found.inputs, target if len(members) > 1 else None)
    written = _write(members, paths)
    if plot is not None:
        from nas.report.plots import plot_family

        plot_family(members, Path(plot))
        written.append(plot)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"label": label, "spec": member.to_document(), "cost": cost(member).to_dict()}
            for label, member in members
        ]
        if not published:
            rows = [{"phi": step, **row} for step, row in zip(steps, rows, strict=True)]
        print_json({"name": network.name, "members": rows, "written": written})
        return
    console = out()
    console.print(family_table(f"{network.name}, scaled", members))
    for file in written:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)


def _budget(macs: str | None, params: str | None, memory: str | None) -> Budget:
    from nas.search.reward import parse_number

    values = []
    for name, text in (("budget", macs), ("max-params", params), ("max-memory", memory)):
        value = None if text is None else parse_number(text, name)
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} {text!r}: expected a positive number")
        values.append(value)
    return Budget(*values)


def _phis(text: str) -> list[float]:
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)"
    match = re.fullmatch(rf"({number})(?:\.\.({number}))?", text.strip())
    if not match:
        raise InputError(f"phi {text!r}: expected a number such as 3, or a range such as 0..7")
    first = float(match[1])
    if match[2] is None:
        return [first]
    last = float(match[2])
    if not 0 <= first <= last <= 20:
        raise InputError(f"phi {text!r}: expected a range from 0 up to at most 20")
    return [first + step for step in range(int(last - first + 1e-9) + 1)]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"budgets {text!r}: expected numbers such as 2,4,8") from None


def _paths(members: list[tuple[str, NetworkSpec]], target: str | None) -> list[str]:
    if target is None:
        return []
    if len(members) == 1:
        return [target]
    return [str(Path(target) / f"{file_stem(member.name)}.yaml") for _, member in members]


def _write(members: list[tuple[str, NetworkSpec]], paths: list[str]) -> list[str]:
    if len(paths) > 1:
        make_folder(Path(paths[0]).parent)
    for path, (_, member) in zip(paths, members, strict=False):  # no paths: nothing to write
        write_document(path, member.to_document())
    return list(paths)


def _train(
    study: Callable[[SearchSettings], SearchSettings],
    target: str | None,
    as_json: bool,
    training: dict[str, Any],
) -> None:
    from nas.runs.flat import make_settings
    from nas.session import start_search

    changes: dict[str, Any] = dict(pairs(training.pop("changes"), "--set"))
    if (epochs := training.pop("epochs")) is not None:
        if "epochs" in changes:
            raise InputError(f"epochs {epochs}: given as --set epochs={changes['epochs']} too")
        changes["epochs"] = epochs
    placement = take_placement(training)
    settings = study(make_settings(recipe_changes=changes, **training))
    folder = Path(target or f"runs/{file_stem(settings.space.name)}-{time.strftime('%Y%m%d-%H%M%S')}")
    document = report_scaling(start_search(settings, folder, placement, progress()), quiet=as_json)
    if as_json:
        print_json(document)


def report_scaling(run: Run, quiet: bool = False) -> dict[str, Any] | None:
    """Print and draw what a run found about scaling, resumed or not; None if it isn't such a run."""
    if not isinstance(run.space, ListedSpace):
        return None
    from nas.report.scaling import coefficients_document, law_document, print_law, study_document, write_study
    from nas.report.tables import coefficients_table, study_table
    from nas.studies.scaling import COEFFICIENTS, STUDY, study_points
    from nas.studies.scaling_law import LAW, ScalingLaw, law_points
    from nas.studies.stage_two import STAGE_TWO

    records = run.records()
    if run.space.name == STAGE_TWO:
        return report_stage_two(run, quiet)
    if run.space.name == COEFFICIENTS:
        if not quiet:
            out().print(coefficients_table(run.space, records))
        return coefficients_document(run, records)
    if run.space.name == LAW:
        trained = law_points(run.space, records)
        law = ScalingLaw(trained)
        if not quiet:
            print_law(trained, law, out())
        return law_document(run, trained, law)
    if run.space.name != STUDY:
        return None
    points = study_points(run.space, records)
    write_study(run.folder, points)
    if not quiet:
        out().print(study_table(points))
        out().print(f"wrote {run.folder}/study.png", highlight=False, soft_wrap=True)
    return study_document(run, points)


def report_stage_two(run: Run, quiet: bool = False) -> dict[str, Any]:
    """Print which network won when all were trained fully; the same as data."""
    from nas.report.ranking_table import print_ranking
    from nas.report.tables import stage_two_table
    from nas.studies.run_ranking import judge_run
    from nas.studies.stage_two import agreement, full_results

    records = run.records()
    results, sheet = full_results(run, records), judge_run(run, records)
    tau = agreement(results)
    if not quiet and results:
        first = max(results, key=lambda r: r.proxy_reward)
        same = "as in the search" if results[0].trial == first.trial else f"not trial {first.trial}"
        out().print(stage_two_table(results))
        out().print(
            f"Winner: trial {results[0].trial}, {same}: {results[0].checkpoint}"
            + ("" if tau is None else f"\nKendall tau of search and full training: {tau:.2f}"),
            highlight=False,
            soft_wrap=True,
        )
        if sheet is not None:
            print_ranking(sheet, out())
    rows = [vars(result) for result in results]
    ranking = None if sheet is None else sheet.to_dict()
    return {"run": str(run.folder), "kendall_tau": tau, "ranking": ranking, "networks": rows}

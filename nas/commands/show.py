"""`nas show`: a run or a network, as tables or as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, print_json, progress
from nas.commands.given import not_with, only_with
from nas.commands.networks import find_network, resolve_network
from nas.commands.outputs import OutPath, Target, declare
from nas.network.cost import cost
from nas.report.aim import run_remarks
from nas.report.diagram import terminal_diagram, write_diagram
from nas.report.ranking_table import print_ranking
from nas.report.remarks import print_once
from nas.report.roofline import everywhere_line, sweep_table
from nas.report.runs_tables import runs_tables
from nas.report.stages import stage_results
from nas.report.tables import difference_tables, pareto_table, spec_table, trials_table
from nas.runs.folder import Run, check_run_places
from nas.runs.measured import read_measured
from nas.runs.several import SORTS, differences, find_runs, read_runs, sort_runs
from nas.search.trial import STOPPED
from nas.studies.ridge_sweep import SWEEP, parse_ridges, sweep_ridges
from nas.studies.run_ranking import judge_run
from search_spaces.errors import InputError
from search_spaces.notation import CODE_LEGEND, WORDS_LEGEND, network_notation
from search_spaces.spec import NetworkSpec


@click.command(
    epilog="Example: nas show runs/first    or: nas show efficientnet-b0    "
    "or, all runs in a folder: nas show runs/ --sort reward    "
    "or, the difference of two: nas show runs/first/best.yaml efficientnet-b0"
    f"\n\n{WORDS_LEGEND}.\n\n--json also has the code {CODE_LEGEND}."
)
@click.argument("what", metavar="RUN|RUNS|SPEC|CHECKPOINT")
@click.argument("other", metavar="[OTHER]", required=False)
@click.option("--sort", "order", help=f"Of several runs: {', '.join(SORTS)}. Default: name.")
@click.option("--top", type=click.IntRange(1), default=5, help="Trials to list. Default: 5.")
@click.option(
    "--ridges",
    metavar="POINTS",
    help=f"Of a run: which networks are on the front at every ridge point, {SWEEP} or 5,50,500.",
)
@click.option(
    "--diagram", metavar="FILE", type=OutPath(), help="Write the network's picture: FILE.svg or FILE.png."
)
@click.option(
    "--fronts",
    metavar="FILE",
    type=OutPath(),
    help="Of several runs: write their fronts over each other: FILE.svg or FILE.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(
    what: str,
    other: str | None,
    order: str | None,
    top: int,
    ridges: str | None,
    diagram: str | None,
    fronts: str | None,
    as_json: bool,
) -> None:
    """Show a run (best trials, Pareto front), the runs in a folder, a network, or how two networks differ."""
    is_run = other is None and Run.is_run(Path(what))
    alone = is_run or other is not None or os.path.isfile(os.path.join(what, "best.pt"))  # a training's
    only_with(is_run, "a run", "ridges")
    points = None if ridges is None else parse_ridges(ridges)
    runs = [] if alone else find_runs(Path(what))
    only_with(bool(runs), "a folder of runs", "order")
    only_with(bool(runs), "a folder of runs", "fronts")
    if runs:
        only_with(False, "a run, as a table", "top")
        not_with(True, "several runs", "diagram")
        read = read_runs(Path(what))
        summaries = sort_runs([each.summary for each in read], order or "name")
        if fronts is not None:
            from nas.report.fronts import write_fronts

            declare([Target(fronts, _picture(fronts), "fronts")])
            write_fronts(read, Path(fronts))
            progress().print(f"fronts: {fronts}", highlight=False)
        if as_json:
            print_json({"runs": [asdict(run) for run in summaries], "differences": differences(summaries)})
            return
        for table in runs_tables(summaries):
            out().print(table)
        return
    only_with(is_run, "a run, as a table", "top")
    not_with(as_json, "--json, which has all of the front", "top")
    not_with(ridges is not None, "--ridges, which lists the networks on a front", "top", "diagram")
    if other is not None:
        if diagram is not None:
            raise InputError(f"diagram {diagram!r}: of one network, not of two")
        pair = [resolve_network(what), resolve_network(other)]
        if as_json:
            print_json({"networks": [spec_document(spec) for spec in pair]})
            return
        for table in difference_tables(*pair):
            out().print(table)
        return
    if diagram is not None:
        found = find_network(what)
        if Path(diagram).suffix in (".svg", ".png"):  # else it is refused below
            declare([Target(diagram, _picture(diagram), "diagram")], found.inputs)
        write_diagram(found.spec, Path(diagram))
        progress().print(f"diagram: {diagram}", highlight=False)
    if is_run:
        run = Run.open(Path(what))
        if points is not None:
            _show_sweep(run, points, as_json)
        elif as_json:
            print_json(run_document(run))
        else:
            show_run(run, top)
        return
    spec = resolve_network(what)
    if as_json:
        print_json(spec_document(spec))
    else:
        out().print(spec_table(spec))
        out().print(terminal_diagram(spec), soft_wrap=True)


def _show_sweep(run: Run, ridges: Sequence[float], as_json: bool) -> None:
    """The networks on the front at some of the ridge points, and those that are at all."""
    finished = run.results(run.records()).finished
    swept = sweep_ridges(sorted(finished, key=lambda record: record.trial), run.spec, ridges)
    if as_json:
        rows = [
            {
                "trial": each.record.trial,
                "accuracy": each.record.accuracy,
                "macs": each.record.macs,
                "bytes": each.moved,
                "good_at": each.good_at,
                "everywhere": each.everywhere,
                "rooflines": [each.rooflines[ridge] for ridge in ridges],
            }
            for each in swept
        ]
        print_json({"run": str(run.folder), "ridges": list(ridges), "networks": rows})
        return
    if not swept:
        out().print(f"{run.folder}: no trial has finished yet", highlight=False, soft_wrap=True)
        return
    out().print(sweep_table(swept, ridges))
    out().print(everywhere_line(swept), highlight=False, soft_wrap=True)
    out().print(f"Accuracy: {run.settings.evaluator.accuracy_of}.", highlight=False)


def _picture(path: str) -> str:
    return "SVG picture" if Path(path).suffix == ".svg" else "PNG picture"


def spec_document(spec: NetworkSpec) -> dict[str, Any]:
    """A network with its notation, digest and costs."""
    return {
        "spec": spec.to_document(),
        "digest": spec.digest,
        "notation": network_notation(spec),
        "cost": cost(spec).to_dict(),
    }


def run_document(run: Run) -> dict[str, Any]:
    """A run's settings, best trial and Pareto front."""
    records = run.records()
    results = run.results(records)
    best, measured = run.winner(results), read_measured(run.folder)
    sheet, stages = judge_run(run, records), stage_results(run, records)
    return {
        "run": str(run.folder),
        "settings": run.settings.to_document(),
        "trials": len(records),
        "failed": results.failed,
        "accuracy_of": run.settings.evaluator.accuracy_of,
        "best": None if best is None else {**best.to_line(), **spec_document(run.spec(best))},
        "pareto": [record.to_line() for record in results.front],
        "measured_exponent": None if measured is None else asdict(measured),
        "coarse": None if stages is None else stages.to_dict(),
        "ranking": None if sheet is None else sheet.to_dict(),
        "remarks": [] if best is None else run_remarks(run, results, best),
    }


def show_run(run: Run, top: int = 5) -> None:
    """Print a run: its state, the top trials, the front, and the winner."""
    records = run.records()
    console = out()
    results = run.results(records)
    words = f"{len(records)} of {run.goal(len(records))} trials ended, {results.failed} failed"
    if results.states[STOPPED]:
        words += f", {results.states[STOPPED]} ended early"
    console.print(f"{run.folder}: {words}", highlight=False)
    if (stages := stage_results(run, records)) is not None:
        console.print(stages.line, highlight=False, soft_wrap=True)
    best = run.winner(results)
    if best is None:
        return
    rows = [(record, run.spec(record)) for record in results.ranked[:top]]
    console.print(trials_table(f"Top {len(rows)} by reward", rows, run.spec(best), results.costs))
    console.print(pareto_table(results))
    if (sheet := judge_run(run, records)) is not None:
        print_ranking(sheet, console)
    console.print(f"Accuracy: {run.settings.evaluator.accuracy_of}.", highlight=False)
    console.print(f"Winner: trial {best.trial}, reward {best.reward:.4f}", highlight=False)
    highest = results.best
    if highest is not None and highest.trial != best.trial:
        console.print(
            f"(trial {highest.trial} was measured at {highest.reward:.4f}; its neighbours speak for "
            "luck, the predictor believes the winner to be better)",
            highlight=False,
            soft_wrap=True,
        )
    if (measured := read_measured(run.folder)) is not None:
        console.print(f"Measured before the search: {measured.lines[0]}.", highlight=False, soft_wrap=True)
    for remark in run_remarks(run, results, best):
        print_once(remark, console)  # the search that has just ended may have said some
    console.print(spec_table(run.spec(best)))


@click.command(epilog="Example: nas report runs/first    or, all runs in a folder: nas report runs/")
@click.argument("run", metavar="RUN|RUNS")
@click.option("--out", "path", metavar="FILE", type=OutPath(), help="Default: RUN/report.html.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
def report(run: str, path: str | None, as_json: bool) -> None:
    """Write a run's report: one HTML file with plots, diagrams, what matters, and how to find it again.

    Of a folder of runs: a table that can be sorted, their fronts in one plot, and the settings that differ.
    """
    if not Run.is_run(Path(run)):
        if not find_runs(Path(run)):
            raise InputError(f"{run}: no run there (no search.yaml), nor runs below it")
        from nas.report.runs_page import write_runs_page

        target = Path(path) if path else Path(run) / "report.html"
        declare([Target(str(target), "HTML page")])
        write_runs_page(read_runs(Path(run)), Path(run), target)
        _written(run, target, as_json)
        return
    from nas.report.html import write_report

    opened = Run.open(Path(run))
    if not path:
        check_run_places(opened.folder)
    target = Path(path) if path else opened.folder / "report.html"
    declare([Target(str(target), "HTML page")])
    write_report(opened, opened.records(), target)
    _written(run, target, as_json)


def _written(run: str, target: Path, as_json: bool) -> None:
    if as_json:
        print_json({"run": run, "report": str(target)})
        return
    out().print(f"report: {target}", highlight=False, soft_wrap=True)

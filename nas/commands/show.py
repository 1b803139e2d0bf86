"""`nas show`: a run or a network, as tables or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, print_json
from nas.network.cost import cost
from nas.network.resolve import resolve_spec
from nas.report.tables import pareto_table, spec_table, trials_table
from nas.search.journal import read_records
from nas.search.loop import best_record, pareto_records
from nas.search.run import Run
from nas.search.trial import FAILED
from search_spaces.notation import network_notation
from search_spaces.spec import NetworkSpec


@click.command(epilog="Example: nas show runs/first    or: nas show efficientnet-b0")
@click.argument("what", metavar="RUN|SPEC")
@click.option("--top", type=click.IntRange(1), default=5, help="Trials to list. Default: 5.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(what: str, top: int, as_json: bool) -> None:
    """Show a run (best trials, Pareto front), or a network stage by stage."""
    if Run.is_run(Path(what)):
        run = Run.open(Path(what))
        if as_json:
            print_json(run_document(run))
        else:
            show_run(run, top)
        return
    spec = resolve_spec(what)
    if as_json:
        print_json(spec_document(spec))
    else:
        out().print(spec_table(spec))


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
    records = read_records(run.folder)
    best = run.winner(records)
    return {
        "run": str(run.folder),
        "settings": run.settings.to_document(),
        "trials": len(records),
        "failed": sum(record.state == FAILED for record in records),
        "best": None if best is None else {**best.to_line(), **spec_document(run.spec(best))},
        "pareto": [record.to_line() for record in pareto_records(records)],
    }


def show_run(run: Run, top: int = 5) -> None:
    """Print a run: its state, the top trials, the front, and the winner."""
    records = read_records(run.folder)
    console = out()
    failed = sum(record.state == FAILED for record in records)
    console.print(
        f"{run.folder}: {len(records)} of {run.settings.trials} trials ended, {failed} failed",
        highlight=False,
    )
    ranked = sorted(
        (r for r in records if r.reward is not None), key=lambda r: (-float(r.reward or 0), r.trial)
    )
    if not ranked:
        return
    rows = [(record, network_notation(run.spec(record))) for record in ranked[:top]]
    console.print(trials_table(f"Top {len(rows)} by reward", rows))
    console.print(pareto_table(records))
    best = run.winner(records)
    if best is not None:
        highest = best_record(records)
        console.print(f"Winner: trial {best.trial}, reward {best.reward:.4f}", highlight=False)
        if highest is not None and highest.trial != best.trial:
            console.print(
                f"(trial {highest.trial} was measured at {highest.reward:.4f}; its neighbours speak for "
                "luck, the predictor believes the winner to be better)",
                highlight=False,
                soft_wrap=True,
            )
        console.print(spec_table(run.spec(best)))

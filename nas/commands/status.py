"""`nas status`: what a search, or a cluster, is doing; `nas logs`: what happened to a trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from nas.commands.common import out, print_json
from nas.network.cost_words import cost_label, si
from nas.runs.folder import SETTINGS, Run
from nas.runs.logs import LOGS, log_path
from nas.runs.status import Status, is_driven, read_status
from nas.search.journal import PROPOSALS, TRIALS, read_records
from search_spaces.errors import InputError
from search_spaces.quoting import printable, shell_command


@click.command(epilog="Example: nas status runs/first")
@click.argument("run", required=False)
@click.option("--address", help="Without RUN: the Ray cluster to look at. Default: auto.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(run: str | None, address: str | None, as_json: bool) -> None:
    """What a search is doing: cluster, trials ended and running, with node, epoch and speed.

    RUN is read from its folder, by any process that sees it. Without RUN, the cluster's nodes.
    """
    if run is None:
        _cluster(address or "auto", as_json)
        return
    if address is not None:
        raise InputError(f"address {address!r}: only without RUN")
    folder = Path(run)
    if not Run.is_run(folder):
        raise InputError(f"{run}: no run there (no search.yaml)")
    opened = Run.open(folder)
    records, now = opened.records(), read_status(folder)
    results, trials = opened.results(records), opened.goal(len(records))
    states = results.states
    driven = is_driven(folder)
    best = None if results.best is None else results.best.reward
    if as_json:
        print_json(
            {
                "run": run,
                "driven": driven,
                "trials": trials,
                "ended": states,
                "best_reward": best,
                "now": None if now is None else asdict(now),
            }
        )
        return
    console = out()
    counts = ", ".join(f"{count} {state}" for state, count in states.items()) or "none ended"
    doing = "running" if driven else "not running here"
    reward = "" if best is None else f", best reward {best:.4f}"
    console.print(f"{run}: {doing}; {counts} of {trials} trials{reward}", highlight=False)
    # the driver may be on another machine that shares the folder: then only its file tells
    if now is not None and (driven or time.time() - now.at < 15):
        _show_running(console, now, results.costs)
    elif not driven and len(records) < trials:
        console.print(f"go on with: {shell_command('nas', 'resume', folder)}", highlight=False)


def _show_running(console: Any, now: Status, costs: Sequence[str]) -> None:
    hosts = {node["id"]: printable(str(node["address"])) for node in now.nodes}
    total: dict[str, float] = {}
    for node in now.nodes:
        for name, amount in node["resources"].items():
            total[name] = total.get(name, 0) + amount
    has = f"{total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"
    console.print(f"cluster: {len(now.nodes)} nodes, {has}, room for {now.room} trials", highlight=False)
    if now.dashboard:
        console.print(f"Ray dashboard: {printable(now.dashboard)}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("trial", "node", "GPU", *map(cost_label, costs), "epoch", "accuracy", "images/s", "since"):
        table.add_column(name, justify="left" if name in ("trial", "node") else "right")
    for trial in sorted(now.running, key=lambda t: t.trial):
        again = f" (attempt {trial.attempt})" if trial.attempt > 1 else ""
        table.add_row(
            f"{trial.trial}{again}",
            hosts.get(trial.node or "", "starting" if trial.since else "waiting"),
            printable(str(trial.gpus)),
            *(si(trial.costs[name]) if name in trial.costs else "" for name in costs),
            f"{trial.epoch}/{trial.epochs}",
            "" if trial.accuracy is None else f"{trial.accuracy:.4f}",
            "" if trial.images_per_second is None else f"{trial.images_per_second:,.0f}",
            f"{time.time() - trial.since:.0f} s" if trial.since else "",
        )
    console.print(table)


def _cluster(address: str, as_json: bool) -> None:
    from nas.cluster.nodes import connect, describe_nodes

    dashboard = connect(address)
    nodes = describe_nodes()
    if as_json:
        print_json({"dashboard": dashboard, "nodes": nodes})
        return
    console = out()
    if dashboard:
        console.print(f"Ray dashboard: {dashboard}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("node", "host", "CPUs free", "GPUs free", "memory"):
        table.add_column(name, justify="left" if name in ("node", "host") else "right")
    for node in nodes:
        has, left = node["resources"], node["free"]
        table.add_row(
            node["address"],
            node["host"],
            f"{left.get('CPU', 0):g} of {has.get('CPU', 0):g}",
            f"{left.get('GPU', 0):g} of {has.get('GPU', 0):g}",
            f"{has.get('memory', 0) / 2**30:.0f} GiB",
        )
    console.print(table)


@click.command(epilog="Example: nas logs 12 runs/first")
@click.argument("trial", type=int)
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def logs(trial: int, run: str, as_json: bool) -> None:
    """What happened to a trial: where it ran, each epoch, what it printed, why it was lost."""
    folder = Path(run)
    if not (folder / TRIALS).exists() and not (folder / PROPOSALS).exists():
        raise InputError(f"{run}: no run there (no {TRIALS})")
    path = log_path(folder, trial)
    records = Run.open(folder).records() if (folder / SETTINGS).is_file() else read_records(folder)
    record = next((r for r in records if r.trial == trial), None)
    if not path.is_file():
        if record is not None and record.same_as is not None:
            raise InputError(
                f"trial {trial}: has trial {record.same_as}'s result: "
                f"{shell_command('nas', 'logs', record.same_as, folder)}"
            )
        raise InputError(f"trial {trial}: no log of it in {folder / LOGS}")
    text = path.read_text(encoding="utf-8", errors="replace")
    if as_json:
        ended = {
            "state": None if record is None else record.state,
            "reward": None if record is None else record.reward,
            "reason": None if record is None else record.reason,
        }
        print_json({"run": run, "trial": trial, **ended, "log": text})
        return
    console = out()
    console.out(text, end="", highlight=False)
    if record is not None:
        value = "" if record.reward is None else f", reward {record.reward:.4f}"
        reason = f": {printable(record.reason)}" if record.reason else ""
        console.out(f"{record.state}{value}{reason}", highlight=False)

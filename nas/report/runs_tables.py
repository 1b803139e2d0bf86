"""Several runs as a table, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas.network.cost_words import cost_label, si
from nas.runs.several import RunSummary, differences
from search_spaces.quoting import printable

_MOST = 12
"""Settings that the second table lists."""


def runs_tables(runs: Sequence[RunSummary]) -> list[Table]:
    """A line for each run, in the order given; and where there are any, the settings that differ."""
    table = Table(title=f"{len(runs)} run{'s' * (len(runs) != 1)}", title_justify="left")
    for name in ("run", "space, scored on", "target"):
        table.add_column(name, overflow="fold")
    for name in ("accuracy", "cost", "reward", "trials"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state")
    for run in runs:
        if run.reason is not None:
            table.add_row(printable(run.name), printable(run.reason), "", "", "", "", "", run.state)
            continue
        targets = [f"{si(target)} {cost_label(name)}" for name, target in (run.targets or {}).items()]
        failed = f", {run.failed} failed" if run.failed else ""
        table.add_row(
            printable(run.name),
            printable(f"{run.space}, {run.scored}"),
            ", ".join(targets) or "none",
            "" if run.accuracy is None else f"{run.accuracy:.4f}",
            ", ".join(si(value) for value in (run.costs or {}).values()),
            "" if run.reward is None else f"{run.reward:.4f}",
            f"{run.trials}/{run.goal}{failed}",
            run.state,
        )
    found = differences(runs)
    known = [run for run in runs if run.settings is not None]
    if not found or len(known) < 2:
        return [table]
    shown = list(found)[:_MOST]
    more = f" (the first {_MOST} of {len(found)}; --json has all)" if len(found) > _MOST else ""
    other = Table(title=f"Settings that differ{more}", title_justify="left")
    for name in ("setting", *(run.name for run in known)):
        other.add_column(printable(name), overflow="fold")
    for name in shown:
        words = ("" if value is None else printable(str(value)) for value in found[name])
        other.add_row(printable(name), *words)
    return [table, other]

"""The ranking sheet as a table for the terminal, and as lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from nas.search.ranking import BAND, CEILING, FLOOR, JUDGED, RankingRow, RankingSheet

_KINDS = {JUDGED: "", FLOOR: "free: ", CEILING: "ceiling: "}


def ranking_table(sheet: RankingSheet) -> Table:
    """What rankings are worth: the judged ones, the free ones, the ceilings; in 80 columns."""
    table = Table(
        title=f"How well {sheet.count:,} networks are ranked by {sheet.truth}", title_justify="left"
    )
    table.add_column("ranking", overflow="fold")
    for name in ("tau", "95%", "top tenth", "found", "equal MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in sheet.rows:
        table.add_row(*ranking_cells(sheet, row), style="bold" if row.kind == JUDGED else None)
    return table


def print_ranking(sheet: RankingSheet, console: Console, judged: Sequence[str] | None = None) -> None:
    """The table and its lines."""
    console.print(ranking_table(sheet))
    for line in ranking_lines(sheet, judged):
        console.print(line, highlight=False, soft_wrap=True)


def ranking_cells(sheet: RankingSheet, row: RankingRow) -> list[str]:
    """A row's texts."""
    labels = f" ({sheet.labels:,} labels)" if "ridge" in row.name and row.kind == FLOOR else ""
    known = row.all
    between = f"{known.low:.2f}..{known.high:.2f}" if known.low or known.high else ""
    parts = [_KINDS[row.kind] + row.name + labels, f"{known.tau:.2f}", between]
    return [*parts, _number(row.top), "" if row.found is None else f"{row.found:.0%}", _number(row.band)]


def ranking_lines(sheet: RankingSheet, judged: Sequence[str] | None = None) -> list[str]:
    """What the table's columns mean, the verdicts on `judged` (None: all), and what else ranks badly."""
    words = (
        "tau: Kendall's, 1 is the same order, 0 none; top tenth: tau among the truly best tenth, and how "
        f"much of it is found; equal MACs: tau over pairs within {BAND:.0%} of the same MACs."
    )
    said = list(sheet.verdicts) if judged is None else judged
    others = [name for name in sheet.below if name not in said]
    worse = [f"Worse than {sheet.floor.name} too: {', '.join(others)}."] if others else []
    return [words, *(f"{sheet.verdicts[name]}." for name in said), *worse]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

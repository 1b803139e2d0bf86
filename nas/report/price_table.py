"""What searches would cost, as a table for the terminal, and the caveat."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas.benchmark.price import CAVEAT, GoalPrice

_WORDS = {"B0": "B0's reward", "99%": "99% of the way"}


def price_table(prices: Sequence[GoalPrice], hour: float | None) -> Table:
    """GPU-hours to the goals, and money where an hour has a price; `-`: too few seeds got there."""
    searches = list(dict.fromkeys(price.search for price in prices))
    which = f", {searches[0]}" if len(searches) == 1 else ""
    table = Table(title=f"What it would cost, had the networks been trained{which}", title_justify="left")
    seeds = max((price.seeds for price in prices), default=1)
    names = ["GPU-hours", *(["95th pct"] if seeds > 1 else [])]
    names += [] if hour is None else ["costs", *(["95th pct"] if seeds > 1 else [])]
    if not which:
        table.add_column("search", overflow="fold")
    table.add_column("to")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for price in prices:
        shown = [price.hours, *([price.most] if seeds > 1 else [])]
        cells = ["-" if hours is None else f"{hours:,.0f}" for hours in shown]
        if hour is not None:
            cells += ["-" if hours is None else f"{hours * hour:,.0f}" for hours in shown]
        names = [] if which else [price.search]
        table.add_row(*names, _WORDS.get(price.goal, price.goal), *cells)
    return table


def price_lines(prices: Sequence[GoalPrice]) -> list[str]:
    """What the figures are of."""
    if not prices:
        return ["What it would cost isn't known: this benchmark tells no training times."]
    one = all(price.seeds == 1 for price in prices)
    return [f"{CAVEAT}.", *(["One seed is one search: --seeds 20 tells the 95th percentile."] if one else [])]

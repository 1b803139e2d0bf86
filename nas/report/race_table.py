"""The race of finalists as a table for the terminal, and in words."""

from __future__ import annotations

from rich.table import Table

from nas.studies.finalists import FinalistsResult


def race_table(result: FinalistsResult) -> Table:
    """Who is how probably the best; in 80 columns."""
    table = Table(
        title=f"Finalists after {result.trainings} trainings in {result.rounds} rounds", title_justify="left"
    )
    table.add_column("finalist")
    for name in ("reward, to the mean", "trainings", "P(best)", "P(leader better)"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, one in enumerate(result.standings):
        table.add_row(
            one.name + (" (out)" if one.name in result.out else ""),
            f"{one.mean:+.4f} +- {one.deviation:.4f}",
            str(one.trainings),
            f"{one.best:.3f}",
            "" if place == 0 else f"{one.beaten:.3f}",
        )
    return table


def race_lines(result: FinalistsResult, wanted: float, point: float) -> list[str]:
    """The decision, and what it rests on.

    Args:
        result: of the race.
        wanted: probability.
        point: one point of accuracy in units of the reward.
    """
    lines = []
    if result.decided:
        lines.append(f"Winner: {result.winner}, with probability {result.certainty:.3f} (wanted {wanted:g}).")
    else:
        lines.append(
            f"Undecided: {result.winner} leads with probability {result.certainty:.3f}, not {wanted:g}; more "
            "trainings (--most), or a difference that doesn't matter (--margin), would end it."
        )
    if result.out:
        lines.append(f"Out, without a result in a round: {', '.join(result.out)}.")
    if result.noise is not None:
        lines.append(
            f"Two trainings of a network differ by a standard deviation of {result.noise / point:.2f} points."
        )
    return lines

"""The fronts of several runs over each other: as SVG for a page or a file, and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from controller.pareto import pareto_front
from nas.network.cost_words import cost_label, si
from nas.report.charts import Line, Mark, chart
from nas.report.figures import dress_axes
from nas.runs.several import ReadRun, shared_cost
from nas.search.results import Results
from nas.search.trial import Scored
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import printable

_LIGHT = ("#2563a8", "#c8640b", "#2f7d4f", "#a3368f", "#b3261e", "#5b6770", "#0f7c86", "#7a5c00")
_DARK = ("#7fb2ec", "#f0a050", "#6ccf95", "#e08bd0", "#f28b82", "#b4bec7", "#62cdd6", "#d9bd5a")
_DASHES = ("", "7 4", "2 3")


def _style(colours: Sequence[str]) -> str:
    return "".join(
        f".run{n}{{stroke:{colour}}}svg.chart text.run{n},circle.run{n}{{fill:{colour};stroke:none}}"
        for n, colour in enumerate(colours)
    )


FRONTS_STYLE = (
    _style(_LIGHT)
    + "@media(prefers-color-scheme:dark){"
    + _style(_DARK)
    + "}"
    + "".join(f".dash{n}{{stroke-dasharray:{dash}}}" for n, dash in enumerate(_DASHES) if dash)
)
"""Colours of the runs, by number; with more runs than colours the lines are broken."""

_ALONE = (
    "svg.chart{background:#fff}.grid{stroke:#d9dde2}svg.chart text{fill:#1b1f24}"
    "polyline{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){svg.chart{background:#15181c}.grid{stroke:#39414a}"
    "svg.chart text{fill:#e8eaed}}"
)


def _drawn(runs: Sequence[ReadRun]) -> list[tuple[str, Results]]:
    """(name, results) of the runs with something to draw.

    Raises:
        InputError: there is none.
    """
    found = [(read.summary.name, read.results) for read in runs if read.results and read.results.finished]
    if not found:
        raise InputError("runs: no trial of any has finished yet: there is nothing to plot")
    return found


def _front(results: Results, cost: str) -> list[Scored]:
    """The trials that no other beats in accuracy and that cost, by growing cost."""
    done = sorted(results.finished, key=lambda record: record.trial)
    return [done[i] for i in reversed(pareto_front([(r.accuracy, -r.costs[cost]) for r in done]))]


def fronts_svg(runs: Sequence[ReadRun], alone: bool = False) -> str:
    """Accuracy against the cost that all target, or MACs: a line for each run, a dot for each network on it.

    Args:
        runs: with names; those without a finished trial are not drawn.
        alone: a file of its own, with its style and a ground, light or dark as its reader has it.

    Raises:
        InputError: no trial of any run has finished yet.
    """
    drawn = _drawn(runs)
    cost = shared_cost(results for _, results in drawn)
    points, lines = [], []
    for number, (name, results) in enumerate(drawn):
        kind = f"run{number % len(_LIGHT)} dash{number // len(_LIGHT) % len(_DASHES)}"
        steps: list[tuple[float, float]] = []
        for record in _front(results, cost):
            x, y = record.costs[cost], record.accuracy
            steps += [(x, steps[-1][1]), (x, y)] if steps else [(x, y)]
            title = f"{name}, trial {record.trial}\naccuracy {y:.4f}\n{cost_label(cost)} {si(x)}"
            points.append(Mark(x, y, kind, f"{title}\nreward {record.reward:.4f}"))
        lines.append(Line(steps, kind, name))
    picture = chart(
        points,
        lines,
        f"{cost_label(cost)} (log scale)",
        "accuracy (fraction)",
        f"Fronts of accuracy against {cost_label(cost)} of {len(drawn)} runs: "
        + "; ".join(f"{name} to {max(r.accuracy for r in res.finished):.4f}" for name, res in drawn),
        log_x=True,
    )
    if not alone:
        return picture
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="380" font-family="sans-serif" '
    return picture.replace("<svg ", f'{head}font-size="12" ', 1).replace(
        ">", f"><style>{_ALONE}{FRONTS_STYLE}</style>", 1
    )


def fronts_figure(runs: Sequence[ReadRun]) -> Figure:
    """The same as a matplotlib figure; raises `InputError` as `fronts_svg`."""
    drawn = _drawn(runs)
    cost = shared_cost(results for _, results in drawn)
    figure = Figure(figsize=(7, 4.6), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for number, (name, results) in enumerate(drawn):
        front = [(r.costs[cost], r.accuracy) for r in _front(results, cost)]
        axes.step(
            *zip(*front, strict=True),
            where="post",
            color=_LIGHT[number % len(_LIGHT)],
            linestyle=("-", "--", ":")[number // len(_LIGHT) % len(_DASHES)],
            marker="o",
            markersize=4,
            # a label that begins with _ is none to matplotlib, and $ begins a formula
            label="\u200b" + printable(name).replace("$", r"\$"),
        )
    dress_axes(axes, cost, "lower right")
    return figure


def write_fronts(runs: Sequence[ReadRun], path: Path) -> None:
    """Write the fronts as the file's ending says, `.svg` or `.png`.

    Raises:
        InputError: another ending, nothing to draw, or the file can't be written.
    """
    if path.suffix == ".svg":
        write_atomically(path, fronts_svg(runs, alone=True) + "\n")
    elif path.suffix == ".png":
        stream = BytesIO()
        fronts_figure(runs).savefig(stream, format="png")
        write_atomically(path, stream.getvalue())
    else:
        raise InputError(f"fronts {str(path)!r}: expected a name that ends with .svg or .png")

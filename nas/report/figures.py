"""Figures of a search, drawn by matplotlib without a display: for TensorBoard's images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.network.analytic import analytic_cost, is_analytic
from nas.network.cost_words import cost_label, si
from nas.report.importance import counting
from nas.search.results import Results
from nas.search.trial import Record
from search_spaces.decision import Decision
from search_spaces.reference import reference

REFERENCES = ("efficientnet-b0", "mnasnet-a1", "mobilenet-v2", "mobilenet-v1")
_BINS = 24


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image, height x width x 3."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return image


def pareto_figure(results: Results) -> Figure:
    """Accuracy against the targeted cost: the front, what it dominates, the target, and known networks."""
    name = results.cost
    figure = Figure(figsize=(7, 4.6), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    front = results.front
    members = {record.trial for record in front}
    rest = [record for record in results.finished if record.trial not in members]
    for shown, color, size, label in (
        (rest, "0.65", 12, "dominated"),
        (front, "tab:orange", 28, "Pareto front"),
    ):
        values = [r.costs[name] for r in shown], [r.accuracy for r in shown]
        axes.scatter(*values, color=color, s=size, label=label)
    if front and len(results.objectives) < 2:  # in more costs than one it is no line in this picture
        steps = sorted((r.costs[name], r.accuracy) for r in front)
        axes.step(*zip(*steps, strict=True), where="post", color="tab:orange", linewidth=1)
    if results.target is not None:
        axes.axvline(results.target, color="tab:red", linestyle="--", linewidth=1, label="target")
    if is_analytic(name):
        _mark_references(axes, results.finished, name)
    dress_axes(axes, name, "upper left")
    return figure


def dress_axes(axes: Any, cost: str, legend: str) -> None:
    """Axes of accuracy against a cost, with a legend at that place."""
    axes.set(xscale="log", xlabel=cost_label(cost), ylabel="accuracy (of the evaluator)")
    axes.xaxis.set_major_formatter(lambda value, _: si(value))
    axes.xaxis.set_minor_formatter(lambda value, _: si(value))
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc=legend, fontsize=8)


def _mark_references(axes: Any, records: Sequence[Record], name: str) -> None:
    """Known networks: a star where the search has evaluated one, else a line at its cost."""
    low, high = axes.get_xlim()
    found = {record.digest: record for record in records}
    for label in REFERENCES:
        spec = reference(label)
        value = float(analytic_cost(spec, name))
        if spec.digest in found:
            axes.scatter(
                [value], [found[spec.digest].accuracy], marker="*", s=140, color="tab:blue", zorder=4
            )
        elif not low <= value <= high:
            continue
        axes.axvline(value, color="tab:blue", linestyle=":", linewidth=0.8)
        axes.annotate(
            label,
            (value, 0.02),
            xycoords=("data", "axes fraction"),
            rotation=90,
            fontsize=7,
            color="tab:blue",
        )


def choices_figure(records: Sequence[Record], decisions: Sequence[Decision]) -> Figure:
    """How often each choice was proposed, over the course of the search: a row for each choice.

    Of a block that isn't there, nothing is.
    """
    rows = np.asarray([record.architecture for record in records])
    columns = np.where(counting(records, decisions), rows, -1).T
    order = np.argsort([record.trial for record in records], kind="stable")
    bins = np.array_split(order, min(_BINS, len(order)))
    shares: list[list[float]] = []
    labels: list[str] = []
    edges: list[int] = []
    for decision, values in zip(decisions, columns, strict=True):
        if len(decision.choices) == 1:
            continue
        edges.append(len(labels))
        for index, choice in enumerate(decision.choices):
            shares.append([float(np.mean(values[part] == index)) for part in bins])
            labels.append(f"{decision.name} {choice}")
    height = 1.2 + 0.125 * len(labels)
    figure = Figure(figsize=(8, height), dpi=80)
    # by hand: a constrained layout draws all these labels once more to measure them
    axes = figure.add_axes((0.2, 0.6 / height, 0.7, 1 - 1.0 / height))
    image = axes.imshow(
        np.asarray(shares),
        aspect="auto",
        vmin=0,
        vmax=1,
        cmap="viridis",
        extent=(0, len(records), len(labels), 0),
    )
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels, fontsize=6)
    for edge in edges[1:]:
        axes.axhline(edge, color="white", linewidth=0.6)
    axes.set(xlabel="trials", title="share of each choice among the proposals")
    figure.colorbar(image, ax=axes, fraction=0.03, label="share")
    return figure

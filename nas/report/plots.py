"""Plots as PNG files, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from nas.benchmark.compare import Comparison
from nas.benchmark.plan import WorkerPlan
from nas.network.cost import cost
from nas.studies.scaling import BASELINE, StudyPoint
from search_spaces.document import write_atomically
from search_spaces.spec import NetworkSpec

matplotlib.use("Agg")
from matplotlib import pyplot


def _write(figure: Any, path: Path) -> None:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    pyplot.close(figure)
    write_atomically(path, stream.getvalue())


def plot_comparison(comparison: Comparison, controllers: Sequence[str], path: Path) -> None:
    """Best reward so far against evaluations: medians over seeds with quartile bands."""
    families = list(comparison.landmarks)
    figure, axes = pyplot.subplots(
        1, len(families), figsize=(6.4 * len(families), 4.6), squeeze=False, layout="constrained"
    )
    for axis, family in zip(axes[0], families, strict=True):
        known = comparison.landmarks[family]
        for controller in controllers:
            traces = comparison.of(controller, family)
            length = min(len(trace.rewards) for trace in traces)
            best = np.stack([np.maximum.accumulate(trace.rewards[:length]) for trace in traces])
            low, middle, high = np.quantile(best, [0.25, 0.5, 0.75], axis=0)
            steps = np.arange(1, length + 1)
            (line,) = axis.plot(steps, middle, label=controller)
            axis.fill_between(steps, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        for name, goal in known.goals.items():
            axis.axhline(goal, color="0.6", linewidth=0.7, linestyle=":")
            axis.annotate(name, (1, goal), fontsize=7, color="0.4", va="bottom")
        axis.set(
            xscale="log",
            xlabel="evaluations",
            ylabel="best reward so far (without noise)",
            title=f"{family}, {len(comparison.of(controllers[0], family))} seeds",
            ylim=(known.median, known.best + 0.02 * (known.best - known.median)),
        )
        axis.legend(loc="lower right", fontsize=8)
    _write(figure, path)


def plot_plans(plans: Sequence[WorkerPlan], path: Path) -> None:
    """Wall-clock time and utilisation against the number of workers, a line for each mode."""
    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
    for mode in dict.fromkeys(p.mode for p in plans):
        rows = [p for p in plans if p.mode == mode]
        workers = [p.workers for p in rows]
        axes[0].plot(workers, [p.seconds / 3600 for p in rows], marker="o", label=mode)
        axes[1].plot(workers, [100 * p.utilisation for p in rows], marker="o", label=mode)
        axes[2].plot(workers, [p.reward for p in rows], marker="o", label=mode)
    labels = ("wall-clock time, hours", "utilisation, %", "best reward at the end")
    for axis, label in zip(axes, labels, strict=True):
        axis.set(xscale="log", xlabel="workers", ylabel=label)
        axis.legend()
    axes[0].set_yscale("log")
    _write(figure, path)


def plot_family(members: Sequence[tuple[str, NetworkSpec]], path: Path) -> None:
    """Costs of the members of a family, and what part of the growth each axis brings."""
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    labels = [label for label, _ in members]
    counted = [cost(member) for _, member in members]
    columns = {
        "MACs (G)": [c.macs / 1e9 for c in counted],
        "params (M)": [c.params / 1e6 for c in counted],
        "activations (M)": [c.activations / 1e6 for c in counted],
        "training memory (MB)": [c.training_memory / 1e6 for c in counted],
    }
    for name, values in columns.items():
        axes[0].plot(labels, values, marker="o", label=name)
    axes[0].set(yscale="log", ylabel="cost of one image")
    base = members[0][1]
    shares = np.array([_shares(base, member) for _, member in members])
    bottom = np.zeros(len(members))
    for name, column in zip(("depth", "width", "resolution"), shares.T, strict=True):
        axes[1].bar(labels, column, bottom=bottom, label=name)
        bottom += column
    axes[1].set(ylabel="growth of the MACs, doublings", title=f"against {labels[0]}")
    for axis in axes:
        axis.tick_params(axis="x", rotation=30)
        axis.legend(fontsize=8)
    _write(figure, path)


def _shares(base: NetworkSpec, member: NetworkSpec) -> tuple[float, float, float]:
    """Doublings of the MACs by depth, then width, then resolution."""
    deep = base.replace(
        stages=tuple(replace(a, repeats=b.repeats) for a, b in zip(base.stages, member.stages, strict=True))
    )
    wide = member.replace(resolution=base.resolution)
    steps = [cost(network).macs for network in (base, deep, wide, member)]
    return tuple(float(np.log2(b / a)) for a, b in pairwise(steps))  # type: ignore[return-value]


def plot_study(points: Sequence[StudyPoint], path: Path) -> None:
    """Accuracy against MACs, a curve for each way to scale (EfficientNet, figures 3 and 8)."""
    figure, axis = pyplot.subplots(figsize=(7, 5), layout="constrained")
    start = [p for p in points if p.mode == BASELINE]
    for mode in dict.fromkeys(p.mode for p in points if p.mode != BASELINE):
        curve = [*start, *(p for p in points if p.mode == mode)]
        axis.plot([p.macs / 1e6 for p in curve], [p.accuracy for p in curve], marker="o", label=mode)
    axis.set(
        xscale="log",
        xlabel="MACs of the full network, millions",
        ylabel="accuracy on held-out images",
        title="One baseline, scaled in four ways",
    )
    axis.legend()
    axis.grid(alpha=0.3)
    _write(figure, path)

"""Plots as PNG files, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from nas.search.compare import Comparison
from nas.search.plan import Plan
from search_spaces.document import write_atomically

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
            title=f"surrogate: {family}, {len(comparison.of(controllers[0], family))} seeds",
            ylim=(known.median, known.best + 0.02 * (known.best - known.median)),
        )
        axis.legend(loc="lower right", fontsize=8)
    _write(figure, path)


def plot_plans(plans: Sequence[Plan], path: Path) -> None:
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

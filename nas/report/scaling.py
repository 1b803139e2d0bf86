"""What scaling by training found, as data, as a plot and for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.network.scaling import MODES
from nas.report.plots import plot_study
from nas.report.tables import law_table, ways_table
from nas.report.tensorboard import write_study_events
from nas.runs.folder import Run
from nas.search.trial import Record
from nas.studies.scaling import StudyPoint, best_first, coefficients_of
from nas.studies.scaling_law import AXES, FACTOR, LawPoint, ScalingLaw
from search_spaces.listed import ListedSpace
from search_spaces.quoting import shell_command


def coefficients_document(run: Run, records: Sequence[Record]) -> dict[str, Any]:
    """All points of the grid, best first."""
    assert isinstance(run.space, ListedSpace)
    rows = [
        {**vars(coefficients_of(run.space, r)), "accuracy": r.accuracy, "macs": r.macs, "state": r.state}
        for r in best_first(records)
    ]
    return {"run": str(run.folder), "best": rows[0], "grid": rows}


def study_document(run: Run, points: Sequence[StudyPoint]) -> dict[str, Any]:
    """All points of a study."""
    return {"run": str(run.folder), "points": [vars(point) for point in points]}


def write_study(folder: Path, points: Sequence[StudyPoint]) -> None:
    """Draw `study.png`, and add the curves to TensorBoard's events."""
    plot_study(points, folder / "study.png")
    write_study_events(folder, points)


def law_document(run: Run, points: Sequence[LawPoint], law: ScalingLaw) -> dict[str, Any]:
    """The coefficients with their 95% intervals, what is told of the ways to scale, and the trainings."""
    _, intervals = law.coefficients()
    ways = law.ways()
    return {
        "run": str(run.folder),
        "factor": FACTOR,
        "noise": law.noise,
        **{name: vars(estimate) for name, estimate in intervals.items()},
        "ways": {mode: {**vars(ways[mode][0]), "chance_of_best": ways[mode][1]} for mode in MODES},
        "trained": [
            {**dict(zip(AXES, p.doublings, strict=True)), "accuracy": p.accuracy, "macs": p.macs}
            for p in points
        ],
    }


def print_law(points: Sequence[LawPoint], law: ScalingLaw, console: Console) -> None:
    """The trainings, the law's coefficients, and what it says of the ways to scale."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    found, intervals = law.coefficients()
    console.print(law_table(points))
    say(
        f"alpha, beta, gamma of the least error at {FACTOR:g} times the MACs (95%): "
        + ", ".join(f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})" for e in intervals.values())
        + f"; two trainings of one network differ by {law.noise:.0%} of their error"
    )
    console.print(ways_table(law.ways()))
    chosen = ("--alpha", f"{found.alpha:.4g}", "--beta", f"{found.beta:.4g}", "--gamma", f"{found.gamma:.4g}")
    say(f"a family by it: {shell_command('nas', 'scale', 'SPEC', '--phi', '0..4', *chosen)}")
    study = ("--study", "--budgets", f"{FACTOR:g}", *chosen)
    say(f"the ways to scale, trained: {shell_command('nas', 'scale', 'SPEC', *study)}")

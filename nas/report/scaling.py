"""What scaling by training found, as data, as a plot and for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.report.plots import plot_study
from nas.report.tensorboard import write_study_events
from nas.runs.folder import Run
from nas.search.trial import Record
from nas.studies.scaling import StudyPoint, best_first, coefficients_of
from search_spaces.listed import ListedSpace


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

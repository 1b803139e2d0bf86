"""Several runs from Python: `nas.open_runs`, a table of them, their fronts, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.api import SearchRun, data_frame, shows_as_png
from nas.report.fronts import fronts_figure
from nas.runs.several import ReadRun, differences, read_runs, sort_runs
from search_spaces.errors import InputError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open_all(folder: str | Path) -> SearchRuns:
    """The runs below a folder; raises `InputError` if there is none."""
    runs = SearchRuns(Path(folder))
    runs.read()
    return runs


class SearchRuns:
    """The runs below a folder, read anew at each call; iterate for each as `nas.open` gives it.

    One that can't be read is a row of the table with the reason, and is left out of the rest.

    Attributes:
        folder: that they lie in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> list[ReadRun]:
        """All of them, by name; raises `InputError` if there is none."""
        return read_runs(self.folder)

    def __iter__(self) -> Iterator[SearchRun]:
        return (SearchRun(each.run) for each in self.read() if each.run is not None)

    def __len__(self) -> int:
        return len(self.read())

    def __getitem__(self, name: str) -> SearchRun:
        """The run of that name, its folder below this one; raises `InputError`."""
        found = {each.summary.name: each for each in self.read()}
        if name not in found:
            raise unknown("run", name, found)
        if (run := found[name].run) is None:
            raise InputError(str(found[name].summary.reason))
        return SearchRun(run)

    def table(self, sort: str = "name") -> Any:
        """A row for each run, as a pandas DataFrame indexed by name; needs the extra `pandas`.

        Columns: `state`, `space`, `scored`, `trials`, `goal`, `failed`, `reward` and `accuracy` of its best
        trial, that one's targeted costs by name, `target_` of each, and `reason` where it can't be read.

        Args:
            sort: `name`, `reward`, `accuracy`, `cost` or `trials`: the best, or the most, first.

        Raises:
            InputError: another order.
        """
        rows = []
        for run in sort_runs([each.summary for each in self.read()], sort):
            targets = {f"target_{name}": target for name, target in (run.targets or {}).items()}
            about = {name: value for name, value in vars(run).items() if name not in _NESTED}
            rows.append({**about, **(run.costs or {}), **targets})
        return data_frame(rows, "name")

    def differences(self) -> Any:
        """The settings in which the readable ones differ: a DataFrame, settings by runs."""
        summaries = [each.summary for each in self.read()]
        names = [run.name for run in summaries if run.settings is not None]
        found = differences(summaries)
        rows = [
            {"setting": setting, **dict(zip(names, values, strict=True))} for setting, values in found.items()
        ]
        return data_frame(rows, "setting")

    def plot(self) -> Figure:
        """Their fronts over each other: accuracy against the cost that all target, or MACs (matplotlib)."""
        return shows_as_png(fronts_figure(self.read()))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML page of them all, to `report.html` in the folder if nothing else is said."""
        from nas.report.runs_page import write_runs_page

        target = self.folder / "report.html" if path is None else Path(path)
        write_runs_page(self.read(), self.folder, target)
        return target

    def __repr__(self) -> str:
        return f"<{len(self)} runs in {self.folder}>"


_NESTED = ("targets", "costs", "settings")

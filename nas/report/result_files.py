"""The winner and the front in the run's folder, as long as the search runs."""

from __future__ import annotations

from nas.runs.folder import Run
from nas.search.results import Results
from nas.search.trial import Record


class ResultFiles:
    """Keeps `best.yaml` and `pareto.csv` up to date; an observer.

    Args:
        run: whose.
        results: of the trials that have ended already.
    """

    def __init__(self, run: Run, results: Results) -> None:
        self.run, self.results = run, results

    def started(self, trial: object) -> None:
        """Nothing is found yet."""

    def measured(self, trial: object, measurement: object) -> None:
        """Nothing is found yet."""

    def ended(self, record: Record) -> None:
        """Write both, if this is the best so far."""
        self.results.add(record)
        if record is self.results.best:
            self.run.write_results(self.results)

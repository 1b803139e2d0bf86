"""MLflow: an experiment for each search, in it a run for each trial.

Where to is MLflow's own: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME (else the search's name).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from nas.report.tracked_trial import TrackedTrial
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_KEY, _SEARCH = "baseline_nas.trial", "baseline_nas.search"
_AT_ONCE = 100
"""Parameters that MLflow takes at once; of metrics it takes ten times as many."""


def open_mlflow(search: str) -> _MlflowTracker:
    """The experiment of a search; it is made with its first trial if it isn't there.

    Raises:
        InputError: MLflow isn't installed, or its store can't be used.
    """
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise InputError("log mlflow: it is not installed; pip install 'baseline-nas[mlflow]'") from None
    try:
        return _MlflowTracker(MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME") or search)
    except Exception as error:  # of any of its stores
        words = " ".join(str(error).split())
        raise InputError(f"log mlflow: {type(error).__name__}: {words[:300]}") from None


def _allowed(name: str) -> str:
    """Of a decision of several fields (`stage0.op+se_ratio`), say: MLflow takes these characters only."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)


class _MlflowTracker:
    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client, self._name = client, experiment
        found = client.get_experiment_by_name(experiment)
        self._experiment: str | None = found.experiment_id if found else None

    def write(self, trial: TrackedTrial) -> None:
        from mlflow.entities import Metric, Param

        if self._experiment is None:  # not before there is something in it
            self._experiment = self._client.create_experiment(self._name)
        for other in self._client.search_runs([self._experiment], f"tags.`{_KEY}` = '{trial.key}'"):
            if other.info.status != "RUNNING":
                return  # whole: it was not noted any more
            self._client.delete_run(other.info.run_id)
        began, ended = (round(1000 * t) for t in (trial.started, trial.started + trial.seconds))
        tags = {_KEY: trial.key, _SEARCH: trial.search, "state": trial.state, **trial.about}
        run = self._client.create_run(
            self._experiment, start_time=began, run_name=trial.name, tags=tags
        ).info.run_id
        params = [Param(_allowed(name), str(value)) for name, value in trial.choices.items()]
        for start in range(0, len(params), _AT_ONCE):
            self._client.log_batch(run, params=params[start : start + _AT_ONCE])
        points: list[Any] = []
        for row in trial.epochs:
            step = int(row.get("epoch", 0))
            curves = {f"epoch/{name}": float(value) for name, value in row.items() if name != "epoch"}
            points += [Metric(_allowed(name), value, ended, step) for name, value in curves.items()]
        points += [Metric(_allowed(name), value, ended, 0) for name, value in trial.results.items()]
        for start in range(0, len(points), 10 * _AT_ONCE):
            self._client.log_batch(run, metrics=points[start : start + 10 * _AT_ONCE])
        self._client.set_terminated(run, "FAILED" if trial.failed else "FINISHED", ended)

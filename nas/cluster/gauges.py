"""A search's figures among Ray's own metrics, for Prometheus: each node's agent serves them."""

from __future__ import annotations

from collections.abc import Sequence

from ray.util.metrics import Gauge

from nas.runs.status import Status
from nas.search.results import Results
from nas.search.trial import Record


class Gauges:
    """`ray_nas_trials_ended` (by `state`) and `_running`, `ray_nas_room`, `ray_nas_best_reward`."""

    def __init__(self) -> None:
        self._ended = Gauge("nas_trials_ended", "Trials in the journal.", ("state",))
        self._running = Gauge("nas_trials_running", "Trials under evaluation.")
        self._room = Gauge("nas_room", "Trials that the cluster can run at once.")
        self._best = Gauge("nas_best_reward", "The highest reward of a finished trial.")
        self._results = Results()
        self._seen = 0

    def set(self, status: Status, records: Sequence[Record]) -> None:
        """Take on the state of now; only records that are new since the last time are looked at."""
        for record in records[self._seen :]:
            self._results.add(record)
        self._seen = len(records)
        for state, count in self._results.states.items():
            self._ended.set(count, {"state": state})
        self._running.set(sum(trial.since > 0 for trial in status.running))
        self._room.set(status.room)
        if self._results.best is not None:
            self._best.set(self._results.best.reward)

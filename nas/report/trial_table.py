"""TensorBoard's HParams dashboard for a search: a row for every trial, read from the journal.

TensorBoard wants a run (a folder with an event file) for each row; thousands of them would make every
other dashboard unusable. So a search has one event file, and this module, which any `tensorboard` in
whose environment the package is installed finds by its entry point, shows the HParams dashboard the
journal's trials as if each had a run. The other dashboards don't see them.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorboard.data import provider
from tensorboard.plugins.base_plugin import TBLoader
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from nas.network.cost_words import cost_label
from nas.report.moments import Moments
from nas.search.journal import TRIALS, read_records
from nas.search.trial import FAILED, Record
from search_spaces.decision import Choice
from search_spaces.errors import InputError

_METRICS = ("reward", "accuracy", "MACs", "params", "seconds")


class TrialTableLoader(TBLoader):  # type: ignore[misc]
    """The entry point: gives the HParams dashboard its own view of the data; adds no dashboard."""

    def load(self, context: Any) -> None:
        """Called by TensorBoard after its own dashboards are there."""
        hparams = context.plugin_name_to_instance.get("hparams")
        backend = getattr(hparams, "_context", None)
        if backend is None or not hasattr(backend, "_tb_context") or not context.logdir:
            return  # another TensorBoard than those we know: it shows what the event files have
        own = copy.copy(backend.tb_context)
        own.data_provider = _WithTrials(own.data_provider, Path(os.path.expanduser(context.logdir)))
        backend._tb_context = own


class _WithTrials:
    """TensorBoard's data provider with, as runs of their own, the trials of the searches below a folder."""

    def __init__(self, inner: Any, logdir: Path) -> None:
        self.inner, self.logdir = inner, logdir
        self._read: dict[Path, tuple[tuple[int, int], list[Record]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def list_scalars(self, ctx: Any = None, **query: Any) -> Any:
        """The event files' scalars, and each trial's metrics."""
        found = dict(self.inner.list_scalars(ctx, **query))
        for name, record, moment in self._trials():
            found[name] = {
                metric: provider.ScalarTimeSeries(
                    max_step=0,
                    max_wall_time=moment,
                    plugin_content=b"",
                    description="",
                    display_name=metric,
                )
                for metric in _metrics(record)
            }
        return found

    def read_last_scalars(self, ctx: Any = None, **query: Any) -> Any:
        """The same, with values."""
        found = dict(self.inner.read_last_scalars(ctx, **query))
        for name, record, moment in self._trials():
            found[name] = {
                metric: provider.ScalarDatum(step=0, wall_time=moment, value=value)
                for metric, value in _metrics(record).items()
            }
        return found

    def list_tensors(self, ctx: Any = None, **query: Any) -> Any:
        """The event files' tensors, and where a session begins and ends for each trial."""
        found = dict(self.inner.list_tensors(ctx, **query))
        if query.get("plugin_name") == metadata.PLUGIN_NAME:
            for name, record, moment in self._trials():
                found[name] = self._session(name, record, moment)
        return found

    @staticmethod
    def _session(name: str, record: Record, moment: float) -> dict[str, Any]:
        """What a trial's own event file would have held for the dashboard."""
        status = api_pb2.STATUS_FAILURE if record.state == FAILED else api_pb2.STATUS_SUCCESS
        # a group of its own, or trials of equal networks would share a row
        start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=moment - record.seconds)
        for decision, value in _choices(record).items():
            if isinstance(value, float):
                start.hparams[decision].number_value = value
            else:
                start.hparams[decision].string_value = value
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=moment)
        version = metadata.PLUGIN_DATA_VERSION
        contents = {
            metadata.SESSION_START_INFO_TAG: plugin_data_pb2.HParamsPluginData(
                version=version, session_start_info=start
            ),
            metadata.SESSION_END_INFO_TAG: plugin_data_pb2.HParamsPluginData(
                version=version, session_end_info=end
            ),
        }
        return {
            tag: provider.TensorTimeSeries(
                max_step=0,
                max_wall_time=moment,
                plugin_content=content.SerializeToString(),
                description="",
                display_name="",
            )
            for tag, content in contents.items()
        }

    def _trials(self) -> Iterator[tuple[str, Record, float]]:
        """The name of each trial's row, the trial, and when it ended."""
        for path in sorted(self.logdir.rglob(TRIALS)):
            place = os.path.relpath(path.parent, self.logdir)
            prefix = "" if place == "." else f"{place}/"
            moments = Moments()
            for record in self._records(path):
                yield f"{prefix}trial {record.trial:06d}", record, moments.of(record)

    def _records(self, path: Path) -> list[Record]:
        state = path.stat()
        stamp = (state.st_size, state.st_mtime_ns)
        if path not in self._read or self._read[path][0] != stamp:
            try:
                self._read[path] = stamp, read_records(path.parent, say=lambda text: None)
            except InputError:
                self._read[path] = stamp, []  # `nas show` says what is wrong with it
        return self._read[path][1]


def _choices(record: Record) -> dict[str, float | str]:
    return {name: as_value(choice) for name, choice in record.choices.items()}


def as_value(choice: Choice) -> float | str:
    """A choice as the dashboard takes it: a number or a text."""
    number = isinstance(choice, (int, float)) and not isinstance(choice, bool)
    return float(choice) if number else str(choice)


def _metrics(record: Record) -> dict[str, float]:
    values = (record.reward, record.accuracy, record.macs, record.costs.get("params"), record.seconds)
    found = {cost_label(name): value for name, value in record.costs.items()}  # those announced are shown
    found |= {name: value for name, value in zip(_METRICS, values, strict=True) if value is not None}
    return {name: float(value) for name, value in found.items()}


def metric_names(costs: Iterable[str]) -> list[str]:
    """The table's columns of results, with these costs' first."""
    head, tail = _METRICS[:2], _METRICS[2:]
    return list(dict.fromkeys((*head, *map(cost_label, costs), *tail)))

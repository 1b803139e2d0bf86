"""TensorBoard's HParams dashboard for a search: a row for every trial, read from the journal.

TensorBoard wants a run (a folder with an event file) for each row; thousands of them would make every
other dashboard unusable. So a search has one event file, and this module, which any `tensorboard` in
whose environment the package is installed finds by its entry point, shows the HParams dashboard the
journal's trials as if each had a run. The other dashboards don't see them.
"""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tensorboard.data import provider
from tensorboard.plugins.base_plugin import TBLoader

from nas.search.journal import TRIALS, read_records
from nas.search.trial import Record
from search_spaces.decision import Choice
from search_spaces.errors import InputError

METRICS = ("reward", "accuracy", "MACs", "params", "seconds")
_STRING = provider.HyperparameterDomainType.DISCRETE_STRING
_FLOAT = provider.HyperparameterDomainType.DISCRETE_FLOAT


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


class _WithTrials(provider.DataProvider):  # type: ignore[misc]
    """TensorBoard's data and, as sessions of hyper-parameters, the trials of the runs below a folder."""

    def __init__(self, inner: Any, logdir: Path) -> None:
        self.inner, self.logdir = inner, logdir
        self._read: dict[Path, tuple[tuple[int, int], list[Record]]] = {}

    def experiment_metadata(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.experiment_metadata(ctx, **query)

    def list_plugins(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.list_plugins(ctx, **query)

    def list_runs(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.list_runs(ctx, **query)

    def list_scalars(self, ctx: Any = None, **query: Any) -> Any:
        """The event files' scalars, and each trial's metrics."""
        found = dict(self.inner.list_scalars(ctx, **query))
        for name, record in self._trials():
            found[name] = {
                metric: provider.ScalarTimeSeries(
                    max_step=0,
                    max_wall_time=record.started,
                    plugin_content=b"",
                    description="",
                    display_name=metric,
                )
                for metric in _metrics(record)
            }
        return found

    def read_scalars(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.read_scalars(ctx, **query)

    def read_last_scalars(self, ctx: Any = None, **query: Any) -> Any:
        """The same, with values."""
        found = dict(self.inner.read_last_scalars(ctx, **query))
        for name, record in self._trials():
            found[name] = {
                metric: provider.ScalarDatum(step=0, wall_time=record.started, value=value)
                for metric, value in _metrics(record).items()
            }
        return found

    def list_tensors(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.list_tensors(ctx, **query)

    def read_tensors(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.read_tensors(ctx, **query)

    def list_blob_sequences(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.list_blob_sequences(ctx, **query)

    def read_blob_sequences(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.read_blob_sequences(ctx, **query)

    def read_blob(self, ctx: Any = None, **query: Any) -> Any:
        return self.inner.read_blob(ctx, **query)

    def list_hyperparameters(
        self, ctx: Any = None, *, experiment_ids: Collection[str], limit: int | None = None
    ) -> Any:
        """Every decision, with the choices that were seen."""
        values: dict[str, set[Any]] = {}
        for _, record in self._trials():
            for name, value in _choices(record).items():
                values.setdefault(name, set()).add(value)
        found = [
            provider.Hyperparameter(
                hyperparameter_name=name,
                hyperparameter_display_name=name,
                domain_type=_kind(seen),
                domain=sorted(seen, key=str) if _kind(seen) is _STRING else sorted(seen),
                differs=len(seen) > 1,
            )
            for name, seen in values.items()
        ]
        # decisions that vary first, as the dashboard shows a limited number
        found.sort(key=lambda parameter: not parameter.differs)
        groups = self.read_hyperparameters(ctx, experiment_ids=experiment_ids)
        return provider.ListHyperparametersResult(
            hyperparameters=found[: limit or None], session_groups=groups
        )

    def read_hyperparameters(
        self,
        ctx: Any = None,
        *,
        experiment_ids: Collection[str],
        filters: Sequence[Any] | None = None,
        sort: Sequence[Any] | None = None,
        hparams_to_include: Collection[str] | None = None,
    ) -> list[Any]:
        """A group for each trial, filtered and sorted by its choices."""
        (experiment, *_) = list(experiment_ids) or [""]
        rows = [(name, _choices(record)) for name, record in self._trials()]
        for wanted in filters or ():
            rows = [row for row in rows if _passes(wanted, row[1].get(wanted.hyperparameter_name))]
        for order in reversed(sort or ()):
            key = order.hyperparameter_name
            descending = order.sort_direction is provider.HyperparameterSortDirection.DESCENDING
            rows.sort(key=partial(_sort_key, key), reverse=descending)
        groups = []
        for name, choices in rows:
            run = provider.HyperparameterSessionRun(experiment_id=experiment, run=name)
            values = [
                provider.HyperparameterValue(
                    hyperparameter_name=key,
                    domain_type=_FLOAT if isinstance(value, float) else _STRING,
                    value=value,
                )
                for key, value in choices.items()
                if hparams_to_include is None or key in hparams_to_include
            ]
            groups.append(
                provider.HyperparameterSessionGroup(root=run, sessions=[run], hyperparameter_values=values)
            )
        return groups

    def _trials(self) -> Iterator[tuple[str, Record]]:
        """The name of each trial's row, and the trial."""
        for path in sorted(self.logdir.rglob(TRIALS)):
            place = os.path.relpath(path.parent, self.logdir)
            prefix = "" if place == "." else f"{place}/"
            for record in self._records(path):
                yield f"{prefix}trial {record.trial:06d}", record

    def _records(self, path: Path) -> list[Record]:
        state = path.stat()
        stamp = (state.st_size, state.st_mtime_ns)
        if path not in self._read or self._read[path][0] != stamp:
            try:
                self._read[path] = stamp, read_records(path.parent)
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
    return {name: float(value) for name, value in zip(METRICS, values, strict=True) if value is not None}


def _kind(values: Collection[Any]) -> Any:
    return _FLOAT if all(isinstance(value, float) for value in values) else _STRING


def _sort_key(name: str, row: tuple[str, dict[str, float | str]]) -> tuple[int, float, str]:
    return _sortable(row[1].get(name))


def _sortable(value: float | str | None) -> tuple[int, float, str]:
    if value is None:
        return 2, math.inf, ""
    return (0, value, "") if isinstance(value, float) else (1, 0.0, value)


def _passes(wanted: Any, value: float | str | None) -> bool:
    kinds = provider.HyperparameterFilterType
    if wanted.filter_type is kinds.REGEX:
        return re.search(wanted.filter, "" if value is None else str(value)) is not None
    if wanted.filter_type is kinds.INTERVAL:
        low, high = wanted.filter
        return isinstance(value, float) and low <= value <= high
    return value in wanted.filter

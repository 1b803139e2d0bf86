"""A benchmark from runs: what they trained, a process on it, how well that ranks networks it never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.run_surrogate import (
    FEWEST_NETWORKS,
    MOST,
    RunSurrogate,
    Trainings,
    fit_parameters,
)
from nas.benchmark.table import ACCURACY
from nas.runs.folder import Run
from nas.search.ranking import RankingSheet, rank_networks
from nas.search.results import Results
from nas.search.trial import Scored
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import csv_table

_FOLDS = 5
_MOST_POINTS = 80_000
"""Accuracies after an epoch, and choices, that are kept together: the file can be read again."""


class RunTrainings:
    """The finished trainings of runs that scored alike, by network.

    Args:
        runs: of one space and one way to score; they may differ in seed, controller and reward.
        option: that named them, for errors.

    Attributes:
        space: theirs.
        networks: the first record of each different network, in their order.
        accuracies: of each network's trainings.
        epochs: of each training; 0: not the same of all.
        curves: their accuracies after every epoch; None: there is one epoch, or too many.
        sources: the runs' folders.
        targets: of the first run.
        accuracy_of: what the accuracies are of.

    Raises:
        InputError: a space that isn't one of decisions, or runs whose results don't compare.
    """

    def __init__(self, runs: Sequence[Run], option: str = "from") -> None:
        first, self._option = runs[0], option
        if not isinstance(first.space, StagedSpace):
            raise InputError(
                f"{option} {first.folder}: its space {first.space.name!r} is a list, not of decisions"
            )
        self.space, self.sources = first.space, [str(run.folder) for run in runs]
        self.targets = dict(first.settings.reward.targets)
        self.accuracy_of = first.settings.evaluator.accuracy_of
        found: dict[str, dict[int, Scored]] = {}
        for run in runs:
            self._check_alike(first, run)
            for record in Results(run.records()).finished:
                if record.same_as is None:  # of the same seed it would be the same training
                    found.setdefault(record.digest, {}).setdefault(record.seed, record)
        seeds = [list(records.values()) for records in found.values()]
        self.networks = [records[0] for records in seeds]
        self.accuracies = [[record.accuracy for record in records] for records in seeds]
        curves = [
            [[row["accuracy"] for row in record.measurements] for record in records] for records in seeds
        ]
        lengths = [len(curve) for of_one in curves for curve in of_one]
        self.epochs = max(lengths, default=0) if len(set(lengths)) == 1 else 0
        points = sum(lengths) + len(seeds) * len(self.space.decisions)
        self.curves = curves if self.epochs > 1 and points <= _MOST_POINTS else None

    def _check_alike(self, first: Run, other: Run) -> None:
        if other.space.to_document() != first.space.to_document():
            raise InputError(
                f"{self._option} {other.folder}: its space is another one than that of {first.folder}"
            )
        mine, theirs = first.settings.evaluator, other.settings.evaluator
        if mine.kind != theirs.kind or mine.depends_on != theirs.depends_on:
            raise InputError(
                f"{self._option} {other.folder}: it is scored in another way than {first.folder}"
            )

    def trainings(self) -> Trainings:
        """As a process takes them; raises `InputError` where they are too few or too many."""
        if not FEWEST_NETWORKS <= len(self.networks) <= MOST:
            raise InputError(
                f"{self._option} {', '.join(self.sources)}: {len(self.networks)} different networks have "
                f"finished, expected {FEWEST_NETWORKS} to {MOST:,} (what was ended early doesn't count)"
            )
        rows = np.array([record.architecture for record in self.networks], dtype=np.int64)
        return Trainings(self.space, rows, self.accuracies, self.curves)

    def table(self) -> str:
        """As the CSV that `nas compare --table` reads, a line for each training."""
        if not self.networks:
            raise InputError(f"{self._option} {', '.join(self.sources)}: no trial has finished yet")
        names = [decision.name for decision in self.space.decisions]
        heads = [ACCURACY, "macs", "params", *names]
        lines = []
        for record, values in zip(self.networks, self.accuracies, strict=True):
            known = [record.costs["macs"], record.costs["params"]]
            choices = [record.choices[name] for name in names]
            lines += [[value, *(int(cost) for cost in known), *choices] for value in values]
        return csv_table([heads, *lines])


def make_run_benchmark(trained: RunTrainings) -> tuple[RunSurrogate, RankingSheet]:
    """The surrogate of all trainings, and the sheet of its answers about networks that it hadn't seen.

    Raises:
        InputError: fewer than 20 networks, or more than 3000.
    """
    trainings = trained.trainings()
    sheet = held_out_sheet(trainings)
    parameters = fit_parameters(trainings)
    tau = sheet.rows[0].all
    about = {
        "runs": trained.sources,
        "accuracy_of": trained.accuracy_of,
        "targets": trained.targets,
        "networks": len(trainings.rows),
        "trainings": sum(map(len, trainings.accuracies)),
        "noise": None if trainings.noise is None else 100 * trainings.noise,
        "held_out_tau": [tau.tau, tau.low, tau.high],
        "floor": [sheet.floor.name, sheet.floor.all.tau],
    }
    return RunSurrogate(trainings, parameters, about), sheet


def held_out_sheet(trainings: Trainings) -> RankingSheet:
    """The ranking of each fifth of the networks by a process that was fitted on the others, all together."""
    count = len(trainings.rows)
    predicted: NDArray[np.float64] = np.zeros(count)
    for fold in np.array_split(np.random.default_rng(0).permutation(count), _FOLDS):
        rest = trainings.part(np.setdiff1d(np.arange(count), fold))
        fitted = RunSurrogate(rest, fit_parameters(rest), {})
        predicted[fold] = fitted.top1(trainings.rows[fold])
    most = max(map(len, trainings.accuracies))
    runs = np.full((most, count), math.nan)
    for place, values in enumerate(trainings.accuracies):
        runs[: len(values), place] = values
    specs = [trainings.space.decode(Architecture(row)) for row in trainings.rows.tolist()]
    return rank_networks(
        specs,
        trainings.means,
        {"surrogate, held out": predicted},
        what="their trainings",
        repeats={"two trainings": runs} if most > 1 else None,
    )

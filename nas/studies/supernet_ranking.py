"""Does a supernet rank networks as their own trainings do? On what others have trained already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.benchmark.load import is_run_benchmark, run_benchmark_file
from nas.runs.folder import Run
from nas.search.ranking import FEWEST, RankingSheet, rank_networks
from nas.search.results import Results
from nas.search.supernet_evaluator import SupernetEvaluator
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, shown
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

MOST = 200
"""Networks that are judged at most; of more, some at random."""


@dataclass(frozen=True)
class TrainedAlone:
    """Networks of a space with the accuracies of their own trainings.

    Attributes:
        specs: different networks.
        accuracies: of each one's trainings, fractions.
        about: where they are from, and how many of how many they are.
    """

    specs: list[NetworkSpec]
    accuracies: list[list[float]]
    about: str


def trained_alone(name: str, space: StagedSpace) -> TrainedAlone:
    """What a run, or a benchmark of runs, has trained of a space.

    Args:
        name: a run's folder, a `FILE.json` by `nas benchmark`, or `curves`.
        space: of which the networks have to be.

    Raises:
        InputError: there is no such run, or it has fewer than three networks of the space.
    """
    found: dict[str, tuple[NetworkSpec, list[float]]] = {}
    if is_run_benchmark(name):
        from nas.benchmark.run_surrogate import read_run_surrogate

        made = read_run_surrogate(run_benchmark_file(name))
        trainings = made.trainings
        for row, values in zip(trainings.rows.tolist(), trainings.accuracies, strict=True):
            spec = trainings.space.decode(Architecture(row))
            found[spec.digest] = spec, [float(value) for value in values]
    else:
        run = Run.open(Path(name))
        for record in Results(run.records()).finished:
            if record.same_as is None:
                spec = run.spec(record)
                found.setdefault(record.digest, (spec, []))[1].append(record.accuracy)
    inside = [(spec, values) for spec, values in found.values() if space.contains(spec)]
    if len(inside) < FEWEST:
        raise InputError(
            f"judge {shown(name)}: {len(inside)} of its {len(found)} trained networks are of space "
            f"{space.name!r}, expected at least {FEWEST}"
        )
    chosen = inside
    if len(inside) > MOST:
        places = np.random.default_rng(0).choice(len(inside), MOST, replace=False)
        chosen = [inside[place] for place in sorted(places)]
    return TrainedAlone(
        [spec for spec, _ in chosen],
        [values for _, values in chosen],
        f"{len(chosen)} of {len(found)} networks that were trained in {name}",
    )


def judge_supernet(
    evaluator: SupernetEvaluator, alone: TrainedAlone, tick: Callable[[], None] = lambda: None
) -> RankingSheet:
    """The ranking sheet of a supernet's scores.

    Args:
        evaluator: of the supernet.
        alone: networks of its space that were trained by themselves.
        tick: called after each network.
    """
    scores = []
    for spec in alone.specs:
        *_, last = evaluator.start(spec, 0)
        scores.append(last["accuracy"])
        tick()
    truth = np.array([float(np.mean(values)) for values in alone.accuracies])
    return rank_networks(
        alone.specs,
        truth,
        {"the supernet": np.array(scores)},
        what="their own trainings",
        repeats=_repeats(alone.accuracies),
    )


def _repeats(accuracies: Sequence[Sequence[float]]) -> dict[str, NDArray[np.float64]]:
    """First and second trainings of those that had two, as the sheet's ceiling takes them."""
    twice = [list(values[:2]) if len(values) > 1 else [np.nan, np.nan] for values in accuracies]
    if sum(np.isfinite(first) for first, _ in twice) < FEWEST:
        return {}
    return {"two trainings of one network": np.array(twice).T}

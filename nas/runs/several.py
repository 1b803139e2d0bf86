"""The runs below a folder: what each has found, and in which settings they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nas.runs.folder import Run
from nas.runs.status import is_driven
from nas.search.results import Results
from search_spaces.errors import InputError, unknown

_DEEP = 4
"""Folders that are looked into for runs, below the named one."""
SORTS = ("name", "reward", "accuracy", "cost", "trials")
_OWN = ("schema", "document", "data_digest", "surrogate_digest", "code")
"""No settings of a user's."""


@dataclass(frozen=True)
class RunSummary:
    """A run in a line.

    Attributes:
        name: its folder below the one that was looked into.
        state: `running`, `done`, `stopped` (before its last trial), or `unreadable`.
        space: its name.
        scored: the evaluator, with its data set or function.
        targets: by cost name.
        trials, goal: ended, and how many it goes on to.
        failed: of those that ended.
        reward, accuracy: of its best trial; None: none has finished.
        costs: the targeted ones of that, or MACs.
        settings: all that a user set, by `part.name`.
        reason: why it is unreadable.
    """

    name: str
    state: str
    space: str = ""
    scored: str = ""
    targets: dict[str, float] | None = None
    trials: int = 0
    goal: int = 0
    failed: int = 0
    reward: float | None = None
    accuracy: float | None = None
    costs: dict[str, float] | None = None
    settings: dict[str, Any] | None = None
    reason: str | None = None


def find_runs(folder: Path) -> list[Path]:
    """The runs below a folder, by name; those that are part of a run are not listed."""
    return sorted(_runs(folder, _DEEP))


def _runs(folder: Path, deep: int) -> Iterator[Path]:
    try:
        inside = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except (OSError, ValueError):  # a name that no folder can have
        return
    for path in inside:
        if Run.is_run(path):
            yield path
        elif deep > 1:
            yield from _runs(path, deep - 1)


class ReadRun(NamedTuple):
    """A run below a folder; `run` and `results` are None where it can't be read."""

    summary: RunSummary
    run: Run | None = None
    results: Results | None = None


def read_runs(folder: Path) -> list[ReadRun]:
    """All runs below a folder, by name.

    Raises:
        InputError: there is none.
    """
    found = [_read(path, folder) for path in find_runs(folder)]
    if not found:
        raise InputError(f"{folder}: no runs there (no search.yaml up to {_DEEP} folders down)")
    return found


def _read(path: Path, below: Path) -> ReadRun:
    """A run; one that can't be read is one, too."""
    name = str(path.relative_to(below))
    try:
        run = Run.open(path)
        results = run.results(run.records(lambda text: None))
        return ReadRun(_summary(name, run, results), run, results)
    except InputError as error:
        return ReadRun(RunSummary(name, "unreadable", reason=str(error)))


def _summary(name: str, run: Run, results: Results) -> RunSummary:
    """A run in a line."""
    best, ended = run.winner(results), sum(results.states.values())
    scorer, goal = run.settings.evaluator, run.goal(ended)
    on = getattr(scorer, "data", None) or getattr(scorer, "function", None)
    return RunSummary(
        name,
        "running" if is_driven(run.folder) else "done" if ended >= goal else "stopped",
        run.space.name,
        f"{scorer.kind} {on}" if on else scorer.kind,
        {objective.cost: objective.target for objective in results.objectives},
        ended,
        goal,
        results.failed,
        best.reward if best else None,
        best.accuracy if best else None,
        {cost: best.costs[cost] for cost in results.costs} if best else None,
        dict(_settings(run.settings.to_document())),
    )


def _settings(document: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _OWN:
            continue
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def shared_cost(results: Iterable[Results]) -> str:
    """The cost by which several runs compare: the one that all target first, else MACs."""
    names = {found.cost for found in results}
    return names.pop() if len(names) == 1 else "macs"


def sort_runs(runs: Sequence[RunSummary], by: str) -> list[RunSummary]:
    """By name, the most trials, or the best first: the highest reward or accuracy, the lowest cost.

    Those without a result come last.

    Raises:
        InputError: an unknown order.
    """
    if by not in SORTS:
        raise unknown("sort", by, SORTS)
    if by == "name":
        return sorted(runs, key=lambda run: run.name)
    keys: dict[str, Callable[[RunSummary], float | None]] = {
        "reward": lambda run: run.reward and -run.reward,
        "accuracy": lambda run: run.accuracy and -run.accuracy,
        "cost": lambda run: next(iter(run.costs.values())) if run.costs else None,
        "trials": lambda run: -run.trials,
    }
    values = {run.name: keys[by](run) for run in runs}
    return sorted(runs, key=lambda run: (values[run.name] is None, values[run.name] or 0.0, run.name))


def differences(runs: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """The settings in which the readable ones of these runs differ, by name: each one's value or None."""
    known = [run.settings for run in runs if run.settings is not None]
    names = dict.fromkeys(name for settings in known for name in settings)
    found = {name: [settings.get(name) for settings in known] for name in names if name != "trials"}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}

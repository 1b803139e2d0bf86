"""A search from Python: `nas.search`, `nas.start` and `nas.open`, with the run folder of the command.

run = nas.search(space="mnasnet", evaluate=my_function, epochs=3, trials=24, out="runs/first")
run.trials()            # a DataFrame
nas.open("runs/first").resume(trials=48)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import Abort, ClickException

from nas.commands.common import notebook, progress
from nas.export.exportable import default_exports
from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.cost_settings import handed_cost
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.function_settings import FunctionSettings
from nas.runs.placement import Placement
from nas.search.own_function import OwnFunction
from nas.search.results import Results
from nas.search.trial import Record, Scored
from nas.session import resume_search, start_search
from search_spaces.errors import InputError, unknown
from search_spaces.notation import network_notation
from search_spaces.registry import usual_target
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

_PLACED = tuple(field.name for field in fields(Placement))


def run_search(
    space: str | os.PathLike[str] | Mapping[str, Any] = "mnasnet",
    evaluate: str | OwnFunction = "train",
    *,
    costs: Mapping[Any, float | str] | float | str | None = None,
    reward: str = "soft",
    trials: int = 24,
    out: str | Path,
    address: str | None = None,
    epochs: int | None = None,
    **more: Any,
) -> SearchRun:
    """A new search, as `nas search` does it; returns when it has ended.

    Args:
        space: a name, a file, or the document of a space (`StagedSpace.to_document`).
        evaluate: `train`, `benchmark`, `module:function`, or a function (see `FunctionEvaluator`).
        costs: targets by cost name (`{"macs": "400M", "params": 5e6}`), or one of MACs. A cost may be one's
            own: `module:function`, or a function of a spec that gives a number. Default: 400M MACs, 2.85G in
            `efficientnet-v2` and 0.83G in `mobilenet-v4`; on the benchmark as it counts them.
        reward: `soft`, `hard` or `absolute`.
        trials: how many networks.
        out: the run folder to make.
        address: of a Ray cluster to join (`auto`, host:port); None: the one that this process is in, else
            RAY_ADDRESS, else this machine.
        epochs: of a training or of the function.
        **more: further settings by the names of `search.yaml` (`controller="evolution"`, `seed=1`,
            `data="cifar10"`, `resolution=32`, `exponent=-0.1`), and where it runs (`concurrent`, `cpus`,
            `gpus`, `retries`, `timeout`, `storage`, `download`; see `nas.runs.placement.Placement`). A path
            may be a `pathlib.Path`.

    Raises:
        InputError: a setting, the data, the cluster or the folder.
        KeyboardInterrupt: stopped; `nas.open(out).resume()` goes on.
    """
    more = {name: _as_text(value) for name, value in more.items()}
    placed = {name: more.pop(name) for name in list(more) if name in _PLACED}
    if isinstance(space, os.PathLike):
        space = os.fspath(space)
    placement = Placement(address=address, **placed)
    flat: dict[str, Any] = {"reward": reward, "trials": trials, **more}
    benchmark = evaluate == BenchmarkSettings.kind
    if callable(evaluate):
        flat |= {"evaluator": FunctionSettings.kind, **FunctionSettings.handed(evaluate)}
    else:
        flat["evaluator"] = evaluate
    if isinstance(space, Mapping):
        flat |= {"space": str(space.get("space", "space")), "space_document": dict(space)}
    else:
        name = "accel-nasbench" if benchmark and space == "mnasnet" else space
        flat["space"] = name
        flat.setdefault("exportable_to", default_exports(name))
    if costs is None and benchmark:
        costs = {"benchmark_macs": "400M"}
    elif costs is None and isinstance(space, str) and (usual := usual_target(space)) != 400e6:
        costs = {"macs": usual}
    if isinstance(costs, Mapping):
        functions = {cost: handed_cost(cost) for cost in costs if callable(cost)}
        flat |= {"own_costs": dict(functions.values())} if functions else {}
        flat["targets"] = {functions[c][0] if c in functions else c: target for c, target in costs.items()}
    elif costs is not None:
        flat["targets"] = {"macs": costs}
    if epochs is not None and (callable(evaluate) or ":" in evaluate):
        flat["function_epochs"] = epochs
    elif epochs is not None and not benchmark:
        flat["recipe_changes"] = {**flat.get("recipe_changes", {}), "epochs": epochs}
    elif epochs is not None:
        raise InputError(f"epochs {epochs}: the benchmark trains nothing; leave it out")
    settings = make_settings(**flat)
    return SearchRun(start_search(settings, Path(out), placement, _console()))


def run_start(data: str | Path, out: str | Path, **options: Any) -> SearchRun:
    """`nas start`: from a folder of images to a trained, exported winner; the run of its search.

    Args:
        data: folder of images, or the name of a data set.
        out: folder for all that is made; with a plan in it, goes on with that.
        **options: of the command, by name: `hours=2`, `trials=20`, `exportable_to="any"`.

    Raises:
        InputError: as the command's one line.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    from nas.cli import cli

    command = cli.get_command(None, "start")  # type: ignore[arg-type]
    assert command is not None
    known = {str(parameter.name) for parameter in command.params} - {"data", "folder", "as_json", "only_plan"}
    words = ["start", str(data), "--out", str(out)]
    for name, value in options.items():
        if name not in known:
            raise unknown("option of nas.start", name, known)
        if value is not False and value is not None:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    try:
        cli.main(words, prog_name="nas", standalone_mode=False)
    except ClickException as error:
        raise InputError(error.format_message()) from None
    except (Abort, SystemExit) as ended:  # what was interrupted has said how it goes on
        raise KeyboardInterrupt from ended
    return open_run(Path(out) / "search")


def open_run(folder: str | Path) -> SearchRun:
    """The run in a folder, running or ended; raises `InputError` if there is none."""
    return SearchRun(Run.open(Path(folder)))


class SearchRun:
    """A run folder, read anew at each call: of a search that runs meanwhile, what has ended so far.

    Attributes:
        folder: its path.
        settings: what is searched.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.folder, self.settings = run.folder, run.settings

    @property
    def records(self) -> list[Record]:
        """The ended trials, in the order of their ends."""
        return self._run.records()

    @property
    def best(self) -> Scored | None:
        """The trial of `best.yaml`; None before the first has finished."""
        return self._run.winner(self._results())

    @property
    def spec(self) -> NetworkSpec:
        """The best trial's network; raises `InputError` before there is one."""
        best = self.best
        if best is None:
            raise InputError(f"{self.folder}: no trial has finished yet")
        return self._run.spec(best)

    def trials(self) -> Any:
        """All ended trials as a pandas DataFrame indexed by trial; needs the extra `pandas`.

        Columns: `state`, `reward`, `accuracy`, every cost by its name, `seconds`, `epochs`, `worker`,
        `reason`, `same_as`, and the choice of each decision.
        """
        return data_frame(
            [self._row(record) for record in sorted(self.records, key=lambda r: r.trial)], "trial"
        )

    def front(self) -> Any:
        """The Pareto front of accuracy against the targeted costs as a DataFrame, by falling accuracy."""
        return data_frame([self._row(record) for record in self._results().front], "trial")

    def plot(self) -> Figure:
        """Accuracy against the targeted cost, with the front, the target and known networks (matplotlib)."""
        from nas.report.figures import pareto_figure

        results = self._results()
        if not results.finished:
            raise InputError(f"{self.folder}: no trial has finished yet: there is nothing to plot")
        return shows_as_png(pareto_figure(results))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report, to `report.html` in the folder if nothing else is said."""
        from nas.report.html import write_report

        target = self.folder / "report.html" if path is None else Path(path)
        write_report(self._run, self.records, target)
        return target

    def resume(
        self,
        trials: int | None = None,
        *,
        evaluate: OwnFunction | None = None,
        costs: Sequence[OwnFunction] = (),
        data: str | None = None,
        data_root: str | os.PathLike[str] | None = None,
        **placed: Any,
    ) -> SearchRun:
        """Go on after a stop, or to more trials, as `nas resume` does.

        Args:
            trials: how many in all; None: the run's.
            evaluate: the run's own function, where it was defined in a notebook that is gone.
            costs: the same of its own costs.
            data, data_root: where its data lie now.
            **placed: as `Placement` takes it: `address`, `concurrent`, `cpus` ...

        Raises:
            InputError: as `resume_search`, or another function than the run's.
        """
        if evaluate is not None:
            self._take(evaluate)
        for cost in costs:
            name, given = handed_cost(cost)
            known = self.settings.own_costs
            if name not in known or known[name].function != given.function:
                raise unknown("cost of the run", given.function, [own.function for own in known.values()])
        ended = len(self.records)
        if trials is not None and trials < max(1, ended):
            raise InputError(f"trials {trials}: {ended} have ended already: expected at least as many")
        for name in placed:
            if name not in _PLACED:
                raise unknown("option of resume", name, _PLACED)
        placed = {name: _as_text(value) for name, value in placed.items()}
        root = None if data_root is None else os.fspath(data_root)
        resume_search(self.folder, Placement(**placed), _console(), trials, data, root)
        return open_run(self.folder)

    def _take(self, function: OwnFunction) -> None:
        own = self.settings.evaluator
        if not isinstance(own, FunctionSettings):
            raise InputError(f"evaluate: the run was scored by {own.kind!r}, not by a function")
        given = FunctionSettings.handed(function, own.module_folder)
        if given["function"] != own.function:
            raise InputError(f"evaluate {given['function']!r}: the run was scored by {own.function!r}")

    def _results(self) -> Results:
        return self._run.results(self.records)

    def _row(self, record: Record) -> dict[str, Any]:
        return {
            "trial": record.trial,
            "state": record.state,
            "reward": record.reward,
            "accuracy": record.accuracy,
            **record.costs,
            "seconds": record.seconds,
            "epochs": len(record.measurements),
            "worker": record.worker,
            "reason": record.reason,
            "same_as": record.same_as,
            **record.choices,
        }

    def __repr__(self) -> str:
        best = self.best
        found = "no result yet" if best is None else f"best reward {best.reward:.4f}, trial {best.trial}"
        network = "" if best is None else f", {network_notation(self._run.spec(best))}"
        return f"<run {self.folder}: {len(self.records)} of {self.settings.trials} trials, {found}{network}>"


def _as_text(value: Any) -> Any:
    """A path as settings take it, which are texts; anything else as it is."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def shows_as_png(figure: Figure) -> Figure:
    """The figure, which a notebook shows, whether pyplot is set up there or not."""
    setattr(figure, "_repr_png_", partial(_png, figure))  # noqa: B010
    return figure


def data_frame(rows: list[dict[str, Any]], index: str) -> Any:
    """Rows as a pandas DataFrame by one of their columns; raises `InputError` where pandas is missing."""
    try:
        import pandas
    except ImportError:
        raise InputError(
            "pandas is not installed, of which a run's tables are made: pip install 'baseline-nas[pandas]'; "
            "`records` has the same without it"
        ) from None
    return pandas.DataFrame(rows, columns=None if rows else [index]).set_index(index)


def _png(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _console() -> Console:
    """Where progress goes: in a notebook to the cell's output, where stderr would stand on red."""
    import builtins

    return notebook() if hasattr(builtins, "__IPYTHON__") else progress()

"""Options of `nas search` and `nas resume` that would do nothing with the others: each is refused by name."""

from __future__ import annotations

from pathlib import Path

import click

from nas.benchmark.load import is_run_benchmark
from nas.commands.given import given, not_with, only_for_fetched, only_for_files, only_with, typed
from nas.commands.options import PLACE
from nas.data.place import absolute_data
from nas.runs.folder import Run
from nas.runs.function_settings import FunctionSettings
from nas.runs.settings import SearchSettings
from nas.runs.supernet_settings import SupernetSettings
from nas.runs.train_settings import TrainSettings
from search_spaces.errors import InputError


def check_evaluator(kind: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for an option of `nas search` that another evaluator has."""
    own = ":" in kind or kind == FunctionSettings.kind
    only_with(
        kind == "train",
        "--evaluator train",
        *("recipe", "changes", "proxy_file", "resolution", "width", "stem_stride", "subset", "cache"),
        *("held_out", "folds", "workers"),
        ctx=ctx,
    )
    supernet = kind == SupernetSettings.kind
    only_with(
        kind == "train" or supernet, "--evaluator train or supernet", "data", "data_root", "download", ctx=ctx
    )
    only_with(
        kind == "train" or own,
        "--evaluator train or MODULE:FUNCTION",
        *("epochs", "scheduler", "concurrent", "cpus_per_trial", "gpus_per_trial", "address"),
        *("retries", "trial_timeout", "autoscaling", "dashboard"),
        ctx=ctx,
    )
    only_with(kind != "benchmark", "another --evaluator", "full_resolution", ctx=ctx)
    only_with(supernet, "--evaluator supernet", "supernet", ctx=ctx)
    names = ("benchmark_data", "surrogate", "noise")
    only_with(kind == "benchmark", "--evaluator benchmark", *names, ctx=ctx)


def check_options(settings: SearchSettings, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for an option of `nas search` that would do nothing with these settings."""
    check_evaluator(settings.evaluator.kind, ctx)
    of_runs = is_run_benchmark(getattr(settings.evaluator, "records", None))
    only_with(not of_runs, "a benchmark of ImageNet's records", "surrogate", ctx=ctx)
    only_with(settings.until == "converged", "--until converged", "price", ctx=ctx)
    if given("cost", ctx=ctx):
        params = (ctx or click.get_current_context()).params
        plain = any("=" not in text for text in params["target"])
        named = {text.partition("=")[0] for text in params["target"]}
        only_with(plain or params["cost"] not in named, "a --target without a name", "cost", ctx=ctx)
    not_with(
        bool(given("address", ctx=ctx)), "--address, whose cluster is there already", "dashboard", ctx=ctx
    )
    if settings.coarse is not None:
        settings.coarse.decided(settings.trials)
    if isinstance(settings.evaluator, TrainSettings):
        only_for_fetched(settings.evaluator.data, "data_root", "download", ctx=ctx)
        only_for_files(settings.evaluator.data, "cache", "workers", ctx=ctx)
        kept = settings.evaluator.cache == "on"
        not_with(kept, "--cache on, by which no trial decodes anything", "workers", ctx=ctx)


_TRAINS = ("data", "data_root", "download", *PLACE)
"""Options of `nas resume` that act where networks are trained, on Ray."""


def check_resumed(folder: Path, trials: int | None, data: str | None) -> None:
    """Raise `InputError` for an option that does nothing for this run."""
    run, written = Run.open(folder), typed()
    settings = run.settings
    odd = [written[name] for name in _TRAINS if name in written]
    if isinstance(settings.evaluator, FunctionSettings):
        odd = [written[name] for name in (*_TRAINS[:3], "workers") if name in written]
        if odd:
            raise InputError(
                f"resume {folder}: {settings.evaluator.function} has its data itself; "
                f"leave {', '.join(odd)} out"
            )
    elif isinstance(settings.evaluator, SupernetSettings):
        if odd := [written[name] for name in _TRAINS[3:] if name in written]:
            raise InputError(
                f"resume {folder}: its supernet is asked in this process, nothing is trained; leave "
                f"{', '.join(odd)} out"
            )
    elif not isinstance(settings.evaluator, TrainSettings) and odd:
        raise InputError(
            f"resume {folder}: its benchmark answers in this process, nothing is trained; leave "
            f"{', '.join(odd)} out"
        )
    if isinstance(settings.evaluator, TrainSettings):
        read = absolute_data(data or settings.evaluator.data)
        only_for_fetched(read, "data_root", "download")
        only_for_files(read, "workers")
        kept = settings.evaluator.cache == "on"
        not_with(kept, "images that the run keeps decoded (cache on)", "workers")
    if trials is None:
        return
    ended = len(run.records(lambda text: None))  # `resume_search` says what is wrong with them
    if trials < ended:
        raise InputError(f"trials {trials}: {ended} have ended already: expected at least as many")

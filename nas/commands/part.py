"""A search that is a part of a command's work, in a folder of its own: made, gone on with, or done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from nas.commands.same_run import leaves, left_to_us
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from nas.session import resume_search, start_search
from search_spaces.errors import InputError, shown


def run_part(folder: Path, settings: SearchSettings, placement: Placement, console: Console) -> Run:
    """A run to its end: new, taken up again, or done already.

    Raises:
        InputError: the folder holds a run with other settings.
    """
    if not Run.is_run(folder):
        return start_search(settings, folder, placement, console)
    run = Run.open(folder)
    kept = run.settings
    begun = replace(settings, evaluator=settings.evaluator.kept(kept.evaluator.digest))
    here, there = (dict(leaves(_without_init(each).to_document())) for each in (begun, kept))
    decided = left_to_us(settings)
    for place in here | there:
        if place[-1] not in decided and here.get(place) != there.get(place):
            name, value, has = place[-1].replace("_", "-"), shown(here.get(place)), shown(there.get(place))
            raise InputError(f"{name} {value}: the run in {folder} has {has}; choose another --out")
    _check_init(folder, settings, kept)
    if len(run.records()) == kept.trials:
        return run
    return resume_search(folder, placement, console)


def _without_init(settings: SearchSettings) -> SearchSettings:
    """The settings but for how weights begin, which `_check_init` compares wherever it was said."""
    evaluator = settings.evaluator
    if not isinstance(evaluator, TrainSettings):
        return settings
    changes = {name: value for name, value in evaluator.recipe_changes.items() if name != "init"}
    return replace(settings, evaluator=replace(evaluator, recipe_changes=changes, recipe_init=None))


def _check_init(folder: Path, settings: SearchSettings, kept: SearchSettings) -> None:
    """Raise `InputError` where further parts would begin from other first weights than this one did."""
    if isinstance(settings.evaluator, TrainSettings) and isinstance(kept.evaluator, TrainSettings):
        mine, other = (each.make_recipe().init for each in (settings.evaluator, kept.evaluator))
        if mine != other:
            raise InputError(
                f"init {mine!r}: the run in {folder} began with {other!r}; --set init={other} goes on with "
                "it, or choose another --out"
            )

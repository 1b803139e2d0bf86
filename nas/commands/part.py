"""A search that is a part of a command's work, in a folder of its own: made, gone on with, or done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from nas.commands.same_run import leaves
from nas.runs.folder import Run
from nas.runs.placement import Placement
from nas.runs.settings import SearchSettings
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
    here, there = (dict(leaves(each.to_document())) for each in (begun, kept))
    for place in here | there:
        if here.get(place) != there.get(place):
            name, value, has = place[-1].replace("_", "-"), shown(here.get(place)), shown(there.get(place))
            raise InputError(f"{name} {value}: the run in {folder} has {has}; choose another --out")
    if len(run.records()) == kept.trials:
        return run
    return resume_search(folder, placement, console)

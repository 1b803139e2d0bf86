"""`nas finalists`: the best networks of a search, retrained until it is known which is the best."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nas.commands.columns import take_columns
from nas.commands.common import out, print_json, progress, recipe_changes
from nas.commands.full_settings import full_settings
from nas.commands.given import only_for_fetched, only_for_files, only_with
from nas.commands.options import DATA, PLACE, TRAINING, GroupedCommand, options, take_placement
from nas.commands.outputs import OutPath, owner
from nas.commands.part import run_part
from nas.report.race_table import race_lines, race_table
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from nas.search.racing import Race
from nas.search.trial import Record
from nas.studies.finalists import FinalistsRace
from search_spaces.document import check_fields, check_schema, make_folder, read_document, write_document
from search_spaces.errors import InputError, shown
from search_spaces.targets import check_folder

_TRAINS = (*DATA, *TRAINING)
_RACE = "race.yaml"


@click.command(
    cls=GroupedCommand,
    epilog="Example: nas finalists runs/first --probability 0.95 --recipe sgd --epochs 60 --out runs/final",
)
@click.argument("run", metavar="RUN")
@click.option("--top", type=int, default=10, help="Finalists: the best so many. Default: 10.")
@click.option("--probability", type=float, default=0.95, help="Of being the best, to reach. Default: 0.95.")
@click.option(
    "--noise",
    type=float,
    metavar="POINTS",
    help="Standard deviation between two trainings of one network. Default: estimated, by more trainings.",
)
@click.option(
    "--margin",
    type=float,
    default=0.0,
    metavar="POINTS",
    help="Points of accuracy that don't matter: the winner may be so far from the best. Default: 0.",
)
@click.option("--most", type=int, default=5, help="Trainings of one finalist, at most. Default: 5.")
@click.option(
    "--out", "target", type=OutPath(), required=True, help="Folder; if it is there already, go on with it."
)
@options("seed", "as_json")
@options(*DATA, data={"help": "As for `nas search`. Default: the run's."})
@options(
    *TRAINING,
    recipe={"default": "adamw"},
    width={"default": 1.0, "help": "Multiplier of all widths. Default: 1."},
    stem_stride={"help": "Default: 1 for small images, else the network's."},
    subset={"default": 1.0, "help": "Part of the images to train on. Default: 1."},
)
@options(*PLACE)
def finalists(
    run: str,
    top: int,
    probability: float,
    noise: float | None,
    margin: float,
    most: int,
    target: str,
    seed: int,
    as_json: bool,
    **more: Any,
) -> None:
    """Retrain the best networks of a search, only those still in doubt, until one is surely the best.

    Each round trains the contested finalists with one seed, the same for all, fully as `nas train --top` does
    (where the search trained), or by the search's own evaluator. Prints how probably each is the best.
    """
    check_folder(target)
    if owner(Path(target)) is not None:
        raise InputError(f"out {target!r}: is the folder of a {owner(Path(target))}; choose another")
    for name, points in (("noise", noise), ("margin", margin)):
        if points is not None and not 0 <= points <= 100:
            raise InputError(f"{name} {points:g}: expected points of accuracy, 0 to 100")
    if noise == 0:
        raise InputError("noise 0: without noise one training of each decides: leave it out or give another")
    searched = Run.open(Path(run))
    trains = isinstance(searched.settings.evaluator, TrainSettings)
    only_with(trains, "a search that trains", *_TRAINS, "workers")
    settings = _training(searched, seed, more) if trains else replace(searched.settings, seed=seed)
    study = FinalistsRace(searched, searched.records(), top, settings)
    known = None if noise is None else study.points(noise)
    race = Race(list(study.finalists), probability, known, None, most, study.points(margin))
    placement, folder, console = take_placement(more, stay=True), Path(target), progress()
    make_folder(target)
    numbers = {"top": top, "probability": probability, "noise": noise, "margin": margin, "most": most}
    digests = [record.digest for record in study.finalists.values()]
    _same_race(folder, {**numbers, "seed": seed, "finalists": digests})

    def retrain(name: str, part: SearchSettings) -> list[Record]:
        return run_part(folder / name, part, placement, console).records()

    result = study.run_race(race, retrain, lambda text: console.print(text, style="bold", highlight=False))
    if as_json:
        trials = {name: record.trial for name, record in study.finalists.items()}
        print_json({"run": run, "out": target, "trials": trials, **result.to_dict()})
        return
    out().print(race_table(result))
    for line in race_lines(result, probability, study.points(1.0)):
        out().print(line, highlight=False, soft_wrap=True)


def _same_race(folder: Path, said: dict[str, Any]) -> None:
    """Keep what decides who is trained again; raise `InputError` where the folder's race is another."""
    path = folder / _RACE
    if not path.exists():
        write_document(path, {"schema": 1, **said})
        return
    document = read_document(path)
    check_schema(document, str(path), 1)
    kept = check_fields(document, str(path), ("schema", *said))
    for name, value in said.items():
        if kept[name] == value:
            continue
        if name == "finalists":
            raise InputError(
                f"out {str(folder)!r}: the finalists are others than those of the race there: the search has "
                "gone on, or is another; choose another --out"
            )
        was = "none" if kept[name] is None else shown(kept[name])
        raise InputError(
            f"{name} {'none' if value is None else shown(value)}: the race in {folder} has {was}; choose "
            "another --out for a new one"
        )


def _training(run: Run, seed: int, more: dict[str, Any]) -> SearchSettings:
    """How the finalists are trained; takes those options out of `more`."""
    data = take_columns(more, more.pop("data"))
    given = {name: more.pop(name) for name in ("data_root", "resolution", "stem_stride", "subset", "width")}
    values = recipe_changes(more.pop("changes"), more.pop("epochs"))
    settings = full_settings(run, data, recipe=more.pop("recipe"), recipe_changes=values, seed=seed, **given)
    only_for_fetched(settings.training.data, "data_root", "download")
    only_for_files(settings.training.data, "workers")
    return settings

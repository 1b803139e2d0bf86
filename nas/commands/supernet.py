"""`nas supernet`: train one network that has all networks of a space in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.commands.columns import take_columns
from nas.commands.common import out, print_json, progress, recipe_changes
from nas.commands.given import not_with, only_for_fetched, only_with
from nas.commands.going_on import goes_on
from nas.commands.options import DATA, TRAINING, WHAT, GroupedCommand, option, options
from nas.data.sources import source_of
from nas.export.exportable import default_exports
from nas.network.cost import cost
from nas.network.cost_words import si
from nas.runs.space_settings import SpaceSettings
from nas.runs.supernet_data import kept_settings, load_trained, settings_of
from nas.runs.train_settings import TrainSettings
from search_spaces.document import make_folder, write_atomically
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import network_words
from search_spaces.quoting import file_stem, printable, shell_command
from search_spaces.registry import SPACES

if TYPE_CHECKING:
    from nas.data.load import DataSet
    from nas.search.ranking import RankingSheet
    from nas.studies.supernet_ranking import TrainedAlone
    from nas.supernet.training import SupernetTraining

EPOCHS = 30
"""Where none are asked for: the weights are of many networks, and of each step's few are trained."""
_HOW = "How it is trained"


@click.command(
    "supernet",
    cls=GroupedCommand,
    epilog="Example: nas supernet --space efficientnet --data digits --epochs 30 --out super.pt",
)
@option("--space", group=WHAT, help=f"{', '.join(SPACES)} or FILE.yaml. Default: mnasnet.")
@options("exportable_to")
@click.option("--resume", metavar="OUT", help="Go on with an interrupted training, exactly as it would have.")
@click.option(
    "--out", "target", help="OUT.pt (and a folder OUT), or a folder. Default: supernet-SPACE-DATA.pt."
)
@options("seed", "as_json")
@options(*DATA, "cache", "held_out")
@options(*TRAINING, epochs={"help": f"Epochs of the training. Default: {EPOCHS}."})
@option(
    "--paths", group=_HOW, type=int, default=4, help="Networks of each step, two of them ends. Default: 4."
)
@option(
    "--distil/--no-distil",
    group=_HOW,
    default=True,
    help="The others learn from the largest; else from the labels. Default: --distil.",
)
@option(
    "--target",
    "around",
    metavar="MACS",
    group=_HOW,
    help="Every other random network costs about as much (20M, a network's name; of full networks): train "
    "most what is searched for.",
)
@option(
    "--processes",
    group="Where it runs",
    type=int,
    help="Train it on so many GPUs or processes together, by Ray; what a trial has each of them has.",
)
@options("cpus_per_trial", "gpus_per_trial", "address")
@click.option(
    "--judge",
    metavar="RUN",
    help="Say how it ranks networks of its space that a run has trained, or curves; with --resume, too.",
)
@option("--progressive", group=_HOW, is_flag=True, help="Kernels, then depths, then the rest become elastic.")
@option("--transforms", group=_HOW, is_flag=True, help="Small kernels are learned transforms of large ones.")
def supernet_command(
    space: str | None,
    exportable_to: str | None,
    resume: str | None,
    target: str | None,
    seed: int,
    as_json: bool,
    data: str | None,
    data_root: str | None,
    download: bool,
    changes: tuple[str, ...],
    epochs: int | None,
    paths: int,
    distil: bool,
    progressive: bool,
    transforms: bool,
    around: str | None,
    judge: str | None,
    processes: int | None,
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    address: str | None,
    **more: Any,
) -> None:
    """Train one network that has all networks of a space in it, with shared weights.

    `nas search --evaluator supernet` scores networks with its weights: one training in place of one for each.
    Interrupted, it goes on with --resume and ends as if it had not been.
    """
    only_with(processes is not None, "--processes", "cpus_per_trial", "gpus_per_trial", "address")
    together: dict[str, Any] | None = None
    if processes is not None:
        each = {"cpus": cpus_per_trial or 1, "gpus": gpus_per_trial or 0}
        together = {"processes": processes, "address": address, **each}
    how: dict[str, Any] = {
        "paths": paths,
        "distil": distil,
        "progressive": progressive,
        "transforms": transforms,
    }
    not_with(
        resume is not None,
        "--resume, which goes on as it began",
        *("space", "exportable_to", "target", "around", "seed", "cache", "held_out", *TRAINING, *how),
        *("image_column", "label_column"),
    )
    if resume is not None:
        begun = _resumed(resume, data, data_root, download)
        _report(begun, resume, judge, as_json, together, (data, data_root))
        return
    data = take_columns(more, data or "digits") or "digits"
    only_for_fetched(data, "data_root", "download")
    if more["cache"] is not None and not source_of(data).located:
        raise InputError("--cache: only with --data KIND:PATH (the others are in memory as they are)")
    if not 0 <= seed < 1 << 63:
        raise InputError(f"seed {seed}: expected an integer from 0 to 2^63 - 1")
    changed = {"epochs": EPOCHS} | recipe_changes(changes, epochs)
    recipe = more.pop("recipe") or "adamw"
    settings = TrainSettings(
        data=data, data_root=data_root, recipe=recipe, recipe_changes=changed, folds=1, **more
    )
    if around is not None:
        from nas.search.reward import parse_target

        how["target"] = parse_target(around)
    name = space or "mnasnet"
    searched = SpaceSettings(name, exportable_to=exportable_to or default_exports(name))
    default = f"supernet-{file_stem(Path(name).stem)}-{data.partition(':')[0]}.pt"
    begun = _begun(settings, searched, target or default, download, seed, how, judge)
    _report(begun, target or default, judge, as_json, together)


def _begun(
    settings: TrainSettings,
    searched: SpaceSettings,
    target: str,
    download: bool,
    seed: int,
    how: dict[str, Any],
    judge: str | None,
) -> SupernetTraining:
    """A new training, checked."""
    from nas.supernet.plan import SupernetPlan
    from nas.supernet.sampling import check_paths, check_target
    from nas.supernet.trainer import check_recipe
    from nas.supernet.training import SupernetTraining
    from nas.training.full import Outputs

    space = searched.make()
    assert isinstance(space, StagedSpace), "a name or a file is of stages"
    check_recipe(settings.make_recipe())
    check_paths(how["paths"])
    if "target" in how:
        check_target(space, how["target"])
    if judge is not None:
        from nas.studies.supernet_ranking import trained_alone

        trained_alone(judge, space)
    outputs = Outputs.at(Path(target))
    outputs.check_new(Path(target))
    trained, kept = load_trained(settings, download, _remark)
    images = trained.data
    plan = SupernetPlan(
        space.to_document(),
        trained.recipe,
        trained.proxy,
        images.num_classes,
        images.in_channels,
        kept_settings(kept),
        images.digest,
        seed,
        **how,
    )
    return SupernetTraining(plan, outputs.last, images)


def _resumed(target: str, data: str | None, data_root: str | None, download: bool) -> SupernetTraining:
    """An interrupted training, ready to go on."""
    from nas.supernet.plan import read_supernet
    from nas.supernet.training import SupernetTraining
    from nas.training.full import Outputs

    path = Outputs.at(Path(target)).last
    stored = read_supernet(path)
    settings = settings_of(stored.plan, data, data_root)
    only_for_fetched(settings.data, "data_root", "download")
    trained, _ = load_trained(settings, download, _remark)
    return SupernetTraining.resume(stored, path, trained.data)


def _remark(text: str) -> None:
    from nas.report.remarks import print_once

    print_once(text, progress())


def _report(
    training: SupernetTraining,
    target: str,
    judge: str | None,
    as_json: bool,
    together: dict[str, Any] | None = None,
    moved: tuple[str | None, str | None] = (None, None),
) -> None:
    """Train to the end, saying so, print what came of it and what it is worth, and write its card."""
    from nas.report.ranking_table import print_ranking
    from nas.report.remarks import suspicious
    from nas.report.supernet_card import supernet_card
    from nas.report.tensorboard import TrainingCurves
    from nas.training.full import CARD, Outputs

    plan, trainer, console, began = training.plan, training.trainer, progress(), time.time()
    before = len(training.rows)
    if together is not None:  # before anything is written
        from nas.cluster.processes import check_together

        needs = {name: together[name] for name in ("processes", "cpus", "gpus", "address")}
        check_together(batch=plan.recipe.batch, **needs)
    outputs, epochs = Outputs.at(Path(target)), plan.recipe.epochs
    supernet, data = trainer.supernet, training.data
    alone = None
    if judge is not None:
        from nas.studies.supernet_ranking import trained_alone

        alone = trained_alone(judge, supernet.space)

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    parameters = sum(parameter.numel() for parameter in supernet.parameters())
    ends = {
        name: supernet.path(architecture).spec
        for name, architecture in (
            ("largest", trainer.sampler.largest),
            ("smallest", trainer.sampler.smallest),
        )
    }
    near = (
        "" if plan.target is None else f", half of the random ones full networks of about {si(plan.target)}"
    )
    sizes = " to ".join(si(cost(ends[name]).macs) for name in ("smallest", "largest"))
    say(
        f"supernet of {supernet.space.name}, {si(parameters)} parameters, on {printable(data.name)}: "
        f"{len(data.train):,} images of {plan.proxy.resolution} px, width x {plan.proxy.width:g}, networks "
        f"of {sizes} MACs, {plan.paths} in each step{near}, on {trainer.device}; the largest and the "
        f"smallest are scored on {len(data.held_out):,} held-out images each epoch"
    )
    if training.rows:
        say(f"{len(training.rows)} of {epochs} epochs are done already")
    make_folder(str(outputs.folder))
    outputs.sweep()
    curves = TrainingCurves(outputs.folder, training.rows, training.times)
    again = shell_command("nas", "supernet", "--resume", target)

    def tick(row: dict[str, float]) -> None:
        curves.add(row)
        left = (epochs - row["epoch"]) * row["seconds"] / 60
        say(
            f"epoch {row['epoch']:.0f}/{epochs}: training loss {row['loss']:.4f}, held-out accuracy of the "
            f"largest {row['accuracy']:.4f}, of the smallest {row['smallest_accuracy']:.4f}, "
            f"{left:.0f} min left"
        )
        if word := suspicious(row["epoch"], row["accuracy"]):
            say(word, "yellow")

    with goes_on(outputs, curves, "the last file", again, say):
        if together is None:
            training.run(tick)
        elif not training.done:
            from nas.cluster.supernet_processes import train_supernet_together
            from nas.supernet.plan import read_supernet

            if not training.rows:
                training.save()
            train_supernet_together(outputs.last, *moved, **together, tick=tick)
            stored = read_supernet(outputs.last)
            training.rows, training.times = stored.rows, stored.times
    last, seconds = training.rows[-1], time.time() - began
    scores = {"largest": last["accuracy"], "smallest": last["smallest_accuracy"]}
    sheet = None if alone is None else _judged(outputs.last, data, alone)
    written = {name: (spec, scores[name]) for name, spec in ends.items()}
    card = outputs.folder / CARD
    if sheet is not None or len(training.rows) > before or not card.exists():  # else one judged before stays
        write_atomically(card, supernet_card(training, written, sheet, "" if alone is None else alone.about))
    if as_json:
        print_json(
            {
                "supernet": str(outputs.last),
                "space": supernet.space.name,
                "parameters": parameters,
                "images": {"train": len(data.train), "held_out": len(data.held_out)},
                "data_digest": data.digest,
                **{
                    name: {
                        "held_out_accuracy": scores[name],
                        "macs": cost(spec).macs,
                        "spec": spec.to_document(),
                    }
                    for name, spec in ends.items()
                },
                "epochs": training.rows,
                "seconds": seconds,
                "ranking": None if sheet is None else {"judged_on": judge, **sheet.to_dict()},
            }
        )
        return
    lines = [
        *(
            f"{name}: held-out accuracy {scores[name]:.4f}, {si(cost(spec).macs)} MACs, {network_words(spec)}"
            for name, spec in ends.items()
        ),
        f"after {seconds / 60:.1f} minutes",
        f"supernet: {outputs.last}",
        f"its card: {card}",
        f"search:   {shell_command('nas', 'search', '--evaluator', 'supernet', '--supernet', outputs.last)}",
    ]
    out().print("\n".join(lines), highlight=False, soft_wrap=True)
    if sheet is not None and alone is not None:
        out().print(alone.about, highlight=False, soft_wrap=True, markup=False)
        print_ranking(sheet, out())


def _judged(file: Path, data: DataSet, alone: TrainedAlone) -> RankingSheet:
    """The sheet of its scores, with a bar: each takes a pass over the held-out images."""
    from rich.progress import Progress

    from nas.search.supernet_evaluator import SupernetEvaluator
    from nas.studies.supernet_ranking import judge_supernet
    from nas.supernet.plan import read_supernet

    with Progress(console=progress(), transient=True) as bar:
        task = bar.add_task("networks", total=len(alone.specs))
        return judge_supernet(SupernetEvaluator(read_supernet(file), data), alone, lambda: bar.advance(task))

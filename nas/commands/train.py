"""`nas train`: train one network fully, to a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nas.commands.columns import take_columns
from nas.commands.common import out, print_json, progress, recipe_changes
from nas.commands.full_settings import full_settings
from nas.commands.given import only_for_fetched, only_for_files, typed
from nas.commands.going_on import goes_on
from nas.commands.networks import resolve_network
from nas.commands.options import (
    DATA,
    PLACE,
    TRAINING,
    GroupedCommand,
    option,
    options,
    take_placement,
)
from nas.commands.scaling import report_stage_two
from nas.commands.train_options import check_given
from nas.commands.train_start import check_start, cut_start, forget_start
from nas.data.place import absolute_data
from nas.data.sources import proxy_defaults
from nas.errors import TrialFailedError
from nas.network.cost import cost
from nas.runs.folder import Run
from nas.runs.placement import Placement, check_decoders
from nas.runs.settings import SearchSettings
from nas.session import start_search
from nas.studies.stage_two import stage_two_settings
from nas.training.presets import check_untaught, make_recipe
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from search_spaces.document import make_folder
from search_spaces.errors import InputError
from search_spaces.quoting import file_stem, printable, shell_command
from search_spaces.spec import NetworkSpec

if TYPE_CHECKING:
    from nas.data.load import DataSet
    from nas.training.full import FullTraining


class Together(NamedTuple):
    """How a training is spread over processes; see `nas.cluster.processes.train_together`."""

    processes: int
    cpus: float
    gpus: float
    address: str | None
    workers: int


_RAY = "Where it runs"
_FEW = 100
"""Images below which the size of one is worth a word."""


@click.command(
    cls=GroupedCommand,
    epilog="Example: nas train runs/first/best.yaml --data digits --epochs 30 --out winner.pt",
)
@click.argument("spec", required=False, metavar="[SPEC|RUN]")
@click.option("--from", "start", metavar="CKPT", help="Start from its weights, with a new classifier.")
@click.option(
    "--from-supernet",
    "supernet",
    metavar="FILE",
    help="Start from SPEC's weights in a supernet, in that one's width.",
)
@click.option("--freeze", "frozen", type=int, default=0, help="Parts that keep them: 1 the stem, 2 ...")
@click.option(
    "--teacher", metavar="CKPT", help="Learn from its outputs too: a larger network of the same classes."
)
@click.option("--top", type=int, help="SPEC is a run: train its best so many side by side on Ray.")
@click.option("--resume", metavar="OUT", help="Go on with an interrupted training, exactly as it would have.")
@click.option("--out", "target", help="OUT.pt (and a folder OUT), or a folder. Default: NAME-DATA.pt.")
@options("seed", "as_json")
@options(*DATA, data={"help": "As for `nas search`. Default: digits; with --top the run's."})
@options(
    *TRAINING,
    recipe={"default": "adamw"},
    width={"default": 1.0, "help": "Multiplier of all widths. Default: 1."},
    stem_stride={"help": "Default: 1 for small images, else the network's."},
    subset={"default": 1.0, "help": "Part of the images to train on. Default: 1."},
)
@option(
    "--processes",
    group=_RAY,
    type=int,
    help="Train it on so many GPUs or processes together (DDP), by Ray.",
)
@options(
    *PLACE,
    "storage",
    workers={"help": "Decoding processes, for files. Default: 2; with --top as for `nas search`."},
)
def train(
    spec: str | None,
    data: str | None,
    data_root: str | None,
    download: bool,
    subset: float,
    recipe: str,
    changes: tuple[str, ...],
    epochs: int | None,
    resolution: int | None,
    width: float,
    stem_stride: int | None,
    seed: int,
    start: str | None,
    supernet: str | None,
    frozen: int,
    teacher: str | None,
    workers: int | None,
    top: int | None,
    processes: int | None,
    resume: str | None,
    target: str | None,
    as_json: bool,
    **more: Any,
) -> None:
    """Train a network fully: checkpoints, curves, test scores, a model card.

    It is scored on held-out images after each epoch and on the test split at the end. Interrupted, it goes
    on with --resume and ends as if it had not been.
    """
    if workers is not None:
        check_decoders(workers)
    decoders = 2 if workers is None else workers
    check_given(spec, top, resume, start, processes, supernet)
    data = take_columns(more, data)
    together = None
    if processes is not None:
        cpus, gpus = more["cpus_per_trial"] or 1, more["gpus_per_trial"] or 0
        together = Together(processes, cpus, gpus, more["address"], decoders)
    if resume is not None:
        from nas.training.full import FullTraining

        place = Path(resume)
        training = FullTraining.resume(
            place, decoders, data=data, data_root=data_root, download=download, epochs=epochs
        )
        only_for_fetched(training.plan.data, "data_root", "download")
        if not training.rows:
            progress().print(f"{resume}: stopped in its first epoch: it begins anew", highlight=False)
        _run(training, place, together, as_json)
        return
    values = recipe_changes(changes, epochs)
    if teacher is None:
        check_untaught(values)
    made = make_recipe(recipe, values)
    if top is not None:
        if spec is None:
            raise InputError(f"top {top}: give the run folder of a search")
        run = Run.open(Path(spec))
        settings = full_settings(
            run,
            data,
            data_root,
            resolution,
            stem_stride,
            recipe=recipe,
            recipe_changes=values,
            subset=subset,
            width=width,
            seed=seed,
        )
        placement = take_placement({**more, "download": download, "workers": workers})
        _train_top(run, top, settings, placement, target, as_json)
        return
    data = absolute_data(data or "digits")
    only_for_fetched(data, "data_root", "download")
    if supernet is not None and spec is None:
        check_start(None)
    if start is None and spec is None:
        raise InputError("spec: give a network, or --from with a checkpoint")
    if not 0 <= seed < 1 << 63:
        raise InputError(f"seed {seed}: expected an integer from 0 to 2^63 - 1")
    network = None if spec is None else resolve_network(spec)
    source = None
    if start is not None:
        from nas.training.checkpoint import checkpoint_file, load_checkpoint

        start = str(checkpoint_file(Path(start)))
        source = load_checkpoint(Path(start))[0]
    named = network or source
    assert named is not None
    path = Path(target or f"{file_stem(named.name)}-{data.partition(':')[0]}.pt")

    from nas.training.full import FullTraining, Outputs
    from nas.training.training_plan import TrainingPlan

    outputs = Outputs.at(path)
    outputs.check_new(path)
    # the heavy work waits until the cheap checks have passed
    from nas.data.load import load_data

    dataset = load_data(data, data_root, download)
    if supernet is None:
        concrete = _concrete(network, source, data, dataset, made, resolution, width, stem_stride)
        plan = TrainingPlan(concrete, made, data, data_root, subset, seed, start, frozen, teacher=teacher)
    else:
        cut = cut_start(supernet, check_start(network), dataset, made, resolution, outputs.folder, _say)
        first = str(cut.checkpoint)
        plan = TrainingPlan(
            cut.spec, made, data, data_root, subset, seed, first, frozen, cut.classifier, teacher
        )
    training = FullTraining(plan, outputs, workers=decoders)
    try:
        training.prepare(dataset)
    except InputError:
        if supernet is not None:
            forget_start(outputs.folder)
        raise
    _run(training, path, together, as_json)


def _say(text: str) -> None:
    progress().print(text, style="yellow", highlight=False, soft_wrap=True)


def _train_top(
    run: Run, top: int, settings: SearchSettings, placement: Placement, target: str | None, as_json: bool
) -> None:
    """Stage two of a search."""
    folder = run.folder
    only_for_fetched(settings.training.data, "data_root", "download")
    only_for_files(settings.training.data, "workers")
    settings = stage_two_settings(run, run.records(), top, settings)
    place = Path(target or f"{str(folder).rstrip('/')}-top{top}")
    finished = start_search(settings, place, placement, progress())
    document = report_stage_two(finished, quiet=as_json)
    if as_json:
        print_json(document)


def _concrete(
    network: NetworkSpec | None,
    source: NetworkSpec | None,
    data: str,
    dataset: DataSet,
    recipe: Recipe,
    resolution: int | None,
    width: float,
    stem_stride: int | None,
) -> NetworkSpec:
    """The network as it is trained: on this data, at this size; a checkpoint's own where none is given."""
    if network is None:
        assert source is not None
        task = ProxyTask(resolution or source.resolution, 1.0, source.stem.stride)
        return recipe.adapt(task.apply(source, dataset.num_classes, dataset.in_channels))
    small = proxy_defaults(data) if data.partition(":")[1] == "" else None
    task = ProxyTask(
        resolution or (small.resolution if small else network.resolution),
        width,
        stem_stride or (small.stem_stride if small else network.stem.stride),
    )
    return recipe.adapt(task.apply(network, dataset.num_classes, dataset.in_channels))


def _run(training: FullTraining, target: Path, together: Together | None, as_json: bool) -> None:
    from nas.data.load import ArraySplit
    from nas.report.remarks import print_once, suspicious
    from nas.report.tensorboard import TrainingCurves
    from nas.report.training import result_document, result_lines, write_plan, write_result

    plan, data, console = training.plan, training.data, progress()
    if together is not None:  # before anything is written
        from nas.cluster.processes import check_together

        check_together(together.processes, plan.recipe.batch, together.cpus, together.gpus, together.address)
    spec, epochs, began = plan.spec, plan.recipe.epochs, time.time()
    unreadable = training.check_files()  # raises before anything is said
    scored = "by the weights' moving average" if plan.recipe.ema else "as trained"

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    say(
        f"training {spec.name} ({spec.digest}) on {printable(plan.data)}: {len(data.train):,} images of "
        f"{spec.resolution} px, stem stride {spec.stem.stride}, {spec.num_classes} classes, "
        f"{cost(spec).macs / 1e6:.1f}M MACs, on {training.trainer.device}; scored {scored}, on "
        f"{len(data.held_out):,} held-out images each epoch and {len(data.test):,} test images at the end"
    )
    for remark in data.remarks:
        print_once(printable(f"{plan.data}: {remark}"), console)
    for name, split in (("held-out", data.held_out), ("test", data.test)):
        if 0 < len(split) < _FEW:
            say(f"{name}: {len(split)} images, one is {100 / len(split):.1f} points of accuracy", "yellow")
    if "workers" in typed() and isinstance(data.train, ArraySplit):
        say(f"workers {training.workers}: {printable(plan.data)} is in memory, nothing is decoded", "yellow")
    for word in unreadable:
        say(word, "yellow")
    if training.rows:
        say(f"{len(training.rows)} of {epochs} epochs are done already")
    make_folder(str(training.outputs.folder))
    write_plan(training)
    curves = TrainingCurves(training.outputs.folder, training.rows, training.times)
    again = shell_command("nas", "train", "--resume", target)

    def tick(row: dict[str, float]) -> None:
        curves.add(row)
        left = f"{(epochs - row['epoch']) * row['seconds'] / 60:.0f} min left"
        lost = len(data.held_out) - row["held_out_images"]
        read = f" of {row['held_out_images']:,.0f} read" if lost else ""
        size = f" at {row['resolution']:.0f} px" if "resolution" in row else ""
        skipped = f", {row['unreadable']:.0f} unreadable images so far" if row.get("unreadable") else ""
        say(
            f"epoch {row['epoch']:.0f}/{epochs}{size}: training loss {row['loss']:.4f}, held-out accuracy "
            f"{row['accuracy']:.4f}{read}, {row['images_per_second']:.0f} images/s, {left}{skipped}"
        )
        if word := suspicious(row["epoch"], row["accuracy"]):
            console.print(word, style="yellow", highlight=False, soft_wrap=True)

    with goes_on(training.outputs, curves, "the last checkpoint", again, say):
        if together is None:
            training.run(tick)
        elif not training.done:
            from nas.cluster.processes import train_together

            train_together(plan, target, *together, tick=tick)
            training.reload()
        # there is a card whatever becomes of the test
        write_result(training, training.untested("it was not reached"))
        try:
            result = training.result()
        except (TrialFailedError, InputError) as error:
            write_result(training, training.untested(str(error)))
            raise type(error)(
                f"all {epochs} epochs are trained and in {training.outputs.last}, but the test failed: "
                f"{error}; once that is mended, score it with: {again}"
            ) from None
        curves.tested(result["test"], epochs)
        if result["best"]["test"] is not None:
            curves.tested(result["best"]["test"], result["best"]["epoch"])
    written = [training.outputs.last, training.outputs.best, *write_result(training, result)]
    seconds = time.time() - began
    if as_json:
        print_json(
            {
                "checkpoint": str(training.outputs.last),
                "files": [str(path) for path in written],
                **result_document(training, result),
                "seconds": seconds,
            }
        )
        return
    lines = [
        *result_lines(training, result),
        f"after {seconds / 60:.1f} minutes",
        f"checkpoint: {training.outputs.last}",
        f"model card: {written[-1]}",
    ]
    out().print("\n".join(lines), highlight=False, soft_wrap=True)

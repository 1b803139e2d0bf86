"""`nas start`: from one's own images to a trained and exported network, by a plan that is shown first."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

import click
from rich.console import Console

from nas.commands.columns import take_columns
from nas.commands.common import out, print_json, progress
from nas.commands.given import only_for_fetched, only_with, typed
from nas.commands.on_end import told_at_the_end
from nas.commands.options import DATA, WHAT, GroupedCommand, option, options
from nas.commands.outputs import OutPath, owner
from nas.commands.search_end import remind, start_document
from nas.data.place import absolute, absolute_data
from nas.data.sources import SOURCES, source_of
from nas.export.exportable import default_exports, parse_formats
from nas.export.formats import EXPORTS
from nas.runs.flat import make_settings
from nas.runs.folder import BEST, Run
from nas.runs.signature import is_own, sign
from nas.studies.start_plan import (
    StartPlan,
    affordable_resolution,
    baseline,
    full_resolution,
    full_target,
    make_plan,
    probes,
    proxy_task,
)
from nas.training.speed import Speed
from search_spaces.document import check_fields, check_schema, make_folder, read_document, write_document
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import file_stem, printable, shell_command
from search_spaces.registry import SPACES
from search_spaces.targets import check_folder

PLAN, TRAIN_PLAN = "plan.yaml", "train.yaml"
_MEASURING = 30.0
"""Seconds of measuring the speed of trials, and a third of it that of the winner's training."""
_FREE = ("data", "folder", "only_plan", "on_end", "as_json")
"""Parameters that going on with a plan takes."""


@click.command(
    cls=GroupedCommand,
    epilog="Example: nas start photos/ --hours 2 --out flowers",
)
@click.argument("data", metavar="FOLDER|DATA")
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan and its commands, and stop.")
@click.option(
    "--out",
    "folder",
    type=OutPath(),
    help="Folder for all that is made; with a plan in it, go on with that. Default: NAME-nas.",
)
@click.option("--hours", type=float, default=2.0, help="Time for search and training together. Default: 2.")
@click.option("--gpu-hour", type=float, help="Price of an hour of one GPU: the plan says what it costs.")
@options("on_end", "as_json")
@option("--space", group=WHAT, default="mnasnet", help="As for `nas search`. Default: mnasnet.")
@options("exportable_to")
@option("--target", group=WHAT, help="The winner's MACs, e.g. 50M. Default: B0's at the images' resolution.")
@option("--trials", group=WHAT, type=int, help="Networks to try. Default: what there is time for.")
@options(*DATA[1:], "seed", "concurrent", "address")
def start(
    data: str,
    only_plan: bool,
    folder: str | None,
    on_end: str | None,
    as_json: bool,
    gpu_hour: float | None,
    **more: Any,
) -> None:
    """Search, train and export a network for your own images.

    FOLDER holds CLASS/IMAGE, or train/CLASS/IMAGE and val/CLASS/IMAGE (or shards, or a saved Hugging Face
    set); a name as for `nas search --data` does too. Looks at the images, measures for a minute how fast
    networks train here, plans what fits into the time, and does it. Interrupted, the same command goes on.
    """
    console = progress()
    name = absolute_data(take_columns(more, _data_name(data)) or data)
    place = Path(folder or f"{file_stem(Path(name.partition(':')[2] or name).name)}-nas").absolute()
    if gpu_hour is not None and not 0 <= gpu_hour < 1e9:
        raise InputError(f"gpu-hour {gpu_hour:g}: expected a price of 0 or more")
    only_with(not only_plan, "a start without --plan", "on_end")
    with ExitStack() as stack:
        if as_json:  # what the steps print is progress then
            stack.enter_context(redirect_stdout(sys.stderr))
        if (place / PLAN).is_file():
            document = _kept_plan(place, name)
            console.print(f"going on with the plan in {place}", highlight=False, soft_wrap=True)
        else:
            check_folder(str(place))
            if owner(place) is not None or (place.exists() and any(place.iterdir())):
                raise InputError(f"out {str(place)!r}: exists and has no {PLAN}; choose another --out")
            document = _make(name, place, more, gpu_hour, console)
        _show(document)
        if only_plan:
            if not as_json:
                out().print("Nothing was started; the same command without --plan does it.", highlight=False)
        else:
            if not (place / PLAN).is_file():
                make_folder(str(place))
                write_document(place / PLAN, document | {"signature": sign(_signed(document))})
            with told_at_the_end(
                on_end, {"out": str(place)}, lambda: start_document(place, document["commands"])
            ):
                _run(place, document, shell_command("nas", "start", data, "--out", place), console)
    if as_json:
        print_json(document | {"done": not only_plan})


def _data_name(text: str) -> str:
    """The data set that a user means by a folder, or by a name as `--data` takes it."""
    if text.partition(":")[0] in SOURCES:
        source_of(text)
        return text
    path = Path(text).expanduser()
    if not path.is_dir():
        what = "is no folder" if path.exists() else "no folder here"
        known = ", ".join(
            kind + (":..." if source.located else "") for kind, source in SOURCES.loaded().items()
        )
        raise InputError(f"data {text!r}: {what}, nor the name of a data set ({known})")
    if any((path / file).is_file() for file in ("dataset_dict.json", "dataset_info.json")):
        return f"huggingface:{text}"
    shards = any(next(folder.glob("*.tar"), None) for folder in (path, path / "train"))
    return f"{'webdataset' if shards else 'imagefolder'}:{text}"


def _kept_plan(place: Path, name: str) -> dict[str, Any]:
    """The plan to go on with; raises `InputError` where this is another one."""
    where = str(place / PLAN)
    document = read_document(where)
    check_schema(document, where, 1)
    check_fields(document, where, ("schema", "out", "plan", "lines", "commands"), ("signature",))
    if not is_own(_signed(document), str(document.get("signature", ""))):
        raise InputError(
            f"{where}: its commands were not written by you with the folders that you have here, so they are "
            "not run: choose another --out, or read them and type them yourself"
        )
    there = document["plan"]["data"]
    if there != name:
        raise InputError(f"out {str(place)!r}: its plan is for {there!r}; choose another --out")
    if document["out"] != str(place):
        raise InputError(
            f"out {str(place)!r}: its plan is one for {document['out']!r}; move it back, or go on by the "
            "commands in it"
        )
    other = [text for key, text in typed().items() if key not in _FREE]
    if other:
        raise InputError(f"out {str(place)!r}: has its plan already; leave {', '.join(other)} out")
    return document


def _signed(document: dict[str, Any]) -> str:
    """What of a plan is signed: all that is done by it."""
    return json.dumps([document["out"], document["plan"]["data"], document["commands"]])


def _make(
    name: str, place: Path, more: dict[str, Any], gpu_hour: float | None, console: Console
) -> dict[str, Any]:
    """Look, measure and plan."""
    from nas.cluster.gpus import default_gpus
    from nas.cluster.nodes import Resources, connect, room
    from nas.cluster.speed import count_devices, speeds_on_ray
    from nas.data.load import load_data
    from nas.data.survey import survey

    hours, trials, seed = more["hours"], more["trials"], more["seed"]
    if not 0 < hours <= 10_000:
        raise InputError(f"hours {hours:g}: expected more than 0")
    if trials is not None and trials < 1:
        raise InputError(f"trials {trials}: expected an integer of at least 1")
    exports = more["exportable_to"] or default_exports(more["space"])
    only_for_fetched(name, "data_root", "download")
    space_name = more["space"] if more["space"] in SPACES else absolute(more["space"])
    settings = make_settings(space=space_name, exportable_to=exports, seed=seed)
    space = settings.make_space()
    assert isinstance(space, StagedSpace)  # what a name or a file gives
    console.print(f"looking at {name} ...", style="dim", highlight=False, soft_wrap=True)
    images = load_data(name, more["data_root"], more["download"])
    found, classes, channels = survey(images), images.num_classes, images.in_channels
    del images
    full = full_resolution(found.side)
    target = None
    if more["target"] is not None:
        target = make_settings(targets={"macs": more["target"]}).reward.targets["macs"]
    console.print("starting Ray, and measuring how fast networks train here ...", style="dim")
    connect(more["address"])
    devices = count_devices()
    task, each, remark = proxy_task(name, full, devices.gpus > 0), 0.0, None
    if devices.gpus:
        need = task.gpu_memory(space, found, channels)
        each, remark = default_gpus(Resources(more["concurrent"]), need)
    if not each:
        devices, task = replace(devices, gpus=0), proxy_task(name, full, False)
    has = room(Resources(gpus=each))
    if not has:
        raise InputError(f"address {more['address']!r}: the cluster has no CPU for a trial")
    if more["concurrent"] > has:
        raise InputError(f"concurrent {more['concurrent']}: there is room for {has} trials at once")
    at_once = more["concurrent"] or has
    if gpu_hour is not None and not devices.gpus:
        raise InputError(f"gpu-hour {gpu_hour:g}: there is no GPU here, none is used")
    trained = task.apply(probes(space, seed), classes, channels)
    speed = speeds_on_ray(trained, task.make_recipe(), _MEASURING, at_once, 1, each)
    whole = 1 if devices.gpus else max(1, devices.cpus // devices.nodes)
    full_speed = speeds_on_ray(
        [baseline(full, classes, channels)],
        task.make_recipe(),
        _MEASURING / 3,
        1,
        whole,
        min(1, devices.gpus),
    )
    full, full_speed = affordable_resolution(full, found, full_speed, hours)
    target = target or full_target(full, space_name)
    plan = make_plan(
        *(name, found, space_name, exports, task, full, target, speed, full_speed, at_once),
        *(space.template.stem.stride, devices.cpus, devices.gpus, hours, trials, each),
    )
    price = None if gpu_hour is None else gpu_hour * plan.gpu_hours
    kept = asdict(plan) | {"search_seconds": plan.search_seconds, "gpu_hours": plan.gpu_hours, "price": price}
    lines = _lines(plan, speed, full_speed, gpu_hour, remark)
    commands = _commands(plan, place, more)
    return {"schema": 1, "out": str(place), "plan": _plain(kept), "lines": lines, "commands": commands}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _commands(plan: StartPlan, place: Path, more: dict[str, Any]) -> list[list[str]]:
    """What the plan does, as commands of its own."""
    where = ["--data", plan.data]
    if more["data_root"] is not None:
        where += ["--data-root", absolute(more["data_root"])]
    there = [] if more["address"] is None else ["--address", more["address"]]
    task, run = plan.task, str(place / "search")
    search = ["search", *where, "--space", plan.space, "--exportable-to", plan.exportable_to]
    search += ["--full-resolution", str(plan.full), "--target", f"{plan.target:.0f}"]
    search += ["--resolution", str(task.resolution), "--width", f"{task.width:g}"]
    search += ["--stem-stride", str(task.stem_stride), "--subset", f"{plan.subset:g}"]
    search += ["--recipe", task.recipe, "--epochs", str(plan.epochs)]
    for key, value in task.changes.items():
        search += ["--set", f"{key}={value}"]
    search += ["--trials", str(plan.trials), "--concurrent", str(plan.at_once), "--seed", str(more["seed"])]
    search += there
    search += ["--exponent", "auto"] if plan.measures_exponent else []
    train = ["train", run, *where, "--resolution", str(plan.full), "--stem-stride", str(plan.stem_stride)]
    train += ["--recipe", plan.train_recipe]
    train += ["--epochs", str(plan.train_epochs), "--seed", str(more["seed"])]
    if there and plan.gpus:
        train += ["--processes", "1", "--gpus-per-trial", "1", *there]
    winner = str(place / "winner.pt")
    made = [[*search, "--or-resume", "--out", run], [*train, "--out", winner]]
    for form in parse_formats(plan.exportable_to):
        made.append(["export", winner, "--to", form, "--out", str(place / _export_name(form))])
    return [*made, ["report", run, "--out", str(place / "report.html")]]


def _export_name(form: str) -> str:
    """The winner's file: formats that share an ending tell by the name."""
    ending = EXPORTS[form].suffixes[0]
    alone = [known.suffixes[0] for known in EXPORTS.present.values()].count(ending) == 1
    return f"winner{ending}" if alone else f"winner_{form}{ending}"


def _export_lines(exportable_to: str) -> list[str]:
    forms = parse_formats(exportable_to)
    if not forms:
        return ["it is not exported: networks of the whole space are searched, --exportable-to any"]
    missing = {form: EXPORTS[form].missing for form in forms}
    return [
        f"it is exported to {', '.join(forms)}",
        *(
            f"{name} is not installed: the export to {form} will fail"
            for form, name in missing.items()
            if name
        ),
    ]


def _lines(
    plan: StartPlan, speed: Speed, full_speed: Speed, gpu_hour: float | None, remark: str | None
) -> list[str]:
    """The plan for people; `remark` is on the GPUs."""
    from nas.cluster.gpus import words_for

    task, found = plan.task, plan.found
    device = f"{plan.gpus} GPU{'s' * (plan.gpus > 1)}" if plan.gpus else f"{plan.cpus} CPUs, no GPU"
    on = f" on {words_for(plan.gpus_each)} each" if plan.gpus_each else ""
    images = "all images" if plan.subset == 1 else f"{round(plan.subset * found.train):,} images"
    exponent = "before that 12 trainings measure what a doubling of the MACs brings"
    return [
        f"Found in {printable(plan.data)}:",
        *(f"  {line}" for line in found.lines),
        f"Plan, on {device}:",
        *([] if remark is None else [f"  {remark}"]),
        f"  search    {plan.trials} trials, {plan.at_once} at once{on}, {round(plan.trial_seconds)} s each: "
        f"about {_time(plan.search_seconds)}",
        f"            a trial: {images} of {task.resolution} px, {plan.epochs} epochs, "
        f"width x {task.width:g} ({min(speed.rates):.0f} to {max(speed.rates):.0f} images/s)",
        *([f"            {exponent}"] if plan.measures_exponent else []),
        f"            target: {plan.target / 1e6:.3g}M MACs at {plan.full} px",
        f"  training  the winner at {plan.full} px, {plan.train_epochs} epochs: about "
        f"{_time(plan.train_seconds)} ({full_speed.rates[0]:.0f} images/s)",
        *(f"            {line}" for line in _export_lines(plan.exportable_to)),
        f"  in all    about {_time(plan.search_seconds + plan.train_seconds)}{_gpu_hours(plan, gpu_hour)}",
        "Not sure:",
        *(f"  - {word}" for word in plan.unsure),
    ]


def _show(document: dict[str, Any]) -> None:
    console = out()
    for line in document["lines"]:
        indent = " " * (12 if line.startswith("            ") else 4)
        wrapped = wrap(line, min(console.width, 100), subsequent_indent=indent, break_on_hyphens=False)
        console.print("\n".join(wrapped), highlight=False)
    console.print("As commands:")
    for command in document["commands"]:
        console.print(f"  {shell_command('nas', *command)}", highlight=False, soft_wrap=True)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(1, round(seconds / 60))} min"


def _gpu_hours(plan: StartPlan, gpu_hour: float | None) -> str:
    if not plan.gpus:
        return ""
    price = "" if gpu_hour is None else f", {gpu_hour * plan.gpu_hours:,.2f} at {gpu_hour:g} an hour"
    return f": {plan.gpu_hours:.1f} GPU hours{price}"


def _run(place: Path, document: dict[str, Any], again: str, console: Console) -> None:
    """The steps, as far as they aren't done."""
    program = click.get_current_context().find_root().command
    commands: list[list[str]] = document["commands"]
    refused: list[InputError] = []
    for number, command in enumerate(commands, 1):
        step = _remaining(command)
        title = f"step {number} of {len(commands)}: nas {command[0]}"
        if step is None:
            console.print(f"{title}: done already", highlight=False)
            continue
        console.print(f"\n{title}", style="bold", highlight=False)
        try:
            program.main(step, prog_name="nas", standalone_mode=False)
        except InputError as error:
            if command[0] != "export":
                raise
            refused.append(error)  # what comes after it doesn't need it
            console.print(f"not exported: {error}", style="yellow", highlight=False, soft_wrap=True)
        except (KeyboardInterrupt, SystemExit):
            console.print(f"go on with all of it: {again}", highlight=False, soft_wrap=True)
            raise
    made = [Path(command[command.index("--out") + 1]) for command in commands[1:]]
    onnx = place / _export_name("onnx")
    predict = shell_command("nas", "predict", onnx if onnx.exists() else made[0])
    out().print(
        "\n".join(["", "made:", *(f"  {path}" for path in made if path.exists())])
        + f"\nclassify with it: {predict} IMAGES",
        highlight=False,
        soft_wrap=True,
    )
    for command in commands:
        remind(command)
    if refused:
        raise refused[0]


def _remaining(command: list[str]) -> list[str] | None:
    """What is left to do of a step: the command itself, one that goes on, or None."""
    target = Path(command[command.index("--out") + 1])
    if command[0] == "search" and Run.is_run(target):
        wanted = int(command[command.index("--trials") + 1])
        return None if len(Run.open(target).records()) >= wanted and (target / BEST).is_file() else command
    if command[0] == "train" and (target.is_file() or (target.with_suffix("") / TRAIN_PLAN).is_file()):
        # at its end it repeats the test alone
        spread = command[command.index("--processes") : -2] if "--processes" in command else []
        return ["train", "--resume", str(target), *spread]
    if command[0] in ("export", "report") and target.is_file():
        return None
    return command

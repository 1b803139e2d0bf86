"""`nas search`, `nas resume`: run a search."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from controller.registry import CONTROLLERS
from nas.commands.benchmark_search import benchmark_defaults, named_targets
from nas.commands.columns import take_columns
from nas.commands.common import pairs, progress
from nas.commands.exponent import Exponent
from nas.commands.given import given, not_empty
from nas.commands.options import (
    DATA,
    PLACE,
    TRAINING,
    WHAT,
    GroupedCommand,
    option,
    options,
    take_placement,
)
from nas.commands.outputs import OutPath
from nas.commands.same_run import check_narrower, check_same, exports_of
from nas.commands.search_checks import check_evaluator, check_options, check_resumed
from nas.commands.search_end import report_search
from nas.data.place import absolute_data
from nas.export.exportable import ANY, default_exports
from nas.runs.coarse_settings import SHARE, VARIED
from nas.runs.flat import change, read_settings
from nas.runs.folder import Run
from nas.runs.function_settings import FunctionSettings
from nas.runs.link import copy_of, is_link_to
from nas.runs.mirror import fetch_run, fetched_to, has_run, is_copy
from nas.runs.settings import RewardSettings, SearchSettings
from nas.runs.space_settings import SpaceSettings
from nas.runs.supernet_settings import SupernetSettings
from nas.runs.train_settings import TrainSettings
from nas.session import resume_search, start_search
from nas.studies.proxy_design import read_proxy
from nas.training.presets import PRESETS
from search_spaces.document import read_document
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import CODE_LEGEND, WORDS_LEGEND
from search_spaces.quoting import file_stem
from search_spaces.registry import SPACES, usual_target

_SCORED = "How networks are scored"
_USUAL = RewardSettings()


@click.command(
    cls=GroupedCommand,
    epilog="Example: nas search --data digits --trials 24 --concurrent 2 --target 400M --out runs/first"
    f"\n\nIn what it prints, {WORDS_LEGEND}. In pareto.csv, {CODE_LEGEND}.",
)
@click.option(
    "--config", type=click.Path(), help="Settings file (a run's search.yaml); other options win over it."
)
@click.option("--trials", type=int, help="How many architectures to evaluate. Default: 24.")
@click.option("--seed", type=int, help="Of everything random. Default: 0.")
@click.option("--out", "folder", type=OutPath(), help="Run folder to make. Default: runs/SPACE-DATA-TIME.")
@click.option(
    "--or-resume", is_flag=True, help="If the run is there already (--out, or in --storage), go on with it."
)
@options("on_end", "as_json")
@option("--space", group=WHAT, help=f"{', '.join(SPACES)} or FILE.yaml. Default: mnasnet.")
@options("exportable_to", "full_resolution")
@option("--controller", group=WHAT, help=f"{', '.join(CONTROLLERS)}. Default: predictor.")
@option(
    *("-o", "--controller-option"),
    group=WHAT,
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the controller.",
)
@option("--reward", group=WHAT, help="soft, hard or absolute. Default: soft.")
@option(
    "--target",
    group=WHAT,
    multiple=True,
    metavar="[COST=]TARGET",
    help="400M, 0.4G or a network's name; of macs, of params=..., roofline=..., several. Default: 400M; "
    "2.85G in efficientnet-v2, 0.83G in mobilenet-v4.",
)
@option(
    "--cost", group=WHAT, help="What a --target without a name limits. Default: macs, or the benchmark's."
)
@option(
    "--ridge",
    group=WHAT,
    type=float,
    help="MACs per byte (fp32) of the device whose --cost roofline is meant. Default: 5, a CPU core.",
)
@option(
    "--prior",
    group=WHAT,
    metavar="RUN",
    help="Start from what another run found out (its folder, its copy in a storage, or FILE.json by "
    "`nas benchmark`), or from imagenet or curves, which are embedded; none: not what --config has. For the "
    "predictor. Default: none.",
)
@option(
    "--coarse",
    group=WHAT,
    metavar="[SHARE][,FIELD...]",
    help="Two stages: for this share of the trials (or so many) only these fields of the stages vary, the "
    f"others are alike in all; then everything does. E.g. 0.3, or 20,op,channels. Default: one stage; "
    f"{SHARE:g} of the trials; {VARIED.replace(',', ', ')}.",
)
@option("--exponent", group=WHAT, type=Exponent(), help="w of the reward; auto: measure it. Default: -0.07.")
@option(
    "--until",
    group=WHAT,
    help="converged: stop when an improvement would cost more than --price trials. Default: trials.",
)
@option(
    "--price", group=WHAT, type=float, help="Trials that a worthwhile improvement may cost. Default: 100."
)
@option(
    "--evaluator",
    group=_SCORED,
    metavar="KIND",
    help="train: on a proxy task; supernet: by the weights of one; benchmark: ImageNet accuracies by a "
    "surrogate; MODULE:FUNCTION: your own. Default: train.",
)
@option(
    "--supernet",
    group=_SCORED,
    metavar="FILE",
    help="By `nas supernet`; its space is searched if no other is given.",
)
@option(
    "--benchmark-data",
    "--benchmark",
    group=_SCORED,
    help="Accel-NASBench's records, FILE.json by `nas benchmark`, or curves: recorded trainings of the "
    "default space. Default: the embedded surrogate.",
)
@option("--surrogate", group=_SCORED, help="Of the benchmark: mlp or gb. Default: mlp.")
@option(
    "--noise/--no-noise", group=_SCORED, default=None, help="Answer with the noise of repeated trainings."
)
@option(
    "--latency-table", group=_SCORED, help="Table by `nas latency`: adds the cost `latency`, milliseconds."
)
@options(*DATA, "cache", "held_out", "folds")
@option(
    "--proxy",
    "proxy_file",
    group="Training",
    help="Proxy task, data and recipe from a file by `nas proxy`.",
)
@options(*TRAINING)
@option(
    "--scheduler",
    group="Training",
    help="none, asha, median or predictor: ends poor trials early. Default: none.",
)
@options(*PLACE, "storage", "log")
def search(folder: str | None, or_resume: bool, on_end: str | None, as_json: bool, **options: Any) -> None:
    """Search for a network on Ray: sample, train, score; writes a run folder."""
    placement = take_placement(options)
    not_empty("on_end")
    if or_resume and folder is None:
        raise InputError("or-resume: give --out, so that it is known which run is meant")
    settings = _settings(options)
    check_options(settings)
    if or_resume and folder is not None and _find_run(Path(folder), placement.storage):
        if not given("exportable_to"):  # a run goes on in its own space, older ones in the whole
            settings = replace(settings, space=exports_of(Path(folder), settings.space))
        check_same(Path(folder), settings)
        more = settings.trials if given("trials") else None
        there = Path(folder)
        report_search(lambda: resume_search(there, placement, progress(), more), folder, as_json, on_end)
        return
    if folder is None:
        scorer = settings.evaluator
        on = scorer.data.partition(":")[0] if isinstance(scorer, TrainSettings) else scorer.kind
        if isinstance(scorer, FunctionSettings):
            on = file_stem(scorer.function.partition(":")[2])
        folder = f"runs/{file_stem(Path(settings.space.name).stem)}-{on}-{time.strftime('%Y%m%d-%H%M%S')}"
    place = Path(folder)
    report_search(lambda: start_search(settings, place, placement, progress()), folder, as_json, on_end)


@click.command(cls=GroupedCommand, epilog="Example: nas resume runs/first --trials 48")
@click.argument("run")
@click.option("--out", "folder", type=OutPath(), help="Where a run from a storage goes. Default: runs/NAME.")
@click.option("--trials", type=int, help="Go on to this number of trials. Default: the run's.")
@options(
    *DATA[-1:],
    *PLACE,
    "storage",
    "log",
    "on_end",
    "as_json",
    data={"help": "Where its data lies now, if that was moved; it must be the same data."},
    data_root={"help": "The same, of the folder to look for the data set in first."},
)
def resume(
    run: str,
    folder: str | None,
    trials: int | None,
    data: str | None,
    data_root: str | None,
    on_end: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Continue a search after a stop or a crash, or to more trials.

    RUN is a run folder, or the copy that --storage kept of one, where its machine is lost.
    """
    if trials is not None and trials < 1:
        raise InputError(f"trials {trials}: expected an integer of at least 1")
    placement = take_placement(options)
    not_empty()
    if folder is not None and not is_copy(run):
        raise InputError(f"out {folder!r}: only where RUN is the copy in a storage, {run!r} is none")
    if is_copy(run):
        folder = folder or fetched_to(run)
        # the same command again: it was fetched, and the link to its copy was the last that was written
        if not (Run.is_run(Path(folder)) and is_link_to(Path(folder), run)):
            fetch_run(run, Path(folder), lambda text: progress().print(text, highlight=False))
        run = folder
    place = Path(run)
    check_resumed(place, trials, data)
    report_search(
        lambda: resume_search(place, placement, progress(), trials, data, data_root), run, as_json, on_end
    )


def check_launched(context: click.Context) -> None:
    """`check_options` for a search that starts elsewhere; its own files needn't be here."""
    not_empty(ctx=context)
    options = dict(context.params)
    if options["config"] is None and options["proxy_file"] is None:
        for name in ("folder", "or_resume", "on_end", "as_json"):
            del options[name]
        take_placement(options)
        if options["evaluator"] == SupernetSettings.kind:  # whose space its file says
            check_evaluator(SupernetSettings.kind, context)
        else:
            check_options(_settings(options, context), context)


def _find_run(folder: Path, storage: str | None) -> bool:
    """Whether there is a run to go on with; one that only the storage has is fetched."""
    if Run.is_run(folder):
        return True
    url = copy_of(storage, folder) if storage else None
    if url is None or not has_run(url):
        return False
    fetch_run(url, folder, lambda text: progress().print(text, highlight=False))
    return True


def _settings(options: dict[str, Any], ctx: click.Context | None = None) -> SearchSettings:
    """The settings file's, or the defaults, with the options that were given."""
    path = options.pop("config")
    base = SearchSettings()
    if path:
        base = read_settings(read_document(path), path)
    if (proxy := options.pop("proxy_file", None)) is not None:
        base = change(base, **read_proxy(proxy, lambda text: progress().print(text, style="yellow")))
        if options["data"] is not None and absolute_data(options["data"]) != base.training.data:
            raise InputError(
                f"data {options['data']!r}: the proxy task of {proxy} is one for {base.training.data!r}"
            )
    kind = options["evaluator"] or base.evaluator.kind
    check_evaluator(kind, ctx)
    benchmark, own = kind == "benchmark", ":" in kind or kind == FunctionSettings.kind
    for column in ("image_column", "label_column"):
        if options[column] is not None and kind != TrainSettings.kind:
            name, what = column.replace("_", "-"), "the benchmark" if benchmark else "nas"
            raise InputError(f"{name} {options[column]!r}: {what} reads no images here; leave it out")
    known = base.evaluator.data if isinstance(base.evaluator, TrainSettings) else TrainSettings().data
    if (named := take_columns(options, options["data"] or known)) != known:
        options["data"] = named
    changed = pairs(options.pop("changes"), "--set")
    if own:
        options["function_epochs"] = options.pop("epochs")
        if isinstance(base.evaluator, FunctionSettings):  # this search keeps the present code
            base = replace(base, evaluator=replace(base.evaluator, code=None))
    elif (epochs := options.pop("epochs")) is not None:
        if "epochs" in changed:
            raise InputError(f"epochs {epochs}: given as --set epochs={changed['epochs']} too")
        changed["epochs"] = epochs
    given = {name: value for name, value in options.items() if value is not None}
    document: dict[str, Any] = {}
    if kind == SupernetSettings.kind and not path and "space" not in given:
        given["space"], document = _supernet_space(given.get("supernet"))
        given.setdefault("exportable_to", ANY)
    chosen = pairs(given.pop("controller_option"), "--controller-option")
    # another controller than the file's has no use for the file's options
    kept = base.controller.options if options["controller"] in (None, base.controller.name) else {}
    given["controller_options"] = kept | chosen
    if changed:
        earlier = base.evaluator.recipe_changes if isinstance(base.evaluator, TrainSettings) else {}
        given["recipe_changes"] = {**earlier, **changed}
    on = given.get("benchmark_data", getattr(base.evaluator, "records", None))
    usual, most = benchmark_defaults(on, "space" in given) if benchmark else ({}, {})
    ridge, plain = given.pop("ridge", None), next(iter(most), "macs")
    targets = named_targets(given.pop("cost", None), given.pop("target"), plain, ridge)
    if benchmark and not path:
        given = usual | given
        targets = targets or most
    if targets:
        given["targets"] = targets
    elif base.reward.targets == _USUAL.targets:
        macs, pixels = usual_target(str(given.get("space", ""))), options["full_resolution"]
        if pixels is None:
            share = 1.0
        else:
            space = SpaceSettings(str(given.get("space")), document) if "space" in given else base.space
            whole = space.make()
            share = (pixels / whole.template.resolution) ** 2 if isinstance(whole, StagedSpace) else 1.0
        if macs * share != _USUAL.targets["macs"]:
            given["targets"] = {"macs": macs * share}
    if not path or "space" in given:
        given.setdefault("exportable_to", default_exports(given.get("space", base.space.name)))
    if "space" in given or ("exportable_to" in given and base.space.name in SPACES):
        given.setdefault("space_document", {})  # a benchmark's own space has one
    elif "exportable_to" in given:
        check_narrower(base.space, given["exportable_to"])
    if document:
        given["space_document"] = document
    if "data" in given and kind == "train":
        given = {**dict.fromkeys(("cache", "held_out", "folds", "recipe_init")), **given, "data_digest": None}
    elif given.get("recipe") in PRESETS and getattr(base.evaluator, "recipe_init", None) is not None:
        given["recipe_init"] = PRESETS[given["recipe"]].init  # the file's was of its own recipe
    if "supernet" in given:
        given["supernet_digest"] = None
    if "benchmark_data" in given:
        given["surrogate_digest"] = None
    return change(base, **given)


def _supernet_space(file: str | None) -> tuple[str, dict[str, Any]]:
    """The name and the document of a supernet's space."""
    from nas.supernet.plan import read_supernet

    document = dict(read_supernet(SupernetSettings(file).file).plan.space)
    return str(document.get("space", "space")), document

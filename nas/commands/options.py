"""Options that several commands have, each written once; and help in groups.

A command takes what it needs by name, and may change a default or its words:

    @click.command(cls=GroupedCommand)
    @options("data", "data_root", subset={"default": 1.0})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nas.commands.common import seconds
from nas.export.exportable import ANY
from nas.export.expressible import RULES
from nas.runs.placement import Placement, parse_trackers
from nas.training.presets import PRESETS

DATA = ("data", "data_root", "image_column", "label_column", "download")
"""Where the images are."""
TRAINING = ("recipe", "changes", "epochs", "resolution", "width", "stem_stride", "subset")
"""How a network is trained."""
PLACE = (
    "concurrent",
    "cpus_per_trial",
    "gpus_per_trial",
    "workers",
    "address",
    "retries",
    "trial_timeout",
    "autoscaling",
    "dashboard",
)
"""Where trials run, and how wide."""

_GROUPS = {
    **dict.fromkeys((*DATA, "cache", "held_out", "folds"), "Data"),
    **dict.fromkeys(TRAINING, "Training"),
}
_GROUPS |= dict.fromkeys((*PLACE, "storage", "log"), "Where it runs")
WHAT = "What is searched"
_GROUPS["exportable_to"] = _GROUPS["full_resolution"] = WHAT

_ONCE: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "exportable_to": (
        ("--exportable-to",),
        {
            "metavar": "FORMATS",
            "help": f"Only networks that all of these can express, of {', '.join(RULES)}; {ANY}: the whole "
            "space. Default: timm,onnx, which is 2.3% of mnasnet, all of the other spaces; "
            f"{ANY} for FILE.yaml.",
        },
    ),
    "full_resolution": (
        ("--full-resolution",),
        {
            "type": int,
            "metavar": "PIXELS",
            "help": "Of the full networks, whose costs count, and the default target with them. Default: the "
            "space's (224).",
        },
    ),
    "data": (
        ("--data",),
        {"help": "digits, fashion-mnist, cifar10, imagefolder:PATH ... Default: digits."},
    ),
    "data_root": (("--data-root",), {"help": "Folder to look for the data set in first."}),
    "image_column": (
        ("--image-column",),
        {"metavar": "NAME", "help": "Of several, for huggingface: and webdataset:."},
    ),
    "label_column": (
        ("--label-column",),
        {"metavar": "NAME", "help": "Of several, for huggingface: and webdataset:."},
    ),
    "download": (("--download",), {"is_flag": True, "help": "Fetch the data set if it is missing."}),
    "cache": (
        ("--cache",),
        {
            "metavar": "HOW",
            "help": "Decode image files once, into memory: auto (if they fit), on, off, or up to 4G. "
            "Default: auto.",
        },
    ),
    "held_out": (
        ("--held-out",),
        {
            "type": int,
            "metavar": "IMAGES",
            "help": "Held-out images to score on. Default: all up to 2000.",
        },
    ),
    "folds": (
        ("--folds",),
        {
            "type": int,
            "help": "Train each network so often, scored on other images each time. Default: 1; more where "
            "fewer than 200 images are held out.",
        },
    ),
    "recipe": (("--recipe",), {"help": f"{', '.join(PRESETS)}. Default: adamw."}),
    "changes": (
        ("--set", "changes"),
        {"multiple": True, "metavar": "KEY=VALUE", "help": "A setting of the recipe, e.g. lr=0.01."},
    ),
    "epochs": (("--epochs",), {"type": int, "help": "Epochs of a training. Default: the recipe's."}),
    "resolution": (("--resolution",), {"type": int, "help": "Image size, pixels. Default: the data set's."}),
    "width": (("--width",), {"type": float, "help": "Multiplier of all widths. Default: the data set's."}),
    "stem_stride": (
        ("--stem-stride",),
        {"type": int, "help": "Of the stem. Default: the data set's."},
    ),
    "subset": (("--subset",), {"type": float, "help": "Part of the training images to use, 0 to 1."}),
    "seed": (("--seed",), {"type": int, "default": 0, "help": "Of everything random. Default: 0."}),
    "concurrent": (
        ("--concurrent",),
        {"type": int, "default": 0, "help": "Trials at once. Default: all there is room for."},
    ),
    "cpus_per_trial": (
        ("--cpus-per-trial",),
        {"type": float, "help": "CPUs, and threads, of a trial. Default: 1."},
    ),
    "gpus_per_trial": (
        ("--gpus-per-trial",),
        {
            "type": float,
            "help": "GPUs of a trial, fractions too. Default: what it needs, where there are any.",
        },
    ),
    "workers": (
        ("--workers",),
        {
            "type": int,
            "help": "Processes that decode files for a trial, a CPU each beside its own. Default: as many as "
            "find a free one.",
        },
    ),
    "address": (
        ("--address",),
        {"help": "Ray cluster to join (`auto`, host:port). Default: this machine."},
    ),
    "retries": (
        ("--retries",),
        {"type": int, "default": 2, "help": "Restarts of a trial whose worker died. Default: 2."},
    ),
    "trial_timeout": (
        ("--trial-timeout",),
        {"metavar": "TIME", "help": "90s, 30m, 2h: a trial that takes longer has failed."},
    ),
    "autoscaling": (
        ("--autoscaling",),
        {"is_flag": True, "help": "Trials wait for nodes that Ray's autoscaler adds."},
    ),
    "storage": (
        ("--storage",),
        {"metavar": "URL", "help": "Keep a copy of the run there: s3://..., gs://..., a folder."},
    ),
    "log": (
        ("--log",),
        {
            "metavar": "TRACKERS",
            "help": "wandb, mlflow or both (wandb,mlflow): every trial becomes a run there; none: no more.",
        },
    ),
    "on_end": (
        ("--on-end",),
        {"metavar": "CMD", "help": "Run at the end, however it ends; the result is JSON on its stdin."},
    ),
    "dashboard": (("--dashboard",), {"is_flag": True, "help": "Start Ray's dashboard (this machine only)."}),
    "as_json": (
        ("--json", "as_json"),
        {"is_flag": True, "help": "Print the result as one JSON document."},
    ),
}


class GroupedOption(click.Option):
    """An option that the help lists under a heading."""

    def __init__(self, *names: Any, group: str = "", **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists its options in groups, its own first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                groups.setdefault(getattr(parameter, "group", "") or "Options", []).append(record)
        own = groups.pop("Options", [])
        for title, records in {"Options": own, **groups}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def option(*names: str, group: str = "", **settings: Any) -> Callable[[Any], Any]:
    """`click.option` under a heading of the help."""
    return click.option(*names, cls=GroupedOption, group=group, **settings)


def options(*names: str, **changed: dict[str, Any]) -> Callable[[Any], Any]:
    """Some of the shared options, in this order; `changed` names further ones with other settings."""

    def add(function: Any) -> Any:
        for name in reversed((*names, *(name for name in changed if name not in names))):
            flags, settings = _ONCE[name]
            function = option(*flags, group=_GROUPS.get(name, ""), **settings | changed.get(name, {}))(
                function
            )
        return function

    return add


def take_placement(given: dict[str, Any], **more: Any) -> Placement:
    """The placement that options describe, which are taken out of `given`."""
    return Placement(
        concurrent=given.pop("concurrent"),
        cpus=given.pop("cpus_per_trial"),
        gpus=given.pop("gpus_per_trial"),
        workers=given.pop("workers"),
        address=given.pop("address"),
        retries=given.pop("retries"),
        download=given.pop("download"),
        autoscaling=given.pop("autoscaling"),
        timeout=seconds(given.pop("trial_timeout"), "trial-timeout"),
        storage=given.pop("storage", None),
        log=parse_trackers(given.pop("log", None)),
        dashboard=given.pop("dashboard"),
        **more,
    )

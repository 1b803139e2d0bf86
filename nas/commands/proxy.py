"""`nas proxy`: is a cheap training a good judge, and which is the cheapest that is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nas.commands.columns import take_columns
from nas.commands.common import out, pairs, print_json, progress
from nas.commands.given import only_for_fetched, only_for_files
from nas.commands.options import DATA, PLACE, WHAT, GroupedCommand, option, options, take_placement
from nas.commands.outputs import OutPath, owner
from nas.commands.part import run_part
from nas.data.sources import proxy_defaults
from nas.export.exportable import default_exports
from nas.network.cost import cost
from nas.runs.flat import make_settings
from nas.runs.scoring import HELD_OUT
from nas.runs.settings import SearchSettings
from nas.search.trial import Record
from nas.studies.proxy_design import ProxySetting, candidates, proxy_settings, write_proxy
from nas.studies.proxy_study import ProxyResult, ProxyStudy
from search_spaces.document import make_folder
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command
from search_spaces.targets import check_folder

_PROXY = "proxy.yaml"
_TRIED = "What is tried"


@click.command(
    cls=GroupedCommand,
    epilog="Example: nas proxy --data fashion-mnist --epochs 2,4 --subset 0.1,0.2 --out runs/p",
)
@option("--space", group=WHAT, default="mnasnet", help="As for `nas search`. Default: mnasnet.")
@options("exportable_to")
@click.option("--candidates", "count", type=int, default=12, help="Networks to train. Default: 12.")
@click.option("--long-epochs", type=int, default=20, help="Epochs of the long training. Default: 20.")
@click.option("--long-subset", type=float, default=1.0, help="Part of the images it uses. Default: 1.")
@click.option("--seeds", type=int, default=3, help="Repetitions for the variance. Default: 3.")
@click.option("--tau", type=float, default=0.6, help="Kendall tau to reach. Default: 0.6.")
@options("seed")
@click.option(
    "--out", "target", type=OutPath(), required=True, help="Folder; if it is there already, go on with it."
)
@options("as_json")
@option("--epochs", group=_TRIED, default="2,4,6", help="Epochs. Default: 2,4,6.")
@option("--subset", group=_TRIED, default="1", help="Parts of the images, e.g. 0.1,0.5. Default: 1.")
@option("--resolution", group=_TRIED, help="Image sizes, pixels. Default: the data set's.")
@option("--width", group=_TRIED, help="Multipliers of all widths. Default: the data set's.")
@options(*DATA, data={"default": "digits"})
@options("recipe", "changes", recipe={"default": "adamw"})
@options(*PLACE)
def proxy(
    space: str,
    exportable_to: str | None,
    data: str,
    data_root: str | None,
    recipe: str,
    changes: tuple[str, ...],
    count: int,
    long_epochs: int,
    long_subset: float,
    epochs: str,
    subset: str,
    resolution: str | None,
    width: str | None,
    seeds: int,
    tau: float,
    seed: int,
    target: str,
    as_json: bool,
    **more: Any,
) -> None:
    """Find the cheapest proxy task that ranks networks as a long training does.

    Trains candidates spread over the MACs long, and by every combination of the settings to try; prints
    how well each agrees (Kendall tau, 95% interval) and what it costs, and repeats the recommended one
    over seeds, so that it is seen which differences mean anything. Writes proxy.yaml for `nas search
    --proxy`.
    """
    check_folder(target)
    if owner(Path(target)) is not None:
        raise InputError(f"out {target!r}: is the folder of a {owner(Path(target))}; choose another")
    only_for_fetched(data, "data_root", "download")
    only_for_files(data, "workers")
    if not 2 <= seeds <= 100:
        raise InputError(f"seeds {seeds}: expected an integer from 2 to 100")
    if not -1 <= tau <= 1:
        raise InputError(f"tau {tau:g}: expected a number from -1 to 1")
    data = take_columns(more, data) or data
    given = proxy_defaults(data)
    sweep = proxy_settings(
        _numbers(epochs, "epochs", int),
        _numbers(subset, "subset", float),
        _numbers(resolution or str(given.resolution), "resolution", int),
        _numbers(width or str(given.width), "width", float),
    )
    base = make_settings(
        space=space,
        exportable_to=exportable_to or default_exports(space),
        data=data,
        data_root=data_root,
        recipe=recipe,
        recipe_changes=dict(pairs(changes, "--set")),
        targets={},
        seed=seed,
    )
    networks = candidates(base.make_space(), count, seed)
    long = ProxySetting(long_epochs, long_subset, given.resolution, given.width)
    for setting in (long, *sweep):
        setting.apply(base).check()

    from nas.data.load import load_data

    images = load_data(data, data_root, more["download"])
    for share in {setting.subset for setting in (long, *sweep)}:
        images.subset(share, HELD_OUT)
    placement = take_placement(more, stay=True)
    folder, console = Path(target), progress()
    make_folder(target)
    study = ProxyStudy(base, networks, long, sweep, seeds, tau, images.num_classes, images.in_channels)

    def train(name: str, settings: SearchSettings) -> list[Record]:
        return run_part(folder / name, settings, placement, console).records()

    result = study.run(train, lambda text: console.print(text, style="bold", highlight=False))
    if result.chosen is not None:
        write_proxy(
            folder / _PROXY, result.chosen.setting.apply(base), result.chosen, result.spread, result.sheet
        )
    _report(folder, study, result, as_json)


def _numbers(text: str, what: str, kind: type) -> list[Any]:
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or len(set(values)) != len(values):
        raise InputError(f"{what} {text!r}: expected different numbers, separated by commas")
    return values


def _report(folder: Path, study: ProxyStudy, result: ProxyResult, as_json: bool) -> None:
    chosen, repeated, spread = result.chosen, result.repeated, result.spread
    if as_json:
        print_json(
            {
                "out": str(folder),
                "wanted_tau": study.tau,
                "tried": [asdict(one) | {"label": one.setting.label} for one in result.tried],
                "recommended": None if chosen is None else asdict(chosen.setting),
                "file": None if chosen is None else str(folder / _PROXY),
                "ranking": result.sheet.to_dict(),
                "variance": asdict(spread) | {"meaningful": spread.meaningful, "of": repeated.setting.label},
                "long": [
                    {
                        "candidate": label,
                        "macs": cost(spec).macs,
                        "held_out_accuracy": result.reference.get(label),
                    }
                    for label, spec in study.networks.items()
                ],
            }
        )
        return
    from nas.report.ranking_table import print_ranking
    from nas.report.tables import proxy_table

    console = out()
    console.print(proxy_table(result.tried, chosen))
    print_ranking(result.sheet, console, [repeated.setting.label])
    console.print("Accuracies, and what follows from them, are of held-out images after the last epoch.")
    console.print(
        f"Over {spread.seeds} seeds of {repeated.setting.label}: the same network differs by "
        f"{100 * spread.within:.2f} points (sd), networks among each other by {100 * spread.between:.2f}; "
        f"{spread.reliability:.0%} of what is seen in one training is the network. Between two trainings a "
        f"difference below {100 * spread.meaningful:.2f} points means nothing.",
        highlight=False,
    )
    if chosen is None:
        console.print(
            f"None reaches tau {study.tau:g}: try more epochs, images or candidates.", highlight=False
        )
    else:
        console.print(
            f"wrote {folder / _PROXY}; use it: {shell_command('nas', 'search', '--proxy', folder / _PROXY)}",
            highlight=False,
            soft_wrap=True,
        )

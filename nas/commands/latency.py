"""`nas latency`: measure networks here, or make the table that a search weighs latency by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.progress import Progress
from rich.table import Table

from nas.commands.common import out, print_json, progress
from nas.commands.given import not_with, only_with
from nas.commands.networks import resolve_network
from nas.commands.outputs import OutPath, Target, declare
from nas.latency.setting import Setting
from nas.latency.table import LatencyTable
from nas.network.cost import cost
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command
from search_spaces.reference import reference
from search_spaces.registry import get_space


@click.command(
    epilog="Example: nas latency efficientnet-b0 runs/first/best.yaml --runtime onnxruntime --threads 1"
)
@click.argument("specs", nargs=-1, metavar="[SPEC|CHECKPOINT|RUN]...")
@click.option("--device", default="cpu", help="cpu, cuda or cuda:N. Default: cpu.")
@click.option("--runtime", default="torch", help="torch or onnxruntime. Default: torch.")
@click.option("--batch", type=int, default=1, help="Images at once. Default: 1.")
@click.option("--threads", type=int, default=0, help="Of the CPU. Default: as the runtime chooses.")
@click.option(
    "--clock",
    default="wall",
    help="wall, or cpu: CPU time (of --threads 1), which others on the machine disturb less. Default: wall.",
)
@click.option("--runs", type=int, default=50, help="Timed inferences of each network. Default: 50.")
@click.option("--table", "path", help="Also what this latency table predicts, measured as it was.")
@click.option("--space", help="Make the table of this space: a name or FILE.yaml; needs --out.")
@click.option(
    "--calibrate",
    type=int,
    metavar="NETWORKS",
    help="With --space: measure so few networks, 10 say, and leave the blocks to the roofline.",
)
@click.option("--check", "checked", type=int, default=50, help="Networks to check it on. Default: 50.")
@click.option("--out", "target", type=OutPath(), help="Table to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def latency(
    specs: tuple[str, ...],
    device: str,
    runtime: str,
    batch: int,
    threads: int,
    clock: str,
    runs: int,
    path: str | None,
    space: str | None,
    calibrate: int | None,
    checked: int,
    target: str | None,
    as_json: bool,
) -> None:
    """Measure the latency of networks on this machine, or make a table that predicts it.

    A table (--space, --out) holds the measured latency of every block of a space on one device; `nas
    search --latency-table` weighs it. Measure on a machine that does nothing else.
    """
    setting = Setting(device, runtime, batch, threads, clock=clock)
    only_with(space is not None, "--space, which makes a table", "checked", "calibrate")
    only_with(space is None, "networks to measure", "runs")
    not_with(path is not None, "--table, which says how", "device", "runtime", "batch", "threads", "clock")
    if space is None:
        if target is not None:
            raise InputError(f"out {target!r}: only with --space, which makes a table")
        if not specs:
            raise InputError("spec: give at least one network to measure, or --space and --out")
        _measure(specs, setting, runs, path, as_json)
        return
    if specs or path:
        raise InputError(f"space {space!r}: makes a table of a whole space; leave SPEC and --table out")
    if target is None:
        raise InputError(f"space {space!r}: give --out, the table to write")
    _make(space, setting, calibrate, checked, target, as_json)


def _measure(specs: tuple[str, ...], setting: Setting, runs: int, path: str | None, as_json: bool) -> None:
    networks = [resolve_network(spec) for spec in specs]
    table = LatencyTable.read(path) if path else None
    predicted = [table(network) for network in networks] if table else None
    if table is not None:
        kept = table.setting
        setting = Setting(kept.device, kept.runtime, kept.batch, kept.threads, clock=kept.clock)

    from nas.latency.runtimes import prepare
    from nas.latency.timing import time_network

    setting = prepare(setting)
    rows: list[dict[str, Any]] = []
    for index, network in enumerate(networks):
        timing = time_network(network, setting, runs)
        row: dict[str, Any] = {
            "network": network.name,
            "resolution": network.resolution,
            "macs": cost(network).macs,
        }
        row |= {"latency": timing.value(setting), "p10": timing.low, "p90": timing.high, "runs": timing.runs}
        row["images_per_second"] = 1000 * setting.batch / timing.value(setting)
        if predicted is not None:
            row["predicted"] = float(predicted[index])
        rows.append(row)
    if as_json:
        print_json({"setting": vars(setting), "networks": rows})
        return
    shown = Table(box=None, header_style="bold")
    figure = "least ms" if setting.clock == "cpu" else "median ms"
    for name in ("network", "px", "MACs", figure, "10%-90%", "images/s"):
        shown.add_column(name, justify="left" if name == "network" else "right")
    if predicted is not None:
        shown.add_column("predicted", justify="right")
        shown.add_column("error", justify="right")
    for row in rows:
        cells = [row["network"], str(row["resolution"]), f"{row['macs'] / 1e6:.1f}M"]
        cells += [f"{row['latency']:.2f}", f"{row['p10']:.2f}-{row['p90']:.2f}"]
        cells.append(f"{row['images_per_second']:.1f}")
        if predicted is not None:
            error = row["predicted"] / row["latency"] - 1
            cells += [f"{row['predicted']:.2f}", f"{error:+.1%}"]
        shown.add_row(*cells)
    out().print(shown)
    out().print(f"{setting.describe()}, {runs} runs", highlight=False, soft_wrap=True)


def _make(
    name: str, setting: Setting, calibrate: int | None, checked: int, target: str, as_json: bool
) -> None:
    space = get_space(name)
    declare([Target(target, "latency table")], [name])
    base = reference("efficientnet-b0")

    from nas.latency.build_table import build_table, work
    from nas.latency.calibrate import calibrate_table
    from nas.latency.parts import space_parts
    from nas.latency.runtimes import prepare

    ticks = work(space, checked, calibrate)
    setting = prepare(setting)
    console = progress()
    count = len(space_parts(space))
    what = f"{count:,} parts" if calibrate is None else f"{calibrate} networks and {checked} to check"
    console.print(f"measuring {what} of space {space.name}: {setting.describe()}", highlight=False)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=ticks)

        def tick(done: int) -> None:
            bar.advance(task, done)

        if calibrate is None:
            table = build_table(space, setting, [base], checked=checked, tick=tick)
        else:
            table = calibrate_table(space, setting, [base], calibrate, checked, tick=tick)
    table.write(target)
    about = table.about
    if as_json:
        print_json({"table": target, "parts": len(table.entries), "setting": vars(setting), **about})
        return
    use = shell_command("nas", "search", "--latency-table", Path(target), "--target", "latency=20")
    if calibrate is not None:
        model, before = about["roofline"], about["uncalibrated_rank_correlation"]
        out().print(
            f"calibrated with {calibrate} networks: {1e-6 / model['scale']:.1f} G MACs a second, ridge "
            f"{model['ridge']:.2g} MACs/byte; the roofline's rank correlation before that is {before:.3f}",
            highlight=False,
            soft_wrap=True,
        )
    out().print(
        f"{len(table.entries):,} parts; on {about['checked']} random networks of {about['lowest']:.1f} to "
        f"{about['highest']:.1f} ms: rank correlation {about['rank_correlation']:.3f}, median error "
        f"{about['median_error']:.1%}, largest {about['largest_error']:.1%}, "
        f"{about['within_10']:.0%} within 10%\n"
        f"efficientnet-b0: {table(base):.2f} ms predicted\n"
        f"wrote {target}; weigh it with: {use}",
        highlight=False,
        soft_wrap=True,
    )

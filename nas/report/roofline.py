"""The roofline for people: a network's parts at a ridge point, and the fronts of a sweep. 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas.network.cost_words import si
from nas.network.roofline import LayerWork, roofline
from nas.report.tables import part_words
from nas.studies.ridge_sweep import SweptNetwork
from search_spaces.spec import NetworkSpec


def _waits(works: Sequence[LayerWork], ridge: float) -> list[LayerWork]:
    """The layers whose memory takes longer than their arithmetic."""
    return [work for work in works if round(ridge * work.moved) > work.macs]


def roofline_table(spec: NetworkSpec, works: Sequence[Sequence[LayerWork]], ridge: float) -> Table:
    """A network part by part.

    Args:
        spec: the network.
        works: of its layers by part, as `nas.network.roofline.network_work` gives them.
        ridge: MACs per byte.
    """
    table = Table(
        title=f"{spec.name} at {spec.resolution} px, fp32; at ridge {ridge:g}, layers waiting for memory",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for name in ("part", "blocks"):
        table.add_column(name, overflow="fold")
    for name in ("MACs", "MB moved", "roofline", "waiting"):
        table.add_column(name, justify="right", no_wrap=True)
    names = ["stem", *(f"stage{index}" for index in range(len(works) - 2)), "head"]
    for name, words, part in zip(names, part_words(spec), works, strict=True):
        table.add_row(name, words, *_cells(part, ridge))
    table.add_row("total", "", *_cells([work for part in works for work in part], ridge), style="bold")
    return table


def _cells(works: Sequence[LayerWork], ridge: float) -> list[str]:
    moved = sum(work.moved for work in works) / 1e6
    bound = f"{len(_waits(works, ridge))} of {len(works)}"
    return [si(sum(work.macs for work in works)), f"{moved:.1f}", si(roofline(works, ridge)), bound]


def roofline_line(works: Sequence[Sequence[LayerWork]], ridge: float) -> str:
    """The whole network in a line."""
    layers = [work for part in works for work in part]
    total = roofline(layers, ridge)
    share = roofline(_waits(layers, ridge), ridge) / total if total else 0.0
    return (
        f"roofline: {si(total)} MACs at ridge {ridge:g} MACs/byte, {share:.0%} memory-bound; "
        f"{sum(work.moved for work in layers) / 1e6:.1f} MB moved"
    )


def sweep_table(swept: Sequence[SweptNetwork], ridges: Sequence[float]) -> Table:
    """The networks of a sweep, and at which ridge points each is on the front."""
    table = Table(
        title="On the front of accuracy and roofline, by ridge point (MACs/byte)", title_justify="left"
    )
    for name in ("trial", "accuracy", "MACs", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for ridge in ridges:
        table.add_column(f"{ridge:g}", justify="center", no_wrap=True)
    for each in swept:
        marks = ["x" if ridge in each.good_at else "" for ridge in ridges]
        record = each.record
        cells = [str(record.trial), f"{record.accuracy:.4f}", si(record.macs), f"{each.moved / 1e6:.1f}"]
        table.add_row(*cells, *marks)
    return table


def everywhere_line(swept: Sequence[SweptNetwork]) -> str:
    """Which of a sweep's networks are on the front at every ridge point."""
    count = len(swept[0].rooflines)
    if found := [str(each.record.trial) for each in swept if each.everywhere]:
        return f"good at all {count} ridge points: trial{'s' if len(found) > 1 else ''} {', '.join(found)}"
    most = swept[0]
    points = f"{len(most.good_at)} of all {count} ridge points"
    return f"none is good everywhere; trial {most.record.trial} is at {points}"

"""Tables for the terminal, at most 80 columns wide where the content allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from nas.benchmark.plan import WorkerPlan
from nas.network.cost import Cost, cost
from nas.network.cost_words import cost_label, si
from nas.network.scaling import MODES
from nas.search.results import Results
from nas.search.trial import Record
from nas.studies.proxy_design import Tried
from nas.studies.rediscovery import Rediscovery
from nas.studies.scaling import BASELINE, StudyPoint, best_first, coefficients_of
from nas.studies.scaling_law import AXES, FACTOR, Estimate, LawPoint
from nas.studies.stage_two import FullResult
from search_spaces.listed import ListedSpace
from search_spaces.notation import head_words, stage_words, stem_words
from search_spaces.quoting import printable
from search_spaces.spec import NetworkSpec

_MOST_STAGES = 4
"""Lines that a trial's differences take in a table."""


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def spec_table(spec: NetworkSpec) -> Table:
    """A network stage by stage, in words, with its costs."""
    counted = cost(spec)
    table = _table(
        f"{spec.name} ({spec.digest}): {spec.resolution} px, {spec.activation}, {si(counted.macs)} MACs, "
        f"{si(counted.params)} params",
        ("part", "blocks"),
        ("output", "MACs", "params"),
    )
    for name, part in zip(part_words(spec), counted.stages, strict=True):
        table.add_row(part.name, name, f"{part.resolution} px", si(part.macs), si(part.params))
    return table


def cost_table(spec: NetworkSpec, counted: Cost) -> Table:
    """All costs, part by part and in total, in 80 columns; memory in MB for one image."""
    table = _table(
        f"{spec.name} at {spec.resolution} px, one image, fp32; activations kept and live in MB",
        ("part", "blocks"),
        ("px", "MACs", "params", "act.", "kept", "live"),
    )
    table.box, table.show_footer, table.pad_edge, table.header_style = None, False, False, "bold"
    for name, part in zip(part_words(spec), counted.stages, strict=True):
        table.add_row(
            part.name,
            name,
            str(part.resolution),
            si(part.macs),
            si(part.params),
            si(part.activations),
            f"{part.saved * 4 / 1e6:.1f}",
            f"{part.live * 4 / 1e6:.1f}",
        )
    table.add_row(
        "total",
        "",
        "",
        si(counted.macs),
        si(counted.params),
        si(counted.activations),
        f"{sum(part.saved for part in counted.stages) * 4 / 1e6:.1f}",
        f"{max(part.live for part in counted.stages) * 4 / 1e6:.1f}",
        style="bold",
    )
    return table


def trials_table(
    title: str,
    rows: Sequence[tuple[Record, NetworkSpec]],
    beside: NetworkSpec,
    costs: Sequence[str] = ("macs",),
) -> Table:
    """Trials with these costs, and the stages in which each differs from the network `beside`.

    That one is shown in full.
    """
    labels = map(cost_label, costs)
    table = _table(title, ("trial", "differs from the winner in"), ("accuracy", *labels, "reward"))
    for record, network in rows:
        reward, accuracy = record.reward, record.accuracy
        differing = _differences(network, beside)
        if len(differing) > _MOST_STAGES:
            differing[_MOST_STAGES - 1 :] = [f"and {len(differing) - _MOST_STAGES + 1} more stages"]
        table.add_row(
            str(record.trial),
            "\n".join(differing) or "nothing: it is the winner",
            "" if accuracy is None else f"{accuracy:.4f}",
            *(si(record.costs[name]) for name in costs),
            "failed" if reward is None else f"{reward:.4f}",
        )
    return table


def _differences(network: NetworkSpec, beside: NetworkSpec) -> list[str]:
    """What `network` has where the other one has something else, in words."""
    ends = [
        text
        for text, other in zip(_ends(network).values(), _ends(beside).values(), strict=True)
        if text != other
    ]
    if len(network.stages) != len(beside.stages):
        return [*ends, f"its {len(network.stages)} stages, not {len(beside.stages)}"]
    pairs = enumerate(zip(network.stages, beside.stages, strict=True))
    return ends + [f"stage{index} {stage_words(stage)}" for index, (stage, other) in pairs if stage != other]


def part_words(spec: NetworkSpec) -> list[str]:
    """Stem, stages and head in words, in the order of its costs."""
    return [stem_words(spec), *map(stage_words, spec.stages), head_words(spec)]


def pareto_table(results: Results, limit: int = 12) -> Table:
    """The front of accuracy against the targeted costs, at most `limit` of it spread evenly."""
    front = results.front
    shown = front
    if len(front) > limit:
        shown = [front[round(i * (len(front) - 1) / (limit - 1))] for i in range(limit)]
    more = f", {len(shown)} of {len(front)} shown" if len(shown) < len(front) else ""
    costs = results.costs
    title = " and ".join(cost_label(name) for name in costs)
    table = _table(f"Pareto front of accuracy against {title}{more}", ("trial",), ())
    columns = list(dict.fromkeys([*costs, "macs", "params"]))
    for name in ("accuracy", *(cost_label(name) for name in columns), "reward"):
        table.add_column(name, justify="right")
    for record in shown:
        values = [si(record.costs[name]) for name in columns]
        table.add_row(str(record.trial), f"{record.accuracy:.4f}", *values, f"{record.reward:.4f}")
    return table


def difference_tables(first: NetworkSpec, second: NetworkSpec) -> list[Table]:
    """Two networks side by side: their stages, with what differs, and their figures."""
    stages = _table(
        f"{first.name} and {second.name}", ("part", first.name or "first", second.name or "second", ""), ()
    )
    ends = [_ends(spec) for spec in (first, second)]
    rows = [(name, ends[0][name], ends[1][name]) for name in ("input", "stem")]
    for index in range(max(len(first.stages), len(second.stages))):
        mine, theirs = (
            stage_words(spec.stages[index]) if index < len(spec.stages) else "" for spec in (first, second)
        )
        rows.append((f"stage{index}", mine, theirs))
    rows.append(("head", ends[0]["head"], ends[1]["head"]))
    for name, mine, theirs in rows:
        same = mine == theirs
        stages.add_row(name, mine, theirs, "" if same else "differs", style="dim" if same else "bold")
    figures = _table("In figures", ("",), (first.name, second.name, "second / first"))
    costs = [cost(spec) for spec in (first, second)]
    for label, key in (("MACs", "macs"), ("params", "params"), ("activations", "activations")):
        a_value, b_value = (getattr(counted, key) for counted in costs)
        figures.add_row(label, si(a_value), si(b_value), f"{b_value / a_value:.3f}")
    return [stages, figures]


def _ends(spec: NetworkSpec) -> dict[str, str]:
    return {
        "input": f"{spec.in_channels} x {spec.resolution} px, {spec.activation}",
        "stem": stem_words(spec),
        "head": f"{head_words(spec)}, dropout {spec.dropout:g}",
    }


def family_table(title: str, members: Iterable[tuple[str, NetworkSpec]]) -> Table:
    """A scaled family, smallest first; activations in millions, memory of training one image."""
    right = ("px", "blocks", "widest", "MACs", "params", "act.", "train MB")
    table = _table(title, ("member",), right)
    for label, spec in members:
        counted = cost(spec)
        table.add_row(
            label,
            str(spec.resolution),
            str(sum(stage.repeats for stage in spec.stages)),
            str(max(stage.channels for stage in spec.stages)),
            si(counted.macs),
            si(counted.params),
            si(counted.activations),
            f"{counted.training_memory / 1e6:,.0f}",
        )
    return table


def coefficients_table(space: ListedSpace, records: Sequence[Record], limit: int = 12) -> Table:
    """The points of a grid of coefficients, best first."""
    ranked = best_first(records)[:limit]
    more = f", {len(ranked)} of {len(records)} shown" if len(ranked) < len(records) else ""
    table = _table(f"Coefficients at phi 1, best first{more}", (), ())
    for name in ("alpha", "beta", "gamma", "accuracy", "MACs"):
        table.add_column(name, justify="right", no_wrap=True)
    for record in ranked:
        c = coefficients_of(space, record)
        accuracy = printable(str(record.reason)) if record.accuracy is None else f"{record.accuracy:.4f}"
        table.add_row(f"{c.alpha:g}", f"{c.beta:g}", f"{c.gamma:g}", accuracy, si(record.macs))
    return table


def study_table(points: Sequence[StudyPoint]) -> Table:
    """Accuracies of a scaling study, a row for each way."""
    factors = sorted({p.factor for p in points if p.factor > 1})
    table = _table(
        "Accuracy at equal MACs (times the baseline's)", ("scaled in",), ("x1", *(f"x{f:g}" for f in factors))
    )
    found = {(p.mode, p.factor): p.accuracy for p in points}
    first = found.get((BASELINE, 1.0))
    for mode in MODES:
        cells = [first, *(found.get((mode, factor)) for factor in factors)]
        table.add_row(mode, *("" if cell is None else f"{cell:.4f}" for cell in cells))
    return table


def law_table(points: Sequence[LawPoint]) -> Table:
    """The trainings that a scaling law was fitted to, the smallest network first."""
    table = _table("MACs of the baseline, times so much by each", (), (*AXES, "MACs", "accuracy"))
    for point in points:
        cells = ["" if not each else f"x{2**each:.2f}" for each in point.doublings]
        table.add_row(*cells, si(point.macs), f"{point.accuracy:.4f}")
    return table


def ways_table(ways: Mapping[str, tuple[Estimate, float]]) -> Table:
    """What a scaling law says of the ways to scale."""
    table = _table(
        f"Told by the law for {FACTOR:g} times the MACs", ("scaled in",), ("accuracy", "95%", "best of these")
    )
    for mode, (told, chance) in ways.items():
        table.add_row(mode, f"{told.value:.3f}", f"{told.low:.3f} to {told.high:.3f}", f"{chance:.0%}")
    return table


def comparison_table(family: str, rows: Sequence[dict[str, Any]], noise: bool, pending: int) -> Table:
    """Median evaluations to the landmarks on one surrogate; `>` where fewer than half of the seeds got there.

    `most`: of the unluckiest seed to 99%; `chosen`: true reward of the incumbent at the end.
    """
    notes = [f"{rows[0]['seeds']} seeds"] + (["with noise"] if noise else [])
    notes += [f"{pending} pending"] if pending > 1 else []
    table = _table(f"Median evaluations to the goals on {family} ({', '.join(notes)})", ("controller",), ())
    goals = [name for name in ("B0", "95%", "99%", "99.9%", "most") if name in rows[0]]
    for name in (*goals, "chosen", "ms/ask"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:

        def count(key: str, row: dict[str, Any] = row) -> str:
            return f">{row['trials']}" if row[key] is None else f"{row[key]:.0f}"

        table.add_row(
            row["controller"], *map(count, goals), f"{row['incumbent']:.4f}", f"{row['ask_ms']:.1f}"
        )
    return table


def plan_table(plans: Sequence[WorkerPlan], trials: int, hour: float | None) -> Table:
    """Simulated searches: time, worker hours, utilisation, and what they end with."""
    table = _table(f"A search of {trials:,} trials, simulated", ("workers", "mode"), ())
    for name in ("hours", "worker hours", "busy", "reward", *(["costs"] if hour else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for plan in plans:
        hours = plan.seconds / 3600
        paid = plan.workers * hours
        cells = [f"{hours:,.1f}", f"{paid:,.0f}", f"{100 * plan.utilisation:.1f}%", f"{plan.reward:.4f}"]
        table.add_row(str(plan.workers), plan.mode, *cells, *([f"{paid * hour:,.0f}"] if hour else []))
    return table


def rediscovery_tables(found: Rediscovery) -> list[Table]:
    """The winner beside B0: stage by stage, and in figures."""
    stages = _table("Found beside EfficientNet-B0", ("part", "found", "efficientnet-b0", ""), ())
    for part, mine, theirs, equal in found.rows():
        stages.add_row(part, mine, theirs, "" if equal else "differs")
    figures = _table("Predicted on ImageNet", ("network",), ("top-1", "MACs", "params", "reward"))
    for side in (found.found, found.b0):
        figures.add_row(
            side.name,
            f"{side.top1:.2f} +- {side.top1_std:.2f}",
            si(side.macs),
            si(side.params),
            f"{side.reward:.4f}",
        )
    figures.add_row("random, mean", f"{found.random_top1:.2f}", "", "", f"{found.random_reward:.4f}")
    return [stages, figures]


def proxy_table(tried: Sequence[Tried], chosen: Tried | None) -> Table:
    """Proxy settings by cost, with how well each ranks; the recommended one is marked."""
    table = _table("Proxy settings, cheapest first", ("proxy",), ("cost", "s each", "tau", "95%", "n"))
    for one in sorted(tried, key=lambda one: one.cost):
        found = one.correlation
        mark = " *" if chosen is not None and one.setting == chosen.setting else ""
        table.add_row(
            one.setting.label + mark,
            f"{one.cost:.1%}",
            f"{one.seconds:.1f}",
            f"{found.tau:.2f}",
            f"{found.low:.2f}..{found.high:.2f}",
            str(found.count),
        )
    return table


def stage_two_table(results: Sequence[FullResult]) -> Table:
    """Networks after their full training, best first, with the place that the search gave them."""
    costs = results[0].costs if results else {}
    table = _table(
        "Trained fully, highest reward first; accuracies of the last epoch",
        ("trial",),
        ("place", "proxy reward", "reward", "held-out", "test", *(cost_label(name) for name in costs)),
    )
    places = sorted(results, key=lambda r: -r.proxy_reward)
    for index, result in enumerate(results):
        table.add_row(
            str(result.trial) + (" *" if index == 0 else ""),
            f"{places.index(result) + 1} > {index + 1}",
            f"{result.proxy_reward:.4f}",
            f"{result.reward:.4f}",
            f"{result.held_out_accuracy:.4f}",
            f"{result.test_accuracy:.4f}",
            *(si(result.costs[name]) for name in costs),
        )
    return table

"""A run as one self-contained HTML file: what was found, how, and how to find it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from nas.export.exportable import describe_space
from nas.network.analytic import analytic_cost, is_analytic
from nas.network.cost import cost
from nas.network.cost_words import cost_label, costs_text, si
from nas.network.scaling import family
from nas.report.aim import run_remarks
from nas.report.charts import Line, Mark, chart
from nas.report.diagram import to_svg
from nas.report.figures import REFERENCES
from nas.report.importance import importances, least_trials
from nas.report.page import whole_page
from nas.report.ranking_table import ranking_cells, ranking_lines
from nas.report.stages import stage_results
from nas.report.tables import part_words
from nas.runs.copies import COPIES
from nas.runs.folder import SETTINGS, Run
from nas.runs.function_settings import FunctionSettings
from nas.runs.measured import read_measured
from nas.runs.supernet_settings import SupernetSettings
from nas.runs.train_settings import TrainSettings
from nas.search.ranking import RankingSheet
from nas.search.results import Results
from nas.search.reward import Reward
from nas.search.trial import FAILED, FINISHED, STOPPED, Record, Scored
from nas.studies.run_ranking import judge_run
from search_spaces.counting import count_text
from search_spaces.document import dump_yaml, write_atomically
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import CODE_LEGEND, WORDS_LEGEND, network_notation
from search_spaces.quoting import markup, shell_command
from search_spaces.reference import reference
from search_spaces.spec import NetworkSpec

_TOP = 10
_MOST_POINTS = 4000


def write_report(run: Run, records: Sequence[Record], path: Path) -> None:
    """Write the report of a run.

    Raises:
        InputError: no trial has finished yet, or the file can't be written.
    """
    results = run.results(records)
    best = run.winner(results)
    if best is None:
        raise InputError(f"{run.folder}: no trial has finished yet: there is nothing to report")
    title = f"Search {run.folder.name}"
    body = [
        f"<h1>{markup(title)}</h1>",
        _summary(run, records, results, best),
        _winner(run, best),
        _front(results, best),
        _progress(records),
        _top(run, results),
        _ranking(judge_run(run, records)),
        _importance(run, results),
        _family(run.spec(best)),
        _failures(records),
        _again(run, records),
    ]
    write_atomically(path, whole_page(title, body))


def _summary(run: Run, records: Sequence[Record], results: Results, best: Scored) -> str:
    seconds = sum(record.seconds for record in records if record.same_as is None)
    times = [r.started for r in records if r.started]
    when = ""
    if times:
        moment = datetime.fromtimestamp(min(times), timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        span = max(r.started + r.seconds for r in records if r.started) - min(times)
        when = f"Started {moment}, {_time(span)}; {_time(seconds)} of trials. "
    settings = run.settings
    scored = "ImageNet top-1 by the benchmark"
    if isinstance(settings.evaluator, TrainSettings):
        scored = _proxy(settings.evaluator)
    elif isinstance(settings.evaluator, FunctionSettings):
        scored = f"{settings.evaluator.function}, epochs {settings.evaluator.epochs}"
    elif isinstance(settings.evaluator, SupernetSettings):
        scored = f"held-out images, with the weights of the supernet {settings.evaluator.supernet_digest}"
    cards = [
        ("best reward", f"{best.reward:.4f}"),
        ("its accuracy", f"{best.accuracy:.4f}"),
        *((f"its {cost_label(name)}", si(best.costs[name])) for name in results.costs),
        *([] if "params" in results.costs else [("its params", si(best.costs["params"]))]),
        *_aims(settings.reward.make()),
        (
            "trials",
            f"{len(records):,}"
            + (f", {results.failed} failed" if results.failed else "")
            + (f", {results.states[STOPPED]} ended early" if results.states[STOPPED] else ""),
        ),
        ("space", count_text(run.space.size)),
    ]
    shown = "".join(
        f"<div><span class=faint>{markup(name)}</span><b>{value}</b></div>" for name, value in cards
    )
    return (
        f'<p class="faint">{when}Space {markup(describe_space(run.space))}; '
        f"controller {markup(settings.controller.name)}, "
        f"reward {markup(settings.reward.form)}, seed {settings.seed}; scored on {markup(scored)}.</p>"
        f'<div class="cards">{shown}</div>'
    ) + "".join(f"<p>{markup(line)}</p>" for line in _remarks(run, records, results, best))


def _aims(reward: Reward) -> list[tuple[str, str]]:
    """The tiles of what was sought: each target, and what the reward takes for a cost beside it."""
    tiles = [(f"target {cost_label(each.cost)}", si(each.target)) for each in reward.objectives]
    for each in reward.objectives:
        name = "exponent" if len(reward.objectives) == 1 else f"exponent of {cost_label(each.cost)}"
        same = each.below == each.above
        tiles.append(
            (name, f"{each.below:g}" if same else f"{each.below:g}, {each.above:g} beyond the target")
        )
    return tiles


def _remarks(run: Run, records: Sequence[Record], results: Results, best: Scored) -> list[str]:
    measured = read_measured(run.folder)
    known = [] if measured is None else [f"Measured before the search: {'; '.join(measured.lines)}."]
    stages = stage_results(run, records)
    return [*known, *([] if stages is None else [stages.line]), *run_remarks(run, results, best)]


def _proxy(settings: TrainSettings) -> str:
    proxy, recipe = settings.make_proxy(), settings.make_recipe()
    epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs != 1)}"
    return f"{settings.data} at {proxy.resolution} px, width x {proxy.width:g}, {epochs}"


def _winner(run: Run, best: Scored) -> str:
    spec = run.spec(best)
    return (
        f'<h2>The best network</h2><div class="wide">{to_svg(spec, standalone=False)}</div>{_stages(spec)}'
        f'<p class="faint">{markup(WORDS_LEGEND)}.</p>'
    )


def _stages(spec: NetworkSpec) -> str:
    parts = cost(spec).stages
    rows = [
        (part.name, markup(name), f"{part.resolution} px", si(part.macs), si(part.params))
        for part, name in zip(parts, part_words(spec), strict=True)
    ]
    return _table(("part", "blocks", "output", "MACs", "params"), rows, numbers=3)


def _front(results: Results, best: Scored) -> str:
    name, target = results.cost, results.target
    front = {record.trial for record in results.front}
    done = sorted(results.finished, key=lambda r: (r.trial == best.trial, r.trial in front))
    kept = done if len(done) <= _MOST_POINTS else [r for r in done if r.trial in front] + done[-_MOST_POINTS:]
    points = [
        Mark(
            r.costs[name],
            r.accuracy,
            "win" if r.trial == best.trial else "front" if r.trial in front else "trial",
            f"trial {r.trial}\naccuracy {r.accuracy:.4f}\n{cost_label(name)} {si(r.costs[name])}\n"
            f"reward {r.reward:.4f}",
        )
        for r in kept
    ]
    marks = [] if target is None else [(target, "target", "target")]
    seen = {r.digest: r for r in done}
    if is_analytic(name):
        for label in REFERENCES:
            spec = reference(label)
            value = float(analytic_cost(spec, name))
            marks.append((value, label, "ref"))
            if spec.digest in seen:
                points.append(Mark(value, seen[spec.digest].accuracy, "star", label))
    steps: list[tuple[float, float]] = []
    # in more costs than one the front is no line in this picture
    line = results.front if len(results.objectives) < 2 else []
    for record in sorted(line, key=lambda r: r.costs[name]):
        if steps:
            steps.append((record.costs[name], steps[-1][1]))
        steps.append((record.costs[name], record.accuracy))
    picture = chart(
        points,
        [Line(steps, "front")],
        f"{cost_label(name)} (log scale)",
        "accuracy (fraction)",
        f"Accuracy against {cost_label(name)} of {len(done)} networks; {len(front)} on the Pareto front; "
        f"the best has accuracy {best.accuracy:.4f} at {si(best.costs[name])}.",
        log_x=True,
        marks=marks,
    )
    left = f" {len(done) - len(kept)} dominated points are not drawn." if len(kept) < len(done) else ""
    return (
        f'<h2>Accuracy against {markup(cost_label(name))}</h2><div class="wide">{picture}</div>'
        f'<p class="faint">Orange: the Pareto front; red: the best by reward; dashed: the target; dotted: '
        f"known networks' cost (a blue point where the search has evaluated one).{left}</p>"
    )


def _ranking(sheet: RankingSheet | None) -> str:
    """What the run's own accuracies are worth as a ranking."""
    if sheet is None:
        return ""
    heads = ("ranking", "tau", "95%", "top tenth", "found", "equal MACs")
    rows = [[markup(cell) for cell in ranking_cells(sheet, row)] for row in sheet.rows]
    lines = "".join(f"<p>{markup(line)}</p>" for line in ranking_lines(sheet))
    title = f"How well {sheet.count:,} networks are ranked by {sheet.truth}"
    return f"<h2>{markup(title)}</h2>{_table(heads, rows, numbers=5)}{lines}"


def _progress(records: Sequence[Record]) -> str:
    points: list[Mark] = []
    line: list[tuple[float, float]] = []
    best = float("-inf")
    every = max(1, len(records) // _MOST_POINTS)
    for step, record in enumerate(records, start=1):
        if not isinstance(record, Scored):
            continue
        if record.state == FINISHED and record.reward > best:
            if line:
                line.append((float(step), best))
            best = record.reward
            line.append((float(step), best))
        if step % every == 0:
            points.append(Mark(step, record.reward, "trial", f"trial {record.trial}: {record.reward:.4f}"))
    line.append((float(len(records)), best))
    picture = chart(
        points,
        [Line(line, "best")],
        "trials ended",
        "reward",
        f"Reward by trials: the best rises to {best:.4f} over {len(records)} trials.",
    )
    return f'<h2>Progress</h2><div class="wide">{picture}</div>'


def _top(run: Run, results: Results) -> str:
    parts = []
    for rank, record in enumerate(results.ranked[:_TOP], start=1):
        spec = run.spec(record)
        parts.append(
            f"<details><summary>{rank}. trial {markup(str(record.trial))}: reward {record.reward:.4f}, "
            f"accuracy {record.accuracy:.4f}, {markup(costs_text(record.costs, results.costs))}</summary>"
            f'<div class="wide">{to_svg(spec, standalone=False)}</div>{_stages(spec)}'
            f'<p class="wide">To paste: <code>{markup(network_notation(spec))}</code></p></details>'
        )
    legend = f'<p class="faint">{markup(CODE_LEGEND)}.</p>'
    return f"<h2>The top {len(parts)}</h2>{''.join(parts)}{legend}"


def _importance(run: Run, results: Results) -> str:
    if not isinstance(run.space, StagedSpace):
        return ""
    head, done, decisions = "<h2>What matters</h2>", results.finished, run.space.decisions
    least = least_trials(done, decisions)
    if len(done) < least:
        return (
            f"{head}<p>Not told by {len(done)} finished trials: to divide the credit among the choices that "
            f"were tried, this report wants {least:,}, three for each effect.</p>"
        )
    found = importances(done, decisions, results.cost)
    if not found:
        return ""
    label = cost_label(results.cost)
    widest = max(item.accuracy_span for item in found) or 1.0
    rows = []
    for item in found:
        ranked = sorted(item.effects, key=lambda effect: -effect.accuracy)
        choices = ", ".join(
            f"<span class=keep>{markup(str(e.choice))} {100 * e.accuracy:+.2f} / "
            f"{'+' if e.cost > 0 else '-'}{si(abs(e.cost))}</span>"
            for e in ranked
        )
        low, high = (100 * end for end in item.interval)
        kind = "bar" if item.told else "bar untold"
        bar = (
            f'<span class="{kind}" style="width:{max(1, round(60 * item.accuracy_span / widest))}px"></span>'
        )
        rows.append(
            (
                markup(item.decision),
                f"{100 * item.accuracy_span:.2f}",
                f"{low:.2f} to {high:.2f}" if item.told else f"not told ({low:.2f} to {high:.2f})",
                bar,
                si(item.cost_span),
                choices,
            )
        )
    table = _table(
        (
            "decision",
            "points of accuracy",
            "95% interval",
            "",
            label,
            f"its choices: points / {label}, against the average",
        ),
        rows,
        numbers=0,
        stack=True,
    )
    told = sum(item.told for item in found)
    return (
        f"{head}<p class=faint>From its worst to its best choice, a decision moves accuracy "
        f"and {markup(label)} by so much: coefficients of a ridge regression on all choices at once over "
        f"{len(done):,} finished trials. {told} of {len(found)} decisions are told from chance: their "
        "interval, of trials drawn again, is above 0 (that the two choices were picked afterwards is not in "
        f"it). Interactions between decisions are not in any of them.</p>{table}"
    )


def _family(spec: NetworkSpec) -> str:
    rows = []
    for phi, member in enumerate(family(spec)):
        counted = cost(member)
        blocks = sum(stage.repeats for stage in member.stages)
        rows.append((f"phi {phi}", str(member.resolution), str(blocks), si(counted.macs), si(counted.params)))
    return (
        "<h2>The scaled family</h2>"
        + _table(("member", "px", "blocks", "MACs", "params"), rows, numbers=1)
        + '<p class="faint">By the steps of EfficientNet-B0 to B7; other coefficients and budgets: '
        "<code>nas scale</code>.</p>"
    )


def _failures(records: Sequence[Record]) -> str:
    reasons: dict[str, int] = {}
    for record in records:
        if record.state == FAILED:
            reasons[record.reason or ""] = reasons.get(record.reason or "", 0) + 1
    if not reasons:
        return ""
    rows = [(markup(reason), str(count)) for reason, count in sorted(reasons.items(), key=lambda i: -i[1])]
    return f"<h2>Failed trials</h2>{_table(('reason', 'trials'), rows, numbers=1)}"


def _again(run: Run, records: Sequence[Record]) -> str:
    settings = run.settings
    versions = records[-1].versions if records else {}
    shown = ", ".join(f"{name} {value}" for name, value in versions.items())
    digest = settings.evaluator.digest
    words = ["nas", "search", "--config", f"{run.folder}/{SETTINGS}"]
    if len(records) != settings.trials:  # of an interrupted run, or one that converged
        words += ["--trials", str(len(records))]
    for setting, name in COPIES.items():
        if (copy := str(run.folder / name)) == getattr(settings, setting):  # the run's own
            words += [f"--{setting.replace('_', '-')}", copy]
    command = shell_command(*words, "--out", "runs/again")
    what = "data" if settings.evaluator.kind == "train" else "surrogate"
    kept = f"digest of the {what}: {digest or 'not kept'}"
    return (
        "<h2>To find it again</h2>"
        f"<pre>{markup(command)}</pre><p>Seed {settings.seed}; {markup(kept)}; {markup(shown)}.</p>"
        "<details><summary>All settings</summary>"
        f"<pre>{markup(dump_yaml(settings.to_document()))}</pre></details>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int, stack: bool = False) -> str:
    """A table; the last `numbers` columns are numbers. `stack`: in a narrow window a row takes two lines."""
    first = len(head) - numbers

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if index >= first else ''}>{cell}</{tag}>" for index, cell in enumerate(row)
        )

    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    first_line = cells([markup(name) for name in head], "th")
    kind = " class=stack" if stack else ""
    return f'<div class="wide"><table{kind}><tr>{first_line}</tr>{lines}</table></div>'


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

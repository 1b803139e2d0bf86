"""Several runs as one HTML page: a table that can be sorted, their fronts, and what differs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from nas.network.cost_words import cost_label, si
from nas.report.fronts import FRONTS_STYLE, fronts_svg
from nas.report.page import whole_page
from nas.runs.several import ReadRun, differences
from search_spaces.document import write_atomically
from search_spaces.quoting import markup, printable

_STYLE = """
th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;text-align:inherit}
th button:after{content:"\\00a0\\2195";color:var(--faint)}
th[aria-sort=ascending] button:after{content:"\\00a0\\2191"}
th[aria-sort=descending] button:after{content:"\\00a0\\2193"}
td.why{white-space:normal;min-width:30ch}svg.chart text.name{font-weight:600}
"""
_SCRIPT = """
document.querySelectorAll('table.sortable th').forEach((th,at)=>th.firstChild.addEventListener('click',()=>{
 const up=th.getAttribute('aria-sort')!=='ascending',body=th.closest('table').tBodies[0];
 th.parentNode.querySelectorAll('th').forEach(x=>x.removeAttribute('aria-sort'));
 th.setAttribute('aria-sort',up?'ascending':'descending');
 const key=r=>{const v=r.cells[at].dataset.v,n=Number(v);return v===''||v===undefined?null:isNaN(n)?v:n};
 [...body.rows].sort((a,b)=>{const x=key(a),y=key(b);
  if(x===null||y===null)return (x===null)-(y===null);
  const c=typeof x==='number'&&typeof y==='number'?x-y:String(x).localeCompare(String(y));
  return up?c:-c}).forEach(r=>body.append(r))}));
"""


def write_runs_page(runs: Sequence[ReadRun], folder: Path, path: Path) -> None:
    """Write the page of the runs below a folder.

    Args:
        runs: in the order of the table.
        folder: that they lie in; the page links to the reports that are there.
        path: of the page.

    Raises:
        InputError: no trial of any run has finished yet, or the file can't be written.
    """
    title = f"Runs in {folder.resolve().name}"
    scored = list(dict.fromkeys(read.summary.scored for read in runs if read.results is not None))
    body = [
        f"<h1>{markup(title)}</h1>",
        f'<div class="wide">{_table(runs, folder, path)}</div>',
        f'<h2>Fronts</h2><div class="wide">{fronts_svg(runs)}</div>',
    ]
    if len(scored) > 1:
        body.append(f"<p>{markup(UNLIKE.format(', '.join(scored)))}</p>")
    if missing := [r.summary.name for r in runs if r.results is None or not r.results.finished]:
        body.append(
            f'<p class="faint">Without a finished trial, not drawn: {markup(", ".join(missing))}.</p>'
        )
    write_atomically(path, whole_page(title, [*body, _differences(runs)], FRONTS_STYLE + _STYLE, _SCRIPT))


UNLIKE = "Accuracies are of several tasks ({}): they compare only within one."


def _table(runs: Sequence[ReadRun], folder: Path, path: Path) -> str:
    costs = list(dict.fromkeys(name for read in runs for name in read.summary.costs or ()))
    names = ["run", "space", "scored on", "target", "accuracy", *map(cost_label, costs), "reward", "trials"]
    head = "".join(f'<th scope="col"><button>{markup(name)}</button></th>' for name in [*names, "state"])
    return (
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>'
        f"{''.join(_row(read, costs, folder, path) for read in runs)}</tbody></table>"
    )


def _row(read: ReadRun, costs: Sequence[str], folder: Path, path: Path) -> str:
    run = read.summary
    name = markup(run.name)
    if (report := folder / run.name / "report.html").is_file():
        target = os.path.relpath(report, path.parent)
        name = f'<a href="{markup(quote(target))}">{name}</a>'
    if run.reason is not None:
        why = f'<td class="why">{markup(run.reason)}</td>'
        empty = [_number(None)] * (5 + len(costs))
        return f"<tr>{''.join([_cell(run.name, name), why, *empty, _cell(run.state)])}</tr>"
    targets = [f"{si(target)} {cost_label(name)}" for name, target in (run.targets or {}).items()]
    failed = f", {run.failed} failed" if run.failed else ""
    first = next(iter((run.targets or {}).values()), None)
    cells = [
        _cell(run.name, name),
        _cell(run.space),
        _cell(run.scored),
        _cell("" if first is None else first, markup(", ".join(targets) or "none")),
        _number(run.accuracy, "{:.4f}"),
        *(_number((run.costs or {}).get(cost)) for cost in costs),
        _number(run.reward, "{:.4f}"),
        _cell(run.trials, f"{run.trials}/{run.goal}{failed}"),
        _cell(run.state),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _cell(value: object, shown: str | None = None) -> str:
    return f'<td data-v="{markup(str(value))}">{markup(str(value)) if shown is None else shown}</td>'


def _number(value: float | None, form: str | None = None) -> str:
    if value is None:
        return '<td data-v=""></td>'
    return _cell(repr(float(value)), form.format(value) if form else si(value))


def _differences(runs: Sequence[ReadRun]) -> str:
    summaries = [read.summary for read in runs]
    known = [run.name for run in summaries if run.settings is not None]
    found = differences(summaries)
    if len(known) < 2:
        return ""
    if not found:
        return "<h2>Settings that differ</h2><p>None.</p>"
    head = "".join(f'<th scope="col">{markup(name)}</th>' for name in ("setting", *known))
    rows = "".join(
        f"<tr><td>{markup(name)}</td>"
        + "".join(f"<td>{'' if value is None else markup(_short(value))}</td>" for value in values)
        + "</tr>"
        for name, values in found.items()
    )
    return (
        f'<h2>Settings that differ</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _short(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 80 else f"{text[:77]}..."

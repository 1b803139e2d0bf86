"""Style and script of the report: one file, nothing from elsewhere, light and dark, narrow and wide."""

from __future__ import annotations

from collections.abc import Iterable

from search_spaces.quoting import markup

STYLE = """
:root{--ink:#1b1f24;--faint:#5c6570;--paper:#fff;--panel:#f5f6f8;--edge:#d9dde2;--best:#c8640b;--mark:#2563a8;
--target:#c0262d}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--faint:#a3abb5;--paper:#15181c;--panel:#1f242a;
--edge:#39414a;--best:#f0a050;--mark:#7fb2ec;--target:#f07178}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:16px;color:var(--ink);background:var(--paper);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p.faint,.faint{color:var(--faint)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;margin:1rem 0}
.cards div{background:var(--panel);border:1px solid var(--edge);border-radius:6px;padding:8px 12px}
.cards b{display:block;font-size:1.2rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:4px 10px 4px 0;border-bottom:1px solid var(--edge);
overflow-wrap:break-word}
td.n,th.n{text-align:right;padding:4px 0 4px 10px}td.n,.keep{white-space:nowrap}
@media(max-width:480px){table{font-size:.75rem}th,td{padding-right:5px}td.n,th.n{padding-left:5px}
details{padding:6px}}
@media(max-width:720px){.stack tr{display:flex;flex-wrap:wrap;border-bottom:1px solid var(--edge)}
.stack td,.stack th{border:0}.stack :last-child{flex-basis:100%}}
code,pre{font-family:ui-monospace,monospace;font-size:.85rem}
pre{background:var(--panel);border:1px solid var(--edge);border-radius:6px;padding:10px;overflow-x:auto}
details{border:1px solid var(--edge);border-radius:6px;padding:6px 12px;margin:8px 0}
summary{cursor:pointer}
svg.chart{min-width:540px;width:100%;height:auto;font:12px system-ui,sans-serif}
svg.diagram{min-width:560px;width:100%;max-width:900px;height:auto;color:var(--ink)}
svg.chart text{fill:var(--ink)}svg.chart .tick{font-size:11px}
.grid{stroke:var(--edge);stroke-width:1}
circle.trial{fill:var(--faint);opacity:.55}circle.front{fill:var(--best)}circle.win{fill:var(--target);r:6}
circle.star{fill:var(--mark);r:6}
polyline{fill:none;stroke-width:1.6}polyline.front,polyline.best{stroke:var(--best)}
line.target{stroke:var(--target);stroke-dasharray:6 4}line.ref{stroke:var(--mark);stroke-dasharray:2 3}
svg.chart text.target{fill:var(--target)}svg.chart text.ref{fill:var(--mark)}
.bar.untold{background:var(--edge)}
.bar{display:inline-block;height:10px;border-radius:2px;background:var(--best);vertical-align:middle}
#tip{position:fixed;display:none;pointer-events:none;background:var(--ink);color:var(--paper);padding:4px 8px;
border-radius:4px;font-size:.85rem;max-width:320px;z-index:2;white-space:pre-line}
"""

SCRIPT = """
const tip=document.getElementById('tip');
document.addEventListener('pointermove',e=>{
 const mark=e.target.closest?e.target.closest('svg circle, svg g'):null;
 const title=mark&&mark.querySelector('title');
 if(!title){tip.style.display='none';return}
 tip.textContent=title.textContent;tip.style.display='block';
 const w=tip.offsetWidth,x=Math.min(e.clientX+14,innerWidth-w-8);
 tip.style.left=Math.max(8,x)+'px';tip.style.top=(e.clientY+16)+'px'});
"""


def whole_page(title: str, body: Iterable[str], style: str = "", script: str = "") -> str:
    """An HTML page that loads nothing.

    Args:
        title: a text.
        body: HTML.
        style, script: beside those of all reports.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{markup(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
        f'<link rel="icon" href="data:,"><style>{STYLE}{style}</style></head><body><main>'
        f'{"".join(body)}</main><div id="tip"></div><script>{SCRIPT}{script}</script></body></html>\n'
    )

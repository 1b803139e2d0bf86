"""Charts as SVG for the report: text takes the page's colour, a point tells what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.network.cost_words import si
from search_spaces.quoting import markup

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 46


@dataclass(frozen=True)
class Mark:
    """A mark at (x, y); `kind` is its CSS class, `title` what a pointer or the keyboard shows."""

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Line:
    """A polyline through points, in the CSS class `kind`; `label` stands at its last one."""

    points: Sequence[tuple[float, float]]
    kind: str
    label: str = ""


def chart(
    points: Sequence[Mark],
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    description: str,
    log_x: bool = False,
    marks: Sequence[tuple[float, str, str]] = (),
) -> str:
    """A scatter plot with lines.

    Args:
        points: the marks, drawn in this order.
        lines: below them.
        x_label, y_label: of the axes, with units.
        description: alternative text.
        log_x: a logarithmic x axis.
        marks: vertical lines, (x, label, CSS class), drawn where they are in range.
    """
    xs = [p.x for p in points] + [x for line in lines for x, _ in line.points]
    ys = [p.y for p in points] + [y for line in lines for _, y in line.points]
    x_low, x_high = _range(xs, log_x)
    y_low, y_high = _range(ys, False)

    def to_x(value: float) -> float:
        if log_x:
            value, low, high = math.log(value), math.log(x_low), math.log(x_high)
        else:
            low, high = x_low, x_high
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def to_y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{markup(description)}">'
    ]
    bottom = _HEIGHT - _BOTTOM
    for value in _ticks(y_low, y_high):
        y = to_y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _log_ticks(x_low, x_high) if log_x else _ticks(x_low, x_high):
        x = to_x(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{si(value)}</text>'
        )
    for value, label, kind in marks:
        if x_low <= value <= x_high:
            x = to_x(value)
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
            parts.append(
                f'<text class="tick {kind}" transform="translate({x - 4:.1f} {bottom - 6}) rotate(-90)">'
                f"{markup(label)}</text>"
            )
    for line in lines:
        path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
    for line in lines:
        if line.label and line.points:
            x, y = to_x(line.points[-1][0]), to_y(line.points[-1][1])
            x, end = (x - 6, "end") if x > _WIDTH * 0.75 else (x + 6, "start")
            parts.append(
                f'<text class="name {line.kind}" x="{x:.1f}" y="{y - 6:.1f}" text-anchor="{end}">'
                f"{markup(line.label)}</text>"
            )
    for point in points:
        title = markup(point.title)
        parts.append(
            f'<circle class="{point.kind}" cx="{to_x(point.x):.1f}" cy="{to_y(point.y):.1f}" r="4">'
            f"<title>{title}</title></circle>"
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{markup(x_label)}</text>'
    )
    parts.append(
        f'<text class="label" transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{markup(y_label)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        return low / 1.06, high * 1.06
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers in a range."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= min((m for m in (1, 2, 2.5, 5, 10) if (high - low) / (step * m) <= count), default=10)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    found = [
        m * 10.0**e
        for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for m in ((1, 1.5, 2, 3, 4, 5, 6, 8) if high / low < 10 else (1, 2, 5))
    ]
    return [value for value in found if low <= value <= high]

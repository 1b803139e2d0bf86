"""A network as a picture: every block a box, as the figures of MnasNet and EfficientNet draw them.

One layout serves SVG, PNG and (coarser) the terminal. A box's colour is its op, its width the kernel,
its height the expansion; SE is a dot on it, a missing skip a dashed outline. Below each stage stand
its resolution and width.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from nas.network.cost import cost
from nas.network.cost_words import si
from search_spaces.block import OPS
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.notation import block_words, stage_words
from search_spaces.quoting import markup
from search_spaces.spec import NetworkSpec, StageSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENDS = ("stem", "head")
_END_COLOUR = "#8a8f98"
_GAP, _STAGE_GAP, _MARGIN, _MIDDLE = 3.0, 16.0, 12.0, 92.0


@dataclass(frozen=True)
class BlockBox:
    """A rectangle, pixels; `title` is what a pointer on it shows."""

    x: float
    y: float
    width: float
    height: float
    op: str
    dashed: bool
    dot: bool
    title: str


@dataclass(frozen=True)
class Caption:
    """A text, centred at `x` unless `start`; size in pixels."""

    x: float
    y: float
    text: str
    size: float = 11
    start: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Drawing:
    """What to draw; `text` says the same in words, for who can't see it."""

    width: float
    height: float
    boxes: tuple[BlockBox, ...]
    labels: tuple[Caption, ...]
    legend: tuple[tuple[float, float, str], ...]
    text: str


def _colour(op: str) -> str:
    return _END_COLOUR if op in _ENDS else OPS[op].colour


def layout(spec: NetworkSpec) -> Drawing:
    """Where everything goes."""
    counted = cost(spec)
    boxes: list[BlockBox] = []
    labels: list[Caption] = []
    x = _MARGIN

    def stage_labels(start: float, end: float, first: str, second: str, third: str) -> float:
        # a lone narrow block must not have its labels run into its neighbour's
        wide = max(len(first), len(second), len(third)) * 6.0
        shift = max(0.0, (wide - (end - start)) / 2)
        middle = (start + end) / 2 + shift
        for line, text in enumerate((first, second, third)):
            labels.append(Caption(middle, 164 + 14 * line, text, faint=line == 2))
        return shift

    def add(op: str, name: str, px: int, channels: int, blocks: int, stage: StageSpec | None) -> None:
        nonlocal x
        kernel = max(stage.kernel, stage.start_kernel) if stage else 3
        expansion = stage.expansion if stage else 1
        width = 6.0 + 3.6 * kernel
        height = min(120.0, 30.0 + 14.0 * expansion)
        start, first = x, len(boxes)
        for block in range(blocks):
            title = f"{name}: c{channels}, {px} px"
            if stage is not None:
                title = f"{name}, block {block + 1} of {blocks}: {block_words(stage)}, {px} px"
            skip = stage is None or stage.skip != "none"
            dot = bool(stage and stage.se_ratio)
            boxes.append(BlockBox(x, _MIDDLE - height / 2, width, height, op, not skip, dot, title))
            x += width + _GAP
        end = x - _GAP
        kind = "" if stage is None else f"k{kernel}" + (f" e{expansion:g}" if expansion != 1 else "")
        shift = stage_labels(start, end, f"{px} px", f"c{channels}", kind)
        for index in range(first, len(boxes)):
            box = boxes[index]
            boxes[index] = BlockBox(
                box.x + shift, box.y, box.width, box.height, box.op, box.dashed, box.dot, box.title
            )
        x = end + 2 * shift + _STAGE_GAP

    parts = counted.stages
    add("stem", "stem", parts[0].resolution, spec.stem.channels, 1, None)
    for index, stage in enumerate(spec.stages):
        add(stage.op, f"stage{index}", parts[index + 1].resolution, stage.channels, stage.repeats, stage)
    add("head", "head", parts[-1].resolution, spec.head_channels or spec.num_classes, 1, None)
    title = f"{spec.name}: {spec.resolution} px, {si(counted.macs)} MACs, {si(counted.params)} params"
    labels.append(Caption(_MARGIN, 18, title, 13, start=True))
    there = {box.op for box in boxes}
    used = [op for op in OPS if op in there]
    legend, at = [], _MARGIN
    for op in used:
        legend.append((at, 214.0, op))
        at += 22 + 6.6 * len(OPS[op].label)
    note = "box width: kernel, height: expansion; dot: SE; dashed: no skip"
    labels.append(Caption(_MARGIN, 240, note, 10, start=True, faint=True))
    words = "; ".join(f"stage {i}: {stage_words(s)}" for i, s in enumerate(spec.stages))
    width = max(x - _STAGE_GAP + _MARGIN, at + _MARGIN, _MARGIN * 2 + len(title) * 7.2)
    return Drawing(width, 248, tuple(boxes), tuple(labels), tuple(legend), f"{title}. {words}")


_STYLE = (
    "svg{color:#1b1f24;color-scheme:light dark}.paper{fill:#fff}"
    "@media(prefers-color-scheme:dark){svg{color:#e8eaed}.paper{fill:#15181c}}"
)
"""Paper and ink of a picture by itself: what it is shown on may be of either kind."""


def to_svg(spec: NetworkSpec, standalone: bool = True) -> str:
    """The picture as SVG; inside a page (`standalone` false) text takes the page's colour."""
    drawing = layout(spec)
    size = f'viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" class="diagram"']
    if standalone:
        parts[0] += f' width="{drawing.width:.0f}" height="{drawing.height:.0f}"'
    words = markup(drawing.text)
    parts[0] += f' font-family="sans-serif" aria-label="{words}">'
    parts.append(f"<title>{markup(spec.name)}</title>")
    if standalone:
        parts.append(f"<style>{_STYLE}</style>")
        parts.append('<rect class="paper" width="100%" height="100%"/>')
    for box in drawing.boxes:
        dash = ' stroke="currentColor" stroke-dasharray="3 2"' if box.dashed else ""
        parts.append(
            f'<g><title>{markup(box.title)}</title><rect x="{box.x:.1f}" y="{box.y:.1f}" '
            f'width="{box.width:.1f}" height="{box.height:.1f}" rx="3" fill="{_colour(box.op)}"{dash}/>'
        )
        if box.dot:
            parts.append(f'<circle cx="{box.x + box.width / 2:.1f}" cy="{box.y + 8:.1f}" r="3" fill="#fff"/>')
        parts.append("</g>")
    for label in drawing.labels:
        anchor = "start" if label.start else "middle"
        faint = ' opacity="0.65"' if label.faint else ""
        parts.append(
            f'<text x="{label.x:.1f}" y="{label.y:.1f}" font-size="{label.size:g}" text-anchor="{anchor}" '
            f'fill="currentColor"{faint}>{markup(label.text)}</text>'
        )
    for x, y, op in drawing.legend:
        parts.append(f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" fill="{_colour(op)}"/>')
        parts.append(
            f'<text x="{x + 15:.1f}" y="{y:.1f}" font-size="11" fill="currentColor">{OPS[op].label}</text>'
        )
    return "".join([*parts, "</svg>"])


def draw_diagram(spec: NetworkSpec, dpi: int = 90) -> Figure:
    """The picture as matplotlib's figure."""
    # the tables and the terminal's diagram do without it
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle, FancyBboxPatch

    drawing = layout(spec)
    # the figure itself rather than pyplot: nothing global, nothing to close
    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.axis("off")
    for box in drawing.boxes:
        edge = {"edgecolor": "black", "linestyle": (0, (3, 2))} if box.dashed else {"edgecolor": "none"}
        axes.add_patch(
            FancyBboxPatch(
                (box.x + 2, box.y + 2),
                box.width - 4,
                box.height - 4,
                boxstyle="round,pad=2,rounding_size=3",
                facecolor=_colour(box.op),
                **edge,
            )
        )
        if box.dot:
            axes.add_patch(Circle((box.x + box.width / 2, box.y + 8), 3, color="white"))
    for label in drawing.labels:
        axes.text(
            label.x,
            label.y,
            label.text,
            parse_math=False,
            fontsize=label.size * 0.92,
            ha="left" if label.start else "center",
            color="0.4" if label.faint else "black",
        )
    for x, y, op in drawing.legend:
        axes.add_patch(FancyBboxPatch((x, y - 9), 10, 10, boxstyle="square,pad=0", facecolor=_colour(op)))
        axes.text(x + 15, y, OPS[op].label, fontsize=10)
    return figure


def write_diagram(spec: NetworkSpec, path: Path) -> None:
    """Write the picture as the file's suffix says; raises `InputError` for another than .svg and .png."""
    if path.suffix == ".svg":
        write_atomically(path, to_svg(spec))
    elif path.suffix == ".png":
        stream = io.BytesIO()
        draw_diagram(spec, dpi=110).savefig(stream, format="png")
        write_atomically(path, stream.getvalue())
    else:
        raise InputError(f"diagram {str(path)!r}: expected a name that ends in .svg or .png")


_MOST = 32
"""Characters that a stage's bars may take."""
_SHADES = ((1.0, "░"), (3.0, "▒"), (4.5, "▓"), (64.0, "█"))


def terminal_diagram(spec: NetworkSpec) -> Text:
    """A line for each stage, a bar for each block (or one, and their number).

    A bar is as long as the kernel is large, and as dark as the block expands.
    """
    parts = cost(spec).stages
    text = Text()
    text.append(f"{parts[0].resolution:4} px  ")
    text.append("───", "bright_black")
    text.append(f"  stem k{spec.stem.kernel} c{spec.stem.channels}\n")
    bars = []
    for stage in spec.stages:
        shade = next(glyph for limit, glyph in _SHADES if stage.expansion <= limit)
        bars.append((shade * max(stage.kernel, stage.start_kernel, 1), stage.repeats))
    # as many bars as blocks, unless a line would be too long for a terminal
    drawn = [" ".join([bar] * count) for bar, count in bars]
    if max(map(len, drawn)) > _MOST:
        drawn = [f"{bar} x {count}" for bar, count in bars]
    width = max(map(len, drawn))
    for index, (stage, bar) in enumerate(zip(spec.stages, drawn, strict=True)):
        text.append(f"{parts[index + 1].resolution:4} px  ")
        text.append(bar, _colour(stage.op))
        text.append(f"{' ' * (width - len(bar))}  {stage_words(stage)}\n")
    text.append(f"{parts[-1].resolution:4} px  ")
    text.append("───", "bright_black")
    head = f"head c{spec.head_channels}" if spec.head_channels else "head"
    text.append(f"  {head}, {spec.num_classes} classes\n")
    text.append("a bar: a block; length: kernel; ░ expansion 1, ▒ 3, ▓ 4, █ 6", "bright_black")
    return text

"""What the commands share: consoles, JSON output, and options of the form key=value."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from search_spaces.errors import InputError
from search_spaces.quoting import displayed


def out() -> Console:
    """For results, on stdout."""
    return _console(sys.stdout)


def notebook() -> Console:
    """For progress in a cell of a notebook: plain lines, whatever its kernel says of a terminal."""
    return _console(sys.stdout, force_terminal=False)


def progress() -> Console:
    """For progress and remarks, on stderr."""
    return _console(sys.stderr)


def _console(stream: Any, **more: Any) -> Console:
    # in a file or a pipe nothing needs to fit a window, but tables have to have a width
    # in a notebook too: plain lines in a cell's output, where a live view would need widgets
    return _PlainConsole(
        file=stream,
        width=None if stream.isatty() else 120,
        markup=False,
        emoji=False,
        force_jupyter=False,
        **more,
    )


class _PlainConsole(Console):
    """Prints names of files and classes too, in which [red], :car: and an escape sequence mean themselves."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Text in a file or a pipe keeps its lines, whatever is between them: a program may look for one."""
        if not self.is_terminal and all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as it is laid out."""
        return super().render_str(displayed(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is laid out already, tables and live views too; what moves the cursor is rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(displayed(segment.text), segment.style)

    def out(self, *objects: Any, **options: Any) -> None:
        """Print as it comes, without wrapping."""
        super().out(*(displayed(str(each)) for each in objects), **options)


def put(text: str | bytes) -> None:
    """Content for a file on stdout, as it is; for people, on a terminal, what would command it is shown."""
    if isinstance(text, bytes):
        click.echo(text, nl=False)
    else:  # click would leave out what looks like colours
        sys.stdout.write(displayed(text) if sys.stdout.isatty() else text)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """`key=value` texts as a dict; raises `InputError` for one without an `=`."""
    result: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {text!r}: expected key=value")
        if key in result:
            raise InputError(f"{option} {text!r}: {key} is given twice, {key}={result[key]} before")
        result[key] = value
    return result


def recipe_changes(changes: tuple[str, ...], epochs: int | None) -> dict[str, Any]:
    """What `--set` and `--epochs` change of a recipe; raises `InputError` where both say the epochs."""
    values: dict[str, Any] = dict(pairs(changes, "--set"))
    if epochs is not None:
        if "epochs" in values:
            raise InputError(f"epochs {epochs}: --set epochs={values['epochs']} says so too; leave one out")
        values["epochs"] = epochs
    return values


def seconds(text: str | None, option: str) -> float | None:
    """`90`, `90s`, `30m` or `2h` in seconds; raises `InputError` for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or not float(match[1]):
        raise InputError(f"{option} {text!r}: expected a time such as 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]

"""What the commands share: consoles, JSON output, and options of the form key=value."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from rich.console import Console

from search_spaces.errors import InputError


def out() -> Console:
    """For results, on stdout."""
    return _console(sys.stdout)


def progress() -> Console:
    """For progress and remarks, on stderr."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    # in a file or a pipe nothing needs to fit a window: lines stay whole; what is printed are names of
    # files and classes too, in which [red] and :car: mean themselves
    return Console(file=stream, width=None if stream.isatty() else 120, markup=False, emoji=False)


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


def seconds(text: str | None, option: str) -> float | None:
    """`90`, `90s`, `30m` or `2h` in seconds; raises `InputError` for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if not match or not float(match[1]):
        raise InputError(f"{option} {text!r}: expected a time such as 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]

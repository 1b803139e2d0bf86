"""The error for input that a user can correct, and the hint that goes with a misspelt name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that breaks a stated rule: the message names the argument, the value and the rule.

    The command line prints it as one line and exits with 2. Everything else that is raised is a
    defect of ours and keeps its traceback.
    """


def unknown(kind: str, value: object, options: Iterable[object]) -> InputError:
    """An `InputError` for a value that is none of `options`, with the nearest one suggested."""
    names = [str(option) for option in options]
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {kind} {value!r}: expected one of {', '.join(names)}{hint}")

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
    near = difflib.get_close_matches(str(value)[:_LONG], names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = repr(value)
    if len(shown) > _LONG:
        shown = f"{shown[:_LONG]}..."
    listed = ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
    return InputError(f"unknown {kind} {shown}: expected one of {listed}{hint}")


_LONG, _MANY = 100, 30
"""Characters of a value, and names, that a line has room for."""

"""The error for input that a user can correct, and the hint that goes with a misspelt name."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that breaks a stated rule: the message names the argument, the value and the rule.

    The command line prints it as one line and exits with 2. Everything else that is raised is a
    defect of ours and keeps its traceback. Of a long message the middle is left out: no error prints a
    whole document.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        if len(text) > _LINE:
            text = f"{text[: _LINE - 200]} ... {text[-200:]}"
        super().__init__(text)


def shown(value: object) -> str:
    """A value as an error quotes it: of a long one, its beginning."""
    try:
        text = _QUOTED.repr(value)
    except ValueError:  # an integer that Python writes in no decimal digits
        text = f"a number of {value.bit_length():,} bits" if isinstance(value, int) else "?"
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def unknown(kind: str, value: object, options: Iterable[object]) -> InputError:
    """An `InputError` for a value that is none of `options`, with the nearest one suggested."""
    names = [str(option) for option in options]
    near = difflib.get_close_matches(str(value)[:_LONG], names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names[:_MANY]) + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
    return InputError(f"unknown {kind} {shown(value)}: expected one of {listed}{hint}")


_LONG, _MANY, _LINE = 100, 30, 1000
"""Characters of a value, names, and characters in all that a line has room for."""
_QUOTED = reprlib.Repr()
_QUOTED.maxlevel, _QUOTED.maxlist, _QUOTED.maxdict = 3, 8, 8
_QUOTED.maxstring = _QUOTED.maxlong = _QUOTED.maxother = _LONG

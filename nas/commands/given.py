"""Which options of a command the user has typed."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource


def given() -> dict[str, str]:
    """The parameters that were given, defaults spelt out included: name -> as typed, `--epochs 5`."""
    context = click.get_current_context()
    found = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        if context.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            found[name] = _typed(parameter, context.params[name])
    return found


def _typed(parameter: click.Parameter, value: Any) -> str:
    if isinstance(parameter, click.Argument):
        return str(parameter.name).upper()
    flag = max(parameter.opts, key=len)
    if isinstance(value, bool):
        return flag if value or not parameter.secondary_opts else max(parameter.secondary_opts, key=len)
    return f"{flag} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"

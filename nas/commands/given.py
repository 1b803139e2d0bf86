"""Options that were given, and the rule for them: each acts, or the command says that it would not."""

from __future__ import annotations

import click
from click.core import ParameterSource

from nas.data.sources import SOURCES, source_of
from search_spaces.errors import InputError


def given(*names: str, ctx: click.Context | None = None) -> list[str]:
    """Which of these parameters stand on the command line, as a user writes them: `--grid-step`."""
    ctx = ctx or click.get_current_context(silent=True)
    if ctx is None:  # called as a function
        return []
    flags = {p.name: _flag(p, ctx.params.get(p.name or "")) for p in ctx.command.params}
    assert set(names) <= set(flags), f"{ctx.command.name} has no {set(names) - set(flags)}"
    return [flags[name] for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def only_with(active: bool, condition: str, *names: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for the first of `names` that was given where it does nothing.

    Args:
        active: whether they act.
        condition: when they do, as a user writes it: `--search`.
        names: parameters of the command.
        ctx: of the command; None: the one that runs.
    """
    if active:
        return
    for flag in given(*names, ctx=ctx):
        raise InputError(f"{flag}: only with {condition}, it would do nothing here")


def not_with(active: bool, condition: str, *names: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for the first of `names` that was given although `condition` silences it."""
    if not active:
        return
    for flag in given(*names, ctx=ctx):
        raise InputError(f"{flag}: not with {condition}, it would do nothing here")


def not_empty(*but: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for the first option that was given an empty text, which names nothing.

    Args:
        but: parameters that are checked elsewhere.
        ctx: of the command; None: the one that runs.
    """
    context = ctx or click.get_current_context()
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in but or not isinstance(value, str) or value.strip():
            continue
        if given(str(parameter.name), ctx=context):
            raise InputError(f"{_flag(parameter, value).lstrip('-')} {value!r}: expected a value")


def typed() -> dict[str, str]:
    """The parameters that were given, defaults spelt out included: name -> as written, `--epochs 5`."""
    context = click.get_current_context()
    found = {}
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if context.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            flag = _flag(parameter, value)
            if isinstance(parameter, click.Argument):
                found[name] = name.upper()
            elif isinstance(value, bool):
                found[name] = flag
            else:
                found[name] = f"{flag} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"
    return found


DOWNLOADED = tuple(source.kind for source in SOURCES.present.values() if source.fetched)
"""Data sets that are looked for in folders and can be fetched; the others are embedded, or named by path."""


def only_for_fetched(data: str, *names: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for the first of `names` that was given for a data set that is no download."""
    condition = f"--data {', '.join(DOWNLOADED[:-1])} or {DOWNLOADED[-1]}"
    # an unknown name is refused as such, later
    only_with(data in DOWNLOADED or not _embedded(data), condition, *names, ctx=ctx)


def only_for_files(data: str, *names: str, ctx: click.Context | None = None) -> None:
    """Raise `InputError` for the first of `names` that was given for data that aren't read from files."""
    files = source_of(data).located
    only_with(files, "--data KIND:PATH (the others are in memory as they are)", *names, ctx=ctx)


def _embedded(data: str) -> bool:
    source = SOURCES.get(data.partition(":")[0])
    return source is not None and not source.fetched


def _flag(parameter: click.Parameter, value: object) -> str:
    if isinstance(parameter, click.Argument):
        return str(parameter.human_readable_name)
    # of `--follow/--detach` the one that was written
    written = parameter.secondary_opts if value is False else parameter.opts
    return max(written or parameter.opts, key=len)

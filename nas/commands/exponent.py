"""What `nas search --exponent` takes: a number, or `auto`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nas.runs.measured import read_measured
from nas.runs.settings import SearchSettings
from nas.search.reward import AUTO
from search_spaces.errors import InputError


class Exponent(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number, or `auto`."""

    name = "number|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """The number or `auto`; raises `InputError` for anything else. Its range is the reward's matter."""
        if value == AUTO:
            return AUTO
        try:
            return float(value)
        except ValueError:
            raise InputError(f"exponent {value!r}: expected a number from -100 to 0, or {AUTO!r}") from None


def as_measured(settings: SearchSettings, folder: Path) -> SearchSettings:
    """The settings with what the run in `folder` has measured, where they say `auto`: the same search."""
    if settings.reward.exponent != AUTO or (measured := read_measured(folder)) is None:
        return settings
    return replace(settings, reward=replace(settings.reward, exponent=measured.exponent))

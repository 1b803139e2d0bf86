"""The name of a data set: `KIND`, or `KIND:LOCATION?image=COLUMN&label=COLUMN`; canonical, loads no torch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from nas.data.sources import SOURCES, source_of
from search_spaces.errors import InputError, unknown

WITH_COLUMNS = tuple(source.kind for source in SOURCES.present.values() if source.columns)
"""Kinds whose images and labels are columns with names."""
COLUMNS = ("image", "label")
_OPTIONS = re.compile(r"[^/?&=]+=[^&]*(&[^/?&=]+=[^&]*)*")


@dataclass(frozen=True)
class DataName:
    """A data set's name in its parts.

    Attributes:
        text: the whole.
        kind: one of `SOURCES`.
        location: a path, or a name on a hub; empty where the kind says all.
        image, label: columns; None: what the kind's own rule takes.
    """

    text: str
    kind: str
    location: str = ""
    image: str | None = None
    label: str | None = None

    @property
    def columns(self) -> str:
        """The columns that were chosen, for a digest; empty where none were."""
        given = {"image": self.image, "label": self.label}
        return "&".join(f"{key}={quote(value, safe='')}" for key, value in given.items() if value is not None)


def parse_name(text: str) -> DataName:
    """The parts of a name.

    Raises:
        InputError: an unknown kind or column, a column given twice or for a kind that has none.
    """
    kind, _, rest = text.partition(":")
    if not source_of(text).located:
        return DataName(text, kind)
    location, mark, options = rest.rpartition("?")
    if not mark or not _OPTIONS.fullmatch(options) or os.path.exists(os.path.expanduser(rest)):
        location, options = rest, ""  # a path may have a question mark in it
    if not location:
        raise InputError(f"data set {text!r}: expected {kind}:PATH")
    values: dict[str, str] = {}
    for part in options.split("&") if options else []:
        key, _, value = part.partition("=")
        if key not in COLUMNS:
            raise InputError(f"data set {text!r}: {unknown('option', key, COLUMNS)}")
        if key in values or not value:
            raise InputError(f"data set {text!r}: {key}: expected the name of one column")
        values[key] = unquote(value)
    if values and not SOURCES[kind].columns:
        raise InputError(
            f"data set {text!r}: {next(iter(values))}: only {' and '.join(WITH_COLUMNS)} have columns"
        )
    return DataName(text, kind, location, values.get("image"), values.get("label"))


def with_columns(text: str, image: str | None, label: str | None) -> str:
    """The name with these columns chosen, in the one way to write it.

    Raises:
        InputError: its kind has no columns, or the name has others already.
    """
    given = {"image": image, "label": label}
    if not any(value is not None for value in given.values()):
        return text
    name = parse_name(text)
    for key, value in given.items():
        if value is None:
            continue
        if not SOURCES[name.kind].columns:
            raise InputError(
                f"{key}-column {value!r}: only {' and '.join(f'{kind}:...' for kind in WITH_COLUMNS)} have "
                f"columns, not {text!r}"
            )
        if not value:
            raise InputError(f"{key}-column {value!r}: expected the name of a column")
        if getattr(name, key) not in (None, value):
            raise InputError(f"{key}-column {value!r}: {text!r} has another one")
    chosen = DataName(text, name.kind, name.location, image or name.image, label or name.label)
    return f"{name.kind}:{name.location}?{chosen.columns}"

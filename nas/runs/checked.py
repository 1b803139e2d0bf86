"""Settings whose types are checked when they are made, wherever their values come from."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from search_spaces.document import check_fields
from search_spaces.errors import InputError, shown

Checked = TypeVar("Checked")

_MOST = sys.float_info.max
_WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def check_types(part: Any) -> None:
    """Raise `InputError` for the first field of a dataclass whose value is not of its annotation.

    A whole number is a number too; NaN and infinity are none; true and false are no numbers.
    """
    hints = get_type_hints(type(part))
    for field in fields(part):
        value = getattr(part, field.name)
        if not _fits(value, hints[field.name]):
            name = field.name.replace("_", "-")
            raise InputError(f"{name} {shown(value)}: expected {_words(hints[field.name])}")


def from_mapping(cls: type[Checked], values: object, where: str) -> Checked:
    """The part in a mapping.

    Raises:
        InputError: not a mapping, an unknown field, a missing one, or what the part itself refuses.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a mapping, found {shown(values)}")
    required: list[str] = []
    optional: list[str] = []
    for field in fields(cls):  # type: ignore[arg-type]
        needed = field.default is MISSING and field.default_factory is MISSING
        (required if needed else optional).append(field.name)
    known = check_fields(values, where, required, optional)
    try:
        return cls(**known)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, kind) for kind in get_args(hint))
    if origin is list:
        (content,) = get_args(hint)
        return isinstance(value, list) and all(_fits(part, content) for part in value)
    if origin is dict:
        key, content = get_args(hint)
        return isinstance(value, dict) and all(_fits(k, key) and _fits(v, content) for k, v in value.items())
    if hint is Any:
        return True
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and -_MOST <= value <= _MOST  # type: ignore[operator]
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        return " or ".join(map(_words, kinds))
    if origin is list:
        return "a list"
    if origin is dict:
        content = get_args(hint)[1]
        return "a mapping" + ("" if content is Any else f" to {_words(content)}")
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))

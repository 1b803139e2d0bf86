"""Functions of a user's own, named `module:function`: found, and their files told apart."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError, unknown

OwnFunction = Callable[..., Any]
"""Of a network's spec: an evaluator's, which may take more, or a cost's."""


def import_function(what: str, name: str, folder: str | None) -> OwnFunction:
    """What `module:function` names, the module looked for in `folder` first.

    Args:
        what: it is for, in an error: `evaluator`.
        name: of it.
        folder: of its module; None: where Python finds its packages.

    Raises:
        InputError: no such module or function, the module can't be imported, or it is no function.
    """
    module, _, attribute = name.partition(":")
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # whatever a user's module raises when it is imported
        raise InputError(
            f"{what} {name!r}: cannot import {module}: {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            there = [word for word, value in vars(found).items() if inspect.isfunction(value)]
            raise InputError(f"{what} {name!r}: {unknown('function', attribute, there)}")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{what} {name!r}: is no function")
    return found  # type: ignore[no-any-return]


def code_digest(function: OwnFunction | None) -> str | None:
    """Of the file that a function stands in, or of its own text; None where Python knows neither."""
    try:
        text = Path(inspect.getsourcefile(function) or "").read_bytes()  # type: ignore[arg-type]
    except (OSError, TypeError):
        try:
            text = inspect.getsource(function).encode()  # type: ignore[arg-type]
        except (OSError, TypeError):
            return None
    return hashlib.sha256(text).hexdigest()[:16]

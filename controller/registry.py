"""The controllers by name, made from a user's options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import get_type_hints

from controller.base import Controller
from search_spaces.errors import InputError, unknown
from search_spaces.space import SearchSpace

# by module and class, so that naming one loads no other (PPO needs torch)
CONTROLLERS: dict[str, tuple[str, str]] = {
    "random": ("controller.random_search", "RandomSearch"),
    "evolution": ("controller.evolution", "Evolution"),
    "ppo": ("controller.ppo", "PPO"),
}


def make_controller(
    name: str, space: SearchSpace, seed: int = 0, options: Mapping[str, object] | None = None
) -> Controller:
    """The controller called `name`; `options` are its own settings, as values or as text.

    Raises:
        InputError: unknown name or option, or a value that is no value of the option.
    """
    if name not in CONTROLLERS:
        raise unknown("controller", name, CONTROLLERS)
    module, attribute = CONTROLLERS[name]
    cls = getattr(importlib.import_module(module), attribute)
    hints = get_type_hints(cls.__init__)
    known = [
        key for key in inspect.signature(cls.__init__).parameters if key not in ("self", "space", "seed")
    ]
    values: dict[str, object] = {}
    for key, value in (options or {}).items():
        if key not in known:
            if not known:
                raise InputError(f"controller {name!r} has no option {key!r}: it has none")
            raise unknown(f"option of controller {name}", key, known)
        try:
            values[key] = hints[key](value)
        except (TypeError, ValueError):
            raise InputError(f"{key} {value!r}: expected a value of type {hints[key].__name__}") from None
    controller: Controller = cls(space, seed, **values)
    return controller

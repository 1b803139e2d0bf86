"""The controllers by name, made from a user's options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import get_type_hints

from controller.base import Controller, RewardLine
from search_spaces.errors import InputError, shown, unknown
from search_spaces.space import SearchSpace

# by module and class, so that naming one loads no other (PPO needs torch)
CONTROLLERS: dict[str, tuple[str, str]] = {
    "random": ("controller.random_search", "RandomSearch"),
    "evolution": ("controller.evolution", "Evolution"),
    "ppo": ("controller.ppo", "PPO"),
    "local-search": ("controller.local_search", "LocalSearch"),
    "nsga2": ("controller.nsga2", "NSGA2"),
    "optuna": ("controller.optuna_search", "OptunaSearch"),
    "predictor": ("controller.predictor_guided", "PredictorGuided"),
}


def make_controller(
    name: str,
    space: SearchSpace,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
    objective: RewardLine | None = None,
) -> Controller:
    """The controller called `name`; `options` are its own settings, as values or as text.

    `objective` goes to the controllers that can use it; the others learn from rewards alone.

    Raises:
        InputError: unknown name or option, or a value that is no value of the option.
    """
    if name not in CONTROLLERS:
        raise unknown("controller", name, CONTROLLERS)
    module, attribute = CONTROLLERS[name]
    cls = getattr(importlib.import_module(module), attribute)
    hints = get_type_hints(cls.__init__)
    parameters = inspect.signature(cls.__init__).parameters
    known = [key for key in parameters if key not in ("self", "space", "seed", "objective")]
    values: dict[str, object] = {}
    for key, value in (options or {}).items():
        if key not in known:
            if not known:
                raise InputError(f"controller {name!r} has no option {key!r}: it has none")
            raise unknown(f"option of controller {name}", key, known)
        try:
            values[key] = hints[key](value)
        except (TypeError, ValueError):
            raise InputError(
                f"{key} {shown(value)}: expected a value of type {hints[key].__name__}"
            ) from None
    if "objective" in parameters:
        values["objective"] = objective
    controller: Controller = cls(space, seed, **values)
    return controller

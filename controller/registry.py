"""The controllers by name, made from a user's options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

from controller.base import Controller, PriorAccuracy, RewardLine
from search_spaces.added import Registry, broken
from search_spaces.coarse import CoarseSpace
from search_spaces.errors import InputError, shown, unknown
from search_spaces.space import SearchSpace


def _built_in(module: str, name: str) -> type[Controller]:
    found: type[Controller] = getattr(importlib.import_module(module), name)
    return found


def _accepted(name: str, cls: Any) -> Callable[[], type[Controller]]:
    if not (isinstance(cls, type) and issubclass(cls, Controller)):
        raise TypeError("expected a subclass of controller.base.Controller")
    if list(inspect.signature(cls.__init__).parameters)[1:3] != ["space", "seed"]:
        raise TypeError(f"expected {cls.__name__}(space, seed, ...)")
    return lambda: cls


# by module and class, so that naming one loads no other (PPO needs torch)
CONTROLLERS: Registry[Callable[[], type[Controller]]] = Registry(
    "nas.controllers",
    {
        "random": partial(_built_in, "controller.random_search", "RandomSearch"),
        "evolution": partial(_built_in, "controller.evolution", "Evolution"),
        "ppo": partial(_built_in, "controller.ppo", "PPO"),
        "local-search": partial(_built_in, "controller.local_search", "LocalSearch"),
        "nsga2": partial(_built_in, "controller.nsga2", "NSGA2"),
        "botorch": partial(_built_in, "controller.botorch_search", "BoTorchSearch"),
        "optuna": partial(_built_in, "controller.optuna_search", "OptunaSearch"),
        "predictor": partial(_built_in, "controller.predictor_guided", "PredictorGuided"),
    },
    _accepted,
)
"""What gives their classes; installed packages add theirs by the entry points `nas.controllers`."""


_GIVEN = ("objective", "prior")
"""Arguments that are no options of a user's."""


def learns_from_prior(name: str) -> bool:
    """Whether the controller called `name` takes what is known from another task."""
    return "prior" in inspect.signature(CONTROLLERS[name]().__init__).parameters


def make_controller(
    name: str,
    space: SearchSpace,
    seed: int = 0,
    options: Mapping[str, object] | None = None,
    objective: RewardLine | None = None,
    prior: PriorAccuracy | None = None,
    coarse: tuple[CoarseSpace, int] | None = None,
) -> Controller:
    """The controller called `name`; `options` are its own settings, as values or as text.

    `objective` goes to the controllers that can use it; the others learn from rewards alone. `coarse` is a
    part of the space, and how many proposals are of that before others are.

    Raises:
        InputError: unknown name or option, a value that is no value of the option, a prior for a controller
            that has no use for one, or a coarse stage for one that has none.
    """
    if name not in CONTROLLERS:
        raise unknown("controller", name, CONTROLLERS)
    cls = CONTROLLERS[name]()
    hints = get_type_hints(cls.__init__)
    parameters = inspect.signature(cls.__init__).parameters
    known = [key for key in parameters if key not in ("self", "space", "seed", *_GIVEN)]
    values: dict[str, object] = {}
    for key, value in (options or {}).items():
        if key not in known:
            if not known:
                raise InputError(f"controller {name!r} has no option {key!r}: it has none")
            raise unknown(f"option of controller {name}", key, known)
        try:
            values[key] = hints.get(key, str)(value)
        except (TypeError, ValueError):
            raise InputError(
                f"{key} {shown(value)}: expected a value of type {hints[key].__name__}"
            ) from None
    if "objective" in parameters:
        values["objective"] = objective
    if prior is not None:
        if "prior" not in parameters:
            raise InputError(f"prior: controller {name!r} learns from none; use --controller predictor")
        values["prior"] = prior
    make: Any = cls
    if coarse is not None:
        if name != "predictor":
            raise InputError(f"coarse: controller {name!r} has one stage only; use --controller predictor")
        make = partial(_built_in("controller.coarse_to_fine", "CoarseToFine"), *coarse)
    try:
        made: Controller = make(*(() if coarse else (space,)), seed, **values)
    except Exception as error:
        if name in CONTROLLERS.built_in or isinstance(error, InputError):
            raise
        raise broken("nas.controllers", name, f"{type(error).__name__}: {error}") from error
    return made

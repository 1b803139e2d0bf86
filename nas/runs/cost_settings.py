"""Costs of the user's own, as settings name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.data.place import absolute
from nas.latency.table import LATENCY
from nas.network.analytic import is_analytic
from nas.network.cost import COSTS
from nas.runs.checked import check_types
from nas.runs.own_names import name_in_folder, name_of, was_handed
from nas.search.own_cost import OwnCost
from nas.search.own_function import OwnFunction, import_function
from search_spaces.added import added_by
from search_spaces.errors import InputError, shown

GROUP = "nas.costs"
_ROW = ("trial", "state", "reward", "accuracy", "seconds", "epochs", "worker", "reason", "same_as", "network")
"""What else a trial's row in a table has."""


@dataclass(frozen=True)
class CostSettings:
    """A function of a network's spec.

    Attributes:
        function: `module:function`.
        module_folder: where the module was found; None: where Python finds its packages.

    Raises:
        InputError: a value of another type, or no such name.
    """

    function: str = ""
    module_folder: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if not re.fullmatch(r"\w+(\.\w+)*:[\w.<>]+", self.function):
            raise InputError(f"cost {shown(self.function)}: expected module:function")
        if self.module_folder is not None:
            object.__setattr__(self, "module_folder", absolute(self.module_folder))

    def make(self, name: str) -> OwnCost:
        """The cost; raises `InputError` where the function isn't there."""
        function = was_handed(self.function, self.module_folder)
        if function is None and self.function.startswith("__main__:"):
            raise InputError(
                f"cost {name!r}: its function was defined in a notebook; define it there again and go on "
                "with nas.open(RUN).resume(costs=[FUNCTION])"
            )
        if function is None:
            function = import_function("cost", self.function, self.module_folder)
        return OwnCost(name, function, self.function)


def check_own_name(name: str) -> None:
    """Raise `InputError` unless a cost of one's own may be called so."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name):
        raise InputError(f"cost {shown(name)}: expected a function's name of up to 41 letters, digits and _")
    if is_analytic(name) or name in (LATENCY, *_ROW):
        raise InputError(f"cost {name!r}: that is the name of another figure; call the function otherwise")


def handed_cost(function: OwnFunction) -> tuple[str, CostSettings]:
    """(the name, the settings) of a cost by its function itself."""
    name, folder = name_of(function)
    check_own_name(_short(name))
    return _short(name), CostSettings(name, folder)


def own_costs(
    targets: Mapping[str, Any], known: Mapping[str, CostSettings]
) -> tuple[dict[str, CostSettings], dict[str, Any]]:
    """The own costs, and the targets by the names of costs, of targets as a user writes them.

    Args:
        targets: by a cost's name, by `module:function`, or by what an installed package adds (`nas.costs`).
        known: own costs by name.

    Raises:
        InputError: two functions of one name, or a cost with two targets.
    """
    own, named = dict(known), dict[str, Any]()
    for text, target in targets.items():
        name, settings = str(text), None
        if ":" in name:
            settings = CostSettings(*name_in_folder(name))
            name = _short(name)
        elif name not in (*COSTS, LATENCY, *own) and (point := added_by(GROUP, name)) is not None:
            settings = CostSettings(f"{point.module}:{point.attr}")
        if settings is not None:
            check_own_name(name)
            if own.get(name, settings) != settings:
                raise InputError(
                    f"cost {name!r}: {settings.function!r} and {own[name].function!r} have one name; call "
                    "one otherwise"
                )
            own[name] = settings
        if name in named:
            raise InputError(f"cost {name!r}: has two targets, {shown(named[name])} and {shown(target)}")
        named[name] = target
    return own, named


def _short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]

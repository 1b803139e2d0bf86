"""Public names of a room that load their module when they are first used: a light command stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    room: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A room's `__getattr__`, `__dir__` and `__all__` (PEP 562).

    Args:
        room: its `__name__`.
        names: public names by the module of the room that has them.
    """
    modules = {name: f"{room}.{module}" for module, found in names.items() for name in found}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[room], name, value)
        return value

    return get, lambda: sorted(modules), sorted(modules)

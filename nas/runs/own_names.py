"""How settings name a function of the user's own, and where this process has it from."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from nas.data.place import absolute
from nas.search.own_function import OwnFunction

_handed: dict[tuple[str, str | None], OwnFunction] = {}
"""Functions that this process was given itself, by what settings call them."""


def name_in_folder(name: str) -> tuple[str, str | None]:
    """`module:function`, and the folder of its module if that is the current one."""
    module = name.partition(":")[0].split(".")[0]
    here = Path.cwd()
    there = (here / f"{module}.py").is_file() or (here / module).is_dir()
    return name, str(here) if there else None


def name_of(function: OwnFunction, kept: str | None = None) -> tuple[str, str | None]:
    """What settings call a function itself, which this process keeps, and its module's folder.

    A script's is named by its file, so that another process finds it again. `kept` is the folder that
    settings have of it, who name it so too.
    """
    module = getattr(function, "__module__", "__main__")
    file = getattr(sys.modules.get(module), "__file__", None)
    folder = None
    if module == "__main__" and file is not None:
        module = Path(file).stem
    if file is not None and "." not in module:
        folder = absolute(os.path.dirname(os.path.abspath(file)))
    word = getattr(function, "__qualname__", type(function).__name__)
    name = f"{re.sub(r'[^A-Za-z0-9_.]', '_', module)}:{word}"
    _handed[name, folder] = _handed[name, kept] = function
    return name, folder


def was_handed(name: str, folder: str | None) -> OwnFunction | None:
    """The function itself, if this process was given it."""
    return _handed.get((name, folder))


def forget_handed() -> None:
    """As another process would be, which was given none."""
    _handed.clear()

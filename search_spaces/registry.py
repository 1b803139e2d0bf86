"""The spaces by name, and a user's own by the path of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.errors import unknown
from search_spaces.mbconv import StagedSpace
from search_spaces.mnasnet import efficientnet, mnasnet

SPACES: dict[str, Callable[[], StagedSpace]] = {
    "mnasnet": mnasnet,
    "efficientnet": efficientnet,
    "accel-nasbench": accel_nasbench,
}


def get_space(name: str) -> StagedSpace:
    """The space called `name`, or the one in the YAML or JSON file of that path.

    Raises:
        InputError: neither a known name nor a file, or the file is no valid space.
    """
    if name in SPACES:
        return SPACES[name]()
    if Path(name).suffix in (".yaml", ".yml", ".json"):
        return StagedSpace.read(name)
    raise unknown("search space", name, [*SPACES, "FILE.yaml"])

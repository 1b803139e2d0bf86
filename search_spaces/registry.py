"""The spaces by name, and a user's own by the path of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.added import Registry, broken
from search_spaces.efficientnet_v2_space import efficientnet_v2_space
from search_spaces.errors import unknown
from search_spaces.mbconv import StagedSpace
from search_spaces.mnasnet import efficientnet, mnasnet
from search_spaces.mobilenet_v4_space import mobilenet_v4_space


def _accepted(name: str, make: Any) -> Callable[[], StagedSpace]:
    if not callable(make):
        raise TypeError("expected a function that gives a StagedSpace")

    def checked() -> StagedSpace:
        try:
            space = make()
        except Exception as error:  # whatever a stranger's package raises
            raise broken("nas.spaces", name, f"{type(error).__name__}: {error}") from error
        if not isinstance(space, StagedSpace):
            raise broken("nas.spaces", name, f"gives {type(space).__name__}, expected a StagedSpace")
        return space

    return checked


SPACES: Registry[Callable[[], StagedSpace]] = Registry(
    "nas.spaces",
    {
        "mnasnet": mnasnet,
        "efficientnet": efficientnet,
        "efficientnet-v2": efficientnet_v2_space,
        "mobilenet-v4": mobilenet_v4_space,
        "accel-nasbench": accel_nasbench,
    },
    _accepted,
)
"""What makes them; installed packages add theirs by the entry points `nas.spaces`."""

_TARGETS = {"efficientnet-v2": 2.85e9, "mobilenet-v4": 0.83e9}
_USUAL_TARGET = 400e6


def usual_target(name: str) -> float:
    """The MACs at 224 pixels that a search in that space aims at, if nothing else is asked for.

    EfficientNet-B0's; of the later spaces those of EfficientNetV2-S and MobileNetV4-Conv-M.
    """
    return _TARGETS.get(name, _USUAL_TARGET)


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

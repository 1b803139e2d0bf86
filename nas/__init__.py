"""baseline-nas: search for a baseline network, scale it, train it, export it.

From Python: `nas.search(...)` and `nas.start(...)` do what the commands do, `nas.open(folder)` reads a run,
`nas.open_runs(folder)` all that lie in a folder;
`nas.detector(...)` and `nas.segmenter(...)` make torchvision's detectors and segmenters of a network.
"""

import importlib
import sys
import types
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "open": ("nas.api", "open_run"),
    "detector": ("nas.detection", "make_detector"),
    "segmenter": ("nas.detection", "make_segmenter"),
    "open_runs": ("nas.api_runs", "open_all"),
    "start": ("nas.api", "run_start"),
    "SearchRun": ("nas.api", "SearchRun"),
    "SearchRuns": ("nas.api_runs", "SearchRuns"),
    "InputError": ("search_spaces.errors", "InputError"),
    "TrialFailedError": ("nas.errors", "TrialFailedError"),
}
__all__ = [
    "InputError",
    "SearchRun",
    "SearchRuns",
    "TrialFailedError",
    "detector",
    "open",
    "open_runs",
    "search",
    "segmenter",
    "start",
]


def __getattr__(name: str) -> Any:
    if name == "search":  # the room of that name, which can be called
        return importlib.import_module("nas.search")
    if name not in _LAZY:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallableRoom(types.ModuleType):
    """The room `nas.search`: `nas.search(...)` is `nas.api.run_search`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run a search; see `nas.api.run_search`."""
        return importlib.import_module("nas.api").run_search(*arguments, **named)


class _Package(types.ModuleType):
    """Makes the room callable when the import system sets it here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "search" and isinstance(value, types.ModuleType):
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

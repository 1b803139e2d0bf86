"""A package that is installed for a test: its entry points are found where Python looks."""

import sys

from controller.registry import CONTROLLERS
from nas.data.sources import SOURCES
from nas.export.formats import EXPORTS
from search_spaces.block import OPS
from search_spaces.registry import SPACES

REGISTRIES = (CONTROLLERS, SOURCES, EXPORTS, OPS, SPACES)


def install(folder, name, entries):
    """Version 1.2 of it; the folder must be on `sys.path`."""
    about = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(entries)


def forget(*modules):
    """As if nothing of it had been loaded."""
    for module in modules:
        sys.modules.pop(module, None)
    for registry in REGISTRIES:
        registry._said.clear()
        for name in set(registry.present) - registry.built_in:
            del registry[name]

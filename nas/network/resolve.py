"""A network by what a user writes: the path of a spec, or a reference name."""

from __future__ import annotations

import os
from pathlib import Path

from nas.network.scaling import PUBLISHED, published
from search_spaces.errors import unknown
from search_spaces.reference import REFERENCES, reference
from search_spaces.spec import NetworkSpec, read_spec


def known_networks() -> list[str]:
    """The names that `resolve_spec` takes beside paths."""
    return sorted({*REFERENCES, *PUBLISHED})


def resolve_spec(name: str) -> NetworkSpec:
    """The network called `name` (`efficientnet-b0`, `resnet50`, ...) or described by the file of that path.

    Raises:
        InputError: neither a known name nor a readable spec.
    """
    if name in REFERENCES:
        return reference(name)
    if name in PUBLISHED:
        return published(name)
    if Path(name).suffix in (".yaml", ".yml", ".json") or os.path.exists(name):
        return read_spec(name)
    raise unknown("network", name, [*known_networks(), "FILE.yaml"])

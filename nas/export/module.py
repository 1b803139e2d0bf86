"""A network as the source of a small Python module: its arguments, and a function that builds it."""

from __future__ import annotations

import json
from typing import Any

from torch import nn

from search_spaces.spec import NetworkSpec


def module_text(spec: NetworkSpec, library: str, arguments: dict[str, Any], builder: str) -> str:
    """`ARGUMENTS` and `build()` as source that imports `library` only.

    Args:
        spec: what it builds, for the first line.
        library: its name.
        arguments: plain data.
        builder: source of `build(arguments=ARGUMENTS, **changes)`.
    """
    return (
        f'"""{spec.name} ({spec.digest}) for {library}: build() makes it, at {spec.resolution} px."""\n\n'
        f"ARGUMENTS = {json.dumps(arguments, indent=4)}\n\n{builder}"
    )


def run_builder(arguments: dict[str, Any], builder: str) -> nn.Module:
    """What `build()` returns, run from the very text that is exported: what is checked is what users run."""
    namespace: dict[str, Any] = {"ARGUMENTS": arguments}
    exec(builder, namespace)
    model: nn.Module = namespace["build"]()
    return model

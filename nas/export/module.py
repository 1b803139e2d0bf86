"""A network as the source of a small Python module: its arguments, and a function that builds it."""

from __future__ import annotations

from pprint import pformat
from typing import Any

from torch import nn

from search_spaces.quoting import python_docstring
from search_spaces.spec import NetworkSpec


def module_text(spec: NetworkSpec, library: str, arguments: dict[str, Any], builder: str) -> str:
    """`ARGUMENTS` and `build()` as source that imports `library` only.

    Args:
        spec: what it builds, for the first line.
        library: its name.
        arguments: plain data.
        builder: source of `build(arguments=ARGUMENTS, **changes)`.
    """
    about = f"{spec.name} ({spec.digest}) for {library}: build() makes it, at {spec.resolution} px."
    # Python's own words for the values: JSON's false is none of them
    values = pformat(arguments, width=100, sort_dicts=False)
    return f"{python_docstring(about)}\n\nARGUMENTS = {values}\n\n{builder}"


def run_builder(arguments: dict[str, Any], builder: str) -> nn.Module:
    """What `build()` returns, run from the very text that is exported: what is checked is what users run."""
    namespace: dict[str, Any] = {"ARGUMENTS": arguments}
    exec(builder, namespace)
    model: nn.Module = namespace["build"]()
    return model

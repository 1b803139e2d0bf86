"""A page about some families of timm and torchvision: which models can be imported, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import version

from nas.export.from_model import import_spec
from nas.export.library_model import LIBRARIES
from nas.network.cost import cost
from nas.network.resolve import known_networks, resolve_spec
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

FAMILIES = {
    "timm": ("*efficientnet*", "*mixnet*", "*mnasnet*", "spnasnet*", "fbnet*", "hardcorenas*", "*mobilenet*",
             "tinynet*", "*lcnet*", "resnet*", "wide_resnet*", "*resnext*", "*seresnet*", "ecaresnet*",
             "skresnet*", "resnest*", "res2net*", "gernet*", "legacy_se*", "regnet*"),
    "torchvision": ("efficientnet*", "mnasnet*", "mobilenet*", "resnet*", "wide_resnet*", "resnext*",
                    "regnet*", "shufflenet*"),
}  # fmt: skip
"""Patterns of the names that the page holds."""

COMMAND = "nas import --table --out docs/imports.md"


def family_names(library: str) -> list[str]:
    """The names of a library that belong to `FAMILIES`, sorted.

    Raises:
        InputError: the library isn't installed.
    """
    if library == "timm":
        try:
            import timm
        except ImportError:
            raise InputError(
                "table of imports: timm is not installed; pip install 'baseline-nas[timm]'"
            ) from None
        names = timm.list_models()
    else:
        from torchvision import models

        names = models.list_models(module=models)
    return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in FAMILIES[library]))


def outcome(source: str) -> NetworkSpec | str:
    """The spec of a model, or why there is none."""
    try:
        return import_spec(source)
    except InputError as error:
        return reason(error)


def reason(error: InputError) -> str:
    """The reasons alone, without the name."""
    return str(error).split("no spec describes it exactly: ", 1)[-1]


def rows(outcomes: dict[str, NetworkSpec | str]) -> Iterator[str]:
    """The page's text for the outcomes by `library:name`, line by line."""
    versions = ", ".join(f"{library} {version(library).partition('+')[0]}" for library in LIBRARIES)
    accepted = {source: found for source, found in outcomes.items() if isinstance(found, NetworkSpec)}
    yield "# What can be imported"
    yield ""
    yield f"`nas import --from LIBRARY:NAME` takes {len(accepted)} of the {len(outcomes)} models of these"
    yield f"families ({versions}). An imported network has the same parameters and settings and, with the"
    yield "same weights, outputs within 1e-5 of their spread at 64x64, 97x130 and 224x224 (height x width)."
    yield "All others are refused, for the reasons below."
    yield ""
    yield f"This page is written by `{COMMAND}`."
    yield ""
    yield "## Accepted"
    yield ""
    yield "Equal means the same blocks, stem, head and activation; settings such as BN's may differ."
    yield ""
    yield "| model | digest | params | resolution | equal to |"
    yield "|---|---|---|---|---|"
    known = {_body(resolve_spec(name)): name for name in known_networks()}
    for source, spec in accepted.items():
        cells = source, f"`{spec.digest}`", f"{cost(spec).params:,}", spec.resolution
        yield f"| {' | '.join(map(str, cells))} | {known.get(_body(spec), '')} |"
    yield ""
    yield "## Refused"
    groups: dict[str, list[str]] = {}
    for source, found in outcomes.items():
        if isinstance(found, str):
            groups.setdefault(found, []).append(source)
    for words, sources in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        yield ""
        yield f"**{words}**"
        yield ""
        for library in LIBRARIES:
            names = [source.partition(":")[2] for source in sources if source.startswith(f"{library}:")]
            if names:
                yield f"- {library}: {', '.join(names)}"


def _body(spec: NetworkSpec) -> tuple[object, ...]:
    return spec.blocks(), spec.stem, spec.head_channels, spec.activation

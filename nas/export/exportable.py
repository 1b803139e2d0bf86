"""A space constrained to what formats can express, by the rules that their exporters obey. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from nas.export.expressible import RULES, join_names, rules_of
from search_spaces.architecture import Architecture
from search_spaces.constrain import constrain
from search_spaces.counting import count_text, share_text
from search_spaces.errors import InputError, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.registry import SPACES
from search_spaces.spec import StageSpec
from search_spaces.together import Exportable

ANY = "any"
"""For `--exportable-to`: the whole space."""


def default_exports(space: str) -> str:
    """What the networks of a new search can be exported to, if nothing else is asked for.

    One's own space is searched as it was written.
    """
    return "timm,onnx" if space in SPACES.built_in else ANY


def parse_formats(text: str) -> tuple[str, ...]:
    """`timm,onnx` as names, in the order of the rules; `any`: none.

    Raises:
        InputError: a name that is no format with rules, or `any` beside others.
    """
    names = [name.strip() for name in text.split(",")]
    if names == [ANY]:
        return ()
    if ANY in names:
        raise InputError(f"exportable-to {text!r}: {ANY!r} is the whole space: expected it alone, or formats")
    for name in names:
        if name not in RULES:
            raise unknown("exportable-to", name, [*RULES, ANY])
    return tuple(name for name in RULES if name in names)


def exportable_space(space: StagedSpace, formats: Sequence[str]) -> StagedSpace:
    """The networks of `space` that every one of the formats can express, and no others.

    The result remembers what it was constrained to; asked for no more than that, it is `space` itself.

    Raises:
        InputError: an unknown format, or nothing is left; names the stage and the reason.
    """
    done = () if space.exportable is None else space.exportable.to
    more = [name for name in formats if name not in done]
    if not more:
        return space
    any_spec = space.decode(Architecture(0 for _ in space.decisions))
    # how many stages a network has, and of which ops, it may not share with the others
    any_spec = any_spec.replace(stages=any_spec.stages[:1])
    for name in more:
        if (found := next(rules_of(name).rest(any_spec), None)) is not None:
            raise InputError(
                f"exportable-to {name}: space {space.name!r}: {found.part}: nothing is left: {found.reason}"
            )

    def rule(stage: StageSpec, in_channels: int) -> str | None:
        for name in more:
            if reason := rules_of(name).stage(stage, in_channels, any_spec):
                return f"{name}: {reason}" if len(more) > 1 else reason
        return None

    try:
        left = constrain(space, rule)
    except InputError as error:
        raise InputError(f"exportable-to {','.join(more)}: space {space.name!r}: {error}") from None
    of = space.size if space.exportable is None else space.exportable.of
    names = tuple(name for name in RULES if name in (*done, *more))
    return left.replaced(exportable=Exportable(names, of))


def describe_space(space: StagedSpace | ListedSpace) -> str:
    """Its name, what it exports to, and how many architectures it has (and of how many)."""
    kept = space.exportable if isinstance(space, StagedSpace) else None
    if kept is None:
        return f"{space.name}: {count_text(space.size)} architectures"
    name = f"{space.name}, exportable to {join_names(kept.to)}"
    if space.size == kept.of:
        return f"{name}: all of its {count_text(kept.of)} architectures"
    part = share_text(space.size, kept.of)
    return f"{name}: {count_text(space.size)} of {count_text(kept.of)} architectures ({part})"

"""A network as the parts that a latency table knows: stem, blocks, head, each at its input's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nas.network.cost import cost
from search_spaces.architecture import Architecture
from search_spaces.block import BlockSpec
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec
from search_spaces.together import HEAD, STEM


@dataclass(frozen=True)
class Part:
    """One part of a network; two are equal if they are the same layers on inputs of the same size.

    Attributes:
        key: all that its latency depends on, as one line.
        channels, size: of its input; size in pixels.
        spec: a network that has it, for the settings that all parts share.
        block: the block; None for the stem and the head.
        is_stem: whether it is the stem.
    """

    key: str
    channels: int = field(compare=False)
    size: int = field(compare=False)
    spec: NetworkSpec = field(compare=False)
    block: BlockSpec | None = field(default=None, compare=False)
    is_stem: bool = field(default=False, compare=False)


def grouped_parts(spec: NetworkSpec) -> list[list[Part]]:
    """The parts of a network by where they stand: the stem, each stage's blocks, the head."""
    costs = cost(spec).stages
    stem = spec.stem
    pool = " pool" if stem.pool else ""
    key = f"stem {spec.in_channels}>{stem.channels} k{stem.kernel} s{stem.stride}{pool}"
    groups = [[_part(key, spec.in_channels, spec.resolution, spec, is_stem=True)]]
    channels = stem.channels
    for number, stage in enumerate(spec.stages):
        before, after = costs[number].resolution, costs[number + 1].resolution
        first, *rest = stage.blocks(channels)
        groups.append([block_part(first, before, spec), *(block_part(block, after, spec) for block in rest)])
        channels = stage.channels
    return [*groups, [head_part(spec, channels, costs[-2].resolution)]]


def parts(spec: NetworkSpec) -> list[Part]:
    """The parts of a network in order, equal ones as often as it has them."""
    return [part for group in grouped_parts(spec) for part in group]


def head_part(spec: NetworkSpec, in_channels: int, size: int) -> Part:
    """The head of `spec` behind a last stage of `in_channels` at `size` pixels."""
    middle = f">{spec.head_channels}" if spec.head_channels else ""
    if spec.pooled_channels:
        middle += f">pool>{spec.pooled_channels}{' bn' if spec.pooled_norm else ''}"
    return _part(f"head {in_channels}{middle}>{spec.num_classes}", in_channels, size, spec)


def block_part(block: BlockSpec, size: int, spec: NetworkSpec) -> Part:
    """A block at an input of `size` pixels, with the settings of `spec`."""
    expansion = f" e{block.expansion:g}" if block.expansion != 1 else ""
    se = f" se{block.se_ratio:g}" if block.se_ratio else ""
    se += f" {block.gate}" if block.gate != "sigmoid" else ""
    skip = f" {block.skip}" if block.skip != "none" else ""
    skip += f" own {block.activation}" if block.activation else ""
    kernel = f"{block.start_kernel}+{block.kernel}" if block.start_kernel else f"{block.kernel}"
    kernel += f" g{block.group_width}" if block.group_width else ""
    shape = f"{block.in_channels}>{block.out_channels}{expansion} k{kernel} s{block.stride}"
    return _part(f"{block.op} {shape}{se}{skip}", block.in_channels, size, spec, block)


def _part(
    key: str,
    channels: int,
    size: int,
    spec: NetworkSpec,
    block: BlockSpec | None = None,
    is_stem: bool = False,
) -> Part:
    return Part(f"{key} {spec.activation} @{size}", channels, size, spec, block, is_stem)


def group_parts(space: StagedSpace, group: int, architecture: Sequence[int]) -> list[Part]:
    """A part of the networks of a space: the stem (group 0), the blocks of a slot, or the head."""
    template = space.template
    ends = template.replace(
        stem=replace(template.stem, channels=int(space.value(STEM, architecture))),
        head_channels=int(space.value(HEAD, architecture)),
    )
    if not group:
        return parts(ends)[:1]
    size = cost(template).stages[0].resolution
    for slot in space.slots[: group - 1]:
        size = (size - 1) // slot.stride + 1
    if group <= len(space.slots):
        stage = space.stage_at(group - 1, architecture)
        if stage is None:
            return []
        first, *rest = stage.blocks(int(space.value(space.width_key(group - 1), architecture)))
        after = (size - 1) // space.slots[group - 1].stride + 1
        return [block_part(first, size, ends), *(block_part(block, after, ends) for block in rest)]
    last = len(space.slots) - 1
    there = space.value(space.slots[last].keys["repeats"], architecture)
    key = space.slots[last].keys["channels"] if there else space.width_key(last)
    return [head_part(ends, int(space.value(key, architecture)), size)]


def space_parts(space: StagedSpace | ListedSpace) -> list[Part]:
    """All parts that networks of a space can have, each once."""
    found: dict[str, Part] = {}
    if isinstance(space, ListedSpace):
        specs = [space.decode(Architecture((index,))) for index in range(int(space.size))]
        return list({part.key: part for spec in specs for part in parts(spec)}.values())
    first = space.decode(Architecture(0 for _ in space.decisions))
    for ends in space.ends():
        stem = parts(ends)[0]
        found.setdefault(stem.key, stem)
    size = cost(first).stages[0].resolution
    for number, slot in enumerate(space.slots):
        after = (size - 1) // slot.stride + 1
        for before, stage in space.variants(number):
            for place, block in enumerate(stage.blocks(before)[:2]):
                part = block_part(block, after if place else size, first)
                found.setdefault(part.key, part)
        size = after
    widths = set(space.options[space.slots[-1].keys["channels"]])
    if 0 in space.stages[-1].repeats:
        widths |= set(space.options[space.width_key(len(space.slots) - 1)])
    for ends in space.ends():
        for width in sorted(widths):
            part = head_part(ends, width, size)
            found.setdefault(part.key, part)
    return list(found.values())

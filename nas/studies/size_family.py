"""Networks of one design in several sizes around a target: what more cost brings, all else equal.

Two ways to make them. In width: one member of the space, all its widths multiplied, as MobileNetV2's
multipliers do (Sandler et al. 2018: .5 to 1.4 gain about 5% for each doubling on ImageNet, MnasNet's figure);
the sizes are met exactly, whatever the space's own edges. In steps: members of the space along one path from
small to large, for what can be said of members alone, a surrogate's accuracy or a table's latency. A path
goes through EfficientNet-B0, where the space has it, and changes widths and depths only, as compound scaling
does: a member made of the cheapest choice in everything isn't just smaller, it is of a worse design, and the
gain from it to the dearest is no price of cost. The spaces of later networks have those in B0's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.network.scaling import scale_by
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.reference import reference
from search_spaces.space import NotInSpaceError
from search_spaces.spec import NetworkSpec

LOW, HIGH = -2.0, 1.0
"""Sizes in doublings of the target: a quarter of it to twice it."""
_LEAST_SPAN, _SPAN = 1.0, 1.5
"""Doublings from the smallest to the largest, at least (with less, noise decides the slope) and wanted."""
_FEWEST = 4
"""Networks of different cost."""
_FIELDS = (("channels", "repeats"), ("op",), ("kernel", "start_kernel", "se_ratio", "skip"))
"""What a path changes: the first that spans enough, the next ones with it only if it doesn't."""
_MIDDLES = {
    "efficientnet-b0": "EfficientNet-B0",
    "efficientnetv2-s": "EfficientNetV2-S",
    "mobilenetv4-conv-m": "MobileNetV4-Conv-M",
}
"""Networks that a space was made for, and what people call them."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class SizeFamily:
    """Networks that differ in size.

    Attributes:
        about: what they are, for people.
        networks: by label, from small to large.
        doublings: log2 of how much each costs of the target, on average over several targets.
    """

    about: str
    networks: dict[str, NetworkSpec]
    doublings: dict[str, float]


Doublings = Callable[[NetworkSpec], float]
"""log2 of what a network costs of the target, on average over several targets."""


def widths_of(space: StagedSpace, size: Doublings, count: int) -> SizeFamily:
    """The space's middle member in `count` widths, evenly from a quarter of the target to twice it.

    Raises:
        InputError: no width of it costs so much or so little.
    """
    member = middle_member(space)
    anchor = space.decode(member)
    found: list[tuple[float, NetworkSpec]] = []
    for level in np.linspace(LOW, HIGH, count):
        spec = _as_wide(anchor, size, float(level))
        if abs((got := size(spec)) - level) < 0.5 * (HIGH - LOW) / (count - 1):
            found.append((got, spec))  # else whole channels don't allow it
    return _named(f"{_name(space, anchor)} in different widths", space, found, count)


def members_of(space: StagedSpace | ListedSpace, size: Doublings, count: int) -> SizeFamily:
    """Members of the space along one path from small to large: the `count` nearest to evenly spaced sizes.

    The sizes are a quarter of the target to twice it, moved to where the path lies if it lies elsewhere.

    Raises:
        InputError: the space has no members that differ enough in cost.
    """
    if isinstance(space, ListedSpace):
        about, path = "its networks", list(space.networks.values())
    else:
        middle = middle_member(space)
        about = f"{_name(space, space.decode(middle))} and members smaller and larger than it"
        for fields in range(1, len(_FIELDS) + 1):
            chosen = [field for group in _FIELDS[:fields] for field in group]
            path = [space.decode(member) for member in _path(space, middle, chosen)]
            sizes = [size(spec) for spec in path]
            if len(set(sizes)) >= _FEWEST and max(sizes) - min(sizes) >= _LEAST_SPAN:
                break
    sized = sorted(((size(spec), spec) for spec in path), key=lambda pair: pair[0])
    smallest, largest = sized[0][0], sized[-1][0]
    low = max(min(LOW, largest - _SPAN), smallest)
    high = min(max(HIGH, low + _SPAN), largest)
    found: dict[str, tuple[float, NetworkSpec]] = {}
    for level in np.linspace(low, high, count):
        nearest = min(sized, key=lambda pair: abs(pair[0] - level))
        found.setdefault(nearest[1].digest, nearest)
    return _named(about, space, list(found.values()), count)


def middle_member(space: StagedSpace) -> Architecture:
    """The first of some published networks that the space has, EfficientNet-B0 before all.

    Else the member with the middle choice of each decision; of ops the middle one of the inverted
    bottlenecks, where there are some, and of skips the identity.
    """
    for name in _MIDDLES:
        try:
            return space.encode(reference(name))
        except NotInSpaceError:
            continue
    indices = []
    for decision in space.decisions:
        field, options = decision.name.rpartition(".")[2], list(range(len(decision)))
        if field == "op":
            options = _alike(decision.choices, "mbconv") or options
        if field == "skip":
            options = [i for i in options if decision.choices[i] == "identity"] or options
        indices.append(options[len(options) // 2])
    return space.canonical(Architecture(indices))


def _path(space: StagedSpace, middle: Architecture, fields: Sequence[str]) -> list[Architecture]:
    """From the middle member down and up, a choice at a time; the decisions take turns."""
    ups: list[tuple[float, int, int]] = []
    downs: list[tuple[float, int, int]] = []
    for position, decision in enumerate(space.decisions):
        field, at = decision.name.rpartition(".")[2], middle[position]
        if field not in fields:
            continue
        options = list(range(len(decision)))
        if field == "op":
            # the expansion ratio is a size; another kind of block is another design
            options = _alike(decision.choices, str(decision.choices[at]).rstrip("0123456789."))
        turn = (position + 1) * _GOLDEN % 1  # spreads any number of decisions evenly over a step
        for moves, steps in (
            (ups, [i for i in options if i > at]),
            (downs, [i for i in options if i < at][::-1]),
        ):
            moves += [((n + turn) / len(steps), position, index) for n, index in enumerate(steps)]
    members = [middle]
    for moves in (ups, downs):
        current = middle
        for _, position, index in sorted(moves):
            current = current.replace(position, index)
            members.append(current)
    return members


def _alike(choices: Sequence[object], kind: str) -> list[int]:
    """The ops of a kind; `ds` is the inverted bottleneck of expansion 1."""
    kinds = ("mbconv", "ds") if kind in ("mbconv", "ds") else (kind,)
    return [i for i, choice in enumerate(choices) if str(choice).rstrip("0123456789.") in kinds]


def _as_wide(anchor: NetworkSpec, size: Doublings, level: float) -> NetworkSpec:
    """The anchor at the width at which it has that size, as nearly as whole channels allow."""

    def at(power: float) -> NetworkSpec:
        return scale_by(anchor, width=2**power, divisor=1)

    def too_large(power: float) -> bool:
        try:
            return size(at(power)) > level
        except InputError:  # more channels than a spec may hold
            return True

    low, high = -8.0, 8.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if too_large(middle) else (middle, high)
    return min((at(low), at(high)), key=lambda spec: abs(size(spec) - level)) if high < 8 else at(low)


def _name(space: StagedSpace, spec: NetworkSpec) -> str:
    known = (label for name, label in _MIDDLES.items() if reference(name).blocks() == spec.blocks())
    return next(known, f"the middle of {space.name}")


def _named(
    about: str, space: StagedSpace | ListedSpace, found: Sequence[tuple[float, NetworkSpec]], count: int
) -> SizeFamily:
    """A family, if it is one: labels by rank; raises `InputError` if its sizes differ too little."""
    found = sorted(found, key=lambda pair: pair[0])
    different = {spec.digest: (size, spec) for size, spec in found}
    if len(different) < _FEWEST or found[-1][0] - found[0][0] < _LEAST_SPAN:
        reach = (
            f"from {2 ** found[0][0]:.3g} to {2 ** found[-1][0]:.3g} times the target" if found else "none"
        )
        raise InputError(
            f"exponent 'auto': space {space.name!r} has too few networks of different cost to measure with "
            f"({len(different)}: {reach}); give w as a number, or another target"
        )
    networks, doublings = {}, {}
    for number, (size, spec) in enumerate(different.values()):
        label = f"size {number}"
        networks[label] = spec.replace(name=f"{space.name}-{label.replace(' ', '-')}")
        doublings[label] = size
    return SizeFamily(about, networks, doublings)

"""The largest network of a space, by whatever measure: nearly exact, without looking at all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace
from search_spaces.spec import NetworkSpec

_SWEEPS = 3


def largest_network(space: SearchSpace, size: Callable[[NetworkSpec], float]) -> NetworkSpec:
    """The network of `largest_architecture`."""
    return space.decode(largest_architecture(space, size))


def largest_architecture(
    space: SearchSpace,
    size: Callable[[NetworkSpec], float],
    start: Architecture | None = None,
    places: Collection[int] | None = None,
) -> Architecture:
    """The architecture of which no change of a single decision makes a larger network.

    Coordinate ascent: what layers cost is added up, so that decisions hardly depend on one another (a stage's
    width alone decides over the next stage too). A list is looked at whole.

    Args:
        space: of the networks.
        size: of a network; the larger the more.
        start: where it begins, and what it keeps where sizes are equal; None: the last choices.
        places: the positions of decisions that may change; None: all.
    """
    best = Architecture(start or (len(decision) - 1 for decision in space.decisions))
    most = size(space.decode(best))
    for _ in range(_SWEEPS):
        before = most
        for place, decision in enumerate(space.decisions):
            for choice in range(len(decision)) if places is None or place in places else ():
                other = best.replace(place, choice)
                if other != best and (found := size(space.decode(other))) > most:
                    best, most = other, found
        if most == before or len(space.decisions) == 1:
            break
    return space.canonical(best)

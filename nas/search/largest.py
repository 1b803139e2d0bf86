"""The largest network of a space, by whatever measure: nearly exact, without looking at all of them."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace
from search_spaces.spec import NetworkSpec

_SWEEPS = 3


def largest_network(space: SearchSpace, size: Callable[[NetworkSpec], float]) -> NetworkSpec:
    """The network of a space that no change of a single decision makes larger.

    Coordinate ascent from the last choices: what layers cost is added up, so that decisions hardly depend on
    one another (a stage's width alone decides over the next stage too). A list is looked at whole.

    Args:
        space: of the networks.
        size: of a network; the larger the more.
    """
    best = [len(decision) - 1 for decision in space.decisions]
    network = space.decode(Architecture(best))
    most = size(network)
    for _ in range(_SWEEPS):
        before = most
        for place, decision in enumerate(space.decisions):
            for choice in range(len(decision)):
                other = [*best[:place], choice, *best[place + 1 :]]
                if other == best:
                    continue
                candidate = space.decode(Architecture(other))
                if (found := size(candidate)) > most:
                    best, network, most = other, candidate, found
        if most == before or len(space.decisions) == 1:
            break
    return network

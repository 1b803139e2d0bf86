"""Whether a reward is a number all over a space, looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nas.network.analytic import analytic_costs
from nas.search.reward import Reward
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

_LOOKED_AT = 30


def check_reach(
    space: StagedSpace | ListedSpace,
    reward: Reward,
    more_costs: Callable[[NetworkSpec], Mapping[str, float]] = lambda spec: {},
) -> None:
    """Raise `InputError` where networks of a space have no reward (`Reward.beyond`).

    The first, the last and some random ones are looked at: of choices that are ordered, the ends are the
    smallest and the largest networks.

    Args:
        space: of the networks.
        reward: whose objectives are analytic costs or ones that `more_costs` knows.
        more_costs: the other costs of a network.
    """
    if not reward.objectives:
        return
    rng = np.random.default_rng(0)
    ends = (0 for _ in space.decisions), (len(decision) - 1 for decision in space.decisions)
    looked_at = [*map(Architecture, ends), *(space.sample(rng) for _ in range(_LOOKED_AT))]
    for spec in map(space.decode, looked_at):
        costs = analytic_costs(spec, (objective.cost for objective in reward.objectives))
        costs |= more_costs(spec)
        if (reason := reward.beyond(costs)) is not None:
            raise InputError(reason)

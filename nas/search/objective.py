"""What a controller is told of the reward in advance: exact costs, so a line in the accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.base import RewardLine
from nas.latency.table import LATENCY, LatencyTable
from nas.network.analytic import analytic_cost, is_analytic
from nas.network.cost_table import CostTable
from nas.search.own_cost import OwnCost
from nas.search.reward import Reward
from search_spaces.architecture import Architecture
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace


class CostModel(Protocol):
    """What predicts costs that can't be computed from a spec, as the benchmark's surrogate does."""

    def measured(self, architectures: NDArray[np.int64], /) -> dict[str, NDArray[np.float64]]:
        """Costs by name, each of shape (n,), of architectures of shape (n, decisions)."""


def make_objective(
    space: StagedSpace | ListedSpace,
    reward: Reward,
    surrogate: CostModel | None = None,
    latency: LatencyTable | None = None,
    own: Mapping[str, OwnCost] = MappingProxyType({}),
) -> RewardLine:
    """The reward's slope and offset for any architectures of `space`.

    Args:
        space: of the architectures.
        reward: whose objectives are analytic costs, or costs that `surrogate` predicts.
        surrogate: knows the other costs: the benchmark's, in a search on it.
        latency: of the device that the search is for, if there is one.
        own: exact costs of the user's, by name.
    """
    table = CostTable(space) if isinstance(space, StagedSpace) else partial(_listed, space)

    def objective(architectures: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        measured: dict[str, NDArray[np.float64]] = {}
        names = {o.cost for o in reward.objectives if not is_analytic(o.cost)}
        if latency is not None and LATENCY in names:
            measured[LATENCY] = latency.predict(space, architectures)
        measured |= {name: own[name].predict(space, architectures) for name in own if name in names}
        if surrogate is not None and names - {LATENCY, *own}:
            measured |= surrogate.measured(architectures)
        slope, offset = reward.line(partial(_values, table, architectures, measured))
        shape = (len(architectures),)
        return np.broadcast_to(slope, shape), np.broadcast_to(offset, shape)

    return objective


def _listed(space: ListedSpace, rows: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    found = [analytic_cost(space.decode(Architecture(row)), name) for row in rows.tolist()]
    return np.array(found, dtype=np.float64)


def _values(
    table: Callable[[NDArray[np.int64], str], NDArray[np.float64]],
    rows: NDArray[np.int64],
    measured: Mapping[str, NDArray[np.float64]],
    name: str,
) -> NDArray[np.float64]:
    return measured[name] if name in measured else table(rows, name)

"""How much of a GPU's memory the trials of a search may take, before there are any."""

from __future__ import annotations

from collections.abc import Callable

from nas.network.largest import largest_network
from nas.training.gpu_memory import training_bytes, trial_bytes
from search_spaces.space import SearchSpace
from search_spaces.spec import NetworkSpec


def gpu_need(
    space: SearchSpace, trained: Callable[[NetworkSpec], NetworkSpec], batch: int, folds: int = 1
) -> int:
    """Bytes of a GPU that a trial of any network of a space may take; an estimate, from above.

    Args:
        space: of the networks.
        trained: what is trained in place of a network (its proxy).
        batch: images of a training step.
        folds: trainings of a trial, which are in memory together.
    """

    def size(spec: NetworkSpec) -> int:
        return training_bytes(trained(spec), batch)

    return trial_bytes(folds * size(largest_network(space, size)))
